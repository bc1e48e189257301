"""llm-controller as a process over real servers, with a real HTTP model server."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from sigmax.schemas.control import Alert
from sigmax.schemas.signals import Decision, JudgementRequested
from sigmax.schemas.types import Verdict

pytestmark = pytest.mark.integration

KEY = "sk-planted-0123456789abcdef"
ARequest = Callable[..., JudgementRequested]
REPLY: dict[str, Any] = {
    "instrument_id": "BTC/USDT@binance",
    "verdict": "approve",
    "size_factor": 1,
    "confidence": 0.8,
    "reasons": ["RSI is 61.25."],
    "figures": [{"name": "rsi_14", "value": "61.25"}],
}


def model_settings(fake_model: Any, **changes: str) -> dict[str, str]:
    settings = {
        "model_base_url": fake_model.base_url,
        "model_name": "fake-1",
        "model_api_key": KEY,
        "model_input_usd_per_mtok": "3",
        "model_output_usd_per_mtok": "15",
        "model_timeout_s": "10",
    }
    return settings | changes


def fresh(a_request: ARequest, key: str = "1", **changes: Any) -> JudgementRequested:
    now = datetime.now(UTC)
    fields = {"deadline_at": now + timedelta(seconds=60), "valid_until": now + timedelta(seconds=60)}
    return a_request(key, now=now, **(fields | changes))


async def test_without_a_model_the_local_policy_decides(world: Any, start: Any, a_request: ARequest) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    async with start(model_base_url="", model_name=""):
        await world.publish(fresh(a_request, "strong"))
        await world.publish(fresh(a_request, "weak", strength=Decimal("0.04")))
        await world.until_true(lambda: len(decisions) == 2)

    assert {decision.verdict for decision in decisions} == {Verdict.APPROVE, Verdict.REJECT}
    assert {decision.policy for decision in decisions} == {"local"}
    assert all("No model is configured" in decision.reasons[0] for decision in decisions)
    assert await world.database.fetchval("SELECT count(*) FROM llm_controller.calls") == 0


async def test_a_judgement_of_the_model_is_stored_with_its_call(
    world: Any, run_service: Any, a_request: ARequest, fake_model: Any
) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    fake_model.answers(**REPLY)
    request = fresh(a_request)
    async with run_service("llm-controller", **model_settings(fake_model)) as service:
        await world.publish(request)
        await world.until_true(lambda: bool(decisions))
        log = service.log.read_text()

    (decision,) = decisions
    assert (decision.verdict, decision.answers[0].source, decision.correlation_id) == (
        Verdict.APPROVE,
        "fake-1",
        request.correlation_id,
    )
    stored = await world.database.fetchrow("SELECT * FROM llm_controller.decisions")
    assert (stored["decision_id"], stored["tape_id"]) == (decision.message_id, decision.tape_id)
    call = await world.database.fetchrow("SELECT * FROM llm_controller.calls")
    assert json.loads(call["reply"]) == REPLY
    assert json.loads(call["prompt"])[1]["role"] == "user"
    assert json.loads(call["parameters"])["response_format"] == "json_schema"
    assert (call["input_tokens"], call["cost_usd"]) == (400, Decimal("0.0021"))
    assert fake_model.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in log + repr(call) + repr(stored)


async def test_a_redelivery_and_a_second_replica_ask_the_model_once(
    world: Any, start: Any, a_request: ARequest, fake_model: Any
) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    fake_model.answers(**REPLY)
    request = fresh(a_request)
    settings = model_settings(fake_model)
    async with start(**settings), start(replica="1", **settings):
        await world.publish(request)
        await world.until_true(lambda: bool(decisions))
        for _ in range(5):
            await world.publish(request)
        await world.publish(fresh(a_request, "2"))
        await world.until_true(lambda: len(decisions) == 2)

    assert len(fake_model.requests) == 2
    assert await world.database.fetchval("SELECT count(*) FROM llm_controller.decisions") == 2


async def test_killed_while_the_model_thinks_it_judges_after_the_restart(
    world: Any, run_service: Any, a_request: ARequest, fake_model: Any, script: Any
) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    fake_model.scripts = [script(content=json.dumps(REPLY), delay_s=30), script(content=json.dumps(REPLY))]
    settings = model_settings(fake_model)
    async with run_service("llm-controller", **settings) as service:
        await world.publish(fresh(a_request))
        await world.until_true(lambda: bool(fake_model.requests))
        await service.kill()
        async with run_service("llm-controller", **settings):
            await world.until_true(lambda: bool(decisions))

    assert [decision.verdict for decision in decisions] == [Verdict.APPROVE]
    # The first call was paid for and its answer lost: it stays charged.
    charged = await world.database.fetchval("SELECT tokens FROM llm_controller.budgets")
    assert charged > 460


async def test_three_failures_in_a_row_reject_and_make_an_alert(
    world: Any, start: Any, a_request: ARequest, fake_model: Any, script: Any
) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    alerts: list[Alert] = await world.listen(Alert, "llm_controller.alert.v1")
    fake_model.scripts = [
        script(status=429, body='{"error": {"message": "slow down"}}'),
        script(content="nonsense with half a character: \ud800 \x00"),
        script(content=None),
    ]
    async with start(**model_settings(fake_model)):
        for key in "123":
            await world.publish(fresh(a_request, key))
        await world.until_true(lambda: len(decisions) == 3 and bool(alerts))

    assert {decision.verdict for decision in decisions} == {Verdict.REJECT}
    assert [(alert.code, alert.level.value) for alert in alerts] == [("model_failing", "danger")]
    assert await world.database.fetchval("SELECT count(*) FROM llm_controller.calls WHERE error IS NOT NULL") == 3


async def test_the_budget_of_a_day_is_kept_by_all_replicas_together(
    world: Any, start: Any, a_request: ARequest, fake_model: Any
) -> None:
    decisions: list[Decision] = await world.listen(Decision, Decision.TOPIC)
    fake_model.answers(**REPLY)
    settings = model_settings(fake_model, max_cost_usd_per_day="0.03")
    async with start(**settings), start(replica="1", **settings):
        for key in range(20):
            await world.publish(fresh(a_request, str(key)))
        await world.until_true(lambda: len(decisions) == 20)

    spent = await world.database.fetchval("SELECT cost_usd FROM llm_controller.budgets")
    asked = len(fake_model.requests)
    assert spent == asked * Decimal("0.0021")
    assert 0 < asked < 20
    assert sum(decision.verdict is Verdict.REJECT for decision in decisions) == 20 - asked


@pytest.mark.parametrize("statement", ["UPDATE calls SET reply = 'x'", "DELETE FROM calls", "DELETE FROM decisions"])
async def test_the_service_cannot_change_the_tape(clean: Any, statement: str) -> None:
    connection = await asyncpg.connect(clean.database_url_as("llm_controller"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
