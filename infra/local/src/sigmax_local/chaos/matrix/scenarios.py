"""What a cell is: a fault, the point at which it strikes, and what order-safety.md requires of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

Play = Callable[[Any], Awaitable[str]]
"""Plays one cell on its `Scene`, or `FrontScene` where it has a risk-gate; gives the outcome in a few words.

Raises `UnmetError` when it is not the required one.
"""


class Turn(IntEnum):
    """When a cell is played."""

    FIRST = 0
    """It waits for a proof of absence: it starts with the run, beside all others."""
    TOGETHER = 1
    """It touches its own instrument, and one worker for a moment."""
    ALONE = 2
    """It touches what all share."""


@dataclass(frozen=True)
class Scenario:
    """One cell of the matrix."""

    fault: str
    point: str
    play: Play
    turn: Turn = Turn.TOGETHER
    is_short: bool = False
    """It belongs to the short form too."""
    needs_own_servers: bool = False
    """It stops a server: not for servers that somebody else started."""
    has_gate: bool = False
    """A real risk-gate decides, and the run only speaks to it."""
