"""Control 17: what was lost."""

from risk_gate.domain.controls.rows import guard, row
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.losses import losses
from risk_gate.domain.situation import Situation
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode


def loss_checks(signal: Signal, situation: Situation, limits: RiskLimits) -> list[Check]:
    """Hold equity, as our own count has it, against what it was a minute ago, this morning, and at its best."""
    equity = situation.book.counted_equity(situation.prices)
    found = losses(situation.facts.marks, equity, limits)
    seen = ", ".join(f"{loss.name} {loss.lost_pct:.3f} %" for loss in found)
    limit = ", ".join(f"{loss.max_pct} %" for loss in found)
    passed = all(loss.lost_pct <= loss.max_pct for loss in found)
    return [guard(signal, row(17, DenialCode.LOSS_EXCEEDED, passed, seen, limit))]
