"""risk-gate's voice, spoken by the run itself: it signs whatever a cell needs, and says stages as it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid5

import aio_pika
import asyncpg
import httpx2
import structlog

from sigmax.domain.approval import client_order_id, sign
from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.base import NAMESPACE, Message
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import Action, Mode, OrderType, Scope, Side, Stage, TimeInForce
from sigmax_local.chaos.matrix.outside import ACCOUNT, PRICE, Outside
from sigmax_local.servers import Addresses

log = structlog.get_logger()

VALID_S = 150.0
_TELL_S = 10.0
"""Workers take orders back when they have not heard of a stage for 60 s."""


class Gate(Outside):
    """Approves as risk-gate does, with its key and under its login."""

    def __init__(
        self, addresses: Addresses, run: str, pool: Any, publisher: Publisher, admin: httpx2.AsyncClient
    ) -> None:
        super().__init__(addresses, pool, admin)
        self._run = run
        self._publisher = publisher
        self._key = addresses.secrets.get("risk_gate", "approval_key").encode()
        self._versions: dict[tuple[Scope, str], int] = {}
        self._stages: dict[tuple[Scope, str], Stage] = {}
        self._telling = asyncio.Lock()

    async def tell_stages(self) -> None:
        """Tell the stages of the platform and of the account."""
        for scope, scope_id in ((Scope.GLOBAL, "global"), (Scope.ACCOUNT, ACCOUNT)):
            await self.stage(scope, scope_id, self._stages.get((scope, scope_id), Stage.NORMAL))

    async def keep_telling(self) -> None:
        """Tell them again and again."""
        while True:
            await asyncio.sleep(_TELL_S)
            try:
                async with self._telling:
                    await self.tell_stages()
            except Exception as error:  # the broker is being restarted, and says so in many ways
                log.warning("stages_not_told", error=repr(error))

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """Tell no stage by itself for the length of the block."""
        async with self._telling:
            yield

    async def stage(self, scope: Scope, scope_id: str, stage: Stage, version: int | None = None) -> StageChanged:
        """Set a stage, and give what was told; an explicit `version` may be an old one."""
        key = (scope, scope_id)
        before = self._stages.get(key, stage)
        if version is None:
            version = self._versions.get(key, 0) + (stage is not before or key not in self._versions)
            self._versions[key], self._stages[key] = version, stage
        now = datetime.now(UTC)
        message = StageChanged(
            **StageChanged.first(f"{self._run}:{scope}:{scope_id}:{version}:{now.isoformat()}", now),
            scope=scope,
            scope_id=scope_id,
            from_stage=before,
            to_stage=stage,
            version=version,
            changed_by="chaos",
            reason="chaos",
        )
        await self.say(message)
        return message

    async def release(self) -> None:
        """Release a blocked account, as a person does: down, and up again."""
        await self.stage(Scope.ACCOUNT, ACCOUNT, Stage.HALTED)
        await self.stage(Scope.ACCOUNT, ACCOUNT, Stage.NORMAL)

    def approve(
        self, name: str, instrument_id: str, side: Side = Side.BUY, quantity: str = "1", **changes: Any
    ) -> OrderApproved:
        """Sign an approval; the same name is the same signal. Without a `limit_price` it is a market order.

        `another_id` makes it another message about that signal.
        """
        now = datetime.now(UTC)
        signal_id = uuid5(NAMESPACE, f"chaos:{self._run}:{name}")
        limit_price = changes.pop("limit_price", None)
        part = ":again" if changes.pop("another_id", False) else ""
        values: dict[str, Any] = {
            "client_order_id": client_order_id(signal_id),
            "signal_id": signal_id,
            "account_id": ACCOUNT,
            "venue": "paper",
            "mode": Mode.PAPER,
            "strategy_id": "chaos",
            "strategy_version": 1,
            "instrument_id": instrument_id,
            "action": Action.BUY if side is Side.BUY else Action.SELL,
            "side": side,
            "quantity": Decimal(quantity),
            "order_type": OrderType.LIMIT if limit_price else OrderType.MARKET,
            "limit_price": Decimal(limit_price) if limit_price else None,
            "time_in_force": TimeInForce.GTC,
            "reference_price": PRICE,
            "valid_until": now + timedelta(seconds=VALID_S),
            "tick_received_at": now,
            "market_time": now,
            "stage": Stage.NORMAL,
            "checks": (),
            **changes,
        }
        approved = sign(
            OrderApproved(**OrderApproved.first(f"chaos:{self._run}:{name}{part}", now), **values), self._key
        )
        self.published.setdefault(approved.client_order_id, approved)
        return approved

    async def cancel(self, approved: OrderApproved, part: str = "") -> None:
        """Ask for an order to be canceled."""
        now = datetime.now(UTC)
        await self.say(
            CancelRequested(
                **CancelRequested.after(approved, now, part=part),
                client_order_id=approved.client_order_id,
                account_id=ACCOUNT,
                requested_by="chaos",
                reason="chaos",
            )
        )

    async def say(self, message: Message) -> None:
        """Publish as the one who owns the message, with a confirm."""
        await self._publisher.publish(message.topic, message.encode(), message.message_id, {})


@asynccontextmanager
async def open_gate(addresses: Addresses, run: str, venue_url: str) -> AsyncIterator[Gate]:
    """Give a gate whose connections end with the block, and which goes on telling the stages meanwhile."""
    password = addresses.secrets.get("risk_gate", "rabbitmq_password")
    publisher = Publisher(amqp_url(addresses.rabbitmq_url, "risk_gate", password))
    await publisher.open()
    pool = await asyncpg.create_pool(addresses.admin_urls[0], min_size=0, max_size=6)
    async with (
        httpx2.AsyncClient(base_url=venue_url, trust_env=False, timeout=10) as admin,
        await aio_pika.connect_robust(addresses.admin_urls[2]) as ear,
    ):
        gate = Gate(addresses, run, pool, publisher, admin)
        await gate.listen(ear)
        await gate.tell_stages()
        telling = asyncio.create_task(gate.keep_telling())
        try:
            yield gate
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await pool.close()
            await publisher.close()
