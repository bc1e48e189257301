"""The parameters of each kind of strategy, with their ranges: what a person may set while it runs."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Period = Annotated[int, Field(ge=2, le=500)]
"""A number of bars."""
Percent = Annotated[Decimal, Field(gt=0, le=50, max_digits=9, allow_inf_nan=False)]
RsiLevel = Annotated[float, Field(ge=1, le=99, allow_inf_nan=False)]


class ParamsError(ValueError):
    """Parameters that a kind of strategy does not take; the text names each field and its range."""


class Params(BaseModel):
    """What every strategy may be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_pct: Percent | None = None
    """Distance of the stop from the entry, in percent; None leaves it to the posture."""
    target_pct: Percent | None = None


P = TypeVar("P", bound=Params)


class EmaCrossParams(Params):
    """Two moving averages, in bars."""

    fast: Period = 5
    slow: Period = 13

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")
        return self


class RsiReversionParams(Params):
    """A relative strength index and the levels at which a move has gone too far."""

    period: Period = 7
    oversold: RsiLevel = 30.0
    overbought: RsiLevel = 70.0

    @model_validator(mode="after")
    def _levels_are_apart(self) -> Self:
        if self.oversold >= self.overbought:
            raise ValueError(f"oversold ({self.oversold:g}) must be below overbought ({self.overbought:g})")
        return self


class DonchianParams(Params):
    """The channels to break: `entry` bars for getting in, `exit` bars for getting out."""

    entry: Period = 10
    exit: Period = 5


def validated(model: type[P], values: Mapping[str, object]) -> P:
    """Read parameters, as stored or as typed by a person. Raises `ParamsError`, one sentence per bad field."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ParamsError("; ".join(_sentence(dict(part)) for part in error.errors())) from None


def _sentence(part: dict[str, object]) -> str:
    location = part["loc"]
    field = ".".join(str(step) for step in location) if isinstance(location, tuple) else ""
    message = str(part["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
