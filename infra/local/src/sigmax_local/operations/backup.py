"""Write the database to a file while the platform trades.

`pg_dump` sees one snapshot of all schemas: what each service had committed at that moment. All that must not be lost
lies in Postgres; what RabbitMQ has on its way can be told again (see `retelling`), and Redis can be rebuilt.
"""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sigmax.runtime.rights import DATABASE, OWNERS
from sigmax_local.operations.database import Place, query, reading
from sigmax_local.operations.manifest import BackupError, Manifest

TIMESCALEDB = "timescaledb"
"""Extension, and the schema with its functions; a restore makes both before all else."""
_CHUNK_BYTES = 1 << 18
_REVISIONS = " UNION ALL ".join(
    f"SELECT '{owner}', version_num FROM {owner}.alembic_version"  # noqa: S608 - names of ours
    for owner in OWNERS
)
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'"


def write_backup(place: Place, file: Path, on_bytes: Callable[[int], None]) -> Manifest:
    """Write the backup and its manifest; `on_bytes` is told how far it is. What has the file's name is whole.

    Raises `BackupError`, `DatabaseError`, or `OSError`; then no file has that name that had it not before.
    """
    if file.exists():
        raise BackupError(f"{file} is there already: a backup does not replace another.")
    made_at = datetime.now(UTC)
    revisions = dict(query(place, _REVISIONS))
    extensions = dict(query(place, _EXTENSIONS))
    ((postgres,),) = query(place, "SHOW server_version")
    partial = file.with_name(f".{file.name}.partial")
    digest, count = hashlib.sha256(), 0
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as output:
            with reading(place, "pg_dump", "-d", DATABASE, "-Fc", "-N", TIMESCALEDB) as dump:
                while part := dump.read(_CHUNK_BYTES):
                    output.write(part)
                    digest.update(part)
                    count += len(part)
                    on_bytes(count)
            output.flush()
            os.fsync(output.fileno())
        manifest = Manifest(made_at, version("sigmax"), postgres, revisions, extensions, count, digest.hexdigest())
        manifest.save(file)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return manifest
