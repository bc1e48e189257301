"""The handler over a real HTTP model server and a hand-written record."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from llm_controller.adapters.openai_reviewer import OpenAIReviewer
from llm_controller.domain.budget import Budget, Prices, Reservation, Spent, refusal
from llm_controller.domain.calls import Call
from llm_controller.domain.prompt import Prompt
from llm_controller.handlers import Rules, on_judgement_requested
from sigmax.runtime.clock import SystemClock
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert
from sigmax.schemas.signals import Decision, JudgementRequested
from sigmax.schemas.types import Action, Verdict

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


@dataclass
class FakeRecord:
    """What Postgres keeps."""

    inbox: set[UUID] = field(default_factory=set)
    sent: list[Message] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    calls: list[tuple[Call, str | None]] = field(default_factory=list)
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    is_open: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeRecord"]:
        self.is_open = True
        yield self
        self.is_open = False

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.inbox
        self.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    async def is_decided(self, request: JudgementRequested) -> bool:
        return any(decision.request_id == request.message_id for decision in self.decisions)

    async def reserve(self, wanted: Reservation, budget: Budget) -> str | None:
        refused = refusal(Spent(self.tokens, self.cost_usd), wanted, budget)
        if refused is None:
            self.tokens += wanted.tokens
            self.cost_usd += wanted.cost_usd
        return refused

    async def settle(self, reserved: Reservation, charged: Reservation) -> None:
        self.tokens += charged.tokens - reserved.tokens
        self.cost_usd += charged.cost_usd - reserved.cost_usd

    async def keep_call(
        self, request: JudgementRequested, prompt: Prompt, call: Call, charged: Reservation, fault: str | None
    ) -> None:
        self.calls.append((call, fault))

    async def failures_in_a_row(self) -> int:
        count = 0
        for _, fault in reversed(self.calls):
            if fault is None:
                break
            count += 1
        return count

    async def keep_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)


class Bench:
    """The handler with its model and its record."""

    def __init__(self, fake_model: Any, base_url: str | None = None, **changes: Any) -> None:
        budget = Budget(
            changes.pop("tokens_per_day", 1_000_000),
            changes.pop("usd_per_day", Decimal(5)),
            600,
            Prices(Decimal(3), Decimal(15)),
        )
        self.record = FakeRecord()
        self.model = fake_model
        timeout_s = changes.pop("timeout_s", 5.0)
        self.rules = Rules(Decimal("0.2"), timedelta(seconds=timeout_s), budget)
        self.reviewer = OpenAIReviewer(
            base_url=base_url or fake_model.base_url,
            model="fake-1",
            api_key=KEY,
            clock=SystemClock(),
            timeout_s=timeout_s,
            temperature=0.0,
            output_tokens_max=600,
            output_tokens_field="max_tokens",
        )

    async def judge(self, request: JudgementRequested) -> Decision:
        await on_judgement_requested(request, SystemClock(), self.record.open, self.reviewer, self.rules)
        return self.record.decisions[-1]


def fresh(a_request: ARequest, key: str = "1", **changes: Any) -> JudgementRequested:
    now = datetime.now(UTC)
    return a_request(
        key, now=now, deadline_at=now + timedelta(seconds=20), valid_until=now + timedelta(seconds=20), **changes
    )


@pytest.fixture
async def bench(fake_model: Any) -> AsyncIterator[Bench]:
    made = Bench(fake_model)
    yield made
    await made.reviewer.close()


async def test_an_approval_of_the_model_is_a_decision_with_its_source_cost_and_tape(
    bench: Bench, a_request: ARequest
) -> None:
    bench.model.answers(**REPLY)
    decision = await bench.judge(fresh(a_request))

    assert (decision.verdict, decision.policy, decision.answers[0].source) == (Verdict.APPROVE, "single", "fake-1")
    assert decision.cost_usd == Decimal(400 * 3 + 60 * 15) / 1_000_000
    assert decision.tape_id is not None
    assert bench.record.tokens == 460
    assert bench.record.sent == [decision]


async def test_the_model_is_asked_for_a_strict_schema_once(bench: Bench, a_request: ARequest) -> None:
    bench.model.answers(**REPLY)
    await bench.judge(fresh(a_request))

    (asked,) = bench.model.requests
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert asked["max_tokens"] == 600
    assert asked["model"] == "fake-1"


async def test_a_rejection_of_the_model_is_a_no(bench: Bench, a_request: ARequest) -> None:
    bench.model.answers(**REPLY | {"verdict": "reject"})
    assert (await bench.judge(fresh(a_request))).verdict is Verdict.REJECT


async def test_an_adjustment_lowers_the_size(bench: Bench, a_request: ARequest) -> None:
    bench.model.answers(**REPLY | {"verdict": "adjust", "size_factor": 0.25})
    decision = await bench.judge(fresh(a_request))
    assert (decision.verdict, decision.size_factor) == (Verdict.ADJUST, Decimal("0.25"))


async def test_a_late_answer_is_a_rejection_and_never_a_hold(fake_model: Any, script: Any, a_request: ARequest) -> None:
    bench = Bench(fake_model, timeout_s=0.2)
    fake_model.scripts = [script(content=json.dumps(REPLY), delay_s=3)]
    decision = await bench.judge(fresh(a_request))

    assert decision.verdict is Verdict.REJECT
    assert "no answer within" in decision.reasons[0]
    assert len(fake_model.requests) == 1
    # What a broken connection cost nobody knows, so the reservation stands.
    assert bench.record.tokens > 460
    await bench.reviewer.close()


async def test_the_requests_own_deadline_is_kept_when_it_is_sooner(
    bench: Bench, script: Any, a_request: ARequest
) -> None:
    bench.model.scripts = [script(content=json.dumps(REPLY), delay_s=4)]
    now = datetime.now(UTC)
    request = a_request(now=now, deadline_at=now + timedelta(seconds=0.4))
    decision = await bench.judge(request)
    assert decision.verdict is Verdict.REJECT
    assert decision.latency_ms < 3000


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Sure, I approve.",
        "{",
        json.dumps(REPLY | {"verdict": "yolo"}),
        json.dumps(REPLY | {"reasons": ["RSI is 99."]}),
    ],
)
async def test_an_answer_that_cannot_be_used_is_a_rejection_with_the_reply_kept(
    bench: Bench, script: Any, a_request: ARequest, content: str
) -> None:
    bench.model.scripts = [script(content=content)]
    decision = await bench.judge(fresh(a_request))

    assert decision.verdict is Verdict.REJECT
    call, fault = bench.record.calls[0]
    assert fault
    assert call.reply == (content or None)


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (429, '{"error": {"message": "slow down", "type": "rate_limit"}}', "application/json"),
        (500, "<html>oops</html>", "text/html"),
        (503, "", "text/plain"),
        (401, f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}', "application/json"),
        (200, "not json at all", "application/json"),
        (200, "<html>a proxy's login page</html>", "text/html"),
        (200, "{}", "application/json"),
        (200, '{"choices": []}', "application/json"),
        (200, '{"choices": [{"message": {"content": 7}}]}', "application/json"),
        (200, "[1,2", "application/json"),
        (200, "null", "application/json"),
    ],
)
async def test_a_broken_endpoint_is_a_rejection_after_one_try(
    bench: Bench, script: Any, a_request: ARequest, status: int, body: str, content_type: str
) -> None:
    bench.model.scripts = [script(status=status, body=body, content_type=content_type)]
    decision = await bench.judge(fresh(a_request))

    assert decision.verdict is Verdict.REJECT
    assert decision.reasons[0].startswith("The judgement failed")
    assert len(bench.model.requests) == 1


async def test_an_endpoint_that_is_not_there_is_a_rejection(fake_model: Any, a_request: ARequest) -> None:
    fake_model.base_url = "http://127.0.0.1:9/v1"
    bench = Bench(fake_model)
    assert (await bench.judge(fresh(a_request))).verdict is Verdict.REJECT
    await bench.reviewer.close()


async def test_an_endpoint_without_json_schema_is_asked_for_a_json_object_and_remembered(
    bench: Bench, a_request: ARequest
) -> None:
    bench.model.refused_formats = {"json_schema"}
    bench.model.answers(**REPLY)
    for key in ("1", "2"):
        assert (await bench.judge(fresh(a_request, key))).verdict is Verdict.APPROVE

    kinds = [request.get("response_format", {}).get("type") for request in bench.model.requests]
    assert kinds == ["json_schema", "json_object", "json_object"]


async def test_an_endpoint_without_any_format_is_asked_for_text(bench: Bench, script: Any, a_request: ARequest) -> None:
    bench.model.refused_formats = {"json_schema", "json_object"}
    bench.model.scripts = [script(content=f"```json\n{json.dumps(REPLY)}\n```")]

    assert (await bench.judge(fresh(a_request))).verdict is Verdict.APPROVE
    assert "response_format" not in bench.model.requests[-1]
    assert bench.record.calls[0][0].parameters["response_format"] == "text"


async def test_an_endpoint_that_refuses_every_format_is_a_rejection_that_costs_nothing(
    bench: Bench, a_request: ARequest
) -> None:
    bench.model.refused_formats = {"json_schema", "json_object", "text"}
    assert (await bench.judge(fresh(a_request))).verdict is Verdict.REJECT
    assert bench.record.tokens == 0


async def test_the_api_key_is_sent_and_kept_nowhere(
    bench: Bench, script: Any, a_request: ARequest, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.model.scripts = [script(status=401, body=f'{{"error": {{"message": "bad key {KEY}"}}}}')]
    decision = await bench.judge(fresh(a_request))

    assert bench.model.headers[0]["authorization"] == f"Bearer {KEY}"
    kept = repr(bench.record.calls) + decision.model_dump_json() + "".join(capsys.readouterr())
    assert KEY not in kept


async def test_a_login_in_the_endpoints_url_is_kept_nowhere(fake_model: Any, a_request: ARequest) -> None:
    fake_model.answers(**REPLY)
    bench = Bench(fake_model, fake_model.base_url.replace("http://", "http://user:planted-login@"))
    await bench.judge(fresh(a_request))

    (call, _) = bench.record.calls[0]
    assert call.endpoint == fake_model.base_url
    assert "planted-login" not in repr(bench.record.calls)
    await bench.reviewer.close()


async def test_the_third_failure_in_a_row_is_an_alert(bench: Bench, script: Any, a_request: ARequest) -> None:
    bench.model.scripts = [script(content="nonsense")]
    for key in "123":
        await bench.judge(fresh(a_request, key))

    alerts = [message for message in bench.record.sent if isinstance(message, Alert)]
    assert [(alert.code, alert.values["failures"]) for alert in alerts] == [("model_failing", "3")]


async def test_a_success_starts_the_count_anew(bench: Bench, script: Any, a_request: ARequest) -> None:
    bench.model.scripts = [script(content=text) for text in ("x", "x", json.dumps(REPLY), "x", "x")]
    for key in "12345":
        await bench.judge(fresh(a_request, key))
    assert not [message for message in bench.record.sent if isinstance(message, Alert)]


async def test_a_redelivered_request_asks_the_model_once(bench: Bench, a_request: ARequest) -> None:
    bench.model.answers(**REPLY)
    request = fresh(a_request)
    for _ in range(2):
        await bench.judge(request)
    assert len(bench.model.requests) == len(bench.record.decisions) == 1


async def test_two_deliveries_at_once_make_one_decision(bench: Bench, script: Any, a_request: ARequest) -> None:
    bench.model.scripts = [script(content=json.dumps(REPLY), delay_s=0.2)]
    request = fresh(a_request)
    await asyncio.gather(bench.judge(request), bench.judge(request))
    assert len(bench.record.decisions) == len(bench.record.calls) == 1


async def test_a_day_without_budget_is_a_rejection_without_a_call(fake_model: Any, a_request: ARequest) -> None:
    bench = Bench(fake_model, usd_per_day=Decimal(0))
    for key in "12":
        decision = await bench.judge(fresh(a_request, key))

    assert decision.verdict is Verdict.REJECT
    assert "budget" in decision.reasons[0]
    assert fake_model.requests == []
    alerts = [message for message in bench.record.sent if isinstance(message, Alert)]
    assert {alert.code for alert in alerts} == {"model_budget_used_up"}
    assert len({alert.message_id for alert in alerts}) == 1
    await bench.reviewer.close()


async def test_an_exit_goes_through_without_asking(bench: Bench, a_request: ARequest) -> None:
    decision = await bench.judge(fresh(a_request, action=Action.CLOSE))
    assert decision.verdict is Verdict.APPROVE
    assert bench.model.requests == []


async def test_without_a_model_the_local_policy_decides_and_says_so(a_request: ARequest) -> None:
    record = FakeRecord()
    rules = Rules(Decimal("0.2"), timedelta(seconds=2), None)
    await on_judgement_requested(fresh(a_request), SystemClock(), record.open, None, rules)

    (decision,) = record.decisions
    assert (decision.policy, decision.answers[0].source) == ("local", "local")
    assert "No model is configured" in decision.reasons[0]
    assert decision.tape_id is None


async def test_no_transaction_is_open_while_the_model_thinks(bench: Bench, script: Any, a_request: ARequest) -> None:
    bench.model.scripts = [script(content=json.dumps(REPLY), delay_s=0.5)]
    task = asyncio.create_task(bench.judge(fresh(a_request)))
    async with asyncio.timeout(10):
        while not bench.model.requests:
            await asyncio.sleep(0.01)
    assert not bench.record.is_open
    await task
