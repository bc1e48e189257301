"""Judge each request once: alone where no model is needed, else by asking one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from llm_controller.domain.budget import Budget, Reservation, reservation_for
from llm_controller.domain.calls import Call, charged
from llm_controller.domain.exit_request import as_judgement
from llm_controller.domain.local import NO_MODEL, exit_opinion, unaided
from llm_controller.domain.opinion import LOCAL, Cost, Opinion, decision_on, tape_id_of
from llm_controller.domain.prompt import Prompt, build_prompt
from llm_controller.domain.reply import ReplyError, failed, read_reply
from llm_controller.ports import OpenRecord, Record, Reviewer
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Alert
from sigmax.schemas.signals import ExitJudgementRequested, JudgementRequested
from sigmax.schemas.types import AlertLevel

OWNER = "llm_controller"
FAILURES_PER_ALERT = 3


@dataclass(frozen=True)
class Rules:
    """How judgement is passed."""

    strength_min: Decimal
    """What the local policy asks of a signal."""
    timeout: timedelta
    budget: Budget | None
    """None without a model."""


@dataclass(frozen=True)
class _Asked:
    """A model was asked, and this came of it."""

    prompt: Prompt
    reserved: Reservation
    call: Call
    fault: str | None


async def on_judgement_requested(
    request: JudgementRequested, clock: ClockPort, open_record: OpenRecord, reviewer: Reviewer | None, rules: Rules
) -> None:
    """Decide on one request; the call, its cost, and the decision commit together.

    No transaction is open while the model thinks. A process that dies between the call and the commit has the request
    redelivered and asks a second time; a request with a stored decision is never asked about again.
    """
    async with open_record() as record:
        if await record.is_decided(request):
            return
    opinion = unaided(request, clock.now(), has_model=reviewer is not None, strength_min=rules.strength_min)
    await _judge(request, opinion, clock=clock, open_record=open_record, reviewer=reviewer, rules=rules)


async def on_exit_judgement_requested(
    request: ExitJudgementRequested, clock: ClockPort, open_record: OpenRecord, reviewer: Reviewer | None, rules: Rules
) -> None:
    """Answer about a protective exit. A model may hold it up; a model that is missing, late, or wrong may not."""
    judged = as_judgement(request)
    async with open_record() as record:
        if await record.is_decided(judged):
            return
    is_late = clock.now() >= request.deadline_at
    opinion = (
        exit_opinion(NO_MODEL if reviewer is None else "Too late to ask.") if reviewer is None or is_late else None
    )
    goes = exit_opinion("The model gave no usable answer, and an exit needs none.")
    await _judge(judged, opinion, goes, clock=clock, open_record=open_record, reviewer=reviewer, rules=rules)


async def _judge(
    request: JudgementRequested,
    opinion: Opinion | None,
    fallback: Opinion | None = None,
    *,
    clock: ClockPort,
    open_record: OpenRecord,
    reviewer: Reviewer | None,
    rules: Rules,
) -> None:
    """Ask the model where there is no opinion yet, and keep and tell what comes of it.

    `fallback` stands where the model gives no usable answer; without one that is a rejection.
    """
    now = clock.now()
    asked: _Asked | None = None
    refused: str | None = None
    if opinion is None and reviewer is not None and rules.budget is not None:
        prompt = build_prompt(request)
        reserved = reservation_for(prompt, rules.budget, now.date())
        async with open_record() as record:
            refused = await record.reserve(reserved, rules.budget)
        if refused is None:
            call = await reviewer.ask(prompt, min(request.deadline_at, request.signal.valid_until, now + rules.timeout))
            opinion, fault = _read(call, request)
            asked = _Asked(prompt, reserved, call, fault)
            if fault is not None and fallback is not None:
                opinion = fallback
    if opinion is None:
        opinion = fallback or failed(refused or "there is no budget for a model.", policy=request.policy, source=LOCAL)
    async with open_record() as record:
        if not await record.first_time(request):
            return
        cost = await _keep(request, asked, record, rules.budget, clock.now())
        if refused is not None:
            record.publish(_budget_alert(refused, now))
        decision = decision_on(request, opinion, cost, clock.now())
        await record.keep_decision(decision)
        record.publish(decision)


def _read(call: Call, request: JudgementRequested) -> tuple[Opinion, str | None]:
    if call.reply is None:
        fault = call.error or "no reply"
        return failed(fault, policy=request.policy, source=call.model), fault
    try:
        return read_reply(call.reply, request, policy=request.policy, source=call.model), None
    except ReplyError as error:
        return failed(str(error), policy=request.policy, source=call.model), str(error)


async def _keep(
    request: JudgementRequested, asked: _Asked | None, record: Record, budget: Budget | None, now: datetime
) -> Cost:
    if asked is None or budget is None:
        return Cost()
    taken = charged(asked.call, asked.reserved, budget.prices)
    await record.settle(asked.reserved, taken)
    await record.keep_call(request, asked.prompt, asked.call, taken, asked.fault)
    if asked.fault is not None:
        failures = await record.failures_in_a_row()
        if failures % FAILURES_PER_ALERT == 0:
            record.publish(_failure_alert(request, asked.call, asked.fault, failures, now))
    return Cost(taken.cost_usd, asked.call.latency_ms, tape_id_of(request))


def _failure_alert(request: JudgementRequested, call: Call, fault: str, failures: int, now: datetime) -> Alert:
    return Alert(
        **Alert.after(request, now, part="model_failing"),
        producer=OWNER,
        level=AlertLevel.DANGER,
        code="model_failing",
        subject=call.model,
        text=f"{failures} judgements in a row failed and were taken as rejections. The last: {fault}"[:2000],
        values={"failures": str(failures), "endpoint": call.endpoint},
        dedupe_key=f"model_failing:{call.model}"[:200],
    )


def _budget_alert(refused: str, now: datetime) -> Alert:
    # One id per day: however many requests are refused, readers take it in once.
    return Alert(
        **Alert.first(f"model_budget_used_up:{now.date().isoformat()}", now),
        producer=OWNER,
        level=AlertLevel.WARNING,
        code="model_budget_used_up",
        subject="model budget",
        text=f"{refused} Signals that ask for judgement are rejected until midnight UTC.",
        dedupe_key=f"model_budget_used_up:{now.date().isoformat()}",
    )
