"""The whole platform as containers of `compose.yaml`, seen and steered through Docker's own commands."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigmax.schemas.topology import SERVICES
from sigmax_local.feed import Feed
from sigmax_local.people import first_password_file
from sigmax_local.ports import LOOPBACK, is_free, prefer
from sigmax_local.processes import tail
from sigmax_local.runs import Kind, Part, StackError
from sigmax_local.servers.containers import (
    GATEWAY_PORT,
    read_variables,
    set_variables,
    write_environment,
    write_secrets,
)

_ANSWER_S = 20.0
_STOP_S = 180.0
_UP_S = 300
"""How long all may take to become ready, the building and pulling of images left out."""
_LOOK_S = 1.5
_FAILED_LOOKS_MAX = 10
_ID_CHARACTERS = 12
_SERVICES = frozenset({*SERVICES, "order-worker-live"})
"""What is always listed. Servers and one-shot jobs are, when something is wrong with them."""
_PORT = "SIGMAX_GATEWAY_PORT"
_STOPPED = frozenset({0, 143})
"""Exit codes of a container that was asked to end."""


@dataclass(frozen=True)
class Container:
    """One container of the project."""

    service: str
    number: int
    """Tells replicas of a service apart, from 1 on."""
    id: str
    state: str
    """Docker's word: `created`, `running`, `paused`, `restarting`, `exited`, `dead`."""
    health: str
    """`healthy`, `starting`, `unhealthy`, or nothing where there is no check."""
    exit_code: int
    restarts: int = 0
    said: str = ""
    """What its last health check printed."""
    folder: str = ""
    """The clone it was started from."""


def containers_of(listed: str, inspected: str) -> list[Container]:
    """Read `docker compose ps --format json` and `docker inspect` of the same containers."""
    details = {one["Id"][:_ID_CHARACTERS]: one for one in json.loads(inspected or "[]")}
    return [_container(row, details.get(row["ID"][:_ID_CHARACTERS], {})) for row in rows_of(listed)]


def rows_of(listed: str) -> list[dict[str, Any]]:
    """Read a list that some versions of Compose write as one array and others as an object per line."""
    text = listed.strip()
    rows: list[dict[str, Any]] = (
        json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    )
    return rows


def _container(row: Mapping[str, Any], details: Mapping[str, Any]) -> Container:
    checks = details.get("State", {}).get("Health", {}).get("Log") or [{}]
    number = row["Name"].rpartition("-")[2]
    labels = details.get("Config", {}).get("Labels") or {}
    return Container(
        service=row["Service"],
        number=int(number) if number.isdecimal() else 1,
        id=row["ID"][:_ID_CHARACTERS],
        state=row["State"],
        health=row.get("Health", ""),
        exit_code=row.get("ExitCode", 0),
        restarts=details.get("RestartCount", 0),
        said=checks[-1].get("Output", "").strip(),
        folder=labels.get("com.docker.compose.project.working_dir", ""),
    )


def parts_of(containers: Iterable[Container], expected: Iterable[str] = ()) -> list[Part]:
    """Give the parts to show, services first, in the order of the path; `expected` are those that should be there."""
    found = sorted(containers, key=lambda one: (_place(one.service), one.service, one.number))
    replicas = [one.service for one in found]
    parts = [
        Part(
            f"{one.service} {one.number}" if replicas.count(one.service) > 1 else one.service,
            _health(one),
            one.restarts,
            one.id,
            tuple(_problems(one)),
        )
        for one in found
        if one.service in _SERVICES or _is_unwell(one)
    ]
    missing = sorted((set(expected) & _SERVICES) - set(replicas), key=_place)
    return [*parts, *(Part(service, "down", problems=("there is no container",)) for service in missing)]


def _place(service: str) -> int:
    name = service.removesuffix("-live")
    return SERVICES.index(name) if name in SERVICES else len(SERVICES)


def _is_unwell(one: Container) -> bool:
    # A one-shot job that is over has done what it was for.
    return _health(one) not in {"ready", "stopped"}


def _health(one: Container) -> str:
    if one.state == "running":
        return {"healthy": "ready", "": "ready", "starting": "starting"}.get(one.health, "not ready")
    if one.state in {"created", "starting"}:
        return "starting"
    if one.state == "paused":
        return "not ready"
    return "stopped" if one.state == "exited" and one.exit_code in _STOPPED else "down"


