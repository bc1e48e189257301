"""A private RabbitMQ: its own node name service, loopback only, users and queues loaded from a file."""

import asyncio
import json
import os
from pathlib import Path

from sigmax.runtime.rights import rabbitmq_definitions
from sigmax_local.ports import LOOPBACK
from sigmax_local.processes import Child, spawn
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers.binaries import Binaries

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
ERLANG_ARGUMENTS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that sleep when there is nothing to do."""
SETTINGS = {
    "disk_free_limit.absolute": "100MB",
    # The log of all quorum queues is kept in memory up to this size: the default of 512 MB is for a server.
    "raft.wal_max_size_bytes": "67108864",
}


def start_epmd(binaries: Binaries, port: int, log: Path) -> Child:
    """Start Erlang's name service as a child of ours: the one RabbitMQ would start outlives it as a daemon."""
    return spawn("epmd", [binaries.epmd, "-port", str(port), "-address", LOOPBACK], log=log)


def start(folder: Path, binaries: Binaries, secrets: SecretStore, ports: tuple[int, int, int], log: Path) -> Child:
    """Write the configuration and start the broker. `ports`: AMQP, between nodes, epmd."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    definitions = folder / "definitions.json"
    definitions.touch(mode=0o600)
    definitions.write_text(json.dumps(rabbitmq_definitions(secrets.rabbitmq_passwords()), indent=1), encoding="utf-8")
    (folder / "enabled_plugins").write_text("[].\n", encoding="ascii")
    (folder / "rabbitmq.conf").write_text(_configuration(definitions, ports[0]), encoding="utf-8")
    return spawn("RabbitMQ", [binaries.rabbitmq_server], log=log, env=_environment(folder, ports), cwd=folder)


def _configuration(definitions: Path, port: int) -> str:
    settings = {
        **SETTINGS,
        "listeners.tcp.1": f"{LOOPBACK}:{port}",
        "load_definitions": str(definitions),
        "log.file.level": "warning",
        "log.file.rotation.size": "10485760",
        "log.file.rotation.count": "2",
    }
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def _environment(folder: Path, ports: tuple[int, int, int]) -> dict[str, str]:
    amqp, distribution, epmd = (str(port) for port in ports)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
    return {
        **inherited,
        "HOME": str(folder),  # Erlang keeps its cookie there
        "RABBITMQ_NODENAME": "sigmax@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": amqp,
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ERLANG_ARGUMENTS} -kernel inet_dist_use_interface {{127,0,0,1}}",
        "ERL_EPMD_PORT": epmd,
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_BYTES": "0",
    }


async def is_ready(port: int) -> bool:
    """Say whether the broker answers an AMQP greeting: an open port alone comes too early."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(_PROTOCOL_HEADER)
                return await reader.readexactly(1) == _METHOD_FRAME
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
