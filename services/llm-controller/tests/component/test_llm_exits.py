"""Questions about protective exits: only a model's clear no holds one up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from llm_controller.domain.budget import Budget, Prices, Reservation, Spent, refusal
from llm_controller.domain.calls import Call
from llm_controller.domain.prompt import Prompt
from llm_controller.handlers import Rules, on_exit_judgement_requested
from sigmax.runtime.clock import SystemClock
from sigmax.schemas.base import Message
from sigmax.schemas.signals import Decision, ExitJudgementRequested
from sigmax.schemas.types import ExitKind, Verdict

REPLY = (
    '{"instrument_id": "BTC/USDT@binance", "verdict": "VERDICT", "size_factor": 1, "confidence": 0.8,'
    ' "reasons": ["The last price is 97.5."], "figures": [{"name": "last_price", "value": "97.5"}]}'
)


class FakeRecord:
    def __init__(self) -> None:
        self.inbox: set[UUID] = set()
        self.sent: list[Message] = []
        self.decisions: list[Decision] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeRecord"]:
        yield self

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.inbox
        self.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    async def is_decided(self, request: Any) -> bool:
        return any(decision.request_id == request.message_id for decision in self.decisions)

    async def reserve(self, wanted: Reservation, budget: Budget) -> str | None:
        return refusal(Spent(0, Decimal(0)), wanted, budget)

    async def settle(self, reserved: Reservation, charged: Reservation) -> None: ...

    async def keep_call(self, *_: Any) -> None: ...

    async def failures_in_a_row(self) -> int:
        return 1

    async def keep_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)


class Model:
    model = "fake"

    def __init__(self, reply: str | None) -> None:
        self.reply = reply
        self.prompts: list[Prompt] = []

    async def ask(self, prompt: Prompt, deadline: Any) -> Call:
        self.prompts.append(prompt)
        error = None if self.reply else "no answer within 2.0 s"
        return Call("http://fake", "fake", {}, self.reply, error, Decimal(5), None)


def a_question(**changes: Any) -> ExitJudgementRequested:
    now = SystemClock().now()
    fields: dict[str, Any] = {
        **ExitJudgementRequested.first("exit", now),
        "exit_id": "6f1c2f3e-8a0d-5a55-9b41-51e6a8d5c0de",
        "account_id": "paper",
        "strategy_id": "ema",
        "instrument_id": "BTC/USDT@binance",
        "kind": ExitKind.STOP_LOSS,
        "quantity": Decimal(10),
        "entry_price": Decimal(100),
        "trigger_price": Decimal(98),
        "last_price": Decimal("97.5"),
        "deadline_at": now + timedelta(seconds=5),
    }
    return ExitJudgementRequested(**(fields | changes))


async def ask(question: ExitJudgementRequested, model: Model | None, tokens_per_day: int = 10**9) -> Decision:
    record = FakeRecord()
    budget = Budget(tokens_per_day, Decimal(1000), 600, Prices(Decimal(1), Decimal(1)))
    rules = Rules(Decimal("0.05"), timedelta(seconds=2), budget if model else None)
    for _ in range(2):
        await on_exit_judgement_requested(question, SystemClock(), record.open, model, rules)
    (decision,) = record.decisions
    assert [message for message in record.sent if isinstance(message, Decision)] == [decision]
    assert (decision.request_id, decision.signal_id) == (question.message_id, question.exit_id)
    assert (decision.strategy_id, decision.instrument_id) == (question.strategy_id, question.instrument_id)
    return decision


async def test_without_a_model_every_exit_goes() -> None:
    decision = await ask(a_question(), None)
    assert (decision.verdict, decision.policy) == (Verdict.APPROVE, "local")


@pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.REJECT])
async def test_a_model_is_asked_and_its_word_is_passed_on(verdict: Verdict) -> None:
    model = Model(REPLY.replace("VERDICT", verdict))
    decision = await ask(a_question(), model)
    assert decision.verdict is verdict
    assert '"last_price": "97.5"' in model.prompts[0].user


@pytest.mark.parametrize("reply", [None, "nonsense", REPLY.replace("VERDICT", "reject").replace("97.5", "99")])
async def test_a_model_without_a_usable_answer_holds_up_nothing(reply: str | None) -> None:
    assert (await ask(a_question(), Model(reply))).verdict is Verdict.APPROVE


async def test_a_spent_budget_holds_up_nothing() -> None:
    assert (await ask(a_question(), Model(REPLY), tokens_per_day=1)).verdict is Verdict.APPROVE


async def test_a_question_that_comes_late_is_not_asked_on() -> None:
    model = Model(REPLY.replace("VERDICT", "reject"))
    assert (await ask(a_question(deadline_at=SystemClock().now()), model)).verdict is Verdict.APPROVE
    assert model.prompts == []
