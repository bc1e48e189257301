"""What the outside market did lately, as the venue retells it: trades, minutes, and a day."""

from collections import deque
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from sigmax.schemas.types import Side

MINUTE_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000
_SLOT_NS = 15 * MINUTE_NS
_SLOTS = 96
_TRADES_MAX = 500
_ZERO = Decimal(0)


class PublicTrade(NamedTuple):
    """One trade of the outside market, in market time."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    ts_ns: int
    aggressor: Side | None

    @property
    def is_buyer_maker(self) -> bool:
        """Say whether the taker sold; a trade without a recorded aggressor counts as bought."""
        return self.aggressor is Side.SELL


@dataclass(frozen=True, slots=True)
class Kline:
    """One bar of market time; `taker_` counts what takers bought."""

    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = _ZERO
    quote_volume: Decimal = _ZERO
    trades: int = 0
    taker_volume: Decimal = _ZERO
    taker_quote_volume: Decimal = _ZERO

    def joined(self, later: "Kline") -> "Kline":
        """Give one bar over both; its start is this one's."""
        return replace(
            self,
            high=max(self.high, later.high),
            low=min(self.low, later.low),
            close=later.close,
            volume=self.volume + later.volume,
            quote_volume=self.quote_volume + later.quote_volume,
            trades=self.trades + later.trades,
            taker_volume=self.taker_volume + later.taker_volume,
            taker_quote_volume=self.taker_quote_volume + later.taker_quote_volume,
        )


class _Running:
    """A minute that is not over: changed in place, because every trade passes here."""

    __slots__ = ("close", "high", "low", "open", "open_ns", "quote_volume", "taker", "taker_quote", "trades", "volume")

    def __init__(self, open_ns: int, price: Decimal) -> None:
        self.open_ns = open_ns
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote_volume = self.taker = self.taker_quote = _ZERO
        self.trades = 0

    def add(self, price: Decimal, quantity: Decimal, aggressor: Side | None) -> None:
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        notional = price * quantity
        self.volume += quantity
        self.quote_volume += notional
        self.trades += 1
        if aggressor is not Side.SELL:
            self.taker += quantity
            self.taker_quote += notional

    def kline(self) -> Kline:
        return Kline(
            self.open_ns,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.trades,
            self.taker,
            self.taker_quote,
        )


class Tape:
    """The recent history of one market. The day is kept in steps of 15 minutes."""

    def __init__(self) -> None:
        self.next_trade_id = 1
        self.trades: deque[PublicTrade] = deque(maxlen=_TRADES_MAX)
        self._running: _Running | None = None
        self._unsaved: dict[int, Kline] = {}
        self._slots: deque[Kline] = deque()

    def on_trade(self, price: Decimal, quantity: Decimal, ts_ns: int, aggressor: Side | None) -> PublicTrade:
        """Add one trade; give it with its number."""
        trade = PublicTrade(self.next_trade_id, price, quantity, ts_ns, aggressor)
        self.next_trade_id += 1
        self.trades.append(trade)
        minute_ns = ts_ns - ts_ns % MINUTE_NS
        running = self._running
        if running is None or running.open_ns != minute_ns:
            if running is not None:
                self._close(running.kline())
            running = self._running = _Running(minute_ns, price)
        running.add(price, quantity, aggressor)
        return trade

    def restore(self, next_trade_id: int, running: Kline | None, slots: list[Kline]) -> None:
        """Put back what was stored: the running minute and the 15-minute steps of the day before it."""
        self.next_trade_id = next_trade_id
        self._slots = deque(slots)
        if running is not None:
            again = self._running = _Running(running.open_ns, running.open)
            again.high, again.low, again.close = running.high, running.low, running.close
            again.volume, again.quote_volume, again.trades = running.volume, running.quote_volume, running.trades
            again.taker, again.taker_quote = running.taker_volume, running.taker_quote_volume

    def _close(self, bar: Kline) -> None:
        self._unsaved[bar.open_ns] = bar
        slot_ns = bar.open_ns - bar.open_ns % _SLOT_NS
        slots = self._slots
        if slots and slots[-1].open_ns == slot_ns:
            slots[-1] = slots[-1].joined(bar)
        else:
            if slots and slots[-1].open_ns > slot_ns:
                slots.clear()  # a recording began anew
            slots.append(replace(bar, open_ns=slot_ns))
        while slots and slots[0].open_ns <= slot_ns - _SLOTS * _SLOT_NS:
            slots.popleft()

    @property
    def running(self) -> Kline | None:
        """Give the minute that is not over; None before the first trade."""
        return None if self._running is None else self._running.kline()

    def seconds(self, limit: int) -> list[Kline]:
        """Give bars of a second over the trades that are still remembered, the newest `limit`."""
        bars: list[Kline] = []
        for _, price, quantity, ts_ns, aggressor in self.trades:
            running = _Running(ts_ns - ts_ns % _SECOND_NS, price)
            running.add(price, quantity, aggressor)
            if bars and bars[-1].open_ns == running.open_ns:
                bars[-1] = bars[-1].joined(running.kline())
            else:
                bars.append(running.kline())
        return bars[-limit:]

    def take_unsaved(self) -> list[Kline]:
        """Give the minutes to store: those that closed since the last call, and the running one."""
        bars = [*self._unsaved.values()]
        self._unsaved.clear()
        return [*bars, self._running.kline()] if self._running else bars

    def day(self) -> Kline | None:
        """Give the last 24 hours of market time as one bar; None before the first trade."""
        bars = [*self._slots]
        if self._running is not None:
            bars.append(self._running.kline())
        if not bars:
            return None
        whole = bars[0]
        for bar in islice(bars, 1, None):
            whole = whole.joined(bar)
        return whole
