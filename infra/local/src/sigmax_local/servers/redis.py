"""A private Redis: loopback only, the default user off, one user per service."""

import os
import re
import subprocess
from pathlib import Path

import redis.asyncio
from redis.exceptions import RedisError

from sigmax.runtime.rights import ADMIN, redis_acl
from sigmax_local.ports import LOOPBACK
from sigmax_local.processes import Child, spawn
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers.binaries import Binaries


def version_of(program: Path) -> tuple[int, ...]:
    """Ask the program for its version. Valkey 7.2 and later speak Redis 7.2's commands."""
    text = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (7, 0)


def start(folder: Path, binaries: Binaries, secrets: SecretStore, port: int, log: Path, *, durable: bool) -> Child:
    """Write the configuration and start the server; it is ready when `is_ready` says so."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    acl = folder / "users.acl"
    acl.touch(mode=0o600)
    acl.write_text(redis_acl(secrets.redis_passwords(), version_of(binaries.redis_server)), encoding="utf-8")
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": f'"{folder}"',
        "aclfile": f'"{acl}"',
        "daemonize": "no",
        # What lies here can be rebuilt: it is saved now and then, and when the server is stopped.
        "save": "300 1" if durable else '""',
        "appendonly": "no",
        "stop-writes-on-bgsave-error": "no",
        "databases": "1",
    }
    configuration = folder / "redis.conf"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    return spawn("Redis", [binaries.redis_server, configuration], log=log, env={**os.environ, "LC_ALL": "C"})


async def is_ready(port: int, password: str) -> bool:
    """Say whether the server answers its administrator, its data loaded."""
    client = redis.asyncio.Redis(host=LOOPBACK, port=port, username=ADMIN, password=password, socket_timeout=2)
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()
