"""The part of the ledger that holds protections, their orders, and flattenings."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Row, RowMapping

from risk_gate.adapters import exit_statements as statements
from risk_gate.domain.exits import OpenOrder
from risk_gate.domain.flattening import Flattening
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.protection import ZERO, Bought, Levels, Protection, ProtectionState
from risk_gate.ports.exits import ExitOrder, Holding, PositionKey, WaitingSale
from sigmax.runtime.ledgers import Ledger
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import ExitKind, Scope, Side

_FIELDS = tuple(each.name for each in fields(Protection))


class ExitLedger(Ledger):
    """Protections and what they ordered, in one open transaction."""

    async def protections(self) -> Sequence[Protection]:
        """Give every live protection."""
        return [_protection(row) for row in (await self._session.execute(statements.PROTECTIONS)).mappings()]

    async def protection(self, protection_id: UUID) -> Protection | None:
        """Give one protection, its row locked."""
        return await self._one(statements.PROTECTION, {"protection_id": protection_id})

    async def protection_of(self, key: PositionKey) -> Protection | None:
        """Give the live protection of a position, its row locked."""
        return await self._one(statements.PROTECTION_OF, _key(key))

    async def asked_about(self, exit_id: UUID) -> Protection | None:
        """Give the protection that waits for judgement on an exit, not locked."""
        return await self._one(statements.ASKED_ABOUT, {"exit_id": exit_id})

    async def keep_protection(self, protection: Protection) -> None:
        """Store a protection as it is now; its best price never falls."""
        is_asking = protection.state is ProtectionState.ASKING and protection.exit_kind is not None
        values: dict[str, Any] = {name: getattr(protection, name) for name in _FIELDS}
        values["asked_id"] = protection.exit_id(protection.exit_kind) if is_asking and protection.exit_kind else None
        await self._session.execute(statements.KEEP_PROTECTION, values)

    async def raise_best(self, best: dict[UUID, Decimal]) -> None:
        """Store the highest prices seen, where they are higher than those that are stored."""
        if best:
            values = {"ids": list(best), "prices": list(best.values())}
            await self._session.execute(statements.RAISE_BEST, values)

    async def levels(self, client_order_id: str) -> Levels:
        """Give what an order's approval says about leaving its position."""
        row = (await self._session.execute(statements.LEVELS, {"client_order_id": client_order_id})).mappings().first()
        return Levels() if row is None else Levels(**row)

    async def limits_of(self, account_id: str) -> RiskLimits | None:
        """Give the account's newest limits, or None where they cannot be read."""
        stored = await self._session.scalar(statements.LIMITS, {"account_id": account_id})
        if stored is None:
            return None
        row = json.loads(stored, parse_float=Decimal)
        try:
            return RiskLimits.model_validate({**row["values"], "version": row["version"]})
        except (ValidationError, TypeError):
            return None

    async def held_by(self, key: PositionKey) -> Decimal:
        """Give what a strategy holds."""
        held: Decimal | None = await self._session.scalar(statements.HELD_BY, _key(key))
        return ZERO if held is None else held

    async def unguarded(self) -> Sequence[Bought]:
        """Give what strategies hold and nothing ever guarded, at the average price of their buys."""
        rows = await self._session.execute(statements.UNGUARDED)
        return [
            Bought(row.account_id, row.strategy_id, row.instrument_id, row.price, row.quantity, row.at, "found")
            for row in rows
        ]

    async def orders_of(self, key: PositionKey) -> Sequence[OpenOrder]:
        """Give the orders of a position that may still fill, and other strategies' buys of its instrument."""
        rows = await self._session.execute(statements.ORDERS_OF, _key(key))
        return [_order(row, row.strategy_id == key.strategy_id) for row in rows]

    async def orders_by_position(self) -> dict[PositionKey, list[OpenOrder]]:
        """Give all orders that may still fill."""
        found: dict[PositionKey, list[OpenOrder]] = defaultdict(list)
        for row in await self._session.execute(statements.ORDERS):
            found[PositionKey(row.account_id, row.strategy_id, row.instrument_id)].append(_order(row, is_own=True))
        return found

    async def keep_exit_order(self, order: ExitOrder) -> None:
        """Note that a protection made an order."""
        await self._session.execute(
            statements.KEEP_EXIT_ORDER,
            {
                "client_order_id": order.client_order_id,
                "protection_id": order.protection_id,
                "kind": order.kind,
                "is_resting": order.is_resting,
                "wanted_quantity": order.wanted_quantity,
                "trigger_price": order.trigger_price,
                "created_at": order.created_at,
            },
        )

    async def exit_order(self, client_order_id: str) -> ExitOrder | None:
        """Give the note on an order, if a protection made it."""
        found = await self._session.execute(statements.EXIT_ORDER, {"client_order_id": client_order_id})
        row = found.mappings().first()
        return None if row is None else ExitOrder(**{**row, "kind": ExitKind(row["kind"])})

    async def cancel_asked(self, client_order_id: str, now: datetime) -> None:
        """Note that an order was asked to leave the venue."""
        await self._session.execute(statements.CANCEL_ASKED, {"client_order_id": client_order_id, "now": now})

    async def exit_order_ended(self, client_order_id: str, now: datetime) -> bool:
        """Note that an order of a protection has ended; False when that was known."""
        ended = await self._session.execute(statements.ENDED, {"client_order_id": client_order_id, "now": now})
        return ended.first() is not None

    async def keep_waiting(self, sale: WaitingSale) -> None:
        """Keep a sale until the resting stop has ended."""
        signal = sale.signal
        await self._session.execute(
            statements.KEEP_WAITING,
            {
                "signal_id": signal.message_id,
                "account_id": signal.account_id,
                "strategy_id": signal.strategy_id,
                "instrument_id": signal.instrument_id,
                "signal": signal.model_dump_json(),
                "size_factor": sale.size_factor,
                "since": sale.since,
            },
        )

    async def waiting(self, key: PositionKey | None = None) -> Sequence[WaitingSale]:
        """Give the sales that wait, of one position or of all."""
        if key is None:
            rows = await self._session.execute(statements.WAITING)
        else:
            rows = await self._session.execute(statements.WAITING_OF, _key(key))
        return [WaitingSale(Signal.model_validate_json(row.signal), row.size_factor, row.since) for row in rows]

    async def waits_no_more(self, signal_id: UUID) -> None:
        """Forget a waiting sale: it is decided."""
        await self._session.execute(statements.WAITS_NO_MORE, {"signal_id": signal_id})

    async def add_stop_out(self, protection: Protection, now: datetime) -> None:
        """Put a position that its protection closed on record, with what it made."""
        await self._session.execute(
            statements.STOP_OUT,
            {
                "account_id": protection.account_id,
                "strategy_id": protection.strategy_id,
                "instrument_id": protection.instrument_id,
                "kind": protection.exit_kind,
                "at": now,
                "pnl": protection.exit_pnl,
            },
        )

    async def start_flattening(self, flattening: Flattening) -> None:
        """Put the beginning of a flattening on record."""
        await self._session.execute(
            statements.START_FLATTENING,
            {
                "flattening_id": flattening.flattening_id,
                "scope": flattening.scope,
                "scope_id": flattening.scope_id,
                "requested_by": flattening.requested_by,
                "reason": flattening.reason,
                "everything": flattening.everything,
                "started_at": flattening.started_at,
                "remaining": json.dumps(flattening.remaining),
            },
        )

    async def flattenings(self) -> Sequence[Flattening]:
        """Give the flattenings under way, their rows locked; those another replica holds are its business."""
        rows = (await self._session.execute(statements.FLATTENINGS)).mappings()
        return [
            Flattening(**{**row, "scope": Scope(row["scope"]), "remaining": tuple(json.loads(row["remaining"]))})
            for row in rows
        ]

    async def keep_flattening(self, flattening: Flattening) -> None:
        """Store how far a flattening is."""
        await self._session.execute(
            statements.KEEP_FLATTENING,
            {
                "flattening_id": flattening.flattening_id,
                "ended_at": flattening.ended_at,
                "is_flat": flattening.is_flat,
                "remaining": json.dumps(flattening.remaining),
            },
        )

    async def protections_in(self, scope: Scope, scope_id: str) -> Sequence[Protection]:
        """Give the live protections of a scope."""
        values = {} if scope is Scope.GLOBAL else {"scope_id": scope_id}
        rows = await self._session.execute(statements.PROTECTIONS_IN[scope], values)
        return [_protection(row) for row in rows.mappings()]

    async def give_unowned(self, scope: Scope, scope_id: str, strategy_id: str) -> Sequence[Holding]:
        """Give to a name what the accounts of a scope hold and no strategy bought."""
        statement = statements.GIVE_UNOWNED.get(scope)
        if statement is None:
            return []
        values = {"strategy_id": strategy_id} | ({} if scope is Scope.GLOBAL else {"scope_id": scope_id})
        rows = await self._session.execute(statement, values)
        return [Holding(PositionKey(row.account_id, strategy_id, row.instrument_id), row.quantity) for row in rows]

    async def holdings_in(self, scope: Scope, scope_id: str) -> Sequence[Holding]:
        """Give what the strategies of a scope hold, guarded or not."""
        values = {} if scope is Scope.GLOBAL else {"scope_id": scope_id}
        return [
            Holding(
                PositionKey(row.account_id, row.strategy_id, row.instrument_id),
                row.quantity,
                row.refusal or "",
                row.is_live,
            )
            for row in await self._session.execute(statements.HOLDINGS_IN[scope], values)
        ]

    async def _one(self, statement: Any, values: dict[str, Any]) -> Protection | None:
        row = (await self._session.execute(statement, values)).mappings().first()
        return None if row is None else _protection(row)


def _key(key: PositionKey) -> dict[str, str]:
    return {"account_id": key.account_id, "strategy_id": key.strategy_id, "instrument_id": key.instrument_id}


def _protection(row: RowMapping) -> Protection:
    values: dict[str, Any] = dict(row)
    for name in ("exit_kind", "spared"):
        values[name] = None if values[name] is None else ExitKind(values[name])
    return Protection(**{**values, "state": ProtectionState(values["state"])})


def _order(row: Row[Any], is_own: bool) -> OpenOrder:
    return OpenOrder(
        client_order_id=row.client_order_id,
        side=Side(row.side),
        leaves_quantity=row.leaves_quantity,
        approved_at=row.created_at,
        is_resting=row.is_resting,
        wanted_quantity=row.wanted_quantity,
        trigger_price=row.trigger_price,
        cancel_asked_at=row.cancel_requested_at,
        is_own=is_own,
        is_passive=row.is_passive,
    )
