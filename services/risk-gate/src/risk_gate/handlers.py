"""One function per message and timer. Each is one transaction: load, decide, record."""

import asyncio
from dataclasses import replace

from risk_gate.domain.assess import UNJUDGED, assess, refuse
from risk_gate.domain.book import effect_of, moves_book
from risk_gate.domain.judging import Proposal, judgement_of
from risk_gate.domain.situation import Judgement, Situation
from risk_gate.domain.stages import GLOBAL, CurrentStage, refusal_to_resume
from risk_gate.ports import LedgerPort, World
from sigmax.domain.approval import sign
from sigmax.runtime import tracing
from sigmax.schemas.control import Alert, Command, CommandName, StageChanged
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.orders import (
    CancelRequested,
    Fill,
    OrderApproved,
    OrderDenied,
    OrderEvent,
    PositionChanged,
    Reconciled,
)
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import AlertLevel, Scope, Stage

_NS_PER_S = 1_000_000_000


async def on_signal(signal: Signal, world: World) -> None:
    """Decide on a signal that asks for no judgement.

    The verdict is the signal's inbox: there is one per signal, so entering the message as well would cost a round trip
    on the way to the order and prove nothing more.
    """
    async with world.open_ledger() as ledger:
        await _decide(signal, UNJUDGED, ledger, world)


async def on_judgement_requested(request: JudgementRequested, world: World) -> None:
    """Keep a signal that waits for judgement; decide if the judgement was faster."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(request):
            await _decide_if_complete(await ledger.propose(request), ledger, world)


async def on_decision(decision: Decision, world: World) -> None:
    """Keep a judgement; decide if its signal is here."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(decision):
            await _decide_if_complete(await ledger.judge(decision), ledger, world)


async def deny_unjudged(world: World) -> None:
    """Deny what waited for judgement beyond its deadline: silence is no approval."""
    async with world.open_ledger() as ledger:
        now = world.clock.now()
        for proposal in await ledger.overdue(now - world.judgement_grace):
            if proposal.signal is not None:
                verdict = refuse(proposal.signal, "no decision came by the deadline", now)
                await ledger.record(proposal.signal, verdict)
                await ledger.settle(proposal.signal_id)
                world.meter.decided(verdict, took_s=0, price_age_s=None)


async def on_fill(fill: Fill, world: World) -> None:
    """Move what is held by a fill, and release as much of its order's reservation."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(fill):
            reconciled_at = await ledger.reconciled_at(fill.account_id)
            is_news = moves_book(fill.occurred_at, reconciled_at)
            await ledger.apply_fill(fill, effect_of(fill), moves_book=is_news)


async def on_order_event(event: OrderEvent, world: World) -> None:
    """Follow an order; its end releases what will never fill."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(event):
            await ledger.apply_event(event)


async def on_position_changed(position: PositionChanged, world: World) -> None:
    """Keep order-worker's own figures beside ours."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(position):
            await ledger.reconciled_at(position.account_id)
            await ledger.apply_position(position)


async def on_reconciled(reconciled: Reconciled, world: World) -> None:
    """Start the book anew from figures that were held against the venue's; older ones than known are left alone."""
    async with world.open_ledger() as ledger:
        if not await ledger.first_time(reconciled):
            return
        account = await ledger.lock_account(reconciled.account_id)
        if account and (account.reconciled_at is None or reconciled.as_of > account.reconciled_at):
            await ledger.rebase(reconciled)


async def on_command(command: Command, world: World) -> None:
    """Halt, resume, or cancel; other commands are for other services."""
    actions = {CommandName.HALT: _halt, CommandName.RESUME: _resume, CommandName.CANCEL_ORDER: _cancel}
    action = actions.get(command.command)
    if action is None:
        return
    async with world.open_ledger() as ledger:
        if await ledger.first_time(command):
            await action(command, ledger, world)


async def tell_stages(world: World) -> None:
    """Say again how much trading is allowed: who sends orders stops when it has not heard so for a while."""
    async with world.open_ledger() as ledger:
        now = world.clock.now()
        for current in await ledger.stages():
            key = f"{current.scope}:{current.scope_id}:{current.version}:{int(now.timestamp())}"
            ledger.publish(
                StageChanged(
                    **StageChanged.first(key, now),
                    scope=current.scope,
                    scope_id=current.scope_id,
                    from_stage=current.stage,
                    to_stage=current.stage,
                    version=current.version,
                    changed_by=current.changed_by,
                    reason=current.reason,
                )
            )


async def show_stages(world: World) -> None:
    """Let operators see how much trading is allowed."""
    async with world.open_ledger() as ledger:
        world.meter.stages(await ledger.stages())


async def _decide_if_complete(proposal: Proposal, ledger: LedgerPort, world: World) -> None:
    if proposal.is_settled or proposal.signal is None or proposal.decision is None:
        return
    judgement = judgement_of(proposal.decision, proposal.signal, proposal.request_id)
    await _decide(proposal.signal, judgement, ledger, world)
    await ledger.settle(proposal.signal_id)


async def _decide(signal: Signal, judgement: Judgement, ledger: LedgerPort, world: World) -> None:
    """Give a signal its one verdict. The account stays locked, so that no two decisions spend the same room."""
    with tracing.working("decide", signal) as span:
        verdict = await _verdict(signal, judgement, ledger, world)
        if verdict is not None:
            tracing.show(span, **_shown(verdict))


