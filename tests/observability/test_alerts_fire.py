"""The alerts that matter most fire for real: a running stack, a real fault, a real Prometheus over real metrics.

The rules are those of `infra/prometheus/rules` with shorter durations. What is made to fail here is put right again,
and the alert has to end.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from observability_prometheus import Alarms, skip_without_prometheus, watching
from observability_stack import a_judgement_request, fault, purge, spoil, trading_stack, until

from sigmax_local.servers import Addresses
from sigmax_local.testkit.cleaning import Cleaner
from sigmax_local.testkit.platform import Platform
from sigmax_local.testkit.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(400)]

_HANGS = "SELECT count(*) FROM order_worker.orders WHERE submission = 'unknown'"


@dataclass(frozen=True)
class Watched:
    """A stack, and who watches it."""

    platform: Platform
    world: World
    alarms: Alarms

    @property
    def addresses(self) -> Addresses:
        """Give where the servers are."""
        return self.platform.addresses

    async def do(self, sql: str) -> None:
        """Change something behind the services' backs, past triggers and rights."""
        await self.world.database.execute(f"SET session_replication_role = replica; {sql}")


@pytest.fixture(scope="module")
async def watched(cleaner: Cleaner, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """Run the stack once for all tests of this file: each of them puts right what it broke."""
    skip_without_prometheus()
    await cleaner.clean()
    folder: Path = tmp_path_factory.mktemp("stack")
    # No judgement fits into the day: each one asked for is refused for the budget.
    settings = {"llm-controller": {"max_tokens_per_day": "10"}}
    async with trading_stack(cleaner.addresses, folder, settings) as (platform, world):
        urls = {name: service.url for name, service in platform.services.items()}
        async with watching(urls, folder / "prometheus") as alarms:
            await until(lambda: platform.value("SELECT count(*) FROM order_worker.fills"), "trading goes on")
            yield Watched(platform, world, alarms)


async def test_what_is_wrong_in_queues_books_and_settings_fires_and_ends(watched: Watched) -> None:
    alarms = watched.alarms
    await spoil(watched.addresses, "notifier.alert.v1")
    await watched.do(
        "INSERT INTO notifier.outbox (message_id, topic, body, headers, created_at)"
        " VALUES (gen_random_uuid(), 'notifier.nobody_reads_this.v1', '', '', now() - interval '2 minutes')"
    )
    await watched.do(_entry_of(1))
    await watched.do("UPDATE order_worker.accounts SET blocked_reason = 'planted', blocked_at = now()")
    await watched.do("UPDATE strategy_engine.strategies SET status = 'paused' WHERE strategy_id = 'rsi-reversion'")
    await watched.do("UPDATE api_gateway.audit SET subject = subject || '!' WHERE entry_id = 1")
    await watched.platform.get("/audit/check")

    async def budget_fires() -> Any:
        """Ask again until it does: what was counted before the first scrape is no increase."""
        await watched.world.publish(a_judgement_request())
        return await alarms.firing("LlmBudgetExhausted", "danger")

    fired = await asyncio.gather(
        until(budget_fires, "LlmBudgetExhausted (danger) fires", 120),
        alarms.until_fires("DeadLetters", "danger", queue="notifier.dead"),
        alarms.until_fires("OutboxOld", "danger", service="notifier"),
        alarms.until_fires("LedgerMismatch", "critical"),
        alarms.until_fires("AccountBlocked", "critical"),
        alarms.until_fires("StrategyPaused", "warning"),
        alarms.until_fires("AuditBroken", "critical"),
    )
    assert fired[1]["annotations"]["description"].startswith("1 messages")

    await purge(watched.addresses, "notifier.dead")
    await watched.do("DELETE FROM notifier.outbox WHERE topic = 'notifier.nobody_reads_this.v1'")
    await watched.do(_entry_of(-1))
    await watched.do("UPDATE order_worker.accounts SET blocked_reason = NULL, blocked_at = NULL")
    await watched.do("UPDATE strategy_engine.strategies SET status = 'active' WHERE strategy_id = 'rsi-reversion'")
    await watched.do("UPDATE api_gateway.audit SET subject = rtrim(subject, '!') WHERE entry_id = 1")
    await watched.platform.get("/audit/check")

    await asyncio.gather(
        alarms.until_over("DeadLetters", "danger"),
        alarms.until_over("OutboxOld", "danger"),
        alarms.until_over("LedgerMismatch", "critical"),
        alarms.until_over("AccountBlocked", "critical"),
        alarms.until_over("StrategyPaused", "warning"),
        alarms.until_over("AuditBroken", "critical"),
    )


async def test_a_halt_fires_as_long_as_it_lasts_and_its_change_is_told(watched: Watched) -> None:
    await watched.platform.command("/risk/halt", {"reason": "a drill"})

    await watched.alarms.until_fires("StageHalted", "critical", scope="global")
    await watched.alarms.until_fires("StageChanged", "info", scope="global")

    await _resume(watched)
    await watched.alarms.until_over("StageHalted", "critical")


async def test_money_that_nobody_can_explain_fires_until_the_books_agree(watched: Watched) -> None:
    await _deposit(watched, "1000")

    await watched.alarms.until_fires("ReconciliationFailing", "critical")

    await _deposit(watched, "-1000")
    await watched.alarms.until_over("ReconciliationFailing", "critical")


async def test_an_order_that_nobody_knows_of_fires_until_the_venue_answers(watched: Watched) -> None:
    await _trading(watched)
    async with _failing(watched):
        # Refused after a gateway's fashion, which says nothing of the order; one that the venue has it tells of by itself.
        await fault(watched.platform, kind="refuse", method="POST", path="/api/v3/order", status=504, times=1)
        # Only then the questions: a venue that answers none of them is sent no order.
        await until(lambda: watched.platform.value(_HANGS), "an order waits for its answer", 120)
        for path in ("/api/v3/order", "/api/v3/openOrders", "/api/v3/myTrades"):
            await fault(watched.platform, kind="refuse", method="GET", path=path)

        await watched.alarms.until_fires("UnknownSubmission", "warning")

    await watched.alarms.until_over("UnknownSubmission", "warning")


async def test_a_venue_that_is_slow_breaks_the_service_level_of_orders(watched: Watched) -> None:
    await watched.alarms.until_over("ServiceLevel", "danger", step="order")
    await _trading(watched)
    async with _failing(watched):
        await fault(watched.platform, kind="delay", method="POST", path="/api/v3/order", delay_s=2.2)

        await watched.alarms.until_fires("ServiceLevel", "danger", 75, step="order")


async def test_an_engine_that_stands_still_is_missed_and_then_is_behind(watched: Watched) -> None:
    engine = watched.platform.services["strategy-engine"]
    engine.signal(signal.SIGSTOP)
    try:
        await watched.alarms.until_fires("ServiceDown", "danger", service="strategy-engine")
        await watched.alarms.until_fires("HeartbeatMissing", "danger", sender="strategy-engine")
    finally:
        engine.signal(signal.SIGCONT)

    await watched.alarms.until_fires("StreamLag", "danger")

    await watched.alarms.until_over("HeartbeatMissing", "danger")
    await watched.alarms.until_over("ServiceDown", "danger")
    await watched.alarms.until_over("StreamLag", "danger")


async def _trading(watched: Watched) -> None:
    """Wait until orders are accepted, whatever the test before did to them."""
    lately = "SELECT count(*) FROM order_worker.orders WHERE acked_at > now() - interval '2 seconds'"
    await until(lambda: watched.platform.value(lately), "trading goes on")


@asynccontextmanager
async def _failing(watched: Watched) -> AsyncIterator[None]:
    """Have the venue work again in the end, also when the test fails: others follow."""
    try:
        yield
    finally:
        await fault(watched.platform)


def _entry_of(amount: int) -> str:
    return (
        "INSERT INTO order_worker.ledger_entries (transaction_id, account_id, ledger_account, asset, amount, settles_at,"
        f" reason, created_at) VALUES (gen_random_uuid(), 'paper', 'fees', 'USDT', {amount}, now(), 'planted', now())"
    )


async def _resume(watched: Watched) -> None:
    """Ask until it is granted: a reconciliation must have passed first."""
    await watched.platform.resume("the drill is over")
    assert await watched.platform.value("SELECT bool_and(stage = 'normal') FROM risk_gate.stages")


async def _deposit(watched: Watched, amount: str) -> None:
    url = f"{watched.platform.services['paper-venue'].url}/admin/deposits"
    async with httpx2.AsyncClient(trust_env=False) as client:
        (await client.post(url, json={"asset": "USDT", "amount": amount})).raise_for_status()
