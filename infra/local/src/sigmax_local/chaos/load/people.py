"""Two people who watch the platform and let it trade again: what falls by itself rises by their word alone."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import asyncpg

from sigmax.runtime.rabbitmq import Publisher, amqp_url
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import Scope
from sigmax_local.servers import Addresses

_LOOK_S = 2.0
_LOWERED = "SELECT scope, scope_id, stage, version, reason FROM risk_gate.stages WHERE stage <> 'normal'"
_REASON_CHARACTERS = 80


class People:
    """Steps every stage up again that fell, one step at a time; risk-gate refuses while its cause lasts."""

    def __init__(self, addresses: Addresses) -> None:
        self.falls: Counter[str] = Counter()
        """How often trading fell, by scope, stage, and reason."""
        self._addresses = addresses
        self._seen: set[tuple[str, str, int]] = set()

    async def watch(self) -> None:
        """Look after the stages until cancelled. A server that is away for a moment is asked again."""
        password = self._addresses.secrets.get("api_gateway", "rabbitmq_password")
        publisher = Publisher(amqp_url(self._addresses.rabbitmq_url, "api_gateway", password))
        await publisher.open()
        database = await asyncpg.connect(self._addresses.admin_urls[0])
        try:
            while True:
                for row in await database.fetch(_LOWERED):
                    self._note(row)
                    command = self._resume(row)
                    await publisher.publish(command.topic, command.encode(), command.message_id, {})
                await asyncio.sleep(_LOOK_S)
        finally:
            await database.close()
            await publisher.close()

    def _note(self, row: Any) -> None:
        key = (row["scope"], row["scope_id"], row["version"])
        if key not in self._seen:
            self._seen.add(key)
            self.falls[f"{row['scope']} {row['stage']}: {row['reason'][:_REASON_CHARACTERS]}"] += 1

    @staticmethod
    def _resume(row: Any) -> Command:
        now = datetime.now(UTC)
        return Command(
            **Command.first(f"load:{row['scope']}:{row['scope_id']}:{now.isoformat()}", now),
            command=CommandName.RESUME,
            subject=row["scope_id"],
            scope=Scope(row["scope"]),
            requested_by="first",
            approved_by="second",
            approved_at=now,
            reason="the load run goes on",
        )
