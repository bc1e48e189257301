import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import aio_pika
import pytest
import redis.asyncio

from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.market import LATEST, Quote, nanoseconds
from sigmax.schemas.topology import queue_of

pytestmark = pytest.mark.integration

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
KEY = {"Idempotency-Key": "key-00001"}


async def set_price(live: Any, last: str) -> None:
    """Write a quote as collector does."""
    client = redis.asyncio.Redis.from_url(live.servers.redis_url_as("collector"))
    quote = Quote(BTC, Decimal(last), None, None, nanoseconds(T0), nanoseconds(T0), Decimal(1))
    await client.hset(LATEST, BTC, quote.encode())
    await client.aclose()


async def test_why_shows_the_whole_chain_of_a_fill_and_no_signature(live: Any) -> None:
    await live.seed_chain()
    viewer = await live.user("viewer")
    why = (await viewer.get("/api/v1/why/e1")).raise_for_status().json()

    assert why["signal"]["features"] == {"ema_fast": "101.5"}
    assert why["decision"]["verdict"] == "approve"
    assert why["calls"][0]["prompt"][0]["content"] == "What of it?"
    assert why["calls"][0]["reply"] == "approve"
    assert why["verdict"]["checks"][0]["seen"] == "50"
    assert why["order"]["client_order_id"] == "sx1"
    assert {entry["execution_id"] for entry in why["ledger"]} == {"e1"}
    assert Decimal(why["tick_to_send_ms"]) == 820
    assert why["tick_received_at"] != why["market_time"]
    assert Decimal(why["position_after"]) == Decimal("0.099")
    assert Decimal(why["position_now"]["quantity"]) == Decimal("0.298")
    assert "secret" not in json.dumps(why)
    assert (await viewer.get("/api/v1/why/nothing")).status_code == 404


async def test_accounts_and_positions_are_valued_at_the_newest_price(live: Any) -> None:
    await live.seed_chain()
    viewer = await live.user("viewer")
    before = (await viewer.get("/api/v1/accounts")).json()[0]
    assert (before["equity"], before["unpriced"]) == (None, [BTC])

    await set_price(live, "110")
    account = (await viewer.get("/api/v1/accounts")).json()[0]
    assert Decimal(account["cash"]["USDT"]) == 970
    assert Decimal(account["equity"]) == Decimal(970) + Decimal("0.298") * 110
    position = (await viewer.get("/api/v1/positions?is_open=true")).json()[0]
    assert Decimal(position["unrealized_pnl"]) == Decimal("2.98")
    assert (await viewer.get("/api/v1/market/latest")).json()[0]["last"] == "110"


async def test_cash_is_the_checkpoint_and_what_came_after_it(live: Any) -> None:
    await live.seed_chain()
    up_to = (await live.rows("SELECT max(entry_id) FROM order_worker.ledger_entries"))[0][0]
    await live.insert(
        "order_worker.ledger_checkpoints",
        account_id="paper",
        ledger_account="cash",
        asset="USDT",
        amount=Decimal(970),
        up_to_entry_id=up_to,
    )
    account = (await (await live.user("viewer")).get("/api/v1/accounts")).json()[0]
    assert Decimal(account["cash"]["USDT"]) == 970


async def test_every_list_of_every_service_can_be_read(live: Any) -> None:
    await live.seed_chain()
    await live.insert(
        "collector.bars", instrument_id=BTC, timeframe_s=60, open_at=T0, open=Decimal(1), high=Decimal(2),
        low=Decimal(1), close=Decimal(2), volume=Decimal(3), trades=4,
    )  # fmt: skip
    await live.insert(
        "risk_gate.stages", scope="global", scope_id="global", stage="normal", version=1, reason="",
        changed_by="start", changed_at=T0,
    )  # fmt: skip
    await live.insert(
        "risk_gate.limits", account_id="paper", version=1, values={"notional_max": "1000"}, changed_by="start"
    )
    await live.insert("order_worker.reconciliations", account_id="paper", passed=True, differences=[], created_at=T0)
    viewer = await live.user("viewer")
    lists = (
        "orders?is_open=true&status=partially_filled", "orders?is_open=false", "fills?client_order_id=sx1", "ledger",
        "reconciliations", "signals?account_id=paper", "decisions?verdict=approve", "verdicts?outcome=approved",
        "alerts?is_acknowledged=false", "commands", f"market/bars?instrument_id={BTC}", "strategies", "risk/stages",
        "risk/limits", "jobs", "accounts", "positions", "system/health", "market/latest",
    )  # fmt: skip
    empty = {"orders?is_open=false", "alerts?is_acknowledged=false", "commands", "market/latest"}
    for path in lists:
        answer = await viewer.get(f"/api/v1/{path}")
        assert answer.status_code == 200, (path, answer.text)
        body = answer.json()
        found = body.get("items", body.get("services")) if isinstance(body, dict) else body
        assert bool(found) is (path not in empty), path


