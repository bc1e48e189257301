"""The Compose project of a clone, seen and steered through Docker's own commands."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from sigmax_local.compose import TooLateError, docker
from sigmax_local.container_list import Container, containers_of, parts_of, prices_of, rows_of
from sigmax_local.ports import LOOPBACK
from sigmax_local.runs import Kind, Part, StackError
from sigmax_local.servers.containers import GATEWAY_PORT, read_variables

PORT = "SIGMAX_GATEWAY_PORT"
STOP_S = 180.0
"""How long containers may take to end; each is given a grace of its own."""
_ERASED = "\x1b[2K"
"""Compose begins each line with it, even when it is told to leave out all colors."""


class FoundContainers:
    """The Compose project of a clone."""

    kind = Kind.CONTAINERS

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.containers: list[Container] = []
        self._expected: list[str] | None = None

    @classmethod
    def find(cls, repository: Path) -> "FoundContainers | None":
        """Give the project when any of its containers runs; None when none does, or there is no engine to ask.

        Raises `StackError` when an engine that has been used for it gives no answer: then nobody knows.
        """
        project = cls(repository)
        try:
            project.look()
        except TooLateError:
            if project.has_been_used():
                raise
        except StackError:
            pass
        return project if project.is_up else None

    @property
    def variables(self) -> dict[str, str]:
        """Give what Compose reads: `.env`, and over it the shell."""
        return {**read_variables(self.repository / ".env"), **os.environ}

    @property
    def folder(self) -> Path:
        """Give where the containers' secrets and settings are."""
        return Path(self.variables.get("SIGMAX_COMPOSE_DIR") or self.repository / ".sigmax" / "compose")

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        return self.folder / "secrets"

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        return f"http://{LOOPBACK}:{self.variables.get(PORT) or GATEWAY_PORT}"

    @property
    def prices(self) -> str:
        """Name where prices come from."""
        return prices_of(self.variables)

    @property
    def is_up(self) -> bool:
        """Say whether any container ran at the last look."""
        return any(one.state in {"running", "restarting", "paused"} for one in self.containers)

    @property
    def parts(self) -> Sequence[Part]:
        """Give how each replica fared at the last look."""
        return parts_of(self.containers, self._expected or ())

    @property
    def is_ready(self) -> bool:
        """Say whether everything was ready at the last look."""
        return bool(self.parts) and all(part.is_ready for part in self.parts)

    def look(self) -> None:
        """See how the containers of this clone fare. Raises `StackError`."""
        listed = self.ask("ps", "--all", "--format", "json")
        ids = [row["ID"] for row in rows_of(listed)]
        inspected = docker(["inspect", *ids], self.repository) if ids else ""
        found = containers_of(listed, inspected)
        self.containers = [one for one in found if one.folder in {"", str(self.repository)}]
        if others := {one.folder for one in found if one.state == "running"} - {"", str(self.repository)}:
            raise StackError(
                f"Containers of {min(others)} run under this project's name: stop them there, or give this clone"
                " another name in the variable COMPOSE_PROJECT_NAME."
            )
        if self._expected is None:
            self._expected = self.ask("config", "--services").split()

    def ask(self, *words: str) -> str:
        """Give what `docker compose` says. Raises `StackError`."""
        return docker(["compose", *words], self.repository)

    def log_lines(self, service: str, lines: int, *, follow: bool) -> Iterator[str]:
        """Give the last lines that a service wrote, of all its replicas. Raises `StackError`."""
        names = sorted({one.service for one in self.containers})
        if service not in names:
            raise StackError(f"There is no log of {service}. There are: {', '.join(names) or 'none yet'}")
        return self._log_lines(service, lines, follow=follow)

    def _log_lines(self, service: str, lines: int, *, follow: bool) -> Iterator[str]:
        is_alone = sum(one.service == service for one in self.containers) == 1
        words = ["logs", "--tail", str(lines)]
        words += ["--no-log-prefix"] if is_alone else []
        words += ["--follow"] if follow else []
        command = ["docker", "compose", "--ansi", "never", *words, service]
        with subprocess.Popen(command, cwd=self.repository, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield from (line.rstrip("\n").removeprefix(_ERASED) for line in process.stdout)
            finally:
                process.terminate()

    def take_down(self) -> None:
        """Stop and remove the containers; data stays. Raises `StackError`."""
        docker(["compose", "down"], self.repository, STOP_S)

    def remove_data(self) -> None:
        """Remove containers and data. Raises `StackError`."""
        docker(["compose", "down", "--volumes"], self.repository, STOP_S)

    def has_been_used(self) -> bool:
        """Say whether there may be containers or data of this clone: its secrets were made, and there is Docker."""
        return self.secrets.exists() and shutil.which("docker") is not None

    @property
    def up_log(self) -> Path:
        """Give the file with what Compose said at the last start."""
        return self.folder / "up.log"

    def started_at(self) -> float | None:
        """Give when the containers were started last, in seconds since 1970; None when never from here."""
        return self.up_log.stat().st_mtime if self.up_log.exists() else None

    def missing_images(self) -> list[str]:
        """Give the images that are not on this machine. Raises `StackError`."""
        wanted = sorted(set(self.ask("config", "--images").split()))
        words = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
        there = set(docker(words, self.repository).split())
        return [image for image in wanted if image not in there]
