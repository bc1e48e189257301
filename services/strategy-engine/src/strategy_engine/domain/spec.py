"""A strategy as people set it: what, where, with which parameters, and whether it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from strategy_engine.domain.bars import MINUTE_S
from strategy_engine.domain.params import ParamsError, validated
from strategy_engine.domain.strategies import KINDS

ANY = "*"
"""In a strategy's instruments: whatever the feed brings."""


class Status(StrEnum):
    """Whether a strategy runs; `paused` is the engine's doing, the others are a person's."""

    ACTIVE = "active"
    STOPPED = "stopped"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Spec:
    """One version of one strategy."""

    strategy_id: str
    kind: str
    version: int
    status: Status
    account_id: str
    timeframe_s: int
    instruments: tuple[str, ...]
    params: Mapping[str, object]
    asks_judgement: bool

    def covers(self, instrument_id: str) -> bool:
        """Say whether the strategy trades an instrument."""
        return ANY in self.instruments or instrument_id in self.instruments

    @property
    def needs_ticks(self) -> bool:
        """Say whether the strategy's bars are shorter than those the feed brings."""
        return self.timeframe_s < MINUTE_S


def check_params(kind: str, values: Mapping[str, object]) -> dict[str, object]:
    """Give parameters complete and in the form they are stored in. Raises `ParamsError`."""
    if kind not in KINDS:
        raise ParamsError(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    return validated(KINDS[kind].params, values).model_dump(mode="json")


def check_timeframe(timeframe_s: int) -> int:
    """Give a timeframe that bars can be built for. Raises `ValueError`."""
    if timeframe_s < 1 or (timeframe_s > MINUTE_S and timeframe_s % MINUTE_S) or timeframe_s > 7 * 86_400:
        raise ValueError("a timeframe is 1 to 60 seconds, or whole minutes up to a week")
    return timeframe_s
