"""An older database with a run's data in it becomes one of this version, and the platform goes on with it."""

from sigmax_local.operations.database import InContainer, query
from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack

_ONE_BACK = """
import asyncio, urllib.parse
from pathlib import Path
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sigmax.runtime.migrate import MIGRATOR

password = urllib.parse.quote(Path("/run/secrets/servers/postgres_migrator").read_text().strip(), safe="")
engine = create_async_engine(f"postgresql+asyncpg://{MIGRATOR}:{password}@postgres:5432/sigmax")

def back(connection, folder):
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    before = script.get_revision(script.get_current_head()).down_revision
    if before is not None:
        config.attributes["connection"] = connection
        command.downgrade(config, before)
        print(folder.parent.name.replace("-", "_"), before)

async def main():
    async with engine.connect() as connection:
        for folder in sorted(Path("services").glob("*/migrations")):
            await connection.run_sync(back, folder)

asyncio.run(main())
"""
_REVISION = "SELECT version_num FROM {}.alembic_version"


async def test_the_schemas_of_the_version_before_are_upgraded_with_their_data(
    stack: ContainerStack, report: Report
) -> None:
    place = InContainer(stack.compose)
    await stack.trades_again()
    services = stack.compose.services()
    await stack.on_host("stop", *services)
    fills = query(place, "SELECT count(*), sum(quantity) FROM order_worker.fills")
    job = ("run", "--rm", "--no-deps", "-T")
    said = await stack.on_host(*job, "--entrypoint", "python", "migrate", "-c", _ONE_BACK)
    back = dict(line.split() for line in said.splitlines() if len(line.split()) == 2)
    assert back, said
    for owner, revision in back.items():
        assert query(place, _REVISION.format(owner)) == [[revision]], owner

    await stack.on_host(*job, "migrate")

    for owner, revision in back.items():
        assert query(place, _REVISION.format(owner)) != [[revision]], owner
    assert query(place, "SELECT count(*), sum(quantity) FROM order_worker.fills") == fills
    await stack.up("--no-recreate", *services)
    report.fault("upgraded", f"{len(back)} schemas", await stack.trades_again())
    assert await stack.comes_to_rest() == []
