"""Private servers: data is kept, ports are found, and nothing stays behind."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from sigmax_local import ports
from sigmax_local.processes import is_alive
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers import Addresses, BinariesMissingError, Servers, ServersError
from sigmax_local.servers.binaries import find_binaries
from sigmax_local.servers.postgres import major_of
from sigmax_local.servers.trio import is_running

pytestmark = pytest.mark.integration


@pytest.fixture
def folder() -> Iterator[Path]:
    try:
        find_binaries()
    except BinariesMissingError as error:
        pytest.skip(f"no real servers: {error}")
    # Below a folder that only we can enter, as a clone in /root is.
    path = Path(tempfile.mkdtemp(prefix="sigmax-servers-"))
    yield path
    shutil.rmtree(path)


async def _put(addresses: Addresses) -> None:
    connection = await asyncpg.connect(addresses.admin_urls[0])
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    async with redis.asyncio.Redis.from_url(addresses.admin_urls[1]) as client:
        await client.xadd("kept", {"answer": "42"})


async def _look(addresses: Addresses) -> tuple[int, int]:
    connection = await asyncpg.connect(addresses.admin_urls[0])
    answer = await connection.fetchval("SELECT answer FROM kept")
    await connection.close()
    async with redis.asyncio.Redis.from_url(addresses.admin_urls[1]) as client:
        return answer, await client.xlen("kept")


async def test_a_second_start_finds_the_data_of_the_first_although_its_port_was_taken(folder: Path) -> None:
    first = Servers(folder, durable=True)
    addresses = first.start()
    pids = first.pids()
    assert sorted(pids) == ["PostgreSQL", "RabbitMQ", "Redis", "epmd"]
    await _put(addresses)
    with pytest.raises(ServersError, match="Another process already runs servers"):
        Servers(folder, durable=True).start()
    first.stop()
    assert not any(is_alive(pid) for pid in pids.values())
    assert not is_running(folder)

    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", addresses.ports.postgres))
        squatter.listen()
        second = Servers(folder, durable=True)
        try:
            again = second.start()
            assert again.ports.postgres != addresses.ports.postgres
            assert await _look(again) == (42, 1)
        finally:
            second.stop()


def test_a_killed_owner_leaves_no_server_behind(folder: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel's parent death signal is Linux's")
    script = (
        "import json, pathlib, sys, time\n"
        "from sigmax_local.servers import Servers\n"
        "servers = Servers(pathlib.Path(sys.argv[1]), durable=False)\n"
        "servers.start(); print(json.dumps(servers.pids()), flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = json.loads(owner.stdout.readline())
        owner.kill()
    _until_gone(pids)


def _until_gone(pids: dict[str, int]) -> None:
    deadline = time.monotonic() + 30
    while any(is_alive(pid) and not _is_zombie(pid) for pid in pids.values()):
        assert time.monotonic() < deadline, pids
        time.sleep(0.1)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_is_not_installed_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigmax_local.servers.binaries._first", lambda *_: None)
    with pytest.raises(BinariesMissingError) as failure:
        find_binaries()
    text = str(failure.value)
    assert all(word in text for word in ("PostgreSQL", "Redis", "RabbitMQ", "apt-get", "dnf", "brew"))
    assert failure.value.packages == ["postgresql", "redis-server", "rabbitmq-server", "erlang-base"]


def test_an_empty_folder_has_no_postgres_version(tmp_path: Path) -> None:
    assert major_of(tmp_path) is None


def test_secrets_are_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "secrets")
    first = store.get("risk_gate", "approval_key")
    assert store.get("risk_gate", "approval_key") == first
    assert len(first) >= 32
    assert SecretStore(tmp_path / "secrets").get("order_worker", "approval_key") != first
    path = tmp_path / "secrets" / "risk_gate" / "approval_key"
    assert [oct(p.stat().st_mode & 0o777) for p in (path, path.parent, path.parent.parent)] == [
        "0o600",
        "0o700",
        "0o700",
    ]


def test_free_ports_are_distinct_and_a_taken_one_is_not_preferred() -> None:
    assert len(set(ports.free_ports(10))) == 10
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.prefer(port) != port


def test_postgres_does_not_run_as_root(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused")
    servers = Servers(folder, durable=False)
    servers.start()
    try:
        pid = servers.pids()["PostgreSQL"]
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        uid = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1]
        assert uid != "0"
    finally:
        servers.stop()
