"""Which commands need a second person, and whether one stands behind them.

The gateway asks before it lets a command go out; risk-gate and order-worker ask again before they carry it out. What
lowers risk never waits for anybody; what gives risk back does.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Stage

APPROVAL_AGE_MAX = timedelta(minutes=10)
_CLOCK_SKEW_MAX = timedelta(seconds=5)
"""An approval from further in the future means that a clock is off: its age says nothing then."""

_ALWAYS = frozenset(
    {CommandName.SET_LIMITS, CommandName.RELEASE, CommandName.BOOK_TRANSFER, CommandName.IDENTIFY_ORDER}
)
_STOPPED = frozenset({Stage.HALTED, Stage.LOCKED})


def needs_second_person(command: CommandName, values: Mapping[str, str], from_stage: Stage | None = None) -> bool:
    """Say whether a command needs two people, in paper and live alike.

    `from_stage` is the stage in which the scope of a `resume` or `set_stage` stands; one that is not known counts as
    HALTED. `values` are the command's own: `set_stage` says in `stage` where to, and what is no stage counts as up.
    """
    if command in _ALWAYS:
        return True
    current = from_stage or Stage.HALTED
    if command is CommandName.RESUME:
        return current in _STOPPED
    if command is CommandName.SET_STAGE:
        wanted = values.get("stage", "")
        is_up = wanted not in set(Stage) or Stage(wanted).severity < current.severity
        return is_up and current in _STOPPED
    return False


def second_person_problem(command: Command, now: datetime) -> str | None:
    """Say why nobody else stands behind a command, or None when another person approved it in the last ten minutes."""
    if command.approved_by is None or command.approved_at is None:
        return f"nobody but {command.requested_by} approved it"
    if command.approved_by.strip().casefold() == command.requested_by.strip().casefold():
        return f"{command.requested_by} asked for it and approved it"
    age = now - command.approved_at
    if age > APPROVAL_AGE_MAX:
        return f"{command.approved_by} approved it at {command.approved_at:%H:%M:%S} UTC, more than 10 minutes ago"
    if age < -_CLOCK_SKEW_MAX:
        return f"{command.approved_by} approved it in the future, at {command.approved_at:%H:%M:%S} UTC"
    return None
