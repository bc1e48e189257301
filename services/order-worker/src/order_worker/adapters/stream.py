"""Hears the venue's user stream through ccxt.pro: orders and trades as they happen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import ccxt.pro
import structlog

from order_worker.adapters import metrics
from order_worker.adapters.dialect import sighting_of, trade_of
from order_worker.domain.sightings import ALL_IDS, Capabilities, Sighting, Trade

log = structlog.get_logger()

_BATCH_S = 0.2
"""The answer to a submit mostly tells the same: let it go first, then look what is left to do."""
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_CLOSE_S = 2.0
"""A venue that is gone does not answer a goodbye either."""
_STEADY_S = 60.0


class UserStream:
    """One connection; it comes back after each loss, and begins anew with each replica that comes to lead.

    What was missed before it stood is fetched by whoever is told of it.
    """

    def __init__(
        self,
        venue_class: str,
        settings: dict[str, Any],
        on_sightings: Callable[[list[Sighting]], Awaitable[None]],
        on_trades: Callable[[list[Trade]], Awaitable[None]],
        on_connected: Callable[[], Awaitable[object]],
        *,
        capabilities: Capabilities = ALL_IDS,
    ) -> None:
        self._capabilities = capabilities
        self._class: Any = getattr(ccxt.pro, venue_class)
        self._settings = settings
        self._on_sightings = on_sightings
        self._on_trades = on_trades
        self._on_connected = on_connected
        self._sightings: list[Sighting] = []
        self._trades: list[Trade] = []

    async def run(self) -> None:
        """Listen until cancelled."""
        losses = 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._listen()
            except* Exception as group:
                # ccxt hides a refused subscription behind a KeyError; the cause tells.
                causes = [f"{type(each).__name__}: {each} ({each.__context__})"[:300] for each in group.exceptions]
                log.warning("user_stream_lost", errors=causes)
            finally:
                metrics.stream_connected.set(0)
            if asyncio.get_running_loop().time() - started > _STEADY_S:
                losses = 0
            await asyncio.sleep(_BACKOFF_S[min(losses, len(_BACKOFF_S) - 1)])
            losses += 1

    async def _listen(self) -> None:
        exchange = self._class(self._settings)
        # Set before the connection is opened, which keeps it.
        exchange.handle_message = partial(_handle, exchange.handle_message)
        try:
            await exchange.load_markets()
            async with asyncio.TaskGroup() as group:
                read = partial(sighting_of, capabilities=self._capabilities)
                group.create_task(self._hear(exchange.watch_orders, read, self._sightings))
                if self._capabilities.execution_ids:
                    group.create_task(self._hear(exchange.watch_my_trades, trade_of, self._trades))
                group.create_task(self._hand_on())
                group.create_task(_awaited(self._on_connected))
                metrics.stream_connected.set(1)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await exchange.close()

    async def _hear(self, watch: Callable[[], Awaitable[Any]], read: Callable[[Any], Any], into: list[Any]) -> None:
        while True:
            into += [read(each) for each in await watch()]

    async def _hand_on(self) -> None:
        while True:
            await asyncio.sleep(_BATCH_S)
            trades, self._trades[:] = list(self._trades), []
            sightings, self._sightings[:] = list(self._sightings), []
            if trades:
                await self._on_trades(trades)
            if sightings:
                await self._on_sightings(sightings)


def _handle(handle: Callable[[Any, Any], object], client: Any, message: Any) -> None:
    """Take in a message; one that ccxt fails on, as on a currency listed after the start, ends the connection.

    Else ccxt would read nothing more, and say so to nobody, until it misses its pings minutes later.
    """
    try:
        handle(client, message)
    except Exception as error:
        client.on_error(error)


async def _awaited(action: Callable[[], Awaitable[object]]) -> None:
    await action()
