"""The service as processes, between real RabbitMQ, Redis, and Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import asyncpg
import httpx2
import pytest
from redis.asyncio import Redis
from risk_gate_builders import (
    BTC,
    a_command,
    a_decision,
    a_fill_of,
    a_quote,
    a_reconciliation,
    a_request,
    a_signal,
    an_event_of,
    an_id,
    an_instrument,
    some_limits,
)

from sigmax.domain.approval import verify
from sigmax.schemas.base import Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.market import INSTRUMENTS, LATEST
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied
from sigmax.schemas.topology import EXCHANGE, queue_of
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

PLAIN = some_limits().model_dump(mode="json", include={"posture_limit_share_pct", "alerting_required"})
"""Every entry goes through the market, and there is no notifier to be heard of."""
SETTINGS = {"account_currency": "USDT", "resting_stops": "false", "start_limits": json.dumps(PLAIN)}
READERS = {
    OrderApproved: "order-worker",
    OrderDenied: "strategy-engine",
    CancelRequested: "order-worker",
    StageChanged: "order-worker",
}


def now() -> datetime:
    return datetime.now(UTC)


class Platform:
    """Everybody else: publishes what risk-gate reads, and reads what it publishes."""

    def __init__(self, addresses: Addresses, channel: Any, redis: Redis) -> None:
        self.addresses, self.channel, self.redis = addresses, channel, redis
        self.seen: dict[type[Message], list[Any]] = {kind: [] for kind in READERS}

    async def listen(self) -> None:
        for kind, service in READERS.items():
            queue = await self.channel.get_queue(queue_of(service, kind), ensure=False)
            await queue.consume(self._hear(kind))

    def _hear(self, kind: type[Message]) -> Callable[[Any], Awaitable[None]]:
        async def hear(received: Any) -> None:
            self.seen[kind].append(kind.decode(received.body))
            await received.ack()

        return hear

    async def say(self, *messages: Message) -> None:
        exchange = await self.channel.get_exchange(EXCHANGE, ensure=False)
        for message in messages:
            body = aio_pika.Message(message.encode(), message_id=str(message.message_id))
            await exchange.publish(body, message.topic)

    async def price(self) -> None:
        await self.redis.hset(INSTRUMENTS, BTC, an_instrument(price_age_max_s=600).encode())
        await self.redis.hset(LATEST, BTC, a_quote(at=now()).encode())

    async def ready_to_trade(self) -> None:
        await self.price()
        await self.say(a_reconciliation(f"at {now()}", as_of=now()))

    async def approved(self, name: str) -> OrderApproved:
        """Wait for the verdict on a signal, and give it when it is an approval."""
        signal_id = an_id(name)
        verdicts = await self.until(
            lambda: [v for v in self.seen[OrderApproved] + self.seen[OrderDenied] if v.signal_id == signal_id]
        )
        assert isinstance(verdicts[0], OrderApproved), verdicts[0].text
        return verdicts[0]

    async def denied(self, name: str) -> OrderDenied:
        signal_id = an_id(name)
        verdicts = await self.until(lambda: [v for v in self.seen[OrderDenied] if v.signal_id == signal_id])
        assert isinstance(verdicts[0], OrderDenied)
        return verdicts[0]

    async def until(self, look: Callable[[], list[Any]], within_s: float = 15) -> list[Any]:
        async with asyncio.timeout(within_s):
            while not (found := look()):
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def platform(clean: Addresses) -> AsyncIterator[Platform]:
    connection = await aio_pika.connect(clean.admin_urls[2])
    redis = Redis.from_url(clean.redis_url_as("collector"))
    async with connection:
        platform = Platform(clean, await connection.channel(), redis)
        await platform.listen()
        yield platform
    await redis.aclose()


async def reconciled(platform: Platform) -> None:
    """Have the books reconciled, and wait until risk-gate has it: queues of different messages know no order."""
    await platform.ready_to_trade()
    url = platform.addresses.database_url_as("risk_gate")

    connection = await asyncpg.connect(url, server_settings={"search_path": "risk_gate"})
    try:
        async with asyncio.timeout(15):
            while not await connection.fetchval("SELECT reconciliation_passed FROM accounts"):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_a_signal_goes_in_and_one_signed_approval_comes_out(platform: Platform, run_service: Any) -> None:
    async with run_service("risk-gate", **SETTINGS) as gate:
        await reconciled(platform)
        signal = a_signal("signal", at=now())
        await platform.say(signal, signal)
        approved = await platform.approved("signal")
        await platform.say(a_signal("signal", at=now()))
        await platform.say(a_signal("other", strategy_id="rsi", strength="0.5", at=now()))
        await platform.approved("other")

        key = platform.addresses.secrets.get("risk_gate", "approval_key")
        assert verify(approved, key.encode())
        assert [each.signal_id for each in platform.seen[OrderApproved]] == [an_id("signal"), an_id("other")]
        async with httpx2.AsyncClient(trust_env=False) as client:
            metrics = (await client.get(f"{gate.url}/metrics")).text
        assert "sigmax_risk_gate_approved_total 2.0" in metrics
        assert "risk_gate_decision_seconds_count 2.0" in metrics
        assert "risk_gate_tick_to_approval_seconds_count 2.0" in metrics


async def test_without_a_reconciliation_a_signal_is_denied_with_its_numbers(
    platform: Platform, run_service: Any
) -> None:
    async with run_service("risk-gate", **SETTINGS):
        await platform.price()
        await platform.say(a_signal("signal", at=now()))
        denied = await platform.denied("signal")
        assert denied.code == "reconciliation_missing"
        assert "never" in denied.text


async def test_a_halt_denies_within_a_second_and_cancels_what_is_open(platform: Platform, run_service: Any) -> None:
    async with run_service("risk-gate", **SETTINGS):
        await reconciled(platform)
        await platform.say(a_signal("before", at=now()))
        working = await platform.approved("before")
        await platform.say(a_command("halt", at=now()))
        halted = await platform.until(lambda: [s for s in platform.seen[StageChanged] if s.to_stage == "halted"])
        cancels = await platform.until(lambda: platform.seen[CancelRequested])
        await platform.say(a_signal("after", strategy_id="rsi", at=now()))
        assert (await platform.denied("after")).code == "kill_switch_on"

        assert halted[0].version == 2
        assert [cancel.client_order_id for cancel in cancels] == [working.client_order_id]

        second = {"approved_by": "grace", "approved_at": now()}
        await platform.say(an_event_of(working, 2, "canceled"), a_command("resume", at=now(), **second))
        await platform.say(*(a_command("resume", name=step, at=now()) for step in ("one", "two")))
        (normal,) = await platform.until(lambda: [s for s in platform.seen[StageChanged] if s.version == 5])
        assert normal.to_stage == "normal"
        await platform.say(a_signal("resumed", strategy_id="rsi", strength="0.5", at=now()))
        assert await platform.approved("resumed")


async def test_a_judged_signal_is_decided_when_both_halves_are_here(platform: Platform, run_service: Any) -> None:
    async with run_service("risk-gate", **SETTINGS):
        await reconciled(platform)
        for name, strategy in (("first", "a"), ("second", "b"), ("refused", "c")):
            signal = a_signal(name, strategy_id=strategy, strength="0.5", at=now())
            request = a_request(signal, deadline_at=now() + timedelta(seconds=60))
            if name == "first":
                await platform.say(request, a_decision(request, verdict="adjust", size_factor="0.5"))
            elif name == "second":
                await platform.say(a_decision(request), request)
            else:
                await platform.say(request, a_decision(request, verdict="reject"))
        first, second = await platform.approved("first"), await platform.approved("second")
        assert first.quantity < second.quantity
        assert (await platform.denied("refused")).code == "judgement_refused"


async def test_a_signal_that_nobody_judges_is_denied_after_its_deadline(platform: Platform, run_service: Any) -> None:
    async with run_service("risk-gate", **SETTINGS, judgement_grace_s="0"):
        await reconciled(platform)
        await platform.say(a_request(a_signal("silent", at=now()), deadline_at=now()))
        assert (await platform.denied("silent")).code == "judgement_refused"


async def test_a_killed_replica_loses_nothing_and_doubles_nothing(platform: Platform, run_service: Any) -> None:
    limits = json.dumps(
        {
            **PLAIN,
            "instrument_open_orders_max": 100,
            "turnover_per_minute_max": 1_000_000,
            "turnover_per_hour_max": 1_000_000,
            "strategy_orders_per_s_max": 1000,
            "account_orders_per_s_max": 1000,
            "strategy_budget_pct": 100,
            "position_notional_max": 100_000,
            "concentration_max_pct": 100,
            "duplicate_window_s": 1,
        }
    )
    async with (
        run_service("risk-gate", **{**SETTINGS, "start_limits": limits}, replica="0") as first,
        run_service("risk-gate", **{**SETTINGS, "start_limits": limits}, replica="1"),
    ):
        await reconciled(platform)
        names = [f"signal {number}" for number in range(30)]
        signals = [a_signal(name, at=now(), strength=f"0.{number:02}") for number, name in enumerate(names)]
        await platform.say(*signals[:15])
        await first.kill()
        await platform.say(*signals[15:])
        for name in names:
            approved = await platform.approved(name)
            await platform.say(
                a_fill_of(approved, f"fill of {name}", str(approved.quantity), at=now()),
                an_event_of(approved, 2, "filled", str(approved.quantity)),
            )
        distinct = {each.client_order_id for each in platform.seen[OrderApproved]}
        assert len(distinct) == len(names)
        assert {each.message_id for each in platform.seen[OrderApproved]} == {
            OrderApproved.after(signal, signal.occurred_at)["message_id"] for signal in signals
        }
        await _until_nothing_is_reserved(platform)


async def _until_nothing_is_reserved(platform: Platform) -> None:

    connection = await asyncpg.connect(
        platform.addresses.database_url_as("risk_gate"), server_settings={"search_path": "risk_gate"}
    )
    try:
        async with asyncio.timeout(15):
            while await connection.fetchval("SELECT count(*) FROM reservations"):
                await asyncio.sleep(0.02)
        held = await connection.fetchval("SELECT fill_quantity FROM book_positions")
        verdicts = await connection.fetchval("SELECT sum((approved ->> 'quantity')::numeric) FROM verdicts")
        assert held == verdicts
    finally:
        await connection.close()
