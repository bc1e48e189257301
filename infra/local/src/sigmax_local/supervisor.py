"""Keep the processes of a stack running: start, watch, restart, stop.

A process that ends unasked is started again, with a pause that grows; one that will not stay up ends the whole stack,
with its last log lines, because a platform that trades with a part missing is worse than one that stands still.
"""

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from sigmax_local.processes import Child, spawn, tail

_WATCH_S = 0.1
_PROBE_STARTING_S = 0.3
_PROBE_S = 2.0
_ROTATE_S = 5.0
_STOP_PATIENCE_S = 25.0
_SETTINGS_ERROR = 2
"""A service that cannot read its settings exits so: another try would read the same."""
SETTLE_S = 15.0
"""How long the first groups may take before the next is started anyway."""


class GaveUpError(RuntimeError):
    """A process would not stay up. The text says which, and why."""


@dataclass(frozen=True)
class Program:
    """What to run, and how to ask whether it is well."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    url: str | None = None
    """Where `/health/ready` is; None: it is ready as soon as it runs."""


@dataclass(frozen=True)
class Restarts:
    """When to try again, and when no more."""

    first_pause_s: float = 0.2
    pause_max_s: float = 5.0
    crashes_max: int = 5
    window_s: float = 60.0
    silence_max_s: float = 30.0
    """A process that once answered and has not for so long is ended, and started again."""


@dataclass
class Watched:
    """One process and how it has fared."""

    program: Program
    child: Child | None = None
    restarts: int = 0
    is_ready: bool = False
    was_ready: bool = False
    problems: list[str] = field(default_factory=lambda: ["starting"])
    next_start_at: float = 0.0
    answered_at: float | None = None
    probe_at: float = 0.0
    crashes: deque[float] = field(default_factory=deque)
    is_retired: bool = False

    @property
    def pid(self) -> int | None:
        """Give the process id; None while it is down."""
        return self.child.pid if self.child is not None else None

    @property
    def health(self) -> str:
        """Say in a word how it is: `ready`, `starting`, `not ready`, `down`, `stopped`."""
        if self.is_retired:
            return "stopped"
        if self.child is None:
            return "down"
        if self.is_ready:
            return "ready"
        return "not ready" if self.was_ready else "starting"


class Supervisor:
    """Runs groups of programs; a group starts when the one before is ready. Call from the main thread's event loop."""

    def __init__(self, groups: Sequence[Sequence[Program]], restarts: Restarts | None = None) -> None:
        self._groups = [[Watched(program) for program in group] for group in groups]
        self._restarts = restarts or Restarts()
        self._probes: set[asyncio.Task[None]] = set()

    @property
    def watched(self) -> list[Watched]:
        """Give all processes in the order they start."""
        return [one for group in self._groups for one in group]

    @property
    def are_all_ready(self) -> bool:
        """Say whether every process is ready now."""
        return all(one.is_ready for one in self.watched)

    async def run(self, on_turn: Callable[[], None] | None = None) -> None:
        """Start everything and watch it until cancelled; `on_turn` is called with each look.

        Raises `GaveUpError` when a process will not stay up. Whatever ends it: call `stop` afterwards.
        """
        active: list[Watched] = []
        rotated_at = 0.0
        async with httpx2.AsyncClient(trust_env=False, timeout=6) as client:
            for group in self._groups:
                active += group
                deadline = time.monotonic() + SETTLE_S
                is_last = group is self._groups[-1]
                while is_last or (time.monotonic() < deadline and not all(one.is_ready for one in active)):
                    for one in active:
                        self._look(one, client)
                    if time.monotonic() > rotated_at + _ROTATE_S:
                        rotated_at = time.monotonic()
                        for one in active:
                            copy_and_truncate(one.program.log)
                    if on_turn is not None:
                        on_turn()
                    await asyncio.sleep(_WATCH_S)

    def _look(self, one: Watched, client: httpx2.AsyncClient) -> None:
        now = time.monotonic()
        if one.is_retired:
            return
        if one.child is None:
            if now >= one.next_start_at:
                self._start(one, now)
            return
        if one.child.exit_code is not None:
            self._note_crash(one, one.child, now)
        elif one.answered_at is not None and now - one.answered_at > self._restarts.silence_max_s:
            one.child.kill()  # hangs: the next look finds it ended
        elif now >= one.probe_at:
            one.probe_at = now + (_PROBE_S if one.is_ready else _PROBE_STARTING_S)
            task = asyncio.create_task(_probe(one, one.child, client))
            self._probes.add(task)
            task.add_done_callback(self._probes.discard)

    def _start(self, one: Watched, now: float) -> None:
        program = one.program
        one.child = spawn(program.name, program.command, log=program.log, env=program.env)
        one.answered_at = None
        one.probe_at = now + _PROBE_STARTING_S
        one.problems = ["starting"]

    def _note_crash(self, one: Watched, child: Child, now: float) -> None:
        code = child.exit_code
        child.kill()  # what it started goes with it
        one.child, one.is_ready = None, False
        one.problems = [f"ended with code {code}"]
        one.crashes.append(now)
        while now - one.crashes[0] > self._restarts.window_s:
            one.crashes.popleft()
        crashes = len(one.crashes)
        if crashes >= self._restarts.crashes_max or (code == _SETTINGS_ERROR and not one.was_ready):
            times = f"{crashes} times in {self._restarts.window_s:.0f} s" if crashes > 1 else "at its start"
            raise GaveUpError(
                f"{one.program.name} ended {times}, last with code {code}. "
                f"Its log ends so ({child.log}):\n{tail(child.log)}"
            )
        one.restarts += 1
        pause = min(self._restarts.first_pause_s * 2 ** (crashes - 1), self._restarts.pause_max_s)
        one.next_start_at = now + pause

    async def retire(self, name: str) -> None:
        """Stop one process gracefully and leave it stopped while the others go on."""
        for one in self.watched:
            if one.program.name == name:
                one.is_retired, one.is_ready = True, False
                if one.child is not None:
                    one.child.ask_to_stop()
                    await asyncio.to_thread(one.child.wait_stopped, _STOP_PATIENCE_S)
                    one.child = None

    async def stop(self, order: Sequence[Sequence[str]] = ()) -> None:
        """Stop gracefully, group by group in `order`, then whatever it does not name; by force what does not listen."""
        for task in self._probes:
            task.cancel()
        named = {name for group in order for name in group}
        rest = [one.program.name for one in self.watched if one.program.name not in named]
        for group in (*order, rest):
            children = [one.child for one in self.watched if one.program.name in group and one.child is not None]
            for child in children:
                child.ask_to_stop()
            await asyncio.gather(*(asyncio.to_thread(child.wait_stopped, _STOP_PATIENCE_S) for child in children))
            for one in self.watched:
                if one.program.name in group:
                    one.child, one.is_ready = None, False

    def kill(self) -> None:
        """End all by force, at once."""
        for one in self.watched:
            if one.child is not None:
                one.child.kill()
                one.child = None


async def _probe(one: Watched, child: Child, client: httpx2.AsyncClient) -> None:
    url = one.program.url
    if url is None:
        one.is_ready = one.was_ready = True
        one.problems = []
        return
    try:
        answer = await client.get(f"{url}/health/ready")
        is_ready, problems = answer.status_code == httpx2.codes.OK, list(answer.json().get("problems", []))
    except (httpx2.TransportError, ValueError):
        is_ready, problems = False, ["does not answer"]
    else:
        if child is one.child:
            one.answered_at = time.monotonic()
    if child is one.child:  # else it was restarted meanwhile, and this is old news
        one.is_ready, one.problems = is_ready, problems
        one.was_ready |= is_ready


def copy_and_truncate(log: Path, bytes_max: int = 10_000_000) -> None:
    """Put a large log aside while its process goes on writing: it appends, so it goes on at the new beginning."""
    if log.exists() and log.stat().st_size > bytes_max:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as file:
            file.truncate(0)
