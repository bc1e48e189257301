"""Which of a venue's trades are prices."""

from collections import deque
from dataclasses import dataclass
from math import sqrt
from statistics import median

import msgspec

from collector.domain.feed import Reason

_MAD_TO_SIGMA = 1.4826
_SILENCE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class CleaningLimits:
    """How far a price may stand from those before it."""

    band_min: float = 0.01
    """Part of the price. A band no narrower than this; after a minute of silence it widens with the root of time."""
    band_max: float = 0.05
    deviations: float = 10.0
    """Half width of the band in robust standard deviations of the accepted prices."""
    window: int = 31
    agreeing: int = 3
    """So many suspects in a row that agree with each other are a new level, and no error."""
    recheck_every: int = 16
    ids: int = 256
    """Trade ids remembered."""


class CleanerState(msgspec.Struct, array_like=True):
    """All that a cleaner remembers, so that a restart judges the next trade as it would have been judged."""

    last_ns: int
    last_price: int
    band: int
    countdown: int
    window: list[int]
    suspects: list[int]
    ids: list[int | str]


class TickCleaner:
    """Judges the trades of one instrument, one after the other."""

    __slots__ = ("_band", "_countdown", "_ids", "_known", "_limits", "_suspects", "_window", "last_ns", "last_price")

    def __init__(self, limits: CleaningLimits | None) -> None:
        """`limits` None looks for no spikes: the trades were made from bars that are checked already."""
        self._limits = limits
        self.last_ns = 0
        self.last_price = 0
        self._band = 0
        self._countdown = 0
        self._window: deque[int] = deque(maxlen=limits.window if limits else 1)
        self._suspects: list[int] = []
        self._ids: deque[int | str] = deque(maxlen=limits.ids if limits else 1)
        self._known: set[int | str] = set()

    def judge(self, ts_ns: int, price: int | None, quantity: int | None, trade_id: int | str | None) -> Reason | None:
        """Give the first reason why this trade is no price, or None and remember it as the newest one."""
        if price is None or quantity is None:
            return Reason.MALFORMED
        if price <= 0 or quantity <= 0:
            return Reason.ZERO
        if trade_id is not None and trade_id in self._known:
            return Reason.DUPLICATE
        if ts_ns < self.last_ns:
            return Reason.OUT_OF_ORDER
        if self._limits is not None:
            distance = price - self.last_price
            if (distance > self._band or -distance > self._band) and self._is_spike(ts_ns, price, self._limits):
                return Reason.SPIKE
            self._window.append(price)
            self._countdown -= 1
            if self._countdown <= 0:
                self._measure(self._limits)
            if self._suspects:
                self._suspects.clear()
        self.last_ns = ts_ns
        self.last_price = price
        if trade_id is not None:
            self._remember(trade_id)
        return None

    def state(self) -> CleanerState:
        """Give all that is remembered."""
        return CleanerState(
            self.last_ns,
            self.last_price,
            self._band,
            self._countdown,
            list(self._window),
            list(self._suspects),
            list(self._ids),
        )

    def restore(self, state: CleanerState) -> None:
        """Remember what an earlier cleaner of this instrument did."""
        self.last_ns, self.last_price = state.last_ns, state.last_price
        self._band, self._countdown = state.band, state.countdown
        self._window.extend(state.window)
        self._suspects = list(state.suspects)
        self._ids.extend(state.ids)
        self._known = set(self._ids)

    def _is_spike(self, ts_ns: int, price: int, limits: CleaningLimits) -> bool:
        if not self._window:
            return False
        self._measure(limits)
        silence_ns = ts_ns - self.last_ns
        patience = sqrt(silence_ns / _SILENCE_NS) if silence_ns > _SILENCE_NS else 1.0
        band = max(self._band, self.last_price * limits.band_min * patience)
        if abs(price - self.last_price) <= band or abs(price - median(self._window)) <= band:
            return False
        if self._suspects and abs(price - self._suspects[-1]) > band:
            self._suspects.clear()
        self._suspects.append(price)
        if len(self._suspects) < limits.agreeing:
            return True
        self._window.clear()
        self._window.extend(self._suspects)
        return False

    def _measure(self, limits: CleaningLimits) -> None:
        centre = median(self._window)
        deviation = median([abs(price - centre) for price in self._window]) * _MAD_TO_SIGMA
        self._band = int(min(max(limits.deviations * deviation, centre * limits.band_min), centre * limits.band_max))
        self._countdown = limits.recheck_every

    def _remember(self, trade_id: int | str) -> None:
        if self._ids.maxlen == len(self._ids):
            self._known.discard(self._ids[0])
        self._ids.append(trade_id)
        self._known.add(trade_id)


class IdRun:
    """Finds trades that were lost, by the numbers of those that came; only where a venue counts without holes."""

    __slots__ = ("_last", "_length")
    _LENGTH_MIN = 64

    def __init__(self) -> None:
        self._last: int | None = None
        self._length = 0

    def missing(self, trade_id: int | str | None) -> int:
        """Give how many numbers lie between the last trade and this one; 0 while the venue's habit is unknown."""
        if not isinstance(trade_id, int):
            return 0
        step = 1 if self._last is None else trade_id - self._last
        self._last = trade_id
        if step == 1:
            self._length += 1
            return 0
        is_counting = self._length >= self._LENGTH_MIN
        self._length = self._length if is_counting and step > 1 else 0
        return step - 1 if is_counting and step > 1 else 0
