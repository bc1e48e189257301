"""A whole stack that trades, and what is done to it from outside."""

import asyncio
import csv
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aio_pika
import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sigmax.schemas.signals import JudgementRequested, Signal
from sigmax.schemas.types import Action
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform, running_platform
from sigmax_local.testkit.world import World, open_world

_START_NS = 1_767_605_440_000_000_000
"""Twenty seconds before a minute ends: the collector's bars of a minute come soon."""
_TICKS_PER_S = 20
_NS_PER_S = 1_000_000_000
_keys = itertools.count(1)


@asynccontextmanager
async def trading_stack(
    addresses: Addresses, folder: Path, settings: dict[str, dict[str, str]] | None = None
) -> AsyncIterator[tuple[Platform, World]]:
    """Run the platform over prices that cross their own average every two seconds, with a model of our own."""
    recording = _swinging_trades(folder / "trades.csv", seconds=1200)
    with _model() as model_url:
        own = {
            "strategy-engine": {"seed_timeframe_s": "1", "seed_params": '{"ema_cross": {"fast": 2, "slow": 4}}'},
            "order-worker": {"reconcile_s": "5"},
            "llm-controller": {
                "model_base_url": model_url,
                "model_name": "ours",
                "model_input_usd_per_mtok": "1",
                "model_output_usd_per_mtok": "1",
            },
        }
        for service, values in (settings or {}).items():
            own[service] = {**own.get(service, {}), **values}
        async with running_platform(addresses, recording, settings=own) as platform, open_world(addresses) as world:
            await platform.sign_in()
            yield platform, world


async def until(look: Callable[[], Awaitable[Any]], what: str, within_s: float = 150) -> Any:
    """Look again and again until there is something, and give it."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


async def spoil(addresses: Addresses, queue: str) -> None:
    """Put something into a queue that nobody can read."""
    async with await aio_pika.connect(addresses.admin_urls[2]) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(b"no message", delivery_mode=2), routing_key=queue)


async def purge(addresses: Addresses, queue: str) -> None:
    """Take all messages out of a queue."""
    async with await aio_pika.connect(addresses.admin_urls[2]) as connection:
        await (await (await connection.channel()).get_queue(queue, ensure=False)).purge()


async def fault(platform: Platform, **body: Any) -> None:
    """Have the venue fail; without a fault it works again."""
    url = f"{platform.services['paper-venue'].url}/admin/faults"
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await (client.post(url, json=body) if body else client.delete(url))
        answer.raise_for_status()


def a_judgement_request() -> JudgementRequested:
    """Give a signal that asks for judgement now."""
    now = datetime.now(UTC)
    number = next(_keys)
    signal = Signal(
        **Signal.first(f"observed:{number}", now),
        strategy_id="rsi-reversion",
        strategy_version=1,
        account_id="paper",
        instrument_id="BTC/USDT@replay",
        action=Action.BUY,
        strength=Decimal("0.7"),
        reference_price=Decimal(100),
        stop_pct=Decimal(1),
        reason="A request made by a test.",
        snapshot_id="6f1c2f3e-8a0d-5a55-9b41-51e6a8d5c0de",
        market_time=now,
        tick_received_at=now,
        valid_until=now + timedelta(seconds=10),
    )
    envelope = JudgementRequested.first(f"observed:{number}", now)
    return JudgementRequested(
        **envelope, signal=signal, snapshot={"rsi_14": "61.25"}, deadline_at=now + timedelta(seconds=5)
    )


def _swinging_trades(path: Path, seconds: int) -> Path:
    prices = itertools.cycle([99.5, 99.5, 100.5, 100.5])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", "symbol", "price", "qty", "side"])
        for second, price in enumerate(itertools.islice(prices, seconds)):
            for number in range(_TICKS_PER_S):
                ts = _START_NS + second * _NS_PER_S + number * (_NS_PER_S // _TICKS_PER_S)
                # A cent of movement, which also tells the collector the tick size.
                moved = price + 0.01 * (number % 3)
                writer.writerow([ts, "BTCUSDT", f"{moved:.2f}", "50", "buy" if number % 2 else "sell"])
    return path


@contextmanager
def _model() -> Iterator[str]:
    """Serve a model that answers at once, and nothing of use."""

    async def complete(_request: Request) -> JSONResponse:
        message = {"role": "assistant", "content": json.dumps({"verdict": "perhaps"})}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460}
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "ours", "choices": [choice]}
        return JSONResponse({**completion, "usage": usage})

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}/v1"
    server.should_exit = server.force_exit = True
    thread.join(timeout=10)
