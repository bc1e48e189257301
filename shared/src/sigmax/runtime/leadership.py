"""One replica leads: a Postgres advisory lock that its connection holds, and loses with it."""

import asyncio
import zlib

import structlog
from sqlalchemy import text

from sigmax.runtime.database import Database

log = structlog.get_logger()

_CHECK_S = 2.0
_TRY = text("SELECT pg_try_advisory_lock(:key)")


class Leadership:
    """Says which replica runs the loops of which there may be only one."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._key = zlib.crc32(f"sigmax.leader.{owner}".encode())
        self._led = asyncio.Event()
        self._lost = asyncio.Event()
        self._lost.set()

    @property
    def is_leader(self) -> bool:
        """Say whether this replica leads now."""
        return self._led.is_set()

    async def won(self) -> None:
        """Wait until this replica leads."""
        await self._led.wait()

    async def lost(self) -> None:
        """Wait until this replica leads no more."""
        await self._lost.wait()

    async def run(self) -> None:
        """Try to lead, and watch over the lock, until cancelled."""
        while True:
            try:
                async with self._database.reading() as session:
                    while True:
                        if (await session.execute(_TRY, {"key": self._key})).scalar():
                            break
                        await asyncio.sleep(_CHECK_S)
                    self._set(is_leader=True)
                    try:
                        while True:
                            await asyncio.sleep(_CHECK_S)
                            await session.execute(text("SELECT 1"))
                    finally:
                        self._set(is_leader=False)
                        # The pool would hand the connection on with the lock still on it.
                        await (await session.connection()).invalidate()
            except Exception as error:
                log.warning("leadership_interrupted", error=str(error))
                await asyncio.sleep(_CHECK_S)

    def _set(self, *, is_leader: bool) -> None:
        set_now, clear_now = (self._led, self._lost) if is_leader else (self._lost, self._led)
        clear_now.clear()
        set_now.set()
        log.info("leadership", is_leader=is_leader)
