"""Start and stop processes of our own, so that none is ever left behind.

Each child leads a session of its own: a Ctrl-C in the terminal reaches us alone, and we end the children in order.
On Linux each also asks the kernel for a signal when we die (`PR_SET_PDEATHSIG`): even `kill -9` leaves nothing. The
kernel means the *thread* that started the child, so children are started from the main thread.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals

_LOG_BYTES_MAX = 10_000_000
_POLL_S = 0.02


def dies_with_us(signal_name: str = "TERM") -> list[str]:
    """Give the words before a command that make the kernel signal it when its parent dies; none outside Linux."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


def rotate(log: Path) -> None:
    """Put a log that has grown large aside as `<name>.1`, over the one before."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = 15) -> str:
    """Give the last lines of a log; the empty string when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64_000))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])


class Child:
    """One process of ours and whatever it started."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path, stop_signal: Signals) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._stop_signal = stop_signal

    @property
    def pid(self) -> int:
        """Give the process id, which is also its group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Give the exit code; None while it runs."""
        return self._process.poll()

    def signal(self, number: Signals) -> None:
        """Send a signal, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Send the signal on which this program stops gracefully."""
        self.signal(self._stop_signal)

    def wait_stopped(self, patience_s: float) -> None:
        """Wait for the end; after `patience_s` end it, and all it started, by force."""
        deadline = time.monotonic() + patience_s
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        kill_group(self.pid)
        self._process.wait()

    def kill(self) -> None:
        """End it and all it started by force."""
        self.wait_stopped(0)


def is_alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill_group(pid: int) -> None:
    """End every process of the group that `pid` leads or led; no error when none is left."""
    try:
        os.killpg(pid, SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop_signal: Signals = Signals.SIGTERM,
    death_words: Sequence[str] | None = None,
) -> Child:
    """Start a process that writes to `log` and ends with us. Raises `OSError` when the program is not there.

    `death_words` replaces `dies_with_us()` where the command brings its own (a change of user clears the signal).
    """
    rotate(log)
    words = dies_with_us(stop_signal.name.removeprefix("SIG")) if death_words is None else list(death_words)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*words, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    return Child(name, process, log, stop_signal)
