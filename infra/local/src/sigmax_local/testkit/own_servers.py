"""Which servers a test run gets, and what they are."""

import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import aio_pika
import asyncpg
import redis.asyncio
from aio_pika.abc import AbstractConnection

from sigmax_local.servers import Addresses, BinariesMissingError, IdentityError, Servers
from sigmax_local.servers.trio import in_own_loop

_TIMESCALEDB = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
CONTAINERS = "containers"
INSTALLED = "installed"


class NoServersError(RuntimeError):
    """There are no servers for tests here. The text names what is missing."""


def own_servers(setting: str) -> AbstractContextManager[tuple[Addresses, str]]:
    """Give the servers that `setting` names (see `sigmax_local.testing`), and where they come from in words.

    Without a setting these are private instances of installed servers, else containers. To enter it raises
    `NoServersError` when there are neither; servers that a setting names and that are not there raise their own errors.
    """
    if setting == CONTAINERS:
        return _containers()
    if setting == INSTALLED:
        return _installed()
    if setting:
        return nullcontext((Addresses.load(Path(setting)), f"of {setting}"))
    return _whatever_is_there()


@contextmanager
def _whatever_is_there() -> Iterator[tuple[Addresses, str]]:
    from sigmax_local.testkit.containers import ContainersMissingError

    with ExitStack() as stack:
        try:
            found = stack.enter_context(_installed())
        except (BinariesMissingError, IdentityError) as not_installed:
            try:
                found = stack.enter_context(_containers())
            except ContainersMissingError as no_containers:
                raise NoServersError(f"{not_installed}\nNor do they run in containers. {no_containers}") from None
        yield found


@contextmanager
def _installed() -> Iterator[tuple[Addresses, str]]:
    with _folder() as folder:
        servers = Servers(folder, durable=False)
        try:
            yield servers.start(), INSTALLED
        finally:
            servers.stop()


@contextmanager
def _containers() -> Iterator[tuple[Addresses, str]]:
    from sigmax_local.testkit.containers import ContainerServers

    with _folder() as folder:
        servers = ContainerServers(folder)
        try:
            addresses = servers.start()
            yield addresses, f"in containers of {', '.join(servers.images)}"
        finally:
            servers.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sigmax-test-"))
    folder.chmod(0o711)  # the user that runs Postgres passes through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def versions_of(addresses: Addresses) -> str:
    """Ask the servers which versions they are; name them, and the Python that asks, in one line."""

    async def ask() -> str:
        database, cache, broker = addresses.admin_urls
        postgres = await asyncpg.connect(database)
        names = [f"PostgreSQL {(await postgres.fetchval('SHOW server_version')).split()[0]}"]
        if timescaledb := await postgres.fetchval(_TIMESCALEDB):
            names.append(f"TimescaleDB {timescaledb}")
        await postgres.close()
        async with redis.asyncio.Redis.from_url(cache) as client:
            names.append(f"Redis {(await client.info('server'))['redis_version']}")
        async with await aio_pika.connect(broker) as connection:
            names.append(f"RabbitMQ {_version_of_broker(connection)}")
        return ", ".join([*names, f"Python {platform.python_version()}"])

    return in_own_loop(ask)


def _version_of_broker(connection: AbstractConnection) -> str:
    assert connection.transport is not None, "it is connected"
    version: object = connection.transport.connection.server_properties["version"]
    return version.decode() if isinstance(version, bytes) else str(version)
