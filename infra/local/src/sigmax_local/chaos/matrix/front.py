"""A run with a real risk-gate: everybody around it speaks, the strategies, the feed, and the people; it decides."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import httpx2
import structlog
from redis.asyncio import Redis

from sigmax.domain.approval import client_order_id
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.base import Message
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.market import LATEST, Quote, nanoseconds
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Action, Posture, Scope, Stage
from sigmax_local.chaos.load.platform import LIMITS
from sigmax_local.chaos.matrix.outside import ACCOUNT, PRICE, Outside
from sigmax_local.servers import Addresses

log = structlog.get_logger()

STRATEGY = "chaos"
FRONT_MONEY = "200000"
"""2 % of it is an entry: the 40 units that the venue's best level holds."""
_RESTING_PCT = 50
_VALID_S = 55.0
_QUOTE_S = 0.5
_SETTLE_S = 120.0
_STAYS_S = 7.0
"""Longer than the leading worker is silent about the venue's health: 5 s."""
_BID, _ASK = Decimal("99.5"), Decimal("100.01")
_SPEAKERS = ("strategy_engine", "api_gateway")
_STOPPED = (Stage.HALTED, Stage.LOCKED)

GATE_SETTINGS = {
    # As long as a circuit is open an exit waits, and goes with the first order after it.
    "approval_lifetime_s": "60",
    "start_limits": json.dumps(
        {
            **LIMITS,
            "alerting_required": False,
            "posture_limit_share_pct": dict.fromkeys(Posture, _RESTING_PCT),
            "working_s_max": 600,
            "instrument_open_orders_max": 100,
            "account_open_orders_max": 1000,
            "account_unknown_max": 1000,
            "clock_gap_max_ms": 5000,
        }
    ),
}
"""Wide limits, for cells share one account: what a cell is about denies, and nothing else. No notifier runs here, and a
busy machine answers the question for its time late."""


@dataclass(frozen=True)
class Wish:
    """A strategy's signal, and the name that its order will have if it is approved."""

    signal: Signal

    @property
    def client_order_id(self) -> str:
        """Give the order's name, which follows from the signal alone."""
        return client_order_id(self.signal.message_id)


