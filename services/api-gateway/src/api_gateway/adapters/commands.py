"""Commands in Postgres: the row, its audit entry, and the message leave together or not at all."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.approvals import Pending, enter
from api_gateway.adapters.audit import append
from api_gateway.adapters.effects import World
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.commands import CommandStatus, Wish, command_id_of, progress
from api_gateway.domain.effects import is_done
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.second_person import ApprovalKind, ApprovalStatus, Ask, status_of
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import CommandView
from api_gateway.ports.people import User
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import Scope

_COLUMNS = (
    'c.command_id, c.user_id, c.fingerprint, c.command, c.subject, c.scope, c."values", c.reason, c.requested_by,'
    " c.requested_at, c.done_at, a.approval_id, a.outcome, a.expires_at, a.decided_by, a.decided_at"
)
_SOURCE = "commands c LEFT JOIN approvals a ON a.approval_id = c.command_id"
_LISTING = Listing(_COLUMNS, _SOURCE, "c.requested_at", "c.command_id", "uuid")
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

    async def submit(
        self, wish: Wish, user: User, key: str, address: str, ask: Ask | None = None
    ) -> tuple[CommandView, bool]:
        """Give the command and whether the key stood for this very wish; a repeated key sends nothing again.

        With `ask` it does not go out before another person approved it.
        """
        now, command_id = self._clock.now(), command_id_of(user.user_id, key)
        async with self._database.transaction() as unit:
            inserted = await unit.session.execute(
                _INSERT,
                {
                    "command_id": command_id,
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
                detail = {"command_id": str(command_id), "scope": wish.scope.value, **wish.values}
                if ask is None:
                    unit.publish(wish.message(command_id, user.login, now))
                else:
                    detail["second_person"] = "awaited"
                    await enter(unit, _pending(command_id, wish, ask), user, now)
                await append(unit.session, AuditEntry(now, user.login, wish.command, wish.subject, detail, address))
            row = (await _commands(unit.session, "command_id = :id", {"id": command_id}))[0]
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
                unit.session,
                "done_at IS NULL AND coalesce(a.decided_at, c.requested_at) > :since",
                {"since": now - _WATCHED_FOR},
            )
            views = await self._views(unit.session, waiting)
            done = [view.command_id for view in views if view.status is CommandStatus.DONE]
            if done:
                await unit.session.execute(
                    text("UPDATE commands SET done_at = :now WHERE command_id = ANY(CAST(:ids AS uuid[]))"),
                    {"now": now, "ids": done},
                )

    async def _views(self, session: AsyncSession, found: Sequence[Row]) -> list[CommandView]:
        watched = [(row["command_id"], _wish(row)) for row in found if row["done_at"] is None]
        world = await World.look(session, watched)
        now = self._clock.now()
        views = []
        for row in found:
            wish = _wish(row)
            approval = status_of(row["outcome"], row["expires_at"], now) if row["approval_id"] else None
            is_approved = approval is ApprovalStatus.APPROVED
            sent_at = row["decided_at"] if is_approved else row["requested_at"]
            was_seen = row["done_at"] is not None
            seen_done = was_seen or is_done(wish, world.of(row["command_id"], wish))
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
                    approved_by=row["decided_by"] if is_approved else None,
                    approved_at=row["decided_at"] if is_approved else None,
                    status=progress(sent_at, now, is_done=seen_done, approval=approval),
                    status_url=f"/api/v1/commands/{row['command_id']}",
                    approval_url=f"/api/v1/approvals/{row['command_id']}" if approval else None,
                )
            )
        return views


def _pending(command_id: UUID, wish: Wish, ask: Ask) -> Pending:
    return Pending(
        command_id,
        ApprovalKind.COMMAND,
        wish.command.value,
        wish.subject,
        wish.fingerprint(),
        ask,
        scope=wish.scope,
        values=wish.values,
        reason=wish.reason,
    )


async def _commands(session: AsyncSession, where: str, values: Mapping[str, Any]) -> Sequence[Row]:
    query = f"SELECT {_COLUMNS} FROM {_SOURCE} WHERE {where} ORDER BY c.requested_at DESC LIMIT 500"  # noqa: S608
    return await rows(session, query, values)


def _wish(row: Row) -> Wish:
    return Wish(CommandName(row["command"]), row["subject"], Scope(row["scope"]), parsed(row["values"]), row["reason"])
