"""What Prometheus may ask."""

import time
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge, Histogram

from sigmax.runtime.service_levels import Step, measured
from strategy_engine.domain.spec import Spec, Status

_PEAK_S = 15.0
"""How long the lag of one read is told: it may be over before Prometheus looks."""

_ticks = Counter("sigmax_strategy_engine_ticks_total", "Ticks read")
_bars = Counter("sigmax_strategy_engine_bars_total", "Bars read")
_evaluations = Counter("sigmax_strategy_engine_evaluations_total", "Bars given to a strategy")
_latency = Histogram(
    "sigmax_strategy_engine_event_to_evaluation_seconds",
    "From the collector having an event to the strategies having judged the bar it closed",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
_event_to_analysis = measured(Step.EVENT_TO_ANALYSIS)
_lag = Gauge(
    "sigmax_strategy_engine_lag_seconds",
    f"The longest that an entry was in its stream before it was read, in the last {_PEAK_S:.0f} s or more",
)
_signals = Counter("sigmax_strategy_engine_signals_total", "Signals made", ["strategy_id", "action"])
_dropped = Counter("sigmax_strategy_engine_wishes_dropped_total", "Wishes that became no signal", ["reason"])
_unreadable = Counter("sigmax_strategy_engine_entries_unreadable_total", "Stream entries that could not be decoded")
_denied = Counter("sigmax_strategy_engine_denials_total", "Signals that risk-gate denied", ["code"])
_shards = Gauge("sigmax_strategy_engine_shards_held", "Shards this replica holds")
_strategies = Gauge("sigmax_strategy_engine_strategies", "Strategies by status", ["status"])
_versions = Gauge(
    "sigmax_strategy_engine_strategy_version", "The version this replica knows of each strategy", ["strategy_id"]
)
for _reason in ("order_on_its_way", "expired", "void"):
    _dropped.labels(_reason)


class Peak:
    """The highest of what was seen lately."""

    def __init__(self, window_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._now_s = monotonic_s
        self._turned_at_s = monotonic_s()
        self._current = self._previous = 0.0

    def see(self, value: float) -> None:
        """Take a value in."""
        self._turn()
        self._current = max(self._current, value)

    def highest(self) -> float:
        """Give the highest of the last one to two windows."""
        self._turn()
        return max(self._current, self._previous)

    def _turn(self) -> None:
        passed_s = self._now_s() - self._turned_at_s
        if passed_s >= self._window_s:
            self._previous = self._current if passed_s < 2 * self._window_s else 0.0
            self._current = 0.0
            self._turned_at_s = self._now_s()


class Meter:
    """Counts what happens."""

    def __init__(self) -> None:
        self._peak = Peak(_PEAK_S)
        _lag.set_function(self._peak.highest)

    def read(self, ticks: int, bars: int) -> None:
        """Count what was read."""
        _ticks.inc(ticks)
        _bars.inc(bars)

    def behind(self, late_s: float) -> None:
        """Tell how long the oldest entry of a read had been in its stream."""
        self._peak.see(late_s)

    def begun(self, latency_s: float) -> None:
        """Count a closed bar that the strategies are given: how long after its last event."""
        _event_to_analysis.observe(latency_s)

    def evaluated(self, latency_s: float, strategies: int) -> None:
        """Count a closed bar: how long after its last event it was evaluated, and by how many strategies."""
        _latency.observe(latency_s)
        _evaluations.inc(strategies)

    def signal(self, strategy_id: str, action: str) -> None:
        """Count a signal."""
        _signals.labels(strategy_id, action).inc()

    def dropped(self, reason: str) -> None:
        """Count a wish that became no signal."""
        _dropped.labels(reason).inc()

    def unreadable(self) -> None:
        """Count an entry that could not be decoded."""
        _unreadable.inc()

    def denied(self, code: str) -> None:
        """Count a denial by its code."""
        _denied.labels(code).inc()

    def state(self, shards: int, specs: Sequence[Spec]) -> None:
        """Show how many shards are held and how the strategies stand."""
        _shards.set(shards)
        for status in Status:
            _strategies.labels(status).set(sum(spec.status is status for spec in specs))
        for spec in specs:
            _versions.labels(spec.strategy_id).set(spec.version)


def cpu_ns() -> int:
    """Give the processor time of this thread: a strategy is not to blame for what other processes take."""
    return time.thread_time_ns()
