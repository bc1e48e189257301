"""What a run was made with: whoever repeats it can tell whether it is the same."""

import platform
import re
import subprocess
from pathlib import Path

from sigmax_local.environment import repository
from sigmax_local.servers.binaries import BinariesMissingError, find_binaries

_NUMBER = re.compile(r"\d+(?:\.\d+)+")


def versions() -> dict[str, str]:
    """Give the versions of Python, the servers, and the code; a server that is not installed is absent."""
    found = {"Python": platform.python_version()}
    try:
        servers = find_binaries()
    except BinariesMissingError:
        servers = None
    if servers is not None:
        told = {
            "PostgreSQL": _output(servers.postgres, "--version"),
            "RabbitMQ": str(servers.rabbitmq_server.resolve()),
            "Redis": _output(servers.redis_server, "--version"),
        }
        for name, text in told.items():
            if number := _NUMBER.search(text):
                found[name] = number.group()
    commit = _output("git", "-C", repository(), "rev-parse", "--short", "HEAD")
    if commit:
        is_changed = _output("git", "-C", repository(), "status", "--porcelain", "--untracked-files=no")
        found["commit"] = commit + ("+changes" if is_changed else "")
    return found


def _output(*command: str | Path) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
