"""What Prometheus sees of the decisions."""

from collections.abc import Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from risk_gate.domain.stages import CurrentStage, strictest_by_scope
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.types import DenialCode, Posture, Scope

_APPROVED = Counter("sigmax_risk_gate_approved_total", "Orders approved")
_DENIED = Counter("sigmax_risk_gate_denied_total", "Signals denied", ["code"])
_DECISION = Histogram(
    "sigmax_risk_gate_decision_seconds",
    "From the locked account to the verdict",
    buckets=(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1),
)
_UNASKED = Counter("sigmax_risk_gate_unasked_judgements_total", "Judgements on signals that nobody asked about")
_PRICE_AGE = Histogram(
    "sigmax_risk_gate_price_age_seconds",
    "Age of the price a decision saw",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 120),
)
_TICK_TO_APPROVAL = Histogram(
    "sigmax_risk_gate_tick_to_approval_seconds",
    "From the collector having the tick to the approval of the order it led to",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 6, 10),
)
_STAGE = Gauge(
    "sigmax_risk_gate_stage",
    "Strictest stage of a kind of scope: 0 normal, 1 caution, 2 reducing, 3 halted, 4 locked",
    ["scope"],
)
_STAGE_CHANGES = Gauge(
    "sigmax_risk_gate_stage_changes", "Changes of stage so far, all scopes of a kind together", ["scope"]
)
_POSTURE = Gauge(
    "sigmax_risk_gate_posture", "How boldly an account trades: 1 for the posture in force", ["account", "posture"]
)
for _code in DenialCode:
    _DENIED.labels(_code)


class PrometheusMeter:
    """Counts verdicts, and shows stages."""

    def decided(self, verdict: OrderApproved | OrderDenied, *, took_s: float, price_age_s: float | None) -> None:
        """Count one verdict; the codes are an enum, so the labels are bounded."""
        _DECISION.observe(took_s)
        if price_age_s is not None:
            _PRICE_AGE.observe(max(price_age_s, 0.0))
        if isinstance(verdict, OrderDenied):
            _DENIED.labels(verdict.code).inc()
        else:
            _APPROVED.inc()
            _TICK_TO_APPROVAL.observe(max((verdict.occurred_at - verdict.tick_received_at).total_seconds(), 0.0))

    def unasked(self) -> None:
        """Count a judgement on a signal that nobody asked about."""
        _UNASKED.inc()

    def stages(self, stages: Sequence[CurrentStage]) -> None:
        """Show how much trading is allowed; a stage's version is the number of its changes and one."""
        for scope, strictest in strictest_by_scope(stages).items():
            _STAGE.labels(scope).set(strictest.severity)
        for scope in Scope:
            _STAGE_CHANGES.labels(scope).set(sum(current.version for current in stages if current.scope is scope))

    def postures(self, postures: Mapping[str, Posture]) -> None:
        """Show the posture of each account; there are few of both."""
        for account_id, current in postures.items():
            for posture in Posture:
                _POSTURE.labels(account_id, posture).set(posture is current)
