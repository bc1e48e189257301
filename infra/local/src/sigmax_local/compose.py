"""One project of Docker Compose: its containers, and what is done to them."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sigmax_local.container_list import Container, containers_of
from sigmax_local.runs import StackError
from sigmax_local.servers.containers import read_variables

SERVERS = ("postgres", "redis", "rabbitmq")
JOBS = ("migrate", "topology")
UNHEALTHY = "is unhealthy"
"""What Compose says when it gave up waiting for a container that still runs."""
_WATCHERS = ("prometheus", "alertmanager", "grafana", "jaeger")
_TIMEOUT_S = 900.0
"""The longest is the start of all on a machine that is busy elsewhere."""
_ANSWER_S = 60.0
"""Of a machine on which much else runs."""
_AGAIN_S = 1.0
_LINES_SAID = 15


class ComposeError(StackError):
    """Compose or the engine said no. The text has its words."""


class TooLateError(ComposeError):
    """Docker did not answer in time: what runs is not known."""


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
        return docker(self.words(*arguments)[1:], self.folder, timeout_s, self.environment)

    def up(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Start containers and wait until they are healthy; give the output. Raises `ComposeError`.

        On a busy machine a check is late now and then: who was given up as unhealthy is waited for again.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            patience_s = max(1.0, deadline - time.monotonic())
            try:
                return self.run("up", "--detach", "--wait", *arguments, timeout_s=patience_s)
            except ComposeError as error:
                if UNHEALTHY not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_AGAIN_S)

    def engine(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a command of Docker itself, away from any compose.yaml; give its output. Raises `ComposeError`."""
        return docker(arguments, Path("/"), timeout_s, self.environment)

    def execute(self, service: str, *command: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a command inside the first container of a service; give its output. Raises `ComposeError`."""
        return self.run("exec", "-T", service, *command, timeout_s=timeout_s)

    def containers(self, *services: str) -> list[Container]:
        """Give the containers of some services, else all of the project; also those that have ended."""
        found = containers_of(self.run("ps", "--all", "--no-trunc", "--format", "json"))
        return [one for one in found if not services or one.service in services]

    def services(self) -> list[str]:
        """Give the services of ours that have containers: who reads and writes, and is no server and no job."""
        others = {*SERVERS, *JOBS, *_WATCHERS}
        return sorted({one.service for one in self.containers()} - others)

    def scales(self, services: Sequence[str]) -> list[str]:
        """Give the options that keep as many replicas as there are."""
        counts = Counter(one.service for one in self.containers(*services))
        return [word for name in services for word in ("--scale", f"{name}={counts[name]}")]


def docker(
    words: Sequence[str], folder: Path, timeout_s: float = _ANSWER_S, environment: Mapping[str, str] | None = None
) -> str:
    """Give what `docker` says. Raises `ComposeError`."""
    try:
        done = subprocess.run(
            ["docker", *words],
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # a Ctrl-C is for us alone
        )
    except FileNotFoundError:
        raise ComposeError("Docker is not installed here: its command `docker` is not found.") from None
    except subprocess.TimeoutExpired:
        raise TooLateError(f"Not done within {timeout_s:.0f} s: docker {' '.join(words[:4])}") from None
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_LINES_SAID:])
        raise ComposeError(said or f"docker {' '.join(words[:4])} failed.")
    return done.stdout
