"""One-minute bars from trades, and trades from recorded bars."""

from collections import deque

import msgspec

from collector.domain.feed import RawBar, Reason

MINUTE_S = 60
LOT = 100
"""A recorded bar counts its volume in hundredths of a lot, so that a quarter of any volume is a whole number."""
_SECOND_NS = 1_000_000_000
_MINUTE_NS = MINUTE_S * _SECOND_NS


class OpenBar(msgspec.Struct, array_like=True):
    """A bar that is not closed yet; scaled numbers."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class MinuteBars:
    """Builds the one-minute bars of one instrument. A minute without a trade has no bar."""

    __slots__ = ("_from_ns", "bar")

    def __init__(self, from_ns: int = 0) -> None:
        """Bars that open before `from_ns` are not built: a feed that starts inside a minute has seen a part of it."""
        self.bar: OpenBar | None = None
        self._from_ns = from_ns

    def add(self, ts_ns: int, price: int, quantity: int) -> OpenBar | None:
        """Take one trade; give the bar that it closes by belonging to a later minute."""
        bar = self.bar
        if bar is not None and ts_ns < bar.open_ns + _MINUTE_NS:
            if price > bar.high:
                bar.high = price
            elif price < bar.low:
                bar.low = price
            bar.close = price
            bar.volume += quantity
            bar.trades += 1
            return None
        open_ns = ts_ns - ts_ns % _MINUTE_NS
        if open_ns >= self._from_ns:
            self.bar = OpenBar(open_ns, price, price, price, price, quantity, 1)
            self._from_ns = open_ns + _MINUTE_NS
        return bar

    def close(self, now_ns: int) -> OpenBar | None:
        """Give the open bar if its minute is over at `now_ns`; a trade that comes later still is not added to it."""
        bar = self.bar
        if bar is None or now_ns < bar.open_ns + _MINUTE_NS:
            return None
        self.bar = None
        return bar

    def restore(self, bar: OpenBar | None) -> None:
        """Go on with the open bar of an earlier builder."""
        self.bar = bar
        if bar is not None:
            self._from_ns = bar.open_ns + _MINUTE_NS


class MinuteVolume:
    """Sums what traded in the minute of market time before the newest trade, to the second."""

    __slots__ = ("_seconds", "total")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()
        self.total = 0

    def add(self, ts_ns: int, quantity: int) -> None:
        """Count one trade."""
        second = ts_ns // _SECOND_NS
        self.total += quantity
        seconds = self._seconds
        if seconds and seconds[-1][0] == second:
            seconds[-1][1] += quantity
            return
        seconds.append([second, quantity])
        while seconds[0][0] <= second - MINUTE_S:
            self.total -= seconds.popleft()[1]


class BarCleaner:
    """Judges the recorded bars of one instrument.

    A wick is a bad print where it leaves both the body by more than a robust band and the range of the bars before.
    Moves from bar to bar are never refused: crashes are real.
    """

    __slots__ = ("_last_ns", "_ranges", "_recent")
    _BARS = 50
    """Bars whose range a wick may reach again."""
    _NEWEST = 10
    """Bars that say how wild the market is now."""
    _NEWEST_MIN = 5
    _RANGES = 12
    _WICK_MIN = 0.25
    _WICK_MAX = 0.8

    def __init__(self) -> None:
        self._last_ns = -1
        self._ranges: deque[float] = deque(maxlen=self._NEWEST)
        self._recent: deque[tuple[int, int]] = deque(maxlen=self._BARS)

    def judge(self, bar: RawBar) -> Reason | None:
        """Give the first reason why this bar is none, or None and remember it."""
        if min(bar.open, bar.high, bar.low, bar.close) <= 0 or bar.volume < 0:
            return Reason.ZERO
        if bar.open_ns == self._last_ns:
            return Reason.DUPLICATE
        if bar.open_ns < self._last_ns:
            return Reason.OUT_OF_ORDER
        if bar.high < max(bar.open, bar.close) or bar.low > min(bar.open, bar.close):
            return Reason.BAR_INCONSISTENT
        if self._has_bad_wick(bar):
            return Reason.BAR_SPIKE
        self._last_ns = bar.open_ns
        self._ranges.append((bar.high - bar.low) / bar.close)
        self._recent.append((bar.low, bar.high))
        return None

    def _has_bad_wick(self, bar: RawBar) -> bool:
        top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
        wick_max = self._WICK_MIN
        if bar.high <= top * (1 + wick_max) and bar.low >= bottom * (1 - wick_max):
            return False
        if len(self._ranges) >= self._NEWEST_MIN:
            usual = sorted(self._ranges)[len(self._ranges) // 2]
            wick_max = min(max(wick_max, self._RANGES * usual), self._WICK_MAX)
        ceiling = max([top] + [high for _, high in self._recent])
        floor = min([bottom] + [low for low, _ in self._recent])
        return (bar.high > top * (1 + wick_max) and bar.high > ceiling) or (
            bar.low < bottom * (1 - wick_max) and bar.low < floor
        )


def trades_of(bar: RawBar) -> list[tuple[int, int, int]]:
    """Make four trades of a bar: open, then low and high in the order of its direction, then close.

    Gives market time, price, and quantity, a quarter of a bar apart. Quantities are whole lots where the volume has
    four of them, what remains goes to the close; they sum to the volume exactly. A bar without volume had no trade.
    """
    if bar.volume == 0:
        return []
    path = (
        (bar.open, bar.low, bar.high, bar.close) if bar.close >= bar.open else (bar.open, bar.high, bar.low, bar.close)
    )
    part = bar.volume // (4 * LOT) * LOT or bar.volume // 4
    quantities = (part, part, part, bar.volume - 3 * part)
    step_ns = bar.timeframe_s * _SECOND_NS // 4
    return [(bar.open_ns + i * step_ns, path[i], quantities[i]) for i in range(4)]
