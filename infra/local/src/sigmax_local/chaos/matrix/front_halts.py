"""F26 in front of risk-gate: a person's command stops sends, takes orders back, and two people end it."""

import asyncio
from functools import partial

from sigmax.schemas.types import DenialCode, Scope
from sigmax_local.chaos.matrix.base import Kind
from sigmax_local.chaos.matrix.front_scene import FrontScene
from sigmax_local.chaos.matrix.outside import ACCOUNT
from sigmax_local.chaos.matrix.points import Blow, Flag, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.testkit.fault_proxy import Loss

_PAST_THE_DEADLINE_S = 2.5
"""Longer than a worker may take from the claim to the send."""
_HALTED = (DenialCode.TRADING_HALTED, DenialCode.KILL_SWITCH_ON)


async def halted_in_flight(scene: FrontScene, point: Point, scope: Scope, scope_id: str | None) -> str:
    """Halt with one request in flight, one order resting, and one signal to come."""
    resting = await scene.rest()
    async with scene.striking():
        flying = scene.wish(Kind.RESTING, strength="0.5")
        armed = scene.control.arm(point, flying.client_order_id, Blow.HOLD)
        await scene.speak(flying)
        await scene.struck(armed)
        async with scene.halted(scope, scope_id or scene.instrument_id):
            outcome = await scene.refused(Kind.ENTRY, *_HALTED)
            if point is Point.ANSWERED:
                armed.let_go()
                flew = f"{await scene.one_order(flying, Kind.RESTING, 'canceled')}, canceled"
            else:
                await asyncio.sleep(_PAST_THE_DEADLINE_S)
                armed.let_go()
                flew = await scene.no_order(flying)
            await scene.one_order(resting, Kind.RESTING, "canceled")
    await scene.trade(Kind.ENTRY)
    return f"in flight: {flew}; resting: canceled; new: {outcome}"


async def halted_while_unknown(scene: FrontScene) -> str:
    """Halt with an order whose fate is unknown: it is asked for until it is known, then canceled."""
    async with scene.striking(), scene.flag(Flag.DEAF):
        unknown = scene.wish(Kind.RESTING)
        await scene.send_into(unknown, Loss.SILENCE)
        async with scene.halted(Scope.INSTRUMENT, scene.instrument_id):
            outcome = await scene.refused(Kind.ENTRY, *_HALTED)
            flew = await scene.one_order(unknown, Kind.RESTING, "canceled")
    await scene.trade(Kind.ENTRY)
    return f"unknown: {flew}, canceled; new: {outcome}"


async def halted_with_a_stop(scene: FrontScene) -> str:
    """Halt with something held: its resting stop leaves the venue too, and comes back with the trading."""
    await scene.hold()
    async with scene.halted(Scope.INSTRUMENT, scene.instrument_id):
        await scene.until(partial(_has_no_stop, scene), "the stop leaves the venue")
        outcome = await scene.refused(Kind.EXIT, *_HALTED)
    await scene.until(scene.has_stop, "the stop rests again")
    return f"resting stop: canceled, and placed anew; sale: {outcome}"


async def _has_no_stop(scene: FrontScene) -> bool:
    return not await scene.has_stop()


FRONT_HALTS = [
    Scenario(
        "F26",
        "risk-gate: instrument halted by command with an answer in hand",
        partial(halted_in_flight, point=Point.ANSWERED, scope=Scope.INSTRUMENT, scope_id=None),
        is_short=True,
        has_gate=True,
    ),
    Scenario(
        "F26",
        "risk-gate: instrument halted by command with an order unknown",
        halted_while_unknown,
        has_gate=True,
    ),
    Scenario(
        "F26",
        "risk-gate: instrument halted by command with a stop at rest",
        halted_with_a_stop,
        has_gate=True,
    ),
    Scenario(
        "F26",
        "risk-gate: instrument halted by command between claim and send",
        partial(halted_in_flight, point=Point.SUBMITTING, scope=Scope.INSTRUMENT, scope_id=None),
        Turn.FIRST,
        has_gate=True,
    ),
    Scenario(
        "F26",
        "risk-gate: account halted by command with an answer in hand",
        partial(halted_in_flight, point=Point.ANSWERED, scope=Scope.ACCOUNT, scope_id=ACCOUNT),
        Turn.ALONE,
        has_gate=True,
    ),
    Scenario(
        "F26",
        "risk-gate: kill switch with an answer in hand",
        partial(halted_in_flight, point=Point.ANSWERED, scope=Scope.GLOBAL, scope_id="global"),
        Turn.ALONE,
        has_gate=True,
    ),
]
