"""Trades for a time, kills as it goes, lets what is under way come to its end, and judges."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sigmax_local import people
from sigmax_local.chaos.load.judging import Verdict, judge
from sigmax_local.chaos.load.people import People
from sigmax_local.chaos.load.platform import Platform
from sigmax_local.figures import FiguresReader
from sigmax_local.gateway import Gateway
from sigmax_local.servers import Addresses

_READY_S = 120.0
_TURN_S = 0.1
_LOOK_S = 0.2
_SHOWN_S = 10.0
_HEARD_S = 3.5
"""After this every service has told anew what it has given up."""


@dataclass
class LoadRun:
    """One run under load."""

    platform: Platform
    operators: People
    addresses: Addresses
    seconds: float
    kill_every_s: float
    """On average; 0 for no kills."""
    chance: random.Random
    show: Callable[[str], None]
    traded_s: float = 0.0

    async def run(self) -> Verdict:
        """Run it to its end. Raises what the supervisor raises, and `TimeoutError` when services do not come up."""
        trading = asyncio.create_task(self._trade())
        others = [asyncio.create_task(self.platform.supervisor.run()), asyncio.create_task(self.operators.watch())]
        try:
            await asyncio.wait([trading, *others], return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                if other.done():
                    other.result()
            return trading.result()
        finally:
            for task in (trading, *others):
                task.cancel()
            await asyncio.gather(trading, *others, return_exceptions=True)
            self.platform.supervisor.kill()

    async def _trade(self) -> Verdict:
        since = datetime.now(UTC)
        await self._until_ready()
        started = time.monotonic()
        await self._kill_until(started + self.seconds)
        self.traded_s = time.monotonic() - started
        await self.platform.supervisor.retire("collector")
        await self._until_ready()
        await asyncio.sleep(_HEARD_S)
        async with Gateway(self.platform.gateway_url) as gateway:
            await people.sign_in(gateway, self.addresses.secrets.folder)
            return await judge(self.addresses, FiguresReader(gateway, since))

    async def _kill_until(self, ends_at: float) -> None:
        started = shown_at = time.monotonic()
        next_kill = started + self.kill_every_s
        while (now := time.monotonic()) < ends_at:
            if self.kill_every_s and now >= next_kill:
                next_kill = now + self.kill_every_s * self.chance.uniform(0.5, 1.5)
                self.platform.kill_one(self.chance)
            if now >= shown_at + _SHOWN_S:
                shown_at = now
                kills, ready = sum(self.platform.kills.values()), len(self.platform.running)
                self.show(f"{now - started:5.0f} s of {self.seconds:.0f} s, {kills} kills, {ready} processes ready")
            await asyncio.sleep(_TURN_S)

    async def _until_ready(self) -> None:
        async with asyncio.timeout(_READY_S):
            # They are other processes: nobody could set an event.
            while not all(one.is_ready or one.is_retired for one in self.platform.supervisor.watched):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
