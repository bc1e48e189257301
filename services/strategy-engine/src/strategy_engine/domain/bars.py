"""Bars out of ticks, and long bars out of short ones.

A bar is given only when it has closed: by the tick or bar that first lies behind its end, or by the part that ends
where it ends. No clock closes a bar, so that a replay gives the same bars at any speed. Where the market was silent
there is no bar. A bar of which the beginning was not seen is not given at all.

`generation` counts how often the market's time went back, as it does when a recording starts again: whatever was
computed before is then of another series.
"""

from collections import deque
from decimal import Decimal

import msgspec

from sigmax.schemas.market import Bar

NS_PER_S = 1_000_000_000
MINUTE_S = 60
_RECENT = 64
"""Bars by which one told again is known from one of another recording."""


class TickBars:
    """Builds the bars of one instrument from its trades, exact in whole units of the feed's scale."""

    def __init__(self, instrument_id: str, timeframe_s: int) -> None:
        self.generation = 0
        self._instrument_id = instrument_id
        self._timeframe_s = timeframe_s
        self._length_ns = timeframe_s * NS_PER_S
        self._price_exponent = self._quantity_exponent = 0
        self._price_factor = self._quantity_factor = 1
        self._is_empty = True
        self._is_whole = False
        self._open_ns = self._end_ns = 0
        self._open = self._high = self._low = self._close = self._volume = self._trades = 0

    def rescale(self, price_exponent: int, quantity_exponent: int) -> None:
        """Say in which powers of ten the next ticks come; call it once per batch, before its ticks."""
        if self._is_empty:
            self._price_exponent, self._quantity_exponent = price_exponent, quantity_exponent
        if price_exponent < self._price_exponent:
            finer = 10 ** (self._price_exponent - price_exponent)
            self._open, self._high = self._open * finer, self._high * finer
            self._low, self._close = self._low * finer, self._close * finer
            self._price_exponent = price_exponent
        if quantity_exponent < self._quantity_exponent:
            self._volume *= 10 ** (self._quantity_exponent - quantity_exponent)
            self._quantity_exponent = quantity_exponent
        self._price_factor = 10 ** (price_exponent - self._price_exponent)
        self._quantity_factor = 10 ** (quantity_exponent - self._quantity_exponent)

    def add(self, price: int, quantity: int, ts_ns: int, received_ns: int) -> Bar | None:
        """Take one trade; give the bar that it closed, which it is no part of."""
        price *= self._price_factor
        if self._open_ns <= ts_ns < self._end_ns:
            if price > self._high:
                self._high = price
            elif price < self._low:
                self._low = price
            self._close = price
            self._volume += quantity * self._quantity_factor
            self._trades += 1
            return None
        closed = self._closed(received_ns) if ts_ns >= self._end_ns and self._is_whole else None
        if ts_ns < self._open_ns:
            self.generation += 1
        self._is_whole = not self._is_empty and ts_ns >= self._end_ns
        self._is_empty = False
        self._open_ns = ts_ns - ts_ns % self._length_ns
        self._end_ns = self._open_ns + self._length_ns
        self._open = self._high = self._low = self._close = price
        self._volume = quantity * self._quantity_factor
        self._trades = 1
        return closed

    def _closed(self, received_ns: int) -> Bar:
        return Bar(
            instrument_id=self._instrument_id,
            timeframe_s=self._timeframe_s,
            open_ns=self._open_ns,
            open=Decimal(self._open).scaleb(self._price_exponent),
            high=Decimal(self._high).scaleb(self._price_exponent),
            low=Decimal(self._low).scaleb(self._price_exponent),
            close=Decimal(self._close).scaleb(self._price_exponent),
            volume=Decimal(self._volume).scaleb(self._quantity_exponent),
            trades=self._trades,
            received_ns=received_ns,
        )


class Rollup:
    """Builds the bars of one instrument from shorter ones of one length that divides theirs, or passes them through."""

    def __init__(self, timeframe_s: int) -> None:
        self.generation = 0
        self._timeframe_s = timeframe_s
        self._length_ns = timeframe_s * NS_PER_S
        self._growing: Bar | None = None
        self._is_whole = False
        self._newest: Bar | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)

    def add(self, part: Bar) -> list[Bar]:
        """Take the next part; give the bars that it closed, oldest first: none, one, or after a silence two.

        A part that was there before is dropped: a collector that lost its place tells the last ones again. Any other
        part from before what is known, which its source sent later, begins a new generation.
        """
        newest = self._newest
        if newest is not None and part.open_ns <= newest.open_ns:
            if part.open_ns in self._recent or part.received_ns <= newest.received_ns:
                return []
            self.generation += 1
            self._recent.clear()
            self._growing = newest = None
        self._newest = part
        self._recent.append(part.open_ns)
        if part.timeframe_s == self._timeframe_s:
            return [part]
        begin_ns = part.open_ns - part.open_ns % self._length_ns
        closed = self._close(part.received_ns) if self._growing and self._growing.open_ns != begin_ns else []
        if self._growing is None:
            # After a first silence nothing is missing; at the very beginning the bar may have lost its first parts.
            self._is_whole = newest is not None or part.open_ns - begin_ns < part.timeframe_s * NS_PER_S
            self._growing = Bar(
                instrument_id=part.instrument_id,
                timeframe_s=self._timeframe_s,
                open_ns=begin_ns,
                open=part.open,
                high=part.high,
                low=part.low,
                close=part.close,
                volume=part.volume,
                trades=part.trades,
                received_ns=part.received_ns,
            )
        else:
            self._growing = msgspec.structs.replace(
                self._growing,
                high=max(self._growing.high, part.high),
                low=min(self._growing.low, part.low),
                close=part.close,
                volume=self._growing.volume + part.volume,
                trades=self._growing.trades + part.trades,
            )
        return closed + self._close(part.received_ns) if part.close_ns >= begin_ns + self._length_ns else closed

    def _close(self, received_ns: int) -> list[Bar]:
        growing, self._growing = self._growing, None
        if growing is None or not self._is_whole:
            return []
        return [msgspec.structs.replace(growing, received_ns=received_ns)]