def _problems(one: Container) -> list[str]:
    if one.state == "paused":
        return ["paused"]
    if one.state == "restarting":
        return [f"restarting, ended with code {one.exit_code}"]
    health = _health(one)
    if health == "down":
        return [f"ended with code {one.exit_code}"]
    if health not in {"not ready", "starting"} or not one.said:
        return []
    try:
        told = json.loads(one.said)
    except ValueError:
        return [one.said.splitlines()[-1]]
    return [str(problem) for problem in told.get("problems", [])] if isinstance(told, dict) else [one.said]


def prices_of(variables: Mapping[str, str]) -> str:
    """Say where the containers' prices come from, by their settings."""
    if variables.get("SIGMAX_SOURCE", "ccxt") == "replay":
        name = Path(variables.get("SIGMAX_REPLAY_FILE", "")).name or "a recording"
        return f"{name} at {variables.get('SIGMAX_REPLAY_SPEED', '1')}x"
    symbols = variables.get("SIGMAX_SYMBOLS") or "BTC/USDT,ETH/USDT"
    exchange = variables.get("SIGMAX_CCXT_EXCHANGE") or "binance"
    return f"live trades of {' and '.join(symbols.split(','))} at {exchange}"


class Compose:
    """The Compose project of a clone."""

    kind = Kind.CONTAINERS

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.containers: list[Container] = []
        self._expected: list[str] | None = None

    @classmethod
    def find(cls, repository: Path) -> "Compose | None":
        """Give the project when any of its containers runs; None when none does, or there is no engine to ask."""
        project = cls(repository)
        with contextlib.suppress(StackError):
            project.look()
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
        return f"http://{LOOPBACK}:{self.variables.get(_PORT) or GATEWAY_PORT}"

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
        inspected = _docker(["inspect", *ids], self.repository) if ids else ""
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
        return _docker(["compose", *words], self.repository)

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
                yield from (line.rstrip("\n") for line in process.stdout)
            finally:
                process.terminate()

    def take_down(self) -> None:
        """Stop and remove the containers; data stays. Raises `StackError`."""
        _docker(["compose", "down"], self.repository, _STOP_S)

    def remove_data(self) -> None:
        """Remove containers and data. Raises `StackError`."""
        _docker(["compose", "down", "--volumes"], self.repository, _STOP_S)

    def has_been_used(self) -> bool:
        """Say whether there may be containers or data of this clone: its secrets were made, and there is Docker."""
        return self.secrets.exists() and shutil.which("docker") is not None

    def missing_images(self) -> list[str]:
        """Give the images that are not on this machine. Raises `StackError`."""
        wanted = sorted(set(self.ask("config", "--images").split()))
        words = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
        there = set(_docker(words, self.repository).split())
        return [image for image in wanted if image not in there]


