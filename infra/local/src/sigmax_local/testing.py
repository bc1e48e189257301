"""Pytest fixtures: real servers, clean for each test, and services as processes.

The root configuration loads this plugin, so that every test may ask for:

servers       (session) `Addresses` of a private Postgres, Redis, and RabbitMQ with every role, user, queue, and all
              migrations of services/*/migrations. Started once per run in a temporary folder, and named in a line of
              the run with their versions. `SIGMAX_TEST_SERVERS` says which:
                (not set)         private instances of installed servers; where they are not installed, containers;
                                  where there are none either, tests are skipped and say what is missing
                installed         private instances of installed servers, or errors
                containers        containers of postgres:17, redis:8, rabbitmq:4 (or of sigmax/postgres:17 and so on,
                                  which `make images-airgap` makes where no registry can be reached), or errors
                DIR/state.json    those of `python -m sigmax_local.servers up DIR`, whose database is reset
clean         the servers, emptied: tables hold what migrations put there, queues and Redis hold nothing. Give it to
              each test that writes. `await cleaner.clean()` does the same in the middle of one.
service_env   `service_env("risk-gate", approval_lifetime_s="5") -> dict`: the environment of a service, with its folder
              of secrets, as `python -m sigmax.runtime` and its settings read it.
run_service   `async with run_service("risk-gate", approval_lifetime_s="5") as gate:` the service as a process, ready;
              `gate.pid`, `gate.url`, `gate.log`, `await gate.kill()`, `await gate.stop()`, `gate.signal(...)`.
run_here      `async with run_here(Settings, wire, replica="1") as service:` the same inside this process: quicker than
              a process of its own, and as real.
world         the clean servers as other services see them: `await world.publish(message)`,
              `heard = await world.listen(Fill, Fill.TOPIC)`, `await world.until_true(lambda: bool(heard))`,
              `await world.database.fetch(...)`. A conftest with a larger world of its own replaces it.

A run over several workers (`-n 2 --dist loadgroup`) gives each worker servers of its own and whole files; tests that
run the whole stack (marker e2e) stay with one worker, one after the other.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:  # the plugin is loaded in every run, also of tests that need none of this
    from sigmax.runtime.service import Service
    from sigmax.runtime.settings import ServiceSettings
    from sigmax_local.servers import Addresses
    from sigmax_local.testkit.cleaning import Cleaner
    from sigmax_local.testkit.service_process import ServiceProcess
    from sigmax_local.testkit.world import Wire, World

_VARIABLE = "SIGMAX_TEST_SERVERS"


class RunService(Protocol):
    """Starts a service; settings are named like its fields."""

    def __call__(self, service: str, **settings: str) -> "AbstractAsyncContextManager[ServiceProcess]":
        """Give the running service."""


class RunHere(Protocol):
    """Starts a service inside this process; settings are named like its fields."""

    def __call__(
        self, settings: "type[ServiceSettings]", wire: "Wire", **values: str
    ) -> "AbstractAsyncContextManager[Service]":
        """Give the running service."""


def pytest_configure() -> None:
    """Judge a property by what it says: how long an example takes depends on what else the machine does."""
    from hypothesis import settings

    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests stay together in a distributed run, and begin it with the whole stacks: they take longest."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group("stack" if _is_whole_stack(item) else item.path.stem))
    items.sort(key=_is_whole_stack, reverse=True)


def _is_whole_stack(item: pytest.Item) -> bool:
    return item.get_closest_marker("e2e") is not None


@pytest.fixture(scope="session")
def _own_servers(request: pytest.FixtureRequest) -> "Iterator[Addresses]":
    from sigmax_local.testkit.own_servers import NoServersError, own_servers, versions_of

    with ExitStack() as stack:
        try:
            addresses, source = stack.enter_context(own_servers(os.environ.get(_VARIABLE, "")))
        except NoServersError as error:
            pytest.skip(f"no real servers: {error}")
        _say(request.config, f"Servers {source}: {versions_of(addresses)}")
        yield addresses


def _say(config: pytest.Config, line: str) -> None:
    """Write a line between the results; the workers of a distributed run have nowhere to write it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(line)


@pytest.fixture(scope="session")
def cleaner(_own_servers: "Addresses") -> "Cleaner":
    """Migrate the servers' database and give what empties it again."""
    from sigmax_local.environment import make_secrets, repository
    from sigmax_local.testkit.cleaning import Cleaner

    cleaner = Cleaner(_own_servers)
    make_secrets(_own_servers.secrets)
    cleaner.reset(repository() / "services")
    return cleaner


@pytest.fixture(scope="session")
def servers(cleaner: "Cleaner") -> "Addresses":
    """Give the addresses of real servers, migrated."""
    return cleaner.addresses


@pytest.fixture
def clean(cleaner: "Cleaner") -> "Addresses":
    """Empty the servers before this test; give their addresses."""
    from sigmax_local.servers.trio import in_own_loop

    in_own_loop(cleaner.clean)
    return cleaner.addresses


@pytest.fixture
def service_env(servers: "Addresses") -> Callable[..., dict[str, str]]:
    """Give a function that makes the environment of a service."""
    from sigmax_local.environment import service_environment
    from sigmax_local.ports import free_ports

    def make(service: str, **settings: str) -> dict[str, str]:
        return service_environment(servers, service, free_ports(1)[0], **settings)

    return make


@pytest.fixture
def run_service(servers: "Addresses") -> RunService:
    """Give a function that runs a service as a process for the length of an `async with`."""
    from sigmax_local.testkit.service_process import running_service

    return partial(running_service, servers)


@pytest.fixture
def run_here(service_env: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> RunHere:
    """Give a function that runs a service inside this process for the length of an `async with`."""
    from sigmax_local.testkit.world import running_here

    @asynccontextmanager
    async def run(settings: "type[ServiceSettings]", wire: "Wire", **values: str) -> "AsyncIterator[Service]":
        for name, value in service_env(settings.service, **values).items():
            monkeypatch.setenv(name, value)
        async with running_here(settings, wire) as service:
            yield service

    return run


@pytest.fixture
async def world(clean: "Addresses") -> "AsyncIterator[World]":
    """Give the clean servers as other services see them."""
    from sigmax_local.testkit.world import open_world

    async with open_world(clean) as world:
        yield world
