"""Protections in memory: the part of the fake ledger that exits use."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from risk_gate.domain.exits import OpenOrder
from risk_gate.domain.flattening import Flattening
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.protection import Bought, Levels, Protection, ProtectionState
from risk_gate.ports.exits import ExitOrder, Holding, PositionKey, WaitingSale
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import ExitKind, Scope, Side, TimeInForce

ZERO = Decimal(0)


@dataclass
class Guarded:
    """What the tables of exits hold."""

    protections: dict[UUID, Protection] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    exit_orders: dict[str, ExitOrder] = field(default_factory=dict)
    cancels: dict[str, datetime] = field(default_factory=dict)
    waiting: dict[UUID, WaitingSale] = field(default_factory=dict)
    flattenings: dict[UUID, Flattening] = field(default_factory=dict)
    stop_outs: list[Protection] = field(default_factory=list)


class FakeExitLedger:
    """Needs `state` with accounts, limits, orders, own, positions, and `guarded`."""

    state: Any

    @property
    def _guarded(self) -> Guarded:
        guarded: Guarded = self.state.guarded
        return guarded

    def note_levels(self, signal: Signal, approved: OrderApproved) -> None:
        self._guarded.levels[approved.client_order_id] = Levels(
            approved.stop_price,
            approved.target_price,
            signal.trailing_pct,
            signal.holding_s_max,
            signal.strategy_version,
        )

    async def protections(self) -> list[Protection]:
        return [each for each in self._guarded.protections.values() if each.is_live]

    async def protection(self, protection_id: UUID) -> Protection | None:
        return self._guarded.protections.get(protection_id)

    async def protection_of(self, key: PositionKey) -> Protection | None:
        return next((each for each in await self.protections() if _key(each) == key), None)

    async def asked_about(self, exit_id: UUID) -> Protection | None:
        for known in await self.protections():
            is_asking = known.state is ProtectionState.ASKING and known.exit_kind is not None
            if is_asking and known.exit_id(known.exit_kind or ExitKind.FLATTEN) == exit_id:
                return known
        return None

    async def keep_protection(self, protection: Protection) -> None:
        known = self._guarded.protections.get(protection.protection_id)
        best = protection.best_price if known is None else max(known.best_price, protection.best_price)
        self._guarded.protections[protection.protection_id] = replace(protection, best_price=best)

    async def raise_best(self, best: dict[UUID, Decimal]) -> None:
        for protection_id, price in best.items():
            known = self._guarded.protections.get(protection_id)
            if known is not None:
                await self.keep_protection(replace(known, best_price=max(known.best_price, price)))

    async def levels(self, client_order_id: str) -> Levels:
        return self._guarded.levels.get(client_order_id, Levels())

    async def limits_of(self, account_id: str) -> RiskLimits | None:
        limits: RiskLimits | None = self.state.limits.get(account_id)
        return limits

    async def held_by(self, key: PositionKey) -> Decimal:
        held: Decimal = self.state.own.get((key.strategy_id, key.instrument_id), ZERO)
        return held

    async def unguarded(self) -> list[Bought]:
        known = {(each.strategy_id, each.instrument_id) for each in self._guarded.protections.values()}
        found = []
        for (strategy_id, instrument_id), quantity in self.state.own.items():
            buys = [
                fill
                for fill, _ in self.state.fills.values()
                if (fill.strategy_id, fill.instrument_id, fill.side) == (strategy_id, instrument_id, Side.BUY)
            ]
            if quantity > 0 and buys and (strategy_id, instrument_id) not in known:
                price = sum(fill.price * fill.quantity for fill in buys) / sum(fill.quantity for fill in buys)
                first = buys[0]
                found.append(
                    Bought(first.account_id, strategy_id, instrument_id, price, quantity, first.occurred_at, "found")
                )
        return found

    async def orders_of(self, key: PositionKey) -> list[OpenOrder]:
        return [
            self._open_order(order, is_own=order.approved.strategy_id == key.strategy_id)
            for order in self.state.orders.values()
            if order.leaves
            and order.approved.instrument_id == key.instrument_id
            and (order.approved.strategy_id == key.strategy_id or order.approved.side is Side.BUY)
        ]

    async def orders_by_position(self) -> dict[PositionKey, list[OpenOrder]]:
        found: dict[PositionKey, list[OpenOrder]] = {}
        for order in self.state.orders.values():
            if order.leaves:
                each = order.approved
                key = PositionKey(each.account_id, each.strategy_id, each.instrument_id)
                found.setdefault(key, []).append(self._open_order(order, is_own=True))
        return found

    def _open_order(self, order: Any, *, is_own: bool) -> OpenOrder:
        approved: OrderApproved = order.approved
        note = self._guarded.exit_orders.get(approved.client_order_id)
        return OpenOrder(
            client_order_id=approved.client_order_id,
            side=approved.side,
            leaves_quantity=order.leaves,
            approved_at=approved.occurred_at,
            is_resting=note is not None and note.is_resting,
            wanted_quantity=note.wanted_quantity if note else None,
            trigger_price=note.trigger_price if note else None,
            cancel_asked_at=self._guarded.cancels.get(approved.client_order_id),
            is_own=is_own,
            is_passive=approved.time_in_force is not TimeInForce.IOC,
        )

    async def keep_exit_order(self, order: ExitOrder) -> None:
        assert order.client_order_id not in self._guarded.exit_orders
        self._guarded.exit_orders[order.client_order_id] = order

    async def exit_order(self, client_order_id: str) -> ExitOrder | None:
        return self._guarded.exit_orders.get(client_order_id)

    async def cancel_asked(self, client_order_id: str, now: datetime) -> None:
        self._guarded.cancels[client_order_id] = now

    async def exit_order_ended(self, client_order_id: str, now: datetime) -> bool:
        known = self._guarded.exit_orders[client_order_id]
        self._guarded.exit_orders[client_order_id] = replace(known, ended_at=known.ended_at or now)
        return known.ended_at is None

    async def keep_waiting(self, sale: WaitingSale) -> None:
        self._guarded.waiting.setdefault(sale.signal.message_id, sale)

    async def waiting(self, key: PositionKey | None = None) -> list[WaitingSale]:
        return [
            sale
            for sale in self._guarded.waiting.values()
            if key is None
            or (sale.signal.strategy_id, sale.signal.instrument_id) == (key.strategy_id, key.instrument_id)
        ]

    async def waits_no_more(self, signal_id: UUID) -> None:
        self._guarded.waiting.pop(signal_id, None)

    async def add_stop_out(self, protection: Protection, now: datetime) -> None:
        self._guarded.stop_outs.append(protection)

    async def start_flattening(self, flattening: Flattening) -> None:
        self._guarded.flattenings.setdefault(flattening.flattening_id, flattening)

    async def flattenings(self) -> list[Flattening]:
        return [each for each in self._guarded.flattenings.values() if each.ended_at is None]

    async def keep_flattening(self, flattening: Flattening) -> None:
        self._guarded.flattenings[flattening.flattening_id] = flattening

    async def protections_in(self, scope: Scope, scope_id: str) -> list[Protection]:
        return [each for each in await self.protections() if _concerns(scope, scope_id, _key(each))]

    async def give_unowned(self, scope: Scope, scope_id: str, strategy_id: str) -> Sequence[Holding]:
        given = []
        for name, count in self.state.positions.items():
            ours = sum(
                (
                    max(held, ZERO)
                    for (who, what), held in self.state.own.items()
                    if what == name and who != strategy_id
                ),
                ZERO,
            )
            if count.filled > ours:
                self.state.own[strategy_id, name] = count.filled - ours
                given.append(Holding(PositionKey("paper", strategy_id, name), count.filled - ours))
        return given

    async def holdings_in(self, scope: Scope, scope_id: str) -> list[Holding]:
        found = []
        for (strategy_id, instrument_id), quantity in self.state.own.items():
            key = PositionKey("paper", strategy_id, instrument_id)
            known = await self.protection_of(key)
            if quantity > 0 and _concerns(scope, scope_id, key):
                found.append(Holding(key, quantity, known.refusal if known else "", known is not None))
        return found


def _key(known: Protection) -> PositionKey:
    return PositionKey(known.account_id, known.strategy_id, known.instrument_id)


def _concerns(scope: Scope, scope_id: str, key: PositionKey) -> bool:
    subjects = {
        Scope.GLOBAL: "global",
        Scope.VENUE: "paper",
        Scope.ACCOUNT: key.account_id,
        Scope.STRATEGY: key.strategy_id,
        Scope.INSTRUMENT: key.instrument_id,
    }
    return subjects[scope] == scope_id
