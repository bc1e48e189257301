"""Judgement without a model: for exits, for what comes too late, and for a platform that has no model."""

from datetime import datetime
from decimal import Decimal, InvalidOperation

from llm_controller.domain.opinion import LOCAL, Opinion
from sigmax.schemas.signals import JudgementRequested
from sigmax.schemas.types import Action, Verdict

NO_MODEL = "No model is configured: judged by the local policy."


def unaided(request: JudgementRequested, now: datetime, *, has_model: bool, strength_min: Decimal) -> Opinion | None:
    """Give the opinion on a request that no model needs to see; None for one that a model must judge.

    An exit needs nobody. What is too late is rejected: risk-gate has stopped waiting.
    """
    if now >= min(request.deadline_at, request.signal.valid_until):
        ended = min(request.deadline_at, request.signal.valid_until)
        return _local(Verdict.REJECT, Decimal(1), f"Too late: the time to judge ended at {ended:%H:%M:%S} UTC.")
    if request.signal.action is Action.CLOSE:
        return _local(Verdict.APPROVE, Decimal(1), "An exit needs no judgement.")
    if not has_model:
        return local_opinion(request, strength_min)
    return None


def exit_opinion(why: str) -> Opinion:
    """Let an exit go: it needs nobody, and only a clear no may hold it up."""
    return _local(Verdict.APPROVE, Decimal(1), why)


def local_opinion(request: JudgementRequested, strength_min: Decimal) -> Opinion:
    """Approve a signal that is strong enough and whose snapshot makes sense; reject any other."""
    fault = _fault(request)
    strength = request.signal.strength
    if fault is not None:
        return _local(Verdict.REJECT, Decimal(1), NO_MODEL, fault)
    if strength < strength_min:
        return _local(Verdict.REJECT, Decimal(1), NO_MODEL, f"Strength {strength} is below {strength_min}.")
    return _local(Verdict.APPROVE, strength, NO_MODEL, f"Strength {strength} is at least {strength_min}.")


def _fault(request: JudgementRequested) -> str | None:
    """Say why a snapshot is none to decide on: it is empty, or a figure in it is not finite."""
    if not request.snapshot:
        return "The snapshot is empty: there is nothing to judge the signal by."
    for name, value in request.snapshot.items():
        try:
            is_number_gone_bad = not Decimal(value.strip()).is_finite()
        except InvalidOperation:
            continue  # a word, not a figure
        if is_number_gone_bad:
            return f"Figure {name[:100]!r} of the snapshot is {value.strip()[:20]!r}."
    return None


def _local(verdict: Verdict, confidence: Decimal, *reasons: str) -> Opinion:
    return Opinion(LOCAL, LOCAL, verdict, confidence, reasons)
