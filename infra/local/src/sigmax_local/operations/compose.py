"""One project of Docker Compose: its containers, and what is done to them."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sigmax_local.servers.containers import read_variables

SERVERS = ("postgres", "redis", "rabbitmq")
JOBS = ("migrate", "topology")
_WATCHERS = ("prometheus", "alertmanager", "grafana", "jaeger")
_TIMEOUT_S = 900.0
"""The longest is the start of all on a machine that is busy elsewhere."""


class ComposeError(RuntimeError):
    """Compose or the engine said no. The text has its words."""


@dataclass(frozen=True)
class Container:
    """One container of the project."""

    id: str
    name: str
    service: str
    state: str
    health: str
    exit_code: int

    @property
    def is_running(self) -> bool:
        """Say whether its process runs."""
        return self.state == "running"

    @property
    def is_healthy(self) -> bool:
        """Say whether its health check passes."""
        return self.is_running and self.health == "healthy"


@dataclass(frozen=True)
class Compose:
    """A project: a folder with compose.yaml, a file with its variables, and a name."""

    folder: Path
    env_file: Path
    project: str = ""
    """Empty takes the one of compose.yaml."""
    overrides: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Its variables go before those of the file."""

    def variable(self, name: str, default: str = "") -> str:
        """Give what compose.yaml is told."""
        return self.environment.get(name) or read_variables(self.env_file).get(name) or default

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        return f"http://127.0.0.1:{self.variable('SIGMAX_GATEWAY_PORT', '8080')}"

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        return Path(self.variable("SIGMAX_COMPOSE_DIR")) / "secrets"

    def words(self, *arguments: str) -> list[str]:
        """Give the command line."""
        files = [self.folder / "compose.yaml", *self.overrides]
        return [
            *("docker", "compose", "--env-file", str(self.env_file), "--project-directory", str(self.folder)),
            *(word for file in files for word in ("-f", str(file))),
            *(("-p", self.project) if self.project else ()),
            *arguments,
        ]

    def run(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a command of Compose; give its output. Raises `ComposeError`."""
        return self._call(self.words(*arguments), timeout_s)

    def engine(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a command of Docker itself, away from any compose.yaml; give its output. Raises `ComposeError`."""
        return self._call(["docker", *arguments], timeout_s, Path("/"))

    def execute(self, service: str, *command: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a command inside the first container of a service; give its output. Raises `ComposeError`."""
        return self.run("exec", "-T", service, *command, timeout_s=timeout_s)

    def containers(self, *services: str) -> list[Container]:
        """Give the containers of some services, else all of the project; also those that have ended."""
        lines = self.run("ps", "--all", "--no-trunc", "--format", "json").splitlines()
        found = [
            Container(one["ID"], one["Name"], one["Service"], one["State"], one["Health"], one["ExitCode"])
            for one in map(json.loads, lines)
        ]
        return [one for one in found if not services or one.service in services]

    def services(self) -> list[str]:
        """Give the services of ours that have containers: who reads and writes, and is no server and no job."""
        others = {*SERVERS, *JOBS, *_WATCHERS}
        return sorted({one.service for one in self.containers()} - others)

    def scales(self, services: Sequence[str]) -> list[str]:
        """Give the options that keep as many replicas as there are."""
        counts = Counter(one.service for one in self.containers(*services))
        return [word for name in services for word in ("--scale", f"{name}={counts[name]}")]

    def _call(self, words: Sequence[str], timeout_s: float, folder: Path | None = None) -> str:
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                env=dict(self.environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            raise ComposeError("There is no docker here.") from None
        except subprocess.TimeoutExpired:
            raise ComposeError(f"Not done within {timeout_s:.0f} s: {' '.join(words)}") from None
        if done.returncode != 0:
            said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
            raise ComposeError(said or f"exit status {done.returncode}: {' '.join(words)}")
        return done.stdout
