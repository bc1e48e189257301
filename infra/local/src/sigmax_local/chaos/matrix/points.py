"""Points inside a worker at which a run may strike, and how both sides agree on them: files in one folder.

The run arms a point of one order; the worker that passes there first takes the file, so one strike hits one process,
once. Passing a point that nobody armed costs a look for a file.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_POLL_S = 0.02
_HOLD_S_MAX = 240.0
"""Longer than the run waits for whatever it lets a task go on after."""
_FOLDER = "CHAOS_CONTROL"
_BUG = "CHAOS_BUG"
BOOKS = "books"
"""The subject of what concerns no single order."""


class Point(StrEnum):
    """A moment in the life of an order inside a worker. The subject is the client order id where none is named."""

    RECEIVED = "received"
    """The approval is in the worker's hands, nothing is written."""
    RECORDING = "recording"
    """The row is written, not committed."""
    RECORDED = "recorded"
    """The row is committed, nobody has claimed it."""
    CLAIMED = "claimed"
    """The claim is committed, the order is neither verified nor signed."""
    SUBMITTING = "submitting"
    """Verified, not signed."""
    SIGNED = "signed"
    """Signed; the send deadline has not been looked at."""
    WRITING = "writing"
    """The deadline was kept; no byte is written."""
    ANSWERED = "answered"
    """The venue's answer is in the worker's hands, not recorded."""
    BOOKING = "booking"
    """The outcome is written, not committed."""
    BOOKED = "booked"
    """The outcome is committed, the message is not acknowledged."""
    HANDLED = "handled"
    """Everything is committed; the acknowledgement comes next."""
    LOOKING = "looking"
    """The resolver is about to ask the venue for an order."""
    LOOKED = "looked"
    """The venue has answered the resolver, which has recorded nothing of it."""
    CANCELING = "canceling"
    """A cancel is about to be sent."""
    CANCELED = "canceled"
    """The venue has answered the cancel, nothing of it is recorded."""
    RECONCILING = "reconciling"
    """The venue has told its balances, nothing is concluded. Subject: `BOOKS`."""


class Blow(StrEnum):
    """What happens at a point."""

    KILL = "kill"
    STOP = "stop"
    """SIGSTOP: the run lets it go on."""
    HOLD = "hold"
    """This one task waits until the run lets it go on; the rest of the process works."""


class Flag(StrEnum):
    """What the run switches on and off for every worker."""

    HIDE = "hide"
    """The venue shows nothing of a symbol. Subject: the symbol."""
    SHUFFLE = "shuffle"
    """What the user stream tells of a symbol comes twice and in reverse. Subject: the symbol."""
    DEAF = "deaf"
    """What the user stream tells of a symbol is lost. Subject: the symbol."""
    CLOCK = "clock"
    """The worker's clock is off, by so many seconds as the file says. Subject: the replica, or `all`."""


class Bug(StrEnum):
    """A mistake that is planted to show that the checks can fail."""

    ACKNOWLEDGE_FIRST = "acknowledge_first"
    SEND_BEFORE_COMMIT = "send_before_commit"


@dataclass(frozen=True)
class Strike:
    """One armed point."""

    path: Path

    @property
    def has_struck(self) -> bool:
        """Say whether a worker passed there and took the blow."""
        return self._taken.exists()

    @property
    def replica(self) -> int:
        """Give the replica that was struck. Raises `OSError` before it was."""
        return int(json.loads(self._taken.read_text())["replica"])

    def let_go(self) -> None:
        """Let the task go on that is held there."""
        self.path.with_suffix(".go").touch()

    def disarm(self) -> None:
        """Take the blow away, if nobody has taken it."""
        self.path.unlink(missing_ok=True)

    @property
    def _taken(self) -> Path:
        return self.path.with_suffix(".struck")


class Control:
    """The folder of armed points and flags."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self, bug: Bug | None = None) -> dict[str, str]:
        """Give what a worker's process must be told."""
        return {_FOLDER: str(self.folder)} | ({_BUG: str(bug)} if bug else {})

    def arm(self, point: Point, subject: str, blow: Blow = Blow.KILL, passing: int = 1) -> Strike:
        """Arm a point for one subject; the blow falls with the `passing`-th time that a worker comes by."""
        path = self.path_of(point, subject)
        for before in (".struck", ".go"):
            path.with_suffix(before).unlink(missing_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"blow": blow, "passing": passing}))
        partial.rename(path)
        return Strike(path)

    def path_of(self, point: Point, subject: str) -> Path:
        """Name the file that arms a point."""
        return self._path("point", point, subject).with_suffix(".armed")

    def raise_flag(self, flag: Flag, subject: str, value: str = "") -> None:
        """Switch something on."""
        path = self._path("flag", flag, subject)
        path.with_suffix(".partial").write_text(value)
        path.with_suffix(".partial").rename(path)

    def lower_flag(self, flag: Flag, subject: str) -> None:
        """Switch it off."""
        self._path("flag", flag, subject).unlink(missing_ok=True)

    def flag(self, flag: Flag, subject: str) -> str | None:
        """Give a flag's value; None when it is not raised."""
        try:
            return self._path("flag", flag, subject).read_text()
        except FileNotFoundError:
            return None

    def _path(self, kind: str, name: str, subject: str) -> Path:
        return self.folder / f"{kind}@{name}@{subject.replace('/', '-').replace('.', '_')}"


class Points:
    """The worker's side: it says where it is, and takes the blow that waits there."""

    def __init__(self, replica: str) -> None:
        self.control = Control(Path(os.environ[_FOLDER]))
        self.bug = Bug(os.environ[_BUG]) if _BUG in os.environ else None
        self.replica = replica
        self._passed: Counter[Path] = Counter()

    async def passing(self, point: Point, subject: str) -> None:
        """Say that a task passes a point."""
        armed = self.control.path_of(point, subject)
        try:
            what = json.loads(armed.read_text())
        except FileNotFoundError:
            return
        self._passed[armed] += 1
        if self._passed[armed] < what["passing"]:
            return
        taken = armed.with_suffix(f".taken-{self.replica}")
        try:
            armed.rename(taken)
        except FileNotFoundError:
            return  # another worker was faster
        taken.write_text(json.dumps({"replica": self.replica}))
        taken.rename(armed.with_suffix(".struck"))
        await self._take(Blow(what["blow"]), armed.with_suffix(".go"))

    async def _take(self, blow: Blow, go: Path) -> None:
        if blow is Blow.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif blow is Blow.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            async with asyncio.timeout(_HOLD_S_MAX):
                # The run lives in another process, and speaks through files.
                while not go.exists():  # noqa: ASYNC110, ASYNC240
                    await asyncio.sleep(_POLL_S)
