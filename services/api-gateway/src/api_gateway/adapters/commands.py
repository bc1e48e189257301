"""Commands in Postgres: the row, its audit entry, and the message leave together or not at all."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.audit import append
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.commands import CommandStatus, Observed, Wish, progress
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import CommandView
from api_gateway.ports import User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import OrderStatus, Scope, Stage

_COLUMNS = (
    'command_id, user_id, fingerprint, command, subject, scope, "values", reason, requested_by, requested_at, done_at'
)
_LISTING = Listing(_COLUMNS, "commands", "requested_at", "command_id", "uuid")
_INSERT = text(
    'INSERT INTO commands (command_id, user_id, idempotency_key, fingerprint, command, subject, scope, "values",'
    " reason, requested_by, requested_at)"
    " VALUES (:command_id, :user_id, :key, :fingerprint, :command, :subject, :scope, CAST(:values AS jsonb),"
    " :reason, :requested_by, :requested_at)"
    " ON CONFLICT (user_id, idempotency_key) DO NOTHING RETURNING command_id"
)
_WATCHED_FOR = timedelta(minutes=10)


class PostgresCommands:
    """Writes commands down, and looks for their effect in the tables of those who carry them out."""

    def __init__(self, database: Database, clock: ClockPort) -> None:
        self._database = database
        self._clock = clock

    async def submit(self, wish: Wish, user: User, key: str, address: str) -> tuple[CommandView, bool]:
        """Give the command and whether the key stood for this very wish; a repeated key sends nothing again."""
        now = self._clock.now()
        message = wish.message(user.user_id, user.login, key, now)
        async with self._database.transaction() as unit:
            inserted = await unit.session.execute(
                _INSERT,
                {
                    "command_id": message.message_id,
                    "user_id": user.user_id,
                    "key": key,
                    "fingerprint": wish.fingerprint(),
                    "command": wish.command.value,
                    "subject": wish.subject,
                    "scope": wish.scope.value,
                    "values": json.dumps(dict(wish.values)),
                    "reason": wish.reason,
                    "requested_by": user.login,
                    "requested_at": now,
                },
            )
            if inserted.first() is not None:
                unit.publish(message)
                detail = {"command_id": str(message.message_id), "scope": wish.scope.value, **wish.values}
                await append(unit.session, AuditEntry(now, user.login, wish.command, wish.subject, detail, address))
            row = (await _commands(unit.session, "command_id = :id", {"id": message.message_id}))[0]
            view = (await self._views(unit.session, [row]))[0]
        return view, row["fingerprint"] == wish.fingerprint()

    async def command(self, command_id: UUID) -> CommandView | None:
        """Give one command with its present status."""
        async with self._database.reading() as session:
            found = await _commands(session, "command_id = :id", {"id": command_id})
            return (await self._views(session, found))[0] if found else None

    async def commands(self, page: PageRequest) -> Page[CommandView]:
        """Give commands, newest first."""
        async with self._database.reading() as session:
            found = await page_of(session, _LISTING, Conditions(), page, dict)
            return Page(items=await self._views(session, found.items), next_cursor=found.next_cursor)

    async def settle(self) -> None:
        """Mark the commands whose effect is seen: what happens to the subject later does not undo them."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            waiting = await _commands(
                unit.session, "done_at IS NULL AND requested_at > :since", {"since": now - _WATCHED_FOR}
            )
            views = await self._views(unit.session, waiting)
            done = [view.command_id for view in views if view.status is CommandStatus.DONE]
            if done:
                await unit.session.execute(
                    text("UPDATE commands SET done_at = :now WHERE command_id = ANY(CAST(:ids AS uuid[]))"),
                    {"now": now, "ids": done},
                )

    async def _views(self, session: AsyncSession, found: Sequence[Row]) -> list[CommandView]:
        world = await _World.look(session, [_wish(row) for row in found if row["done_at"] is None])
        now = self._clock.now()
        views = []
        for row in found:
            wish = _wish(row)
            views.append(
                CommandView(
                    command_id=row["command_id"],
                    command=wish.command,
                    subject=wish.subject,
                    scope=wish.scope,
                    values=dict(wish.values),
                    reason=wish.reason,
                    requested_by=row["requested_by"],
                    requested_at=row["requested_at"],
                    status=progress(wish, world.of(wish), row["requested_at"], now, row["done_at"]),
                    status_url=f"/api/v1/commands/{row['command_id']}",
                )
            )
        return views


class _World:
    """What the owners' tables show, read once for many commands."""

    def __init__(self, strategies: Sequence[Row], stages: Sequence[Row], orders: Sequence[Row]) -> None:
        self._strategies = {row["strategy_id"]: row for row in strategies}
        self._stages = {(row["scope"], row["scope_id"]): row["stage"] for row in stages}
        self._orders = {row["client_order_id"]: row["status"] for row in orders}

    @classmethod
    async def look(cls, session: AsyncSession, wishes: Sequence[Wish]) -> "_World":
        names = {wish.command for wish in wishes}
        strategies: Sequence[Row] = ()
        stages: Sequence[Row] = ()
        orders: Sequence[Row] = ()
        if names & {CommandName.ACTIVATE_STRATEGY, CommandName.STOP_STRATEGY, CommandName.SET_PARAMS}:
            strategies = await rows(session, "SELECT strategy_id, status, params FROM strategy_engine.strategies")
        if names & {CommandName.HALT, CommandName.RESUME}:
            stages = await rows(session, "SELECT scope, scope_id, stage FROM risk_gate.stages")
        ids = [wish.subject for wish in wishes if wish.command is CommandName.CANCEL_ORDER]
        if ids:
            orders = await rows(
                session,
                "SELECT client_order_id, status FROM order_worker.orders"
                " WHERE client_order_id = ANY(CAST(:ids AS text[]))",
                {"ids": ids},
            )
        return cls(strategies, stages, orders)

    def of(self, wish: Wish) -> Observed:
        """Give what can be seen of one wish's subject."""
        strategy = self._strategies.get(wish.subject)
        stage = self._stages.get((wish.scope.value, wish.subject))
        order = self._orders.get(wish.subject)
        return Observed(
            strategy_status=strategy["status"] if strategy else None,
            strategy_params=parsed(strategy["params"]) if strategy else None,
            stage=Stage(stage) if stage else None,
            order_status=OrderStatus(order) if order else None,
        )


async def _commands(session: AsyncSession, where: str, values: Mapping[str, Any]) -> Sequence[Row]:
    query = f"SELECT {_COLUMNS} FROM commands WHERE {where} ORDER BY requested_at DESC LIMIT 500"  # noqa: S608
    return await rows(session, query, values)


def _wish(row: Row) -> Wish:
    return Wish(CommandName(row["command"]), row["subject"], Scope(row["scope"]), parsed(row["values"]), row["reason"])