class Front(Outside):
    """Speaks as the strategies, the feed, and the people do."""

    def __init__(
        self, addresses: Addresses, pool: Any, admin: httpx2.AsyncClient, publishers: dict[str, Publisher], redis: Any
    ) -> None:
        super().__init__(addresses, pool, admin)
        self.denied: list[OrderDenied] = []
        """As they came over the bus."""
        self.quoted: set[str] = set()
        """Instruments of which the feed has a price."""
        self._publishers = publishers
        self._redis = redis
        self._numbers = itertools.count()
        self._run = uuid4()

    async def hear_verdicts(self, connection: Any) -> None:
        """Keep what risk-gate decides."""

        def keep(approved: OrderApproved) -> None:
            self.published.setdefault(approved.client_order_id, approved)

        await self.hear(connection, OrderApproved.TOPIC, OrderApproved, keep)
        await self.hear(connection, OrderDenied.TOPIC, OrderDenied, self.denied.append)

    # the feed
    async def list_instrument(self, instrument_id: str) -> None:
        """List an instrument, and have a price of it from now on."""
        await super().list_instrument(instrument_id)
        self.quoted.add(instrument_id)
        await self.quote([instrument_id])

    async def quote(self, instrument_ids: Iterable[str]) -> None:
        """Tell prices of this moment."""
        now_ns = nanoseconds(datetime.now(UTC))
        told = {
            each: Quote(each, PRICE, _BID, _ASK, now_ns, now_ns, minute_volume=Decimal(1_000_000)).encode()
            for each in instrument_ids
        }
        if told:
            await self._redis.hset(LATEST, mapping=told)

    async def forget(self, instrument_id: str) -> None:
        """Have no price of an instrument, and never have had one."""
        self.quoted.discard(instrument_id)
        await self._redis.hdel(LATEST, instrument_id)

    async def keep_quoting(self) -> None:
        """Tell them again and again."""
        while True:
            try:
                await self.quote(self.quoted)
            except Exception as error:  # a price that was not told grows old, which the gate sees
                log.warning("prices_not_told", error=repr(error))
            await asyncio.sleep(_QUOTE_S)

    # strategies and people
    def wish(
        self, instrument_id: str, action: Action = Action.BUY, *, is_resting: bool = False, **changes: Any
    ) -> Wish:
        """Give a signal that nobody heard yet. Of entries those rest whose id says so."""
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "strategy_id": STRATEGY,
            "strategy_version": 1,
            "account_id": ACCOUNT,
            "instrument_id": instrument_id,
            "action": action,
            "strength": Decimal(1),
            "reference_price": PRICE,
            "reason": "chaos",
            "snapshot_id": uuid4(),
            "market_time": now,
            "tick_received_at": now,
            "valid_until": now + timedelta(seconds=_VALID_S),
            **changes,
        }
        while True:
            envelope = {**Signal.first(f"chaos:{self._run}:{next(self._numbers)}", now)}
            found = Wish(Signal(**{**envelope, **values}))
            if (found.signal.message_id.int % 100 < _RESTING_PCT) is is_resting:
                return found

    async def command(self, name: CommandName, scope: Scope, subject: str, *, is_approved: bool = False) -> Command:
        """Ask for something as a person does, with a second one behind it where that is needed."""
        now = datetime.now(UTC)
        second: dict[str, Any] = {"approved_by": "grace", "approved_at": now} if is_approved else {}
        command = Command(
            **Command.first(f"chaos:{self._run}:{next(self._numbers)}", now),
            command=name,
            scope=scope,
            subject=subject,
            requested_by="ada",
            reason="chaos",
            **second,
        )
        await self.say(command)
        return command

    async def say(self, message: Message) -> None:
        """Publish as the one who owns the message, with a confirm."""
        await self._publishers[message.producer].publish(message.topic, message.encode(), message.message_id, {})

    # what risk-gate has on record
    async def settle(self) -> None:
        """Wait until risk-gate knows that the books are reconciled: it approves nothing before."""

        async def look() -> bool:
            return bool(await self.value("SELECT bool_and(reconciliation_passed) FROM risk_gate.accounts"))

        await self.until(look, _SETTLE_S, "the books are reconciled")

    async def verdict(self, wish: Wish) -> Any:
        """Give the one verdict on a signal; None before there is one."""
        found = await self.rows("SELECT * FROM risk_gate.verdicts WHERE signal_id = $1", wish.signal.message_id)
        return found[0] if found else None

    async def stage_of(self, scope: Scope, scope_id: str) -> Stage:
        """Give the stage of a scope."""
        sql = "SELECT stage FROM risk_gate.stages WHERE scope = $1 AND scope_id = $2"
        return Stage(await self.value(sql, scope, scope_id) or Stage.NORMAL)

    async def raise_fully(self, scope: Scope, scope_id: str, timeout_s: float) -> None:
        """Bring a scope back to NORMAL as people do: step by step, with a second person out of a halt.

        A refusal is asked again: a step up needs a reconciliation that passed just now. Raises `AssertionError`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (before := await self.stage_of(scope, scope_id)) is not Stage.NORMAL:
            if loop.time() > deadline:
                raise AssertionError(f"the {scope} {scope_id} is still {before} after {timeout_s:.0f} s")
            await self.command(CommandName.RESUME, scope, scope_id, is_approved=before in _STOPPED)
            for _ in range(20):
                if await self.stage_of(scope, scope_id) is not before:
                    break
                await asyncio.sleep(0.1)

    async def raise_everything(self, timeout_s: float) -> None:
        """Bring every scope back to NORMAL, until none falls again: a worker says for a while that its circuit is open.

        Raises `AssertionError`.
        """
        loop = asyncio.get_running_loop()
        deadline, quiet_since = loop.time() + timeout_s, loop.time()
        while loop.time() - quiet_since < _STAYS_S:
            lowered = await self.rows("SELECT scope, scope_id FROM risk_gate.stages WHERE stage <> 'normal'")
            for each in lowered:
                await self.raise_fully(Scope(each["scope"]), each["scope_id"], max(deadline - loop.time(), 0))
                quiet_since = loop.time()
            await asyncio.sleep(0.5)


@asynccontextmanager
async def open_front(addresses: Addresses, venue_url: str) -> AsyncIterator[Front]:
    """Give a front whose connections end with the block, and which goes on telling prices meanwhile."""
    async with AsyncExitStack() as stack:
        publishers = {}
        for owner in _SPEAKERS:
            url = amqp_url(addresses.rabbitmq_url, owner, addresses.secrets.get(owner, "rabbitmq_password"))
            publishers[owner] = Publisher(url)
            await publishers[owner].open()
            stack.push_async_callback(publishers[owner].close)
        pool = await asyncpg.create_pool(addresses.admin_urls[0], min_size=0, max_size=6)
        stack.push_async_callback(pool.close)
        admin = await stack.enter_async_context(httpx2.AsyncClient(base_url=venue_url, trust_env=False, timeout=10))
        ear = await stack.enter_async_context(await aio_pika.connect_robust(addresses.admin_urls[2]))
        redis = await stack.enter_async_context(Redis.from_url(addresses.redis_url_as("collector")))
        front = Front(addresses, pool, admin, publishers, redis)
        await front.listen(ear)
        await front.hear_verdicts(ear)
        quoting = asyncio.create_task(front.keep_quoting())
        try:
            yield front
        finally:
            quoting.cancel()
            await asyncio.gather(quoting, return_exceptions=True)
