"""What a decision of llm-controller means for the signal it was asked about."""

from dataclasses import dataclass
from uuid import UUID

from risk_gate.domain.situation import Judgement
from sigmax.schemas.signals import Decision, Signal
from sigmax.schemas.types import Verdict

_PASSING = frozenset({Verdict.APPROVE, Verdict.ADJUST})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A signal that asks for judgement, and the judgement: either may come first."""

    signal_id: UUID
    request_id: UUID | None = None
    signal: Signal | None = None
    decision: Decision | None = None
    is_settled: bool = False
    """A verdict was given; nothing that comes later changes it."""


def judgement_of(decision: Decision, signal: Signal, request_id: UUID | None) -> Judgement:
    """Read a decision. One that is about something else than the signal refuses it."""
    asked = (request_id, signal.strategy_id, signal.instrument_id)
    if (decision.request_id, decision.strategy_id, decision.instrument_id) != asked:
        return Judgement(refused="the decision is about another request, strategy, or instrument")
    if decision.verdict not in _PASSING:
        # A model wrote the reason; Postgres keeps no NUL, and a veto must not fail for one.
        why = decision.reasons[0].replace("\x00", "") if decision.reasons else "no reason given"
        return Judgement(refused=f"{decision.verdict} by {decision.policy}: {why}")
    return Judgement(size_factor=decision.size_factor)
