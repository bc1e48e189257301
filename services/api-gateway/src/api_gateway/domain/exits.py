"""Says in a sentence why a protection sold."""

from decimal import Decimal

from sigmax.schemas.types import ExitKind


def level_of(
    kind: ExitKind, stop: Decimal, target: Decimal, trailing: Decimal | None, trigger: Decimal | None
) -> Decimal | None:
    """Give the price that an exit waited for; None where it waited for none."""
    if trigger is not None:
        return trigger
    levels = {ExitKind.STOP_LOSS: stop, ExitKind.TAKE_PROFIT: target, ExitKind.TRAILING_STOP: trailing}
    return levels.get(kind)


def sentence(kind: ExitKind, level: Decimal | None, reached: Decimal | None, *, trigger: bool) -> str:
    """Say why a position was sold."""
    name = str(kind).replace("_", " ")
    if trigger:
        return f"The {name} that rested at the venue woke up at {level:f}."
    if level is None:
        return f"It was sold for its {name}."
    seen = f": {reached:f} was traded" if reached is not None else ""
    return f"The {name} at {level:f} was reached{seen}."
