"""Bring every service's schema to its newest revision: `python -m sigmax.runtime.migrate --admin-url URL`."""

import argparse
import asyncio
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine

from sigmax.runtime.rights import MIGRATOR
from sigmax.schemas.topology import SERVICES, owner_of

_LOCK = 0x5167_6D61
"""One deploy at a time: a second one waits."""


def migrate(admin_url: str, services_dir: Path) -> list[str]:
    """Upgrade all schemas that have migrations below `services_dir`; give the owners that were upgraded.

    `admin_url` is `postgresql://user:password@host:port/database` of a login that may act as `sigmax_migrator`. Roles
    and schemas must exist (see `sigmax.runtime.rights`).
    """
    return asyncio.run(_migrate(admin_url, services_dir))


async def _migrate(admin_url: str, services_dir: Path) -> list[str]:
    engine = create_async_engine(sa.make_url(admin_url).set(drivername="postgresql+asyncpg"), poolclass=sa.NullPool)
    upgraded = []
    async with engine.connect() as connection:
        await connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        await connection.execute(sa.text(f"SET ROLE {MIGRATOR}"))
        await connection.commit()
        for service in SERVICES:
            folder = services_dir / service / "migrations"
            if (folder / "env.py").is_file():
                await connection.run_sync(_upgrade, folder)
                upgraded.append(owner_of(service))
    await engine.dispose()
    return upgraded


def _upgrade(connection: sa.Connection, folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def main() -> int:
    """Read the command line and migrate."""
    parser = argparse.ArgumentParser(prog="python -m sigmax.runtime.migrate", description=__doc__)
    parser.add_argument("--admin-url", required=True, help="postgresql://user:password@host:port/sigmax")
    parser.add_argument("--services-dir", type=Path, default=Path("services"), help="the folder with the services")
    options = parser.parse_args()
    for owner in migrate(options.admin_url, options.services_dir):
        print(f"{owner}: at its newest revision")
    return 0


if __name__ == "__main__":
    sys.exit(main())
