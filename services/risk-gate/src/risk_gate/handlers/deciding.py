"""Decides on signals. Each function is one transaction: load, decide, record."""

import asyncio
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from risk_gate.domain.assess import UNJUDGED, assess, may_pass, refuse
from risk_gate.domain.exit_wish import ExitWish
from risk_gate.domain.judging import Proposal, judgement_of
from risk_gate.domain.latching import latches_of
from risk_gate.domain.situation import Judgement, Situation
from risk_gate.domain.sizing import side_of
from risk_gate.domain.stages import PLATFORM
from risk_gate.handlers.making_way import makes_way
from risk_gate.ports import LedgerPort, World
from sigmax.domain.approval import sign
from sigmax.runtime import tracing
from sigmax.schemas.market import Instrument, Quote, nanoseconds
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Action, DenialCode, Side

_NS_PER_S = 1_000_000_000


async def on_signal(signal: Signal, world: World) -> None:
    """Decide on a signal that asks for no judgement.

    The verdict is the signal's inbox: there is one per signal, so entering the message as well would cost a round trip
    on the way to the order and prove nothing more.
    """
    async with world.open_ledger() as ledger:
        await decide(signal, UNJUDGED, ledger, world)


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


async def _decide_if_complete(proposal: Proposal, ledger: LedgerPort, world: World) -> None:
    if proposal.is_settled or proposal.signal is None or proposal.decision is None:
        return
    judgement = judgement_of(proposal.decision, proposal.signal, proposal.request_id)
    await decide(proposal.signal, judgement, ledger, world)
    await ledger.settle(proposal.signal_id)


async def decide(
    signal: Signal, judgement: Judgement, ledger: LedgerPort, world: World, wish: ExitWish | None = None
) -> OrderApproved | OrderDenied | None:
    """Give a signal its one verdict; None when it has one.

    The account stays locked, so that no two decisions spend the same room. With a `wish` the signal is a protective
    exit of our own. A strategy's sale waits, with None, while a stop that rests at the venue makes way for it.
    """
    with tracing.working("decide", signal) as span:
        verdict = await _verdict(signal, judgement, ledger, world, wish)
        if verdict is not None:
            tracing.show(span, **_shown(verdict))
    return verdict


async def stands(signal: Signal, ledger: LedgerPort, world: World, wish: ExitWish) -> bool:
    """Say whether an exit would be approved now, as far as that does not depend on its size. The account is locked."""
    situation = await _load(signal, ledger, world)
    return situation is not None and may_pass(signal, replace(situation, exit=wish), UNJUDGED, world.clock.now())


async def _verdict(
    signal: Signal, judgement: Judgement, ledger: LedgerPort, world: World, wish: ExitWish | None
) -> OrderApproved | OrderDenied | None:
    started_ns = world.clock.now_ns()
    situation = await _load(signal, ledger, world)
    if situation is None:
        return None
    situation = replace(situation, exit=wish)
    now = world.clock.now()
    # Nothing leaves the venue for a sale that would be denied all the same.
    may_sell = wish is None and side_of(signal.action) is Side.SELL and may_pass(signal, situation, judgement, now)
    if may_sell and await makes_way(signal, judgement, ledger, world):
        return None
    verdict = assess(signal, situation, now, approval_lifetime=world.approval_lifetime, judgement=judgement)
    if isinstance(verdict, OrderApproved):
        verdict = sign(verdict, world.approval_key)
    is_models = judgement.is_models and side_of(signal.action) is Side.BUY
    await ledger.record(signal, verdict, is_models=is_models, is_protective=wish is not None)
    if isinstance(verdict, OrderDenied):
        await _after_denial(signal, verdict, situation, ledger, now)

    quote = situation.quotes.get(signal.instrument_id)
    price_age_s = None if quote is None else (nanoseconds(now) - quote.received_ns) / _NS_PER_S
    took_s = (world.clock.now_ns() - started_ns) / _NS_PER_S
    world.meter.decided(verdict, took_s=took_s, price_age_s=price_age_s)
    return verdict


async def _after_denial(
    signal: Signal, denied: OrderDenied, situation: Situation, ledger: LedgerPort, now: datetime
) -> None:
    """Lock what has gone too far; where an own entry stands in the way of an exit, take it away for the next try."""
    for latch in latches_of(signal, denied, situation, now):
        await ledger.latch(signal.account_id, latch, now)
    if denied.code is not DenialCode.SELF_TRADE or signal.action is not Action.CLOSE:
        return
    for own in situation.facts.opposing:
        ledger.publish(
            CancelRequested(
                **CancelRequested.after(signal, now, part=own.client_order_id),
                client_order_id=own.client_order_id,
                account_id=signal.account_id,
                requested_by=PLATFORM,
                reason="it stands in the way of an exit",
            )
        )


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
    return replace(
        situation,
        instrument=instrument,
        quotes=quotes,
        fleet=world.fleet.seen(),
        rival=await world.sources.rival(signal.instrument_id),
        volatility_pct=world.sources.volatility_pct(signal.instrument_id),
        close_previous=_close_previous(instrument, quote, world),
    )


def _close_previous(instrument: Instrument | None, quote: Quote | None, world: World) -> Decimal | None:
    """Give what the market's daily limits are measured from: by its own word, or else the last close of a day before.

    A market may set another price than the last close, after a split for example.
    """
    if instrument is None or quote is None:
        return None
    return instrument.close_previous or world.sources.close_before(instrument.instrument_id, quote.ts_ns)
