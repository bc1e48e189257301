"""A question about a protective exit, in the shape in which everything is judged."""

from decimal import Decimal

from sigmax.schemas.signals import ExitJudgementRequested, JudgementRequested, Signal
from sigmax.schemas.types import Action


def as_judgement(request: ExitJudgementRequested) -> JudgementRequested:
    """Put the exit as a signal to close, with its figures as the snapshot: the decision then names the exit."""
    signal = Signal(
        message_id=request.exit_id,
        correlation_id=request.correlation_id,
        occurred_at=request.occurred_at,
        producer=request.producer,
        strategy_id=request.strategy_id,
        strategy_version=1,
        account_id=request.account_id,
        instrument_id=request.instrument_id,
        action=Action.CLOSE,
        strength=Decimal(1),
        reference_price=request.last_price,
        reason=f"A {request.kind} was reached. Reject only what is clearly a false alarm.",
        snapshot_id=request.exit_id,
        market_time=request.occurred_at,
        tick_received_at=request.occurred_at,
        valid_until=request.deadline_at,
    )
    return JudgementRequested(
        message_id=request.message_id,
        correlation_id=request.correlation_id,
        occurred_at=request.occurred_at,
        producer=request.producer,
        signal=signal,
        snapshot={
            "kind": str(request.kind),
            "quantity": f"{request.quantity:f}",
            "entry_price": f"{request.entry_price:f}",
            "trigger_price": f"{request.trigger_price:f}",
            "last_price": f"{request.last_price:f}",
        },
        deadline_at=request.deadline_at,
    )
