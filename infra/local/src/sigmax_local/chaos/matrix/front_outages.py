"""F07 and F22 in front of risk-gate: Postgres or the venue goes away, and the stages say so when they can."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from sigmax.schemas.control import CommandName
from sigmax.schemas.types import DenialCode, Scope, Stage
from sigmax_local.chaos.matrix.base import STRIKE_S, Kind, require
from sigmax_local.chaos.matrix.front import Front, Wish
from sigmax_local.chaos.matrix.front_scene import FrontScene
from sigmax_local.chaos.matrix.kept import Worker, is_ready
from sigmax_local.chaos.matrix.outside import ACCOUNT
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn

_AWAY_S = 12.0
"""Longer than risk-gate may be unable to watch: 10 s."""
_UNSURE = (
    DenialCode.RECONCILIATION_MISSING,
    DenialCode.PRICE_STALE,
    DenialCode.SIGNAL_EXPIRED,
    DenialCode.UNKNOWN_SUBMISSION,
)
"""Why a signal may be denied that waited for Postgres: what is old, or not known yet, is no ground to buy."""
_VENUE = "paper"
_OPEN_S = 120.0
_ENTRIES_MAX = 30
"""Entries, of 1 % of the money each: far more than one worker of three needs to meet five failures in a row."""
_BETWEEN_S = 0.3


async def without_postgres(scene: FrontScene, *, is_approved: bool) -> str:
    """Take Postgres from everybody before the claim, with a signal that risk-gate has approved, or is yet to hear of.

    Nothing is sent, nobody is ready, nothing is nacked in a loop; what waited goes on, and the account is in CAUTION.
    """
    await scene.hold()
    for worker in scene.stack.workers:
        await worker.postgres.away()
    try:
        if is_approved:
            wish = await scene.ask(Kind.ENTRY, strength="0.5")
            await scene.until(partial(_is_approved, scene.gate, wish), "the approval is told", STRIKE_S)
        await scene.risk_gate.postgres.away()
        if not is_approved:
            wish = scene.wish(strength="0.5")
            await scene.speak(wish)
        await asyncio.sleep(_AWAY_S)
        await _nobody_is_ready(scene)
        require(not await scene.gate.venue_orders(wish), "an order was sent while Postgres was away")
    finally:
        for kept in scene.stack.kept:
            await kept.postgres.accept()
    return await _cautious(scene, wish)


async def postgres_stopped(scene: FrontScene) -> str:
    """Stop the server itself for as long, with a signal waiting."""
    await scene.hold()
    wish = scene.wish(strength="0.5")

    async def speak_meanwhile() -> None:
        await asyncio.sleep(_AWAY_S / 4)
        await scene.speak(wish)
        await asyncio.sleep(_AWAY_S / 2)
        await _nobody_is_ready(scene)

    await asyncio.gather(scene.stack.restart_server("PostgreSQL", _AWAY_S), speak_meanwhile())
    return await _cautious(scene, wish)


async def _is_approved(front: Front, wish: Wish) -> bool:
    return wish.client_order_id in front.published


async def _nobody_is_ready(scene: FrontScene) -> None:
    ready = await asyncio.gather(*(is_ready(kept) for kept in scene.stack.kept))
    names = [kept.name for kept, says_so in zip(scene.stack.kept, ready, strict=True) if says_so]
    require(not names, f"ready without Postgres: {', '.join(names)}")


async def _cautious(scene: FrontScene, wish: Wish) -> str:
    """Wait for CAUTION and for what becomes of the signal; then have a person raise the account again."""
    await scene.stage_is(Scope.ACCOUNT, ACCOUNT, Stage.CAUTION)
    reason = "SELECT reason FROM risk_gate.stages WHERE scope = 'account' AND scope_id = $1"
    require("nothing could be watched" in await scene.gate.value(reason, ACCOUNT), "CAUTION has another reason")
    verdict = await scene.verdict(wish)
    if verdict["outcome"] == "approved":
        outcome = await scene.at_most_one(wish)
    else:
        require(verdict["code"] in _UNSURE, f"denied: {verdict['text']}")
        outcome = f"denied ({verdict['code']})"
    await scene.stack.until_all_ready()
    new = scene.gate.wish(f"{scene.base}N/USDT@chaos")
    await scene.gate.list_instrument(new.signal.instrument_id)
    await scene.speak(new)
    await scene.denied(new, DenialCode.INSTRUMENT_NEW_IN_CAUTION)
    await scene.gate.raise_everything(_OPEN_S)
    return f"{outcome}; account in CAUTION"


@asynccontextmanager
async def without_the_venue(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Cut workers off from the venue for the length of the block."""
    for worker in workers:
        await worker.venue.away()
    try:
        yield
    finally:
        for worker in workers:
            await worker.venue.accept()


