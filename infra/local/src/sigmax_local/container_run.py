"""One run of the platform in the containers of `compose.yaml`."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sigmax.schemas.topology import SERVICES
from sigmax_local.compose import UNHEALTHY, docker
from sigmax_local.container_found import PORT, STOP_S, FoundContainers
from sigmax_local.feed import Feed
from sigmax_local.people import first_password_file
from sigmax_local.ports import is_free, prefer
from sigmax_local.processes import tail
from sigmax_local.runs import Kind, Part, StackError
from sigmax_local.servers.containers import (
    GATEWAY_PORT,
    read_variables,
    set_variables,
    write_environment,
    write_secrets,
)

_UP_S = 300
"""How long all may take to become ready, the building and pulling of images left out."""
_LINES_SHOWN = 3
_CHARACTERS_SHOWN = 160
_LOOK_S = 1.5
_FAILED_LOOKS_MAX = 10


class ContainerRun:
    """One run of the platform in containers."""

    kind = Kind.CONTAINERS

    def __init__(self, project: FoundContainers, feed: Feed | None) -> None:
        self.is_first_start = False
        self._project = project
        self._feed = feed
        self._is_started = False
        self._failed_looks = 0

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
        port = int(project.variables[PORT])
        if not is_free(port) and PORT not in os.environ:
            set_variables(variables, {PORT: str(prefer(GATEWAY_PORT))})

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
        return name in docker(["volume", "ls", "--quiet"], self._project.repository).split()

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
        deadline = time.monotonic() + _UP_S
        while await self._compose_up(max(1.0, deadline - time.monotonic())) != 0:
            said = tail(self._project.up_log)
            # On a busy machine a check is late now and then; who depends on it is started by the next try.
            if UNHEALTHY not in said or time.monotonic() > deadline:
                raise StackError(f"docker compose up failed ({self._project.up_log}):\n{said}\n{self._unwell()}")

    async def _compose_up(self, patience_s: float) -> int:
        words = ["up", "--detach", "--wait", "--wait-timeout", f"{patience_s:.0f}"]
        with self._project.up_log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("docker", "compose", "--progress", "plain", *words),
                cwd=self._project.repository,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for us alone
            )
            try:
                return await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise

    def _unwell(self) -> str:
        said = []
        for part in self._project.parts:
            if not part.is_ready:
                service = part.name.split()[0]
                lines = self._project.log_lines(service, _LINES_SHOWN, follow=False) if part.place else ()
                said.append(f"{part.name}: {'; '.join(part.problems) or part.health}")
                said += [f"  {line[:_CHARACTERS_SHOWN]}" for line in lines]
        return "\n".join(said)

    async def stop_prices(self) -> None:
        """Stop the collectors, so that what is under way comes to its end."""
        await asyncio.to_thread(docker, ["compose", "stop", "collector"], self._project.repository, STOP_S)
        await asyncio.to_thread(self._project.look)

    async def stop(self) -> None:
        """Stop the containers and leave them, with their logs, as they are."""
        await asyncio.to_thread(docker, ["compose", "stop"], self._project.repository, STOP_S)


def _build(repository: Path, missing: Iterable[str]) -> None:
    """Build those of the missing images that are made here; Compose pulls the others. Raises `StackError`."""
    names = [image.removeprefix("sigmax/").partition(":")[0] for image in missing if image.startswith("sigmax/")]
    ours = [name for name in names if name in {*SERVICES, "deploy"}]
    if ours and subprocess.run(["infra/images/services.sh", *ours], cwd=repository, check=False).returncode != 0:
        raise StackError("The images could not be built. Without an image registry: make images-airgap")
