"""What was lost: in a minute, in a day, and from the highest equity. Control 17."""

from dataclasses import dataclass
from decimal import Decimal

from risk_gate.domain.limits import RiskLimits
from sigmax.schemas.types import Stage

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Marks:
    """Equity as it was, marked once a minute from fresh prices alone. None where there is no mark yet."""

    minute: Decimal | None = None
    """A minute ago, or a little longer."""
    day: Decimal | None = None
    """When the UTC day began."""
    peak: Decimal | None = None
    """The highest, since the account began or a person released its losses."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss beside its limit, both in percent."""

    name: str
    lost_pct: Decimal
    max_pct: Decimal


def lost_pct(before: Decimal | None, equity: Decimal) -> Decimal:
    """Give the part of `before` that is gone, in percent; 0 where there was nothing to lose."""
    if before is None or before <= 0:
        return _ZERO
    return max((before - equity) / before * _HUNDRED, _ZERO)


def losses(marks: Marks, equity: Decimal, limits: RiskLimits) -> tuple[Loss, Loss, Loss]:
    """Hold equity against what it was."""
    return (
        Loss("minute", lost_pct(marks.minute, equity), limits.loss_minute_max_pct),
        Loss("day", lost_pct(marks.day, equity), limits.loss_day_max_pct),
        Loss("drawdown", lost_pct(marks.peak, equity), limits.drawdown_max_pct),
    )


def loss_stage(marks: Marks, equity: Decimal, limits: RiskLimits) -> tuple[Stage, str] | None:
    """Give the stage that losses call for, and why: REDUCING above a limit, HALTED above twice the limit, else None."""
    found = losses(marks, equity, limits)
    for factor, stage in ((2, Stage.HALTED), (1, Stage.REDUCING)):
        broken = [loss for loss in found if loss.lost_pct > factor * loss.max_pct]
        if broken:
            told = ", ".join(f"{loss.name} {loss.lost_pct:.2f} % (limit {loss.max_pct} %)" for loss in broken)
            return stage, f"lost: {told}"
    return None