async def _verdict(
    signal: Signal, judgement: Judgement, ledger: LedgerPort, world: World
) -> OrderApproved | OrderDenied | None:
    started_ns = world.clock.now_ns()
    situation = await _load(signal, ledger, world)
    if situation is None:
        return None
    now = world.clock.now()
    verdict = assess(signal, situation, now, approval_lifetime=world.approval_lifetime, judgement=judgement)
    if isinstance(verdict, OrderApproved):
        verdict = sign(verdict, world.approval_key)
    await ledger.record(signal, verdict)

    quote = situation.quotes.get(signal.instrument_id)
    price_age_s = None if quote is None else (nanoseconds(now) - quote.received_ns) / _NS_PER_S
    took_s = (world.clock.now_ns() - started_ns) / _NS_PER_S
    world.meter.decided(verdict, took_s=took_s, price_age_s=price_age_s)
    return verdict


def _shown(verdict: OrderApproved | OrderDenied) -> dict[str, str]:
    if isinstance(verdict, OrderApproved):
        return {"verdict": "approved", "client_order_id": verdict.client_order_id}
    return {"verdict": "denied", "code": str(verdict.code)}


async def _load(signal: Signal, ledger: LedgerPort, world: World) -> Situation | None:
    """Load all that a decision looks at, the market while the database answers; None when it is decided already."""
    looking = asyncio.create_task(world.market.look(signal.instrument_id))
    try:
        account = await ledger.lock_account(signal.account_id)
        situation = await ledger.situation(signal, account, world.clock.now())
        if situation is None:
            return None
        instrument, quote = await looking
    finally:
        looking.cancel()
    others = await world.market.quotes(situation.book.instruments - {signal.instrument_id})
    quotes = others if quote is None else {**others, signal.instrument_id: quote}
    return replace(situation, instrument=instrument, quotes=quotes)


async def _halt(command: Command, ledger: LedgerPort, world: World) -> None:
    """Stop sends and take every open order of the scope off the venue, in one transaction.

    With the accounts locked, each decision is either before this, and its order is cancelled, or after, and denied.
    """
    await ledger.lock_accounts()
    await _change_stage(command, Stage.HALTED, ledger, world)
    scope_id = _scope_id(command)
    for client_order_id, account_id in await ledger.open_orders(command.scope, scope_id):
        ledger.publish(_cancel_request(command, client_order_id, account_id, world))


async def _resume(command: Command, ledger: LedgerPort, world: World) -> None:
    accounts = await ledger.lock_accounts()
    scope_id = _scope_id(command)
    if command.scope is Scope.ACCOUNT:
        accounts = [row for row in accounts if row[0].account_id == scope_id]
    current = await ledger.stage(command.scope, scope_id)
    refusal = refusal_to_resume(current, accounts, world.clock.now())
    if refusal is None:
        await _change_stage(command, Stage.NORMAL, ledger, world)
    else:
        text = f"Trading stays as it is for {command.scope} {scope_id}: {refusal}."
        ledger.publish(_alert(command, "resume_refused", text, world))


async def _cancel(command: Command, ledger: LedgerPort, world: World) -> None:
    order = await ledger.open_order(command.subject)
    if order is None:
        text = f"Order {command.subject} was not cancelled: no open order has this id."
        ledger.publish(_alert(command, "cancel_refused", text, world))
    else:
        ledger.publish(_cancel_request(command, *order, world))


async def _change_stage(command: Command, stage: Stage, ledger: LedgerPort, world: World) -> None:
    scope_id, now = _scope_id(command), world.clock.now()
    before = await ledger.stage(command.scope, scope_id)
    reason = _reason(command)
    after = CurrentStage(command.scope, scope_id, stage, 0, command.requested_by, reason)
    version = await ledger.set_stage(after, now)
    ledger.publish(
        StageChanged(
            **StageChanged.after(command, now),
            scope=command.scope,
            scope_id=scope_id,
            from_stage=before.stage if before else Stage.NORMAL,
            to_stage=stage,
            version=version,
            changed_by=command.requested_by,
            reason=reason,
        )
    )


def _scope_id(command: Command) -> str:
    return GLOBAL if command.scope is Scope.GLOBAL else command.subject


def _reason(command: Command) -> str:
    """Give the person's reason; Postgres keeps no NUL, and a halt must not fail for one."""
    return command.reason.replace("\x00", "") or f"{command.command} by {command.requested_by}"


def _cancel_request(command: Command, client_order_id: str, account_id: str, world: World) -> CancelRequested:
    return CancelRequested(
        **CancelRequested.after(command, world.clock.now(), part=client_order_id),
        client_order_id=client_order_id,
        account_id=account_id,
        requested_by=command.requested_by,
        reason=_reason(command),
    )


def _alert(command: Command, code: str, text: str, world: World) -> Alert:
    return Alert(
        **Alert.after(command, world.clock.now(), part=code),
        producer="risk_gate",
        level=AlertLevel.WARNING,
        code=code,
        subject=command.subject,
        text=text,
        dedupe_key=f"{code}:{command.scope}:{command.subject}",
    )
