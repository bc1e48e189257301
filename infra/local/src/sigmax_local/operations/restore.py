"""Put a backup in the place of the database.

The backup is restored beside the database in use, which is left alone until that has succeeded and then kept under
another name. What RabbitMQ has on its way is thrown away: it speaks of a later time than the backup, and an approval
among it would be an order that the restored books do not know. Redis stays: what it holds is of the market, not of us,
and is rebuilt or outlived.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from sigmax.runtime.rights import DATABASE, MIGRATOR
from sigmax.schemas.topology import SERVICES, owner_of
from sigmax_local.compose import SERVERS, Compose, ComposeError
from sigmax_local.operations.backup import TIMESCALEDB
from sigmax_local.operations.database import DatabaseError, InContainer, Place, query, writing
from sigmax_local.operations.manifest import BackupError, Manifest
from sigmax_local.operations.retelling import retell

BEFORE = f"{DATABASE}_before_restore"
"""The name of the database that was replaced."""
_RESTORED = f"{DATABASE}_restored"
_CHUNK_BYTES = 1 << 18
_TRIES = 10
"""Workers of an extension may connect between our look and our renaming."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Loss:
    """What a restore takes away."""

    since: Mapping[str, int]
    """Rows by what they are, recorded after the backup was made."""
    queued: int
    """Messages that wait in RabbitMQ."""


def check_revisions(manifest: Manifest, services: Path) -> None:
    """Hold the schemas of a backup against the migrations that are known here.

    Raises `BackupError` for a backup of a newer version.
    """
    for service in SERVICES:
        folder = services / service / "migrations"
        revision = manifest.revisions.get(owner_of(service))
        if revision is None or not (folder / "env.py").exists():
            continue
        config = Config()
        config.set_main_option("script_location", str(folder))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision not in known:
            raise BackupError(
                f"The backup is of version {manifest.version}: its schema {owner_of(service)} is at {revision}, which"
                " this version does not know. Restore it with that version."
            )


def loss_of(compose: Compose, manifest: Manifest) -> Loss:
    """Say what a restore would take away; a database that does not answer has nothing to tell."""
    made_at = manifest.made_at.isoformat()
    counts = {
        "orders": f"SELECT count(*) FROM order_worker.orders WHERE created_at > '{made_at}'",  # noqa: S608
        "fills": f"SELECT count(*) FROM order_worker.fills WHERE recorded_at > '{made_at}'",  # noqa: S608
        "verdicts": f"SELECT count(*) FROM risk_gate.verdicts WHERE created_at > '{made_at}'",  # noqa: S608
        "entries of the audit": f"SELECT count(*) FROM api_gateway.audit WHERE at > '{made_at}'",  # noqa: S608
    }
    since = {}
    for name, sql in counts.items():
        try:
            ((count,),) = query(InContainer(compose), sql)
            since[name] = int(count)
        except DatabaseError:
            continue
    with suppress(ComposeError):
        return Loss(since, sum(_queues(compose).values()))
    return Loss(since, 0)


def restore(compose: Compose, backup: Path, manifest: Manifest, say: Say, on_bytes: Callable[[int], None]) -> None:
    """Replace the database of a project by a backup that was checked, and start its services again.

    Raises `ComposeError`, `DatabaseError`, or `BackupError`. Until the backup is whole inside of the server nothing of
    the old database is changed; whenever it fails, the services stay stopped, and the same command may run again.
    """
    services = compose.services()
    scales = compose.scales(services)
    place = InContainer(compose)
    if services:  # none on a new machine; without names all would be stopped, the servers too
        say("Stopping the services: " + ", ".join(services))
        compose.run("stop", *services)
    compose.up("--no-recreate", *SERVERS)
    if not query(place, f"SELECT 1 FROM pg_roles WHERE rolname = '{MIGRATOR}'", "postgres"):  # noqa: S608
        say("Roles, which own what the backup holds")
        compose.run("run", "--rm", "--no-deps", "-T", "migrate")

    say(f"Restoring beside the database in use, as {_RESTORED}")
    _load(place, backup, manifest, on_bytes)
    told = retell(place, _RESTORED)
    say("To be told again, because it was on its way: " + ", ".join(f"{n} {topic}" for topic, n in told.items()))
    purged = _purge(compose)
    thrown = ", ".join(f"{count} in {queue}" for queue, count in purged.items())
    say("Thrown away, because it speaks of a later time: " + (thrown or "nothing"))
    _swap(place)
    say(f"The backup is the database now; the one before it is kept as {BEFORE}, and lets nobody in")
    say("Roles, rights, and migrations")
    compose.run("run", "--rm", "--no-deps", "-T", "migrate")
    say("Starting the services")
    compose.up("--no-recreate", *scales, *services)


def _load(place: Place, backup: Path, manifest: Manifest, on_bytes: Callable[[int], None]) -> None:
    query(place, f"DROP DATABASE IF EXISTS {_RESTORED} WITH (FORCE)", "postgres")
    query(
        place,
        f"CREATE DATABASE {_RESTORED} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' ALLOW_CONNECTIONS true",
        "postgres",
    )
    query(place, f"REVOKE ALL ON DATABASE {_RESTORED} FROM PUBLIC", "postgres")
    has_timescaledb = TIMESCALEDB in manifest.extensions
    if has_timescaledb:
        version = manifest.extensions[TIMESCALEDB]
        query(place, f"CREATE SCHEMA {TIMESCALEDB}", _RESTORED)
        query(place, f"CREATE EXTENSION {TIMESCALEDB} WITH SCHEMA {TIMESCALEDB} VERSION '{version}'", _RESTORED)
        query(place, f"SELECT {TIMESCALEDB}.timescaledb_pre_restore()", _RESTORED)
    with backup.open("rb") as file, writing(place, "pg_restore", "-d", _RESTORED, "--exit-on-error") as input_:
        count = 0
        while part := file.read(_CHUNK_BYTES):
            input_.write(part)
            count += len(part)
            on_bytes(count)
    if has_timescaledb:
        query(place, f"SELECT {TIMESCALEDB}.timescaledb_post_restore()", _RESTORED)
    query(place, "ANALYZE", _RESTORED)


def _swap(place: Place) -> None:
    query(place, f"DROP DATABASE IF EXISTS {BEFORE} WITH (FORCE)", "postgres")
    names = {row[0] for row in query(place, "SELECT datname FROM pg_database", "postgres")}
    if DATABASE in names:
        _rename(place, DATABASE, BEFORE)
    _rename(place, _RESTORED, DATABASE)
    query(place, f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true", "postgres")


def _rename(place: Place, name: str, to: str) -> None:
    query(place, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", "postgres")
    for number in range(1, _TRIES + 1):
        query(place, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'", "postgres")  # noqa: S608
        try:
            query(place, f"ALTER DATABASE {name} RENAME TO {to}", "postgres")
        except DatabaseError:
            if number == _TRIES:
                raise
        else:
            return


def _queues(compose: Compose) -> dict[str, int]:
    listed = compose.execute("rabbitmq", "rabbitmqctl", "-q", "list_queues", "name", "messages", "--formatter", "json")
    return {one["name"]: int(one["messages"]) for one in json.loads(listed) if one["messages"]}


def _purge(compose: Compose) -> dict[str, int]:
    found = _queues(compose)
    for queue in found:
        compose.execute("rabbitmq", "rabbitmqctl", "-q", "purge_queue", queue)
    return found
