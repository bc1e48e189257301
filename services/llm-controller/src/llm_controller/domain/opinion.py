"""What judgement made of a request, whoever judged."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from sigmax.schemas.signals import Answer, Decision, JudgementRequested
from sigmax.schemas.types import Verdict

LOCAL = "local"
ROLE = "reviewer"


@dataclass(frozen=True)
class Opinion:
    """A verdict with its reasons."""

    policy: str
    source: str
    """The model's name, or `local`."""
    verdict: Verdict
    confidence: Decimal
    reasons: tuple[str, ...]
    size_factor: Decimal = Decimal(1)


@dataclass(frozen=True)
class Cost:
    """What an opinion cost."""

    usd: Decimal = Decimal(0)
    latency_ms: Decimal = Decimal(0)
    tape_id: UUID | None = None


def tape_id_of(request: JudgementRequested) -> UUID:
    """Name the stored call of a request: a request has one."""
    return uuid5(request.message_id, f"tape:{ROLE}")


def decision_on(request: JudgementRequested, opinion: Opinion, cost: Cost, now: datetime) -> Decision:
    """Make the message that risk-gate waits for."""
    signal = request.signal
    answer = Answer(
        role=ROLE,
        source=opinion.source[:64],
        verdict=opinion.verdict,
        confidence=opinion.confidence,
        reasons=opinion.reasons,
    )
    return Decision(
        **Decision.after(request, now),
        request_id=request.message_id,
        signal_id=signal.message_id,
        strategy_id=signal.strategy_id,
        instrument_id=signal.instrument_id,
        policy=opinion.policy,
        verdict=opinion.verdict,
        size_factor=opinion.size_factor,
        answers=(answer,),
        confidence=opinion.confidence,
        reasons=opinion.reasons,
        cost_usd=cost.usd,
        latency_ms=cost.latency_ms,
        tape_id=cost.tape_id,
    )
