"""Postgres refuses to run as root. These are the words before a command that make it somebody else.

A clone may lie in a folder that user cannot enter, such as /root. Folders of people are not opened for it: the process
keeps one capability instead, to pass through folders it could not read, which the kernel hands on to what it starts.
"""

import os
import pwd
import shutil
from pathlib import Path

_SEARCH = ("dac_read_search", 2)
_OVERRIDE = ("dac_override", 1)
"""Not every container grants the first; Docker grants the second. (name, number in the kernel's capability set)"""


class IdentityError(RuntimeError):
    """No user can run Postgres here. The text says what to do."""


class Identity:
    """Who runs Postgres for one data folder."""

    def __init__(self, folder: Path) -> None:
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._capability = None
        if self._user is not None and not _can_enter(folder, self._user):
            self._capability = _granted_capability(folder)

    def words(self, death_signal: str | None = None) -> list[str]:
        """Give the words before a command that start it as this user; none when we are not root."""
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            if self._user is not None:
                raise IdentityError("PostgreSQL does not run as root and `setpriv` (util-linux) is missing.")
            return []
        words = [setpriv]
        if self._user is not None:
            words += [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]
            if self._capability is not None:
                words += [f"--inh-caps=-all,+{self._capability}", f"--ambient-caps=-all,+{self._capability}"]
        if death_signal is not None:
            words += ["--pdeathsig", death_signal]
        return [*words, "--"] if len(words) > 1 else []

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise IdentityError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as.")


def _can_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    for part in (folder, *folder.parents):
        status = part.stat()
        if status.st_uid == user.pw_uid:
            needed = 0o100
        elif status.st_gid == user.pw_gid:
            needed = 0o010
        else:
            needed = 0o001
        if not status.st_mode & needed:
            return False
    return True


def _granted_capability(folder: Path) -> str:
    bounding = 0
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line.split()[1], 16)
    for name, number in (_SEARCH, _OVERRIDE):
        if bounding >> number & 1:
            return name
    raise IdentityError(
        f"PostgreSQL does not run as root, and its user cannot enter {folder}. "
        "Clone into a folder that others can enter (such as /srv), or run as a user who is not root."
    )
