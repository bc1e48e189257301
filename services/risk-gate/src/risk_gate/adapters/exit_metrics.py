"""What Prometheus sees of protective exits."""

from prometheus_client import Counter, Histogram

from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import ExitKind

_EXIT = Histogram(
    "sigmax_risk_gate_exit_seconds",
    "From the collector having the tick that reached a level to the approval of the exit",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
_EXITS = Counter("sigmax_risk_gate_exits_total", "Orders approved for protective exits", ["kind"])
_NAKED = Histogram(
    "sigmax_risk_gate_naked_seconds",
    "From a resting stop having left the venue to the next stop or exit order being there",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120),
)
for _kind in ExitKind:
    _EXITS.labels(_kind)


class PrometheusExitMeter:
    """Measures exits; the kinds are an enum, so the labels are bounded."""

    def exited(self, approved: OrderApproved, kind: ExitKind) -> None:
        """Take the time from the tick to the approval of the exit that it made."""
        _EXITS.labels(kind).inc()
        _EXIT.observe(max((approved.occurred_at - approved.tick_received_at).total_seconds(), 0.0))

    def naked(self, seconds: float) -> None:
        """Take how long a position had neither a resting stop nor an exit order at the venue."""
        _NAKED.observe(max(seconds, 0.0))
