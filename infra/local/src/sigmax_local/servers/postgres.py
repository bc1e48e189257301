"""A private PostgreSQL: its own data folder, a loopback port, passwords for everyone."""

import os
import signal
import subprocess
from pathlib import Path

import asyncpg

from sigmax.runtime.rights import DATABASE, SUPERUSER, postgres_roles_sql
from sigmax_local.ports import LOOPBACK
from sigmax_local.processes import Child, spawn
from sigmax_local.secret_store import SecretStore
from sigmax_local.servers.binaries import Binaries
from sigmax_local.servers.identity import Identity

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""For tests alone: a crash of the machine may lose the data folder."""
SETTINGS = {
    "max_connections": "300",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_statement": "none",
}
_PRIVATE = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path has room for 107 bytes: less than some folders are deep
}


def major_of(folder: Path) -> str | None:
    """Give the Postgres version that made the data below `folder`, such as "15"; None when there is none yet."""
    version = folder / "data" / "PG_VERSION"
    return version.read_text(encoding="ascii").strip() if version.exists() else None


def prepare(folder: Path, binaries: Binaries, secrets: SecretStore) -> Identity:
    """Make the data folder unless it is there. Raises `RuntimeError` with initdb's words when that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = Identity(folder)
    identity.own(folder)
    folder.chmod(0o700)
    if major_of(folder) is None:
        _initdb(folder, binaries, secrets, identity)
    return identity


def _initdb(folder: Path, binaries: Binaries, secrets: SecretStore, identity: Identity) -> None:
    partial = folder / "data.partial"
    subprocess.run(["rm", "-rf", "--", str(partial)], check=True)
    password_file = folder / "password.partial"
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.server("postgres_superuser"), encoding="ascii")
    identity.own(password_file)
    command = [
        *identity.words(),
        str(binaries.initdb),
        *("-D", str(partial), "-U", SUPERUSER, "--pwfile", str(password_file)),
        *("-A", "scram-sha-256", "--locale=C", "-E", "UTF8", "--no-sync"),
    ]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise RuntimeError(f"PostgreSQL could not make its data folder {folder}:\n{done.stdout}{done.stderr}")
    partial.rename(folder / "data")  # what is named `data` is whole


def start(folder: Path, binaries: Binaries, identity: Identity, port: int, log: Path, *, durable: bool) -> Child:
    """Start the server; it is ready when `is_ready` says so."""
    settings = {**SETTINGS, **_PRIVATE, **({} if durable else FAST)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return spawn(
        "PostgreSQL",
        [binaries.postgres, "-D", folder / "data", "-p", str(port), *options],
        log=log,
        env={**os.environ, "LC_ALL": "C"},
        cwd=Path("/"),
        stop_signal=signal.SIGINT,  # the fast shutdown: sessions are cut, data is written
        death_words=identity.words("INT"),
    )


async def is_ready(port: int, password: str) -> bool:
    """Say whether the server lets its superuser in."""
    try:
        connection = await _connect(port, password, "postgres")
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True


async def prepare_database(port: int, secrets: SecretStore) -> None:
    """Make the database, and apply roles and rights; safe to repeat."""
    password = secrets.server("postgres_superuser")
    connection = await _connect(port, password, "postgres")
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    connection = await _connect(port, password, DATABASE)
    try:
        async with connection.transaction():
            await connection.execute(postgres_roles_sql(secrets.database_passwords()))
    finally:
        await connection.close()


async def _connect(port: int, password: str, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host=LOOPBACK, port=port, user=SUPERUSER, password=password, database=database, ssl=False, timeout=5
    )
