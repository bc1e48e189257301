"""How the user stream goes on when ccxt fails on one of its messages."""

import asyncio
from typing import Any

import ccxt.pro
import pytest

from order_worker.adapters import stream
from order_worker.adapters.stream import UserStream


class Connection:
    def __init__(self) -> None:
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def on_error(self, error: Exception) -> None:
        self.lost.set_exception(error)


class Choking:
    """A ccxt class that fails on a message, as the real one does on a currency that it has not loaded."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.handle_message: Any = self._fail
        self.hears = settings["messages"].pop(0)

    def _fail(self, client: Connection, message: object) -> None:
        raise KeyError("BTC")

    async def load_markets(self) -> None:
        pass

    async def watch_orders(self) -> Any:
        connection = Connection()
        for message in self.hears:
            asyncio.get_running_loop().call_soon(self.handle_message, connection, message)
        return await connection.lost

    async def watch_my_trades(self) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


async def test_a_message_that_ccxt_fails_on_ends_the_connection_and_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ccxt.pro, "choking", Choking, raising=False)
    monkeypatch.setattr(stream, "_BACKOFF_S", (0.0,))
    again, begun = asyncio.Event(), 0

    async def begin() -> None:
        nonlocal begun
        begun += 1
        if begun > 1:
            again.set()

    async def ignore(_: Any) -> None:
        pass

    settings = {"messages": [[{"e": "executionReport"}], []]}
    running = asyncio.create_task(UserStream("choking", settings, ignore, ignore, begin).run())
    try:
        await asyncio.wait_for(again.wait(), 10)
    finally:
        running.cancel()
