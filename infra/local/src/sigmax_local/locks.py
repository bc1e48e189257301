"""One process at a time: a file that its owner holds for as long as it lives, however it ends."""

import fcntl
from pathlib import Path
from typing import IO


def hold(path: Path) -> IO[str] | None:
    """Take the lock; None when another process has it. It is held until the file that is given is closed."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(path: Path) -> bool:
    """Say whether some process holds the lock."""
    if not path.exists():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
