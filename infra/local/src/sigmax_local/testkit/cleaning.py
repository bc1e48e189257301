"""Bring the three servers back to the state right after the migrations, in milliseconds."""

import asyncio
import io
from dataclasses import dataclass, field
from pathlib import Path

import aio_pika
import asyncpg
import redis.asyncio

from sigmax.runtime.migrate import migrate
from sigmax.runtime.rights import DATABASE, OWNERS, rabbitmq_definitions
from sigmax_local.servers import Addresses
from sigmax_local.servers.postgres import prepare_database
from sigmax_local.servers.trio import in_own_loop

_TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'alembic_version'
"""
_SERIALS = """
    SELECT format('%I.%I', s.nspname, t.relname), a.attname,
           pg_get_serial_sequence(format('%I.%I', s.nspname, t.relname), a.attname)
    FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace s ON s.oid = t.relnamespace
    WHERE s.nspname = ANY($1) AND t.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND pg_get_serial_sequence(format('%I.%I', s.nspname, t.relname), a.attname) IS NOT NULL
"""


@dataclass
class Cleaner:
    """Knows what the migrations put into the tables, and restores it."""

    addresses: Addresses
    _seeds: dict[str, bytes] = field(default_factory=dict)

    def reset(self, services_dir: Path) -> None:
        """Make the database anew and migrate it: what another test run left, also of older migrations, is gone."""
        in_own_loop(self._drop_database)
        in_own_loop(lambda: prepare_database(self.addresses.ports.postgres, self.addresses.secrets))
        in_own_loop(lambda: asyncio.to_thread(migrate, self.addresses.migrator_url, services_dir))
        in_own_loop(self._remember_seeds)
        in_own_loop(self.clean)

    async def clean(self) -> None:
        """Empty tables (but for what migrations put there), queues, and Redis."""
        await self._clean_redis()
        await self._clean_rabbitmq()
        await self._clean_postgres()

    async def _drop_database(self) -> None:
        url = self.addresses.admin_urls[0].removesuffix(f"/{DATABASE}") + "/postgres"
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        finally:
            await connection.close()

    async def _remember_seeds(self) -> None:
        connection = await asyncpg.connect(self.addresses.admin_urls[0])
        try:
            for table in await self._filled(connection):
                rows = io.BytesIO()
                await connection.copy_from_query(f"SELECT * FROM {table}", output=rows, format="binary")  # noqa: S608
                self._seeds[table] = rows.getvalue()
        finally:
            await connection.close()

    async def _filled(self, connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
        tables = [row[0] for row in await connection.fetch(_TABLES, list(OWNERS))]
        if not tables:
            return []
        looks = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables)  # noqa: S608
        return [row[0] for row in await connection.fetch(looks)]

    async def _clean_postgres(self) -> None:
        connection = await asyncpg.connect(self.addresses.admin_urls[0])
        try:
            async with connection.transaction():
                # Without triggers and foreign keys: append-only tables are emptied too, seeds come back in any order.
                await connection.execute("SET LOCAL session_replication_role = replica")
                await connection.execute("SET LOCAL lock_timeout = '20s'")
                filled = await self._filled(connection)
                if filled:
                    await connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
                for table, rows in self._seeds.items():
                    schema, name = table.replace('"', "").split(".")
                    await connection.copy_to_table(name, schema_name=schema, source=io.BytesIO(rows), format="binary")
                for table, column, sequence in await connection.fetch(_SERIALS, list(OWNERS)):
                    if table in self._seeds:
                        highest = f"SELECT setval('{sequence}', coalesce(max({column}), 1)) FROM {table}"  # noqa: S608
                        await connection.execute(highest)
        finally:
            await connection.close()

    async def _clean_redis(self) -> None:
        client = redis.asyncio.Redis.from_url(self.addresses.admin_urls[1])
        try:
            await client.flushall()
        finally:
            await client.aclose()

    async def _clean_rabbitmq(self) -> None:
        definitions = rabbitmq_definitions(self.addresses.secrets.rabbitmq_passwords())
        connection = await aio_pika.connect(self.addresses.admin_urls[2])
        try:
            channel = await connection.channel()
            for queue in definitions["queues"]:
                await (await channel.get_queue(queue["name"], ensure=False)).purge()
        finally:
            await connection.close()
