"""A world with a position, for the tests of what happens to it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from risk_gate_builders import BTC, ETH, a_fill_of, a_signal, an_account, an_event_of
from risk_gate_exit_builders import some_ticks
from risk_gate_fakes import FakeWorld

from risk_gate.domain.exits import ExitRules
from risk_gate.domain.protection import Protection
from risk_gate.domain.stages import CurrentStage
from risk_gate.handlers import booking, deciding
from risk_gate.handlers.exit_sweep import sweep
from risk_gate.handlers.exits import on_hit
from risk_gate.ports.exits import ExitDesk
from sigmax.schemas.control import Alert
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import OrderType, Scope, Side, Stage


class Trading:
    """A world with a position: 10 BTC bought at 100, the stop at 98, the target at 110."""

    def __init__(self, **rules: Any) -> None:
        self.fake = FakeWorld()
        self.fake.world = replace(self.fake.world, exits=ExitDesk(rules=ExitRules(**rules)))
        self.fake.market.prices[ETH] = "100"
        self.books_as_of: Callable[[], datetime] = self.fake.clock.now
        """Up to when the books hold what has happened: a fill that nobody has told is not in them."""
        self._reconcile()
        self.fake.clock.advance(1)
        self.ticks = 0
        self.fills = 0

    @property
    def world(self) -> Any:
        return self.fake.world

    @property
    def protection(self) -> Protection:
        (known,) = [each for each in self.fake.state.guarded.protections.values() if each.instrument_id == BTC]
        return known

    @property
    def sales(self) -> list[OrderApproved]:
        return [each for each in self.fake.published(OrderApproved) if each.side is Side.SELL]

    @property
    def exits(self) -> list[OrderApproved]:
        return [each for each in self.sales if each.order_type is not OrderType.STOP_LIMIT]

    @property
    def resting(self) -> list[OrderApproved]:
        return [each for each in self.sales if each.order_type is OrderType.STOP_LIMIT]

    def alerts(self, code: str) -> list[Alert]:
        return [each for each in self.fake.published(Alert) if each.code == code]

    async def buy(self, quantity: str = "10", name: str = "entry", price: str = "100", **changes: Any) -> OrderApproved:
        signal = a_signal(name, at=self.fake.clock.now(), stop_pct="2", target_pct="10", **changes)
        await deciding.on_signal(signal, self.world)
        approved = self.fake.published(OrderApproved)[-1]
        assert approved.signal_id == signal.message_id
        await self.fill(approved, quantity, price)
        await self.end(approved, "expired", quantity)
        return approved

    async def fill(self, order: OrderApproved, quantity: str, price: str) -> None:
        self.fills += 1
        fill = a_fill_of(order, f"fill {self.fills}", quantity, price=price, at=self.fake.clock.now())
        await booking.on_fill(fill, self.world)

    async def end(self, order: OrderApproved, status: str, filled: str = "0", sequence: int = 5) -> None:
        at = self.fake.clock.now()
        await booking.on_order_event(an_event_of(order, sequence, status, filled, occurred_at=at), self.world)

    async def accept(self, order: OrderApproved) -> None:
        await booking.on_order_event(an_event_of(order, 2, "new", occurred_at=self.fake.clock.now()), self.world)

    async def tick(self, price: str) -> None:
        """Trade at a price, in the stream and in the newest quote."""
        self.ticks += 1
        self.fake.market.prices[BTC] = price
        batch = some_ticks(price, at=self.fake.clock.now(), first=self.ticks)
        for hit in self.world.exits.watch.hold(batch, self.fake.clock.now_ns()):
            await on_hit(hit, self.world)

    async def wait(self, seconds: float) -> None:
        """Let time pass, with a turn of the sweep at its end."""
        self._reconcile()
        self.fake.clock.advance(seconds)
        await sweep(self.world)

    def _reconcile(self) -> None:
        """Have the books found right as far as they go."""
        self.fake.state.accounts["paper"] = an_account(reconciled_at=self.books_as_of())

    def stage(self, stage: Stage) -> None:
        key = (Scope.ACCOUNT, "paper")
        self.fake.state.stages[key] = CurrentStage(*key, stage, 2, "ada", "test")


async def holding(**rules: Any) -> Trading:
    """Give a world that has bought."""
    trading = Trading(**rules)
    await trading.buy()
    return trading


async def resting() -> Trading:
    """Give the same with its stop at rest at the venue."""
    trading = await holding(rests_stops=True)
    await trading.wait(0.5)
    await trading.accept(trading.resting[0])
    return trading
