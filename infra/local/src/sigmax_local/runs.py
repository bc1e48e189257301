"""The platform in one shape, whether its parts are processes or containers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

READY = "ready"


class Kind(StrEnum):
    """What the parts of a stack are."""

    PROCESSES = "processes"
    CONTAINERS = "containers"


class StackError(RuntimeError):
    """A stack cannot be started, seen, or kept up. The text says why."""


@dataclass(frozen=True)
class Part:
    """One replica of a service."""

    name: str
    health: str
    """`ready`, `starting`, `not ready`, `down`, or `stopped`."""
    restarts: int = 0
    place: str = ""
    """Process id or container id; empty while there is none."""
    problems: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Say whether it can do its work."""
        return self.health == READY


class Stack(Protocol):
    """A stack that runs, or is about to."""

    kind: Kind

    @property
    def prices(self) -> str:
        """Name where prices come from."""
        ...

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        ...

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        ...

    @property
    def parts(self) -> Sequence[Part]:
        """Give how each replica fares, as last seen."""
        ...

    @property
    def is_ready(self) -> bool:
        """Say whether everything is ready now."""
        ...


class Found(Stack, Protocol):
    """A stack that others run."""

    def log_lines(self, service: str, lines: int, *, follow: bool) -> Iterator[str]:
        """Give the last lines that a service wrote, and with `follow` all that come. Raises `StackError`."""
        ...

    def take_down(self) -> None:
        """Stop everything; data stays. Raises `StackError`."""
        ...


class Run(Stack, Protocol):
    """A stack that this process starts, watches, and stops."""

    is_first_start: bool
    """Whether the password of the first admin was made for this run."""

    async def keep_up(self) -> None:
        """Start everything and watch it until cancelled. Raises `StackError`."""
        ...

    async def stop_prices(self) -> None:
        """Let no more prices in, so that what is under way comes to its end."""
        ...

    async def stop(self) -> None:
        """Stop everything that `keep_up` started."""
        ...
