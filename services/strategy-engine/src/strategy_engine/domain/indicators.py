"""Incremental indicators: one number in, one number out, memory of one window at most.

They are our own few lines instead of a library's because a library keeps the whole history or recomputes it, and
because these are checked value by value against TA-Lib: the same seeds, the same smoothing.
"""

from collections import deque
from typing import Protocol


class Indicator(Protocol):
    """A number that follows a series, one value at a time."""

    value: float | None
    """The newest value; None until enough of the series has been seen."""

    def update(self, value: float) -> float | None:
        """Take the next value of the series; give the indicator's own, or None while it is warming up."""
        ...


class Ema:
    """Exponential moving average; the mean of the first `period` values is the seed."""

    __slots__ = ("_alpha", "_count", "_period", "_sum", "value")

    def __init__(self, period: int) -> None:
        self.value: float | None = None
        self._period = period
        self._alpha = 2.0 / (period + 1)
        self._count = 0
        self._sum = 0.0

    def update(self, value: float) -> float | None:
        """Take the next value; give the average."""
        if self.value is not None:
            self.value += self._alpha * (value - self.value)
            return self.value
        self._count += 1
        self._sum += value
        if self._count == self._period:
            self.value = self._sum / self._period
        return self.value


class Rsi:
    """Relative strength index after Wilder, 0 to 100; 50 where nothing moves.

    TA-Lib gives 0 for a series that does not move at all, which would read as "sold off" where nothing happened.
    """

    __slots__ = ("_count", "_gain", "_loss", "_period", "_previous", "value")

    _STILL = 1e-14

    def __init__(self, period: int) -> None:
        self.value: float | None = None
        self._period = period
        self._previous: float | None = None
        self._count = 0
        self._gain = 0.0
        self._loss = 0.0

    def update(self, value: float) -> float | None:
        """Take the next value; give the index."""
        previous, self._previous = self._previous, value
        if previous is None:
            return None
        change = value - previous
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if self._count < self._period:
            self._count += 1
            self._gain += gain / self._period
            self._loss += loss / self._period
            if self._count < self._period:
                return None
        else:
            self._gain = (self._gain * (self._period - 1) + gain) / self._period
            self._loss = (self._loss * (self._period - 1) + loss) / self._period
        moved = self._gain + self._loss
        self.value = 100.0 * self._gain / moved if moved > self._STILL else 50.0
        return self.value


class _Extreme:
    """The largest of `sign * value` in a window, by a queue in which only possible winners stay."""

    __slots__ = ("_count", "_period", "_sign", "_window", "value")

    def __init__(self, period: int, sign: float) -> None:
        self.value: float | None = None
        self._period = period
        self._sign = sign
        self._count = 0
        self._window: deque[tuple[int, float]] = deque()

    def update(self, value: float) -> float | None:
        """Take the next value; give the extreme of the last `period` ones."""
        signed = self._sign * value
        window = self._window
        while window and window[-1][1] <= signed:
            window.pop()
        window.append((self._count, signed))
        self._count += 1
        if window[0][0] <= self._count - 1 - self._period:
            window.popleft()
        if self._count >= self._period:
            self.value = self._sign * window[0][1]
        return self.value


class Highest(_Extreme):
    """The highest of the last `period` values."""

    __slots__ = ()

    def __init__(self, period: int) -> None:
        super().__init__(period, 1.0)


class Lowest(_Extreme):
    """The lowest of the last `period` values."""

    __slots__ = ()

    def __init__(self, period: int) -> None:
        super().__init__(period, -1.0)


class Atr:
    """Average true range after Wilder: how far a bar usually reaches, gaps included, in units of price."""

    __slots__ = ("_count", "_period", "_previous_close", "_sum", "value")

    def __init__(self, period: int) -> None:
        self.value: float | None = None
        self._period = period
        self._previous_close: float | None = None
        self._count = 0
        self._sum = 0.0

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take the next bar; give the average. The first bar has no range: it only tells where the second came from."""
        previous, self._previous_close = self._previous_close, close
        if previous is None:
            return None
        reach = max(high, previous) - min(low, previous)
        if self.value is not None:
            self.value = (self.value * (self._period - 1) + reach) / self._period
            return self.value
        self._count += 1
        self._sum += reach
        if self._count == self._period:
            self.value = self._sum / self._period
        return self.value
