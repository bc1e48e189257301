"""A venue in memory behind the fake world: it has the truth, and its words travel late, doubled, and in any order."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate_builders import BTC, a_fill_of, an_event_of
from risk_gate_trading import Trading

from risk_gate.handlers import booking
from risk_gate.ports.exits import ExitDesk
from sigmax.schemas.orders import CancelRequested, Fill, OrderApproved, OrderEvent
from sigmax.schemas.types import Side, TimeInForce

ZERO = Decimal(0)


@dataclass
class AtVenue:
    """One order as the venue has it."""

    approved: OrderApproved
    sequence: int = 1
    filled: Decimal = ZERO
    is_over: bool = False

    @property
    def leaves(self) -> Decimal:
        return ZERO if self.is_over else self.approved.quantity - self.filled


@dataclass
class Venue:
    """Takes each approval and each cancel once, in the order in which they were told."""

    trading: Trading
    orders: dict[str, AtVenue] = field(default_factory=dict)
    words: list[Fill | OrderEvent] = field(default_factory=list)
    """What has happened and the gate has not heard."""
    heard: list[Fill | OrderEvent] = field(default_factory=list)
    executions: int = 0
    cancels_taken: int = 0

    def __post_init__(self) -> None:
        self.trading.books_as_of = self.told_up_to

    def told_up_to(self) -> datetime:
        """Give the moment before the first fill that the gate has not heard."""
        untold = [word.occurred_at - timedelta(microseconds=1) for word in self.words if isinstance(word, Fill)]
        return min([*untold, self.trading.fake.clock.now()])

    @property
    def on_their_way(self) -> list[OrderApproved]:
        """Approvals that are committed and not yet sent."""
        return [each for each in self.trading.fake.published(OrderApproved) if each.client_order_id not in self.orders]

    @property
    def resting(self) -> list[AtVenue]:
        return [each for each in self.orders.values() if each.leaves and each.approved.trigger_price is not None]

    @property
    def position(self) -> Decimal:
        filled = [(each.approved.side.sign, each.filled) for each in self.orders.values()]
        return sum((sign * quantity for sign, quantity in filled), ZERO)

    def holds(self) -> None:
        """What may still be sold, here or on its way, is never more than there is."""
        sales = [each.leaves for each in self.orders.values() if each.approved.side is Side.SELL]
        sales += [each.quantity for each in self.on_their_way if each.side is Side.SELL]
        assert self.position >= 0, "more was sold than was held"
        assert sum(sales) <= self.position, "more may be sold than is held"
        stops = [each for each in self.on_their_way if each.trigger_price is not None]
        assert len(stops) + len(self.resting) <= 1, "two stops rest"

    def take(self, fills: Decimal = Decimal(1)) -> bool:
        """Accept the next approval; of one that may not wait `fills` is the part that is filled at once."""
        waiting = self.on_their_way
        if not waiting:
            return False
        order = AtVenue(waiting[0])
        self.orders[waiting[0].client_order_id] = order
        self._say(order, "new")
        if waiting[0].time_in_force is TimeInForce.IOC:
            self.fill(order, fills)
            if order.leaves:
                order.is_over = True
                self._say(order, "expired")
        return True

    def refuse(self) -> None:
        """Refuse the next approval."""
        if self.on_their_way:
            approved = self.on_their_way[0]
            order = self.orders[approved.client_order_id] = AtVenue(approved, is_over=True)
            self._say(order, "rejected")

    def fill(self, order: AtVenue, share: Decimal) -> None:
        """Fill a part of what an order has left."""
        quantity = (order.leaves * share).quantize(Decimal("0.001"))
        if quantity <= 0:
            return
        order.filled += quantity
        self.executions += 1
        at = self.trading.fake.clock.now()
        self.words.append(a_fill_of(order.approved, f"e{self.executions}", str(quantity), price="97.9", at=at))
        if not order.leaves:
            order.is_over = True
        self._say(order, "filled" if order.is_over else "partially_filled")

    def heed(self) -> bool:
        """Take the next cancel: one that comes too late ends nothing."""
        asked = self.trading.fake.published(CancelRequested)[self.cancels_taken :]
        if not asked:
            return False
        if asked[0].client_order_id not in self.orders:
            # It overtook its order, which then is never sent.
            approved = next(each for each in self.on_their_way if each.client_order_id == asked[0].client_order_id)
            order = self.orders[approved.client_order_id] = AtVenue(approved, is_over=True)
            self._say(order, "unplaced")
        order = self.orders[asked[0].client_order_id]
        self.cancels_taken += 1
        if order.leaves:
            order.is_over = True
            self._say(order, "canceled")
        return True

    async def tell(self, at: int = 0, *, doubled: bool = False) -> bool:
        """Have the gate hear one of the words, the first or a later one."""
        if not self.words:
            return False
        word = self.words.pop(at % len(self.words))
        self.heard.append(word)
        for _ in range(2 if doubled else 1):
            await self._hear(word)
        return True

    async def retell(self, at: int) -> None:
        """Deliver again what was heard before."""
        if self.heard:
            await self._hear(self.heard[at % len(self.heard)])

    async def _hear(self, word: Fill | OrderEvent) -> None:
        if isinstance(word, Fill):
            await booking.on_fill(word, self.trading.world)
        else:
            await booking.on_order_event(word, self.trading.world)

    def _say(self, order: AtVenue, status: str) -> None:
        order.sequence += 1
        at = self.trading.fake.clock.now()
        self.words.append(an_event_of(order.approved, order.sequence, status, str(order.filled), occurred_at=at))


def restart(trading: Trading) -> None:
    """Take from the gate all that it had in memory."""
    trading.fake.world = replace(trading.world, exits=ExitDesk(rules=trading.world.exits.rules))


async def bought(trading: Trading, **changes: object) -> Venue:
    """Give a venue at which ten BTC were bought at 100, as the gate knows."""
    venue = Venue(trading)
    await trading.buy(**changes)  # type: ignore[arg-type]
    for approved in trading.fake.published(OrderApproved):
        venue.orders[approved.client_order_id] = AtVenue(
            approved, filled=trading.fake.state.orders[approved.client_order_id].filled, is_over=True
        )
    assert trading.protection.instrument_id == BTC
    return venue