class ContainerRun:
    """One run of the platform in containers."""

    kind = Kind.CONTAINERS

    def __init__(self, project: Compose, feed: Feed | None) -> None:
        self.is_first_start = False
        self._project = project
        self._feed = feed
        self._is_started = False
        self._failed_looks = 0
        self._log = project.folder / "up.log"

    @property
    def prices(self) -> str:
        """Name where prices come from."""
        return self._feed.title if self._feed is not None else self._project.prices

    @property
    def gateway_url(self) -> str:
        """Give the address for people."""
        return self._project.gateway_url

    @property
    def secrets(self) -> Path:
        """Give the folder that holds `<owner>/<secret>`."""
        return self._project.secrets

    @property
    def parts(self) -> Sequence[Part]:
        """Give how each replica fares."""
        return self._project.parts

    @property
    def is_ready(self) -> bool:
        """Say whether everything is ready now."""
        return self._is_started and self._project.is_ready

    def prepare(self) -> None:
        """Write secrets and settings, and build what is missing. Raises `StackError`."""
        try:
            self._write_files()
        except OSError as error:
            raise StackError(str(error)) from None
        _build(self._project.repository, self._project.missing_images())

    def _write_files(self) -> None:
        project = self._project
        variables = project.repository / ".env"
        self.is_first_start = not first_password_file(project.secrets).exists()
        write_secrets(project.folder)
        write_environment(variables, project.folder, None)
        project.look()
        if project.is_up:
            raise StackError("The containers of this clone run already. `sigmax down` stops them.")
        self._check_currency(read_variables(variables))
        write_environment(variables, project.folder, self._feed)
        port = int(project.variables[_PORT])
        if not is_free(port) and _PORT not in os.environ:
            set_variables(variables, {_PORT: str(prefer(GATEWAY_PORT))})

    def _check_currency(self, known: Mapping[str, str]) -> None:
        before = known.get("SIGMAX_ACCOUNT_CURRENCY")
        if self._feed is None or before is None or before == self._feed.currency or not self._has_data():
            return
        raise StackError(
            f"The containers' books are in {before}, and {self._feed.title} trade in {self._feed.currency}."
            " `sigmax down --stack containers --clean` removes the books."
        )

    def _has_data(self) -> bool:
        name = json.loads(self._project.ask("config", "--format", "json"))["volumes"]["postgres"]["name"]
        return name in _docker(["volume", "ls", "--quiet"], self._project.repository).split()

    async def start(self) -> None:
        """Start the containers and leave them to the engine. Raises `StackError`."""
        self._project.look()
        await self._up()

    async def keep_up(self) -> None:
        """Start the containers and look at them until cancelled. Raises `StackError`."""
        starting = asyncio.create_task(self._up())
        try:
            while not starting.done():
                await self._look()
                await asyncio.wait({starting}, timeout=_LOOK_S)
            starting.result()
            await self._look()
            self._is_started = True
            while True:
                await asyncio.sleep(_LOOK_S)
                await self._look()
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _look(self) -> None:
        """See how all fare. A look may fail while a container comes or goes, or the engine is busy: the next tells."""
        try:
            await asyncio.to_thread(self._project.look)
        except StackError:
            self._failed_looks += 1
            if self._failed_looks > _FAILED_LOOKS_MAX:
                raise
        else:
            self._failed_looks = 0

    async def _up(self) -> None:
        words = ["docker", "compose", "--progress", "plain", "up", "--detach", "--wait", "--wait-timeout", str(_UP_S)]
        with self._log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=self._project.repository,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for us alone
            )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise
        if code != 0:
            raise StackError(f"docker compose up failed ({self._log}):\n{tail(self._log)}\n{self._unwell()}")

    def _unwell(self) -> str:
        said = []
        for part in self._project.parts:
            if not part.is_ready:
                service = part.name.split()[0]
                lines = self._project.log_lines(service, 5, follow=False) if part.place else ()
                said.append("\n".join([f"{part.name}: {'; '.join(part.problems) or part.health}", *lines]))
        return "\n".join(said)

    async def stop_prices(self) -> None:
        """Stop the collectors, so that what is under way comes to its end."""
        await asyncio.to_thread(_docker, ["compose", "stop", "collector"], self._project.repository, _STOP_S)
        await asyncio.to_thread(self._project.look)

    async def stop(self) -> None:
        """Stop the containers and leave them, with their logs, as they are."""
        await asyncio.to_thread(_docker, ["compose", "stop"], self._project.repository, _STOP_S)


def _docker(words: Sequence[str], folder: Path, timeout_s: float = _ANSWER_S) -> str:
    """Give what `docker` says. Raises `StackError`."""
    try:
        done = subprocess.run(
            ["docker", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # a Ctrl-C is for us alone
        )
    except FileNotFoundError:
        raise StackError("Docker is not installed here: its command `docker` is not found.") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"docker {words[0]} did not answer within {timeout_s:.0f} s.") from None
    if done.returncode != 0:
        raise StackError(done.stderr.strip() or f"docker {' '.join(words[:2])} failed.")
    return done.stdout


def _build(repository: Path, missing: Iterable[str]) -> None:
    """Build those of the missing images that are made here; Compose pulls the others. Raises `StackError`."""
    names = [image.removeprefix("sigmax/").partition(":")[0] for image in missing if image.startswith("sigmax/")]
    ours = [name for name in names if name in {*SERVICES, "deploy"}]
    if ours and subprocess.run(["infra/images/services.sh", *ours], cwd=repository, check=False).returncode != 0:
        raise StackError("The images could not be built. Without an image registry: make images-airgap")