async def test_pages_follow_each_other_without_gap_or_double(live: Any) -> None:
    await live.seed_chain()
    for number in range(3, 8):
        await live.rows(
            "INSERT INTO order_worker.fills (venue, account_id, execution_id, client_order_id, venue_order_id, signal_id,"
            " strategy_id, instrument_id, side, price, quantity, fee, fee_currency, liquidity, executed_at, source,"
            " recorded_at) SELECT venue, account_id, $1, client_order_id, venue_order_id, signal_id, strategy_id,"
            " instrument_id, side, price, quantity, fee, fee_currency, liquidity, executed_at, source, recorded_at"
            " FROM order_worker.fills WHERE execution_id = 'e1'",
            f"e{number}",
        )
    viewer = await live.user("viewer")
    seen, cursor = [], None
    while True:
        page = (await viewer.get("/api/v1/fills", params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
        seen += [fill["execution_id"] for fill in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"e{number}" for number in range(7, 0, -1)]
    foreign = await viewer.get(
        "/api/v1/signals", params={"cursor": (await viewer.get("/api/v1/fills?limit=1")).json()["next_cursor"]}
    )
    assert foreign.status_code == 422


async def _next_command(live: Any, service: str) -> tuple[Command, Any]:
    connection = await aio_pika.connect(live.servers.rabbitmq_url_as("sigmax_admin"))
    async with connection:
        queue = await (await connection.channel()).get_queue(queue_of(service, Command), ensure=False)
        message = await queue.get(timeout=5, no_ack=True)
        assert message is not None
        return Command.decode(message.body), message


async def test_a_command_reaches_its_readers_once_and_is_seen_done(live: Any, poll: Any) -> None:
    await live.seed_chain()
    trader = await live.user("trader")
    answers = [
        await trader.put("/api/v1/strategies/ema/params", json={"params": {"fast": 12}}, headers=KEY) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    status_url = answers[0].headers["location"]
    assert answers[1].json()["command_id"] == answers[0].json()["command_id"]

    command, message = await _next_command(live, "strategy-engine")
    assert (command.command, command.subject, command.values) == (CommandName.SET_PARAMS, "ema", {"fast": "12"})
    assert command.requested_by == "trader"
    assert str(command.message_id) == answers[0].json()["command_id"]
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    with pytest.raises(aio_pika.exceptions.QueueEmpty):
        await _next_command(live, "strategy-engine")

    assert (await trader.get(status_url)).json()["status"] == "requested"
    await live.rows('UPDATE strategy_engine.strategies SET params = \'{"fast": 12, "slow": 30}\'::jsonb')
    assert (await trader.get(status_url)).json()["status"] == "done"
    await poll(lambda: live.rows("SELECT 1 FROM api_gateway.commands WHERE done_at IS NOT NULL"), "settled")
    await live.rows('UPDATE strategy_engine.strategies SET params = \'{"fast": 99, "slow": 30}\'::jsonb')
    assert (await trader.get(status_url)).json()["status"] == "done"

    other = await trader.put("/api/v1/strategies/ema/params", json={"params": {"fast": 13}}, headers=KEY)
    assert other.status_code == 422
    audited = await live.rows(
        "SELECT actor, action, subject, detail FROM api_gateway.audit WHERE action = 'set_params'"
    )
    assert [(row["actor"], row["subject"], row["detail"]["fast"]) for row in audited] == [("trader", "ema", "12")]


async def test_what_lowers_risk_reaches_the_risk_gate_at_one_persons_word(live: Any) -> None:
    await live.seed_chain()
    trader = await live.user("trader")
    account = {"scope": "account", "scope_id": "paper", "reason": "drill"}
    asked: tuple[tuple[str, str, Any, CommandName], ...] = (
        ("POST", "/api/v1/risk/halt", account, CommandName.HALT),
        ("PUT", "/api/v1/risk/stage", account | {"stage": "locked"}, CommandName.SET_STAGE),
        ("POST", "/api/v1/risk/flatten", account, CommandName.FLATTEN),
        ("PUT", "/api/v1/risk/posture", {"account_id": "paper", "posture": "defensive"}, CommandName.SET_POSTURE),
        ("POST", "/api/v1/orders/sx1/cancel", None, CommandName.CANCEL_ORDER),
    )
    for number, (method, path, body, name) in enumerate(asked):
        headers = {"Idempotency-Key": f"drill-{number:04}"}
        answer = await trader.request(method, path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        command, _ = await _next_command(live, "risk-gate")
        assert (command.command, command.requested_by, command.approved_by) == (name, "trader", None)
    assert len((await trader.get("/api/v1/commands")).json()["items"]) == len(asked)


async def test_the_first_acknowledgement_of_an_alert_stays(live: Any) -> None:
    alert_id: UUID = uuid5(NAMESPACE, "alert")
    await live.insert(
        "notifier.alerts", alert_id=alert_id, correlation_id=alert_id, producer="risk_gate", level="danger",
        code="drawdown", subject="paper", text="down", values={}, dedupe_key="d", first_at=T0, last_at=T0,
    )  # fmt: skip
    trader, admin = await live.user("trader"), await live.signed_in()
    for client in (trader, admin):
        answer = await client.post(f"/api/v1/alerts/{alert_id}/acknowledge")
        assert answer.json()["acknowledged_by"] == "trader"
    listed = (await admin.get("/api/v1/alerts?is_acknowledged=true&level=danger")).json()["items"]
    assert [alert["alert_id"] for alert in listed] == [str(alert_id)]


async def test_health_shows_the_gateway_alive_and_the_others_missing(live: Any, poll: Any) -> None:
    viewer = await live.user("viewer")

    async def own() -> Any:
        health = (await viewer.get("/api/v1/system/health")).json()
        return [each for each in health["services"] if each["service"] == "api-gateway" and each["is_healthy"]]

    await poll(own, "the gateway's own heartbeat")
    health = (await viewer.get("/api/v1/system/health")).json()
    assert not health["is_healthy"]
    assert [each["service"] for each in health["services"] if each["is_healthy"]] == ["api-gateway"]


async def test_requests_beyond_the_minutes_budget_wait_but_a_halt_gets_through(start_live: Any) -> None:
    async with start_live(changes_per_minute="3") as live:
        await live.seed_chain()
        trader = await live.user("trader")
        statuses = [(await trader.post("/api/v1/ws-ticket")).status_code for _ in range(5)]
        assert statuses == [201] * 3 + [429] * 2
        assert (await trader.post("/api/v1/risk/halt", json={}, headers=KEY)).status_code == 202
