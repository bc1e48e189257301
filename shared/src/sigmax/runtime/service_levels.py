"""How long the steps from a tick to a fill take, held against what was promised.

One histogram for all steps: its bucket boundaries are the edges of all of them, so that the share of a step's
observations beyond an edge is counted exactly. The alerts are in `infra/prometheus/rules/service_levels.yml`.
"""

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import Histogram


@dataclass(frozen=True)
class Edges:
    """What a step should take at most, and where it is worth a warning, and a danger."""

    target_s: float
    warning_s: float
    danger_s: float


class Step(StrEnum):
    """A part of the way; who measures it stands beside it."""

    EVENT_TO_ANALYSIS = "event_to_analysis"
    """strategy-engine: from the collector having a bar's last event to the strategies being given the bar."""
    ANALYSIS = "analysis"
    """llm-controller: from the question to the model's answer, or to its lateness."""
    VERIFICATION = "verification"
    """Nobody yet: there is no verifier."""
    ORDER = "order"
    """order-worker: from risk-gate's approval to the venue having accepted the order, as far as we know."""
    CYCLE = "cycle"
    """order-worker: from the collector having the tick to the order's first fill in the books."""


EDGES = {
    Step.EVENT_TO_ANALYSIS: Edges(0.05, 0.1, 0.2),
    Step.ANALYSIS: Edges(2, 3, 5),
    Step.VERIFICATION: Edges(1.5, 2.5, 4),
    Step.ORDER: Edges(0.5, 1, 2),
    Step.CYCLE: Edges(4, 6, 10),
}

_BOUNDS = {bound for edges in EDGES.values() for bound in (edges.target_s, edges.warning_s, edges.danger_s)}
_FINER = {0.005, 0.01, 0.02}
"""Below all edges: a platform that is well lies there."""

_seconds = Histogram(
    "sigmax_service_level_seconds",
    "Time that a step from a tick to a fill took",
    ["step"],
    buckets=sorted(_BOUNDS | _FINER),
)


def measured(step: Step) -> Histogram:
    """Give the histogram of a step; from now on it is there to be scraped, with nothing observed yet."""
    return _seconds.labels(step)
