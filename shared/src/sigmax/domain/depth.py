"""The outside market's order book, as far as trades alone tell it.

A feed of trades shows a price and sizes, never the book. So the book is made up, the same way in a backtest and on the
paper venue: `levels` price steps on each side of the last trade, the best one half a spread away from it. Level `i`
(from 0) holds `i + 1` times the usual trade: the mean size of the last `sizes` trades, in whole lots. A taker eats the
levels from the best one outwards; what was eaten comes back as the market trades, by as much as it trades. So a large
order slips, one beyond the book is filled in part, and a second large order right after the first finds less.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from sigmax.domain.fees import EXACT
from sigmax.domain.trading_rules import TradingRules, ceil_to, floor_to
from sigmax.schemas.types import Side

_ZERO = Decimal(0)
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class DepthModel:
    """How thick the made-up book is."""

    levels: int = 20
    """Price steps on each side."""
    sizes: int = 20
    """How many recent trades make the usual size."""
    thickness: int = 1
    """Usual sizes on the best level."""
    half_spread_bps: Decimal = _ZERO
    """Distance of the best level from the last price; at least one tick."""
    step_bps: Decimal = _ZERO
    """Distance between levels; at least one tick."""

    def __post_init__(self) -> None:
        if min(self.levels, self.sizes, self.thickness) < 1 or min(self.half_spread_bps, self.step_bps) < 0:
            raise ValueError(f"a book needs levels, sizes, and thickness of at least 1 and no negative bps: {self}")


class Level(NamedTuple):
    """One price of the book and the base units offered there."""

    price: Decimal
    quantity: Decimal


class Walk(NamedTuple):
    """What a taker would get: levels in the order they are eaten."""

    levels: tuple[Level, ...]
    is_exhausted: bool
    """The book, or the limit price, ended before the taker had enough."""

    @property
    def quantity(self) -> Decimal:
        """Sum the base units."""
        return sum((level.quantity for level in self.levels), _ZERO)

    @property
    def notional(self) -> Decimal:
        """Sum the quote units."""
        total = _ZERO
        for level in self.levels:
            total = EXACT.add(total, EXACT.multiply(level.price, level.quantity))
        return total


class Depth:
    """The made-up book of one instrument: changed by trades and by what takers eat."""

    def __init__(self, rules: TradingRules, model: DepthModel) -> None:
        self.rules = rules
        self._model = model
        self.last: Decimal | None = None
        """Price of the last trade; None before the first."""
        self.update_id = 0
        """Rising with every change."""
        self.eaten = {Side.BUY: _ZERO, Side.SELL: _ZERO}
        """Base units that takers of that side took and the market has not yet brought back."""
        self._sizes: deque[Decimal] = deque()
        self._sizes_sum = _ZERO

    @property
    def sizes(self) -> tuple[Decimal, ...]:
        """Give the recent trade sizes, oldest first: with `last` and `eaten` they are the whole state."""
        return tuple(self._sizes)

    def restore(
        self, *, last: Decimal | None, sizes: Iterable[Decimal], eaten: dict[Side, Decimal], update_id: int
    ) -> None:
        """Put back a state taken from `last`, `sizes`, `eaten`, and `update_id`."""
        self.last = last
        self._sizes = deque(sizes)
        self._sizes_sum = sum(self._sizes, _ZERO)
        self.eaten = dict(eaten)
        self.update_id = update_id

    def on_trade(self, price: Decimal, quantity: Decimal) -> None:
        """Move the book to the price of a trade and bring back as much eaten quantity as was traded."""
        self.last = price
        self.update_id += 1
        self._sizes.append(quantity)
        self._sizes_sum += quantity
        if len(self._sizes) > self._model.sizes:
            self._sizes_sum -= self._sizes.popleft()
        for side, eaten in self.eaten.items():
            if eaten:
                self.eaten[side] = max(_ZERO, eaten - quantity)

    def usual_size(self) -> Decimal:
        """Give the mean recent trade in whole lots; at least one lot."""
        lot = self.rules.lot_size
        if not self._sizes:
            return lot
        return max(lot, floor_to(self._sizes_sum / len(self._sizes), lot))

    def levels(self, taker: Side) -> Iterator[Level]:
        """Give what a taker of that side meets, best price first; nothing before the first trade."""
        if self.last is None:
            return
        rules, model = self.rules, self._model
        sign = taker.sign
        half_spread = max(rules.tick_size, ceil_to(self.last * model.half_spread_bps / _BPS, rules.tick_size))
        step = max(rules.tick_size, ceil_to(self.last * model.step_bps / _BPS, rules.tick_size))
        to_step = ceil_to if taker is Side.BUY else floor_to
        price = to_step(self.last, rules.tick_size) + sign * half_spread
        size = self.usual_size() * model.thickness
        eaten = self.eaten[taker]
        for i in range(model.levels):
            offered = size * (i + 1)
            left = offered - eaten
            eaten = max(_ZERO, eaten - offered)
            if price <= _ZERO:
                return
            if left > _ZERO:
                yield Level(price, left)
            price += sign * step

    def best(self, taker: Side) -> Decimal | None:
        """Give the best price for a taker of that side, or None where nothing is offered."""
        level = next(self.levels(taker), None)
        return level.price if level else None

    def walk(self, taker: Side, quantity: Decimal, limit: Decimal | None = None) -> Walk:
        """Say what `quantity` base units would cost, at `limit` or better; changes nothing."""
        taken: list[Level] = []
        left = quantity
        for price, offered in self.levels(taker):
            if left <= _ZERO or (limit is not None and (price - limit) * taker.sign > _ZERO):
                break
            part = min(left, floor_to(offered, self.rules.lot_size))
            if part > _ZERO:
                taken.append(Level(price, part))
                left -= part
        return Walk(tuple(taken), left > _ZERO)

    def walk_notional(self, taker: Side, notional: Decimal) -> Walk:
        """Say what as much as fits into `notional` quote units would be, in whole lots; changes nothing."""
        taken: list[Level] = []
        left = notional
        for price, offered in self.levels(taker):
            affordable = floor_to(left / price, self.rules.lot_size)
            part = min(affordable, floor_to(offered, self.rules.lot_size))
            if part > _ZERO:
                taken.append(Level(price, part))
                left = EXACT.subtract(left, EXACT.multiply(price, part))
            if part == affordable:
                return Walk(tuple(taken), is_exhausted=False)
        return Walk(tuple(taken), is_exhausted=True)

    def eat(self, taker: Side, quantity: Decimal) -> None:
        """Take `quantity` base units off the best levels."""
        self.eaten[taker] += quantity
        self.update_id += 1