async def all_cut_off(scene: FrontScene) -> str:
    """Cut every worker off from the venue: a circuit opens, that venue is in REDUCING, and a cancel keeps trying.

    An entry is denied then; an exit passes, and is sent once the venue can be reached again.
    """
    await scene.hold()
    resting = await scene.rest()
    try:
        async with without_the_venue(scene.stack.workers):
            await scene.gate.command(CommandName.CANCEL_ORDER, Scope.GLOBAL, resting.client_order_id)
            sent = await _until_reducing(scene)
            denied = await scene.refused(Kind.ENTRY, DenialCode.TRADING_REDUCING)
            row = await scene.gate.order(resting)
            require(row["status"] in ("new", "pending_cancel"), f"nobody can know that the order is {row['status']}")
        await scene.one_order(resting, Kind.RESTING, "canceled")
        sold = await scene.trade(Kind.EXIT)
        await _none_twice(scene, sent)
    finally:
        await scene.gate.raise_everything(_OPEN_S)
    return f"venue in REDUCING; new: {denied}; exit: {sold}; the cancel was repeated"


async def one_cut_off(scene: FrontScene) -> str:
    """Cut one worker off, while the others reach the venue: its circuit opens, and says the same of the venue."""
    await scene.hold()
    try:
        async with without_the_venue([scene.random.choice(scene.stack.workers)]):
            sent = await _until_reducing(scene)
            denied = await scene.refused(Kind.ENTRY, DenialCode.TRADING_REDUCING)
            sold = await scene.trade(Kind.EXIT)
        await _none_twice(scene, sent)
    finally:
        await scene.gate.raise_everything(_OPEN_S)
    return f"venue in REDUCING; new: {denied}; exit: {sold}"


async def _until_reducing(scene: FrontScene) -> list[Wish]:
    """Say signals, of an instrument each, until the venue is in REDUCING; nothing else may be brought down."""
    sent: list[Wish] = []
    deadline = asyncio.get_running_loop().time() + _OPEN_S
    while await scene.gate.stage_of(Scope.VENUE, _VENUE) is not Stage.REDUCING:
        require(asyncio.get_running_loop().time() < deadline, f"{len(sent)} signals, and the venue is not in REDUCING")
        if len(sent) < _ENTRIES_MAX:
            instrument_id = f"{scene.base}N{len(sent)}/USDT@chaos"
            await scene.gate.list_instrument(instrument_id)
            sent.append(scene.gate.wish(instrument_id, strength="0"))
            await scene.speak(sent[-1])
        await asyncio.sleep(_BETWEEN_S)
    await scene.stage_is(Scope.VENUE, _VENUE, Stage.REDUCING)
    lowered = "SELECT count(*) FROM risk_gate.stages WHERE stage <> 'normal' AND scope <> 'venue'"
    require(await scene.gate.value(lowered) == 0, "another scope than the venue was brought down")
    return sent


async def _none_twice(scene: FrontScene, wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        verdict = await scene.verdict(wish)
        if verdict["outcome"] == "approved":
            await scene.at_most_one(wish)


FRONT_OUTAGES = [
    *(
        Scenario(
            "F07",
            f"risk-gate: Postgres gone for everybody, {what}",
            partial(without_postgres, is_approved=is_approved),
            Turn.ALONE,
            is_short=is_approved,
            has_gate=True,
        )
        for what, is_approved in (("approved and not claimed", True), ("signal on its way", False))
    ),
    Scenario(
        "F07",
        "risk-gate: Postgres stopped for 12 s, signal on its way",
        postgres_stopped,
        Turn.ALONE,
        needs_own_servers=True,
        has_gate=True,
    ),
    Scenario("F22", "risk-gate: every worker without the venue", all_cut_off, Turn.ALONE, is_short=True, has_gate=True),
    Scenario("F22", "risk-gate: one worker without the venue", one_cut_off, Turn.ALONE, has_gate=True),
]
