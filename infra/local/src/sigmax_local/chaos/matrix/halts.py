"""F24 and F26: what cannot be trusted stops sends, and a halt stops them while requests are in flight."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from sigmax.schemas.types import Scope
from sigmax_local.chaos.matrix.base import STRIKE_S, Kind, require
from sigmax_local.chaos.matrix.outside import ACCOUNT
from sigmax_local.chaos.matrix.points import Blow, Flag, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.testkit.fault_proxy import Loss

_HELD_S = 1.0


async def clock_off(scene: Scene, seconds: float) -> str:
    """Set the workers' clocks off: the comparison with the venue fails, and nothing is sent until they are right."""
    await scene.prepare()
    approved = scene.approve(Kind.ENTRY)
    last = await scene.gate.value("SELECT max(reconciliation_id) FROM order_worker.reconciliations")
    reconciled = "SELECT is_reconciled FROM order_worker.accounts"
    scene.control.raise_flag(Flag.CLOCK, "all", str(seconds))
    try:
        await scene.until(lambda: scene.gate.value(f"SELECT NOT ({reconciled})"), "the clocks are compared", STRIKE_S)
        await scene.gate.say(approved)
        await asyncio.sleep(_HELD_S * 2)
        require(not await scene.gate.venue_orders(approved), "an order was sent with a clock that is off")
        found = "SELECT bool_or(differences::text LIKE '%clock%') FROM order_worker.reconciliations WHERE NOT passed"
        require(await scene.gate.value(f"{found} AND reconciliation_id > $1", last), "the clock is not named")
    finally:
        scene.control.lower_flag(Flag.CLOCK, "all")
    return f"{await scene.one_order(approved, Kind.ENTRY)}, sent when the clocks agreed"


async def stage_unreadable(scene: Scene, scope: Scope, scope_id: str) -> str:
    """Let a stage grow too old to be trusted: what is approved is not sent."""
    await scene.prepare()
    approved = scene.approve(Kind.ENTRY)
    older = "UPDATE order_worker.stages SET told_at = now() - interval '3 minutes' WHERE scope = $1 AND scope_id = $2"
    heard = "SELECT bool_and(told_at >= $1) FROM order_worker.stages WHERE scope = $2 AND scope_id = $3"
    async with scene.gate.silent():  # a stage that is told meanwhile is young again
        since = datetime.now(UTC)
        await scene.gate.tell_stages()
        last = "what was told is known"
        await scene.until(lambda: scene.gate.value(heard, since, scope, scope_id), last, STRIKE_S)
        await scene.gate.rows(older, scope, scope_id)
        try:
            await scene.gate.say(approved)
            outcome = await scene.no_order(approved)
        finally:
            await scene.gate.tell_stages()
    fresh = "SELECT min(told_at) > now() - interval '1 minute' FROM order_worker.stages WHERE scope = $1"
    await scene.until(lambda: scene.gate.value(fresh, scope), "the stage is young again", STRIKE_S)
    return outcome


async def halted_in_flight(scene: Scene, point: Point, scope: Scope, scope_id: str | None) -> str:
    """Halt with one request in flight, one order resting, and one approval on its way."""
    await scene.prepare()
    resting, flying, late = scene.approve(Kind.RESTING), scene.approve(Kind.PARTIAL), scene.approve(Kind.ENTRY)
    await scene.place(resting, "new")
    async with scene.striking():
        armed = scene.control.arm(point, flying.client_order_id, Blow.HOLD)
        await scene.gate.say(flying)
        await scene.struck(armed)
        async with scene.halted(scope, scope_id or scene.instrument_id):
            for order in (resting, flying):
                await scene.gate.cancel(order)
            await scene.gate.say(late)
            await asyncio.sleep(_HELD_S)
            armed.let_go()
            outcome = await scene.one_order(resting, Kind.RESTING, "canceled")
            await scene.one_order(flying, Kind.PARTIAL, "canceled")
            await scene.no_order(late)
    return f"in flight: {outcome}, canceled; resting: canceled; new: 0 orders"


async def halted_while_unknown(scene: Scene) -> str:
    """Halt with an order whose fate is unknown: it is asked for until it is known, then canceled."""
    await scene.prepare()
    unknown, late = scene.approve(Kind.RESTING), scene.approve(Kind.ENTRY)
    async with scene.striking(), scene.flag(Flag.DEAF):
        await scene.send_into(unknown, Loss.SILENCE)
        async with scene.halted(Scope.INSTRUMENT, scene.instrument_id):
            await scene.gate.cancel(unknown)
            await scene.gate.say(late)
            outcome = await scene.one_order(unknown, Kind.RESTING, "canceled")
            await scene.no_order(late)
    return f"unknown: {outcome}, canceled; new: 0 orders"


HALTS = [
    Scenario("F24", "clocks of the workers 2 s ahead", partial(clock_off, seconds=2.0), Turn.ALONE),
    Scenario("F24", "clocks of the workers 0.9 s behind", partial(clock_off, seconds=-0.9), Turn.ALONE),
    Scenario(
        "F24",
        "stage of the account not told for too long",
        partial(stage_unreadable, scope=Scope.ACCOUNT, scope_id=ACCOUNT),
        Turn.ALONE,
        is_short=True,
    ),
    Scenario(
        "F24",
        "stage of the platform not told for too long",
        partial(stage_unreadable, scope=Scope.GLOBAL, scope_id="global"),
        Turn.ALONE,
    ),
    Scenario(
        "F26",
        "instrument halted with an answer in hand",
        partial(halted_in_flight, point=Point.ANSWERED, scope=Scope.INSTRUMENT, scope_id=None),
        is_short=True,
    ),
    Scenario("F26", "instrument halted with an order unknown", halted_while_unknown),
    Scenario(
        "F26",
        "account halted with an answer in hand",
        partial(halted_in_flight, point=Point.ANSWERED, scope=Scope.ACCOUNT, scope_id=ACCOUNT),
        Turn.ALONE,
    ),
]
