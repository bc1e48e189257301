"""F16 to F20 and F22: the venue, or the way to it, answers late, wrongly, twice, or not at all."""

import asyncio
from decimal import Decimal
from functools import partial
from typing import Any

from sigmax_local.chaos.matrix.base import STRIKE_S, Kind, require
from sigmax_local.chaos.matrix.points import Blow, Flag, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.testkit.fault_proxy import Loss

_LATE_S = 2.5
"""Longer than the receive window and the worker's patience."""
_HEADS = b"Content-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>"
_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\n" + _HEADS
_GARBAGE = b"HTTP/1.1 200 OK\r\n" + _HEADS
_NO_ANSWER = b"HTTP/1.1 504 Gateway Timeout\r\n" + _HEADS


async def accepted_without_an_answer(
    scene: Scene, kind: Kind, *, is_deaf: bool, loss: Loss = Loss.SILENCE, answer: bytes | None = None
) -> str:
    """Let the venue accept and say nothing, or something else: the order counts as open until it is found."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        if is_deaf:
            scene.control.raise_flag(Flag.DEAF, scene.symbol)
        await scene.send_into(approved, loss, answer)
        if is_deaf:
            row = await scene.until(lambda: _sent(scene, approved), "it was sent", STRIKE_S)
            if row["submission"] == "unknown":  # a reconciliation may have found it already
                require(row["status"] == "pending_new", f"an unknown order is {row['status']}, it must count as open")
    outcome = await scene.one_order(approved, kind)
    scene.control.lower_flag(Flag.DEAF, scene.symbol)
    return outcome


async def _sent(scene: Scene, approved: Any) -> Any:
    row = await scene.gate.order(approved)
    return row if row is not None and row["submission"] not in ("ready", "sending") else None


async def _submission(scene: Scene, approved: Any, submission: str) -> Any:
    row = await scene.gate.order(approved)
    return row if row is not None and row["submission"] == submission else None


async def lost_on_the_way(scene: Scene, kind: Kind, answer: bytes | None = None) -> str:
    """Lose the request, or have something on the way answer it: absence is proven, nothing is sent again."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        await scene.send_into(approved, Loss.REQUEST, answer)
    return await scene.no_order(approved)


async def taken_too_late(scene: Scene, kind: Kind) -> str:
    """Hold the request up until its receive window is over: it arrives, and is refused."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        await scene.send_into(approved, Loss.LATENESS, late_s=_LATE_S)
    return await scene.no_order(approved)


async def missing_for_a_while(scene: Scene, share: float) -> str:
    """Hide an accepted order for less than the window: it must not count as absent, and is found."""
    await scene.prepare()
    approved = scene.approve(Kind.RESTING)
    async with scene.flag(Flag.HIDE):
        async with scene.striking():
            await scene.send_into(approved, Loss.SILENCE)
            await scene.until(lambda: _submission(scene, approved, "unknown"), "it is unknown", STRIKE_S)
        await asyncio.sleep(scene.absence_s * share)
        row = await scene.gate.order(approved)
        require(row["submission"] == "unknown", f"after a part of the window it is {row['submission']}")
    return await scene.one_order(approved, Kind.RESTING)


async def seen_late(scene: Scene) -> str:
    """Hide an accepted order until it counts as absent, then show it: the account is blocked until a person acts."""
    await scene.prepare()
    approved = scene.approve(Kind.RESTING)
    async with scene.flag(Flag.HIDE):
        async with scene.striking():
            await scene.send_into(approved, Loss.SILENCE)
            await scene.until(lambda: _submission(scene, approved, "unknown"), "it is unknown", STRIKE_S)
        await scene.reach(approved, "unplaced")
        await scene.lane.acquire()
    try:  # nothing is sent meanwhile: the others wait
        outcome = await scene.one_order(approved, Kind.RESTING)
        blocked = "SELECT blocked_reason IS NOT NULL FROM order_worker.accounts"
        require(await scene.gate.value(blocked), "the account is not blocked")

        async def is_told() -> bool:
            return "order_seen_late" in {alert.code for alert in scene.gate.alerts}

        await scene.until(is_told, "people are told", STRIKE_S)
        await scene.gate.release()
        await scene.until(lambda: scene.gate.value(f"SELECT NOT ({blocked})"), "a person releases it", STRIKE_S)
    finally:
        scene.lane.release()
    return f"{outcome}, account blocked"


async def fills_in_any_order(scene: Scene) -> str:
    """Tell fills twice and in reverse, while an order fills in parts."""
    await scene.prepare()
    approved = scene.approve(Kind.PARTIAL)
    async with scene.flag(Flag.SHUFFLE):
        async with scene.striking():
            await scene.gate.say(approved)
            await scene.reach(approved, "partially_filled")
        for price in ("100", "99.99", "99.5"):
            await scene.gate.trade(scene.instrument_id, Decimal(price), "4")
        return await scene.one_order(approved, Kind.PARTIAL, "filled")


async def fills_before_the_answer(scene: Scene) -> str:
    """Hold the answer to a submit back until the user stream has told of its fills."""
    await scene.prepare()
    approved = scene.approve(Kind.PARTIAL)
    async with scene.striking():
        armed = scene.control.arm(Point.ANSWERED, approved.client_order_id, Blow.HOLD)
        await scene.gate.say(approved)
        await scene.struck(armed)
        try:
            await scene.reach(approved, "partially_filled", timeout_s=STRIKE_S)
        finally:
            armed.let_go()
    await scene.gate.trade(scene.instrument_id, Decimal("99.9"), "50")
    return await scene.one_order(approved, Kind.PARTIAL, "filled")


async def fills_after_the_cancel(scene: Scene) -> str:
    """Let an order fill in part just before it is canceled, and hear of the fill only afterwards."""
    await scene.prepare()
    approved = scene.approve(Kind.RESTING, quantity="5")
    async with scene.flag(Flag.DEAF):
        async with scene.striking():
            await scene.gate.say(approved)
            await scene.reach(approved, "new")
            armed = scene.control.arm(Point.CANCELING, approved.client_order_id, Blow.HOLD)
            await scene.gate.cancel(approved)
            await scene.struck(armed)
            await scene.gate.trade(scene.instrument_id, Decimal(90), "2")
            await scene.gate.trade(scene.instrument_id, Decimal("89.5"), "2")
            armed.let_go()
        outcome = await scene.one_order(approved, Kind.RESTING, "canceled")
    return f"{outcome}, canceled after a part was filled"


async def one_cut_off(scene: Scene) -> str:
    """Cut one worker off from the venue while approvals come: the others send them, each once."""
    await scene.prepare()
    approvals = [scene.approve(Kind.ENTRY) for _ in range(6)]
    worker = scene.random.choice(scene.stack.workers)
    async with scene.striking():
        await worker.venue.away()
        try:
            for approved in approvals:
                await scene.gate.say(approved)
            for approved in approvals:
                outcome = await scene.one_order(approved, Kind.ENTRY)
        finally:
            await worker.venue.accept()
    return outcome


async def all_cut_off(scene: Scene) -> str:
    """Cut everybody off from the venue: the circuit opens, people are told, a cancel keeps trying."""
    await scene.prepare()
    resting = scene.approve(Kind.RESTING)
    await scene.place(resting, "new")
    approvals = [scene.approve(Kind.ENTRY) for _ in range(8)]
    for worker in scene.stack.workers:
        await worker.venue.away()
    try:
        await scene.gate.cancel(resting)
        for approved in approvals:
            await scene.gate.say(approved)

        async def look() -> bool:
            return any(alert.code == "venue_failing" for alert in scene.gate.alerts)

        await scene.until(look, "the circuit opens, and people are told", STRIKE_S * 2)
        require((await scene.gate.order(resting))["status"] != "canceled", "a cancel that nobody heard counts")
    finally:
        for worker in scene.stack.workers:
            await worker.venue.accept()
    await scene.one_order(resting, Kind.RESTING, "canceled")
    for approved in approvals:
        await scene.at_most_one(approved)
    return "each 1 order or unplaced, the cancel was repeated"


VENUE = [
    *(
        Scenario(
            "F16",
            f"venue accepts and says nothing, {kind}{', the stream is deaf' if is_deaf else ''}",
            partial(accepted_without_an_answer, kind=kind, is_deaf=is_deaf),
            is_short=is_short,
        )
        for kind, is_deaf, is_short in (
            (Kind.ENTRY, False, False),
            (Kind.ENTRY, True, True),
            (Kind.EXIT, True, False),
            (Kind.PARTIAL, True, False),
            (Kind.RESTING, True, False),
        )
    ),
    Scenario("F17", "request lost on its way, entry", partial(lost_on_the_way, kind=Kind.ENTRY), Turn.FIRST, True),
    Scenario("F17", "request lost on its way, exit", partial(lost_on_the_way, kind=Kind.EXIT), Turn.FIRST),
    Scenario("F17", "request arrives after its receive window", partial(taken_too_late, kind=Kind.ENTRY), Turn.FIRST),
    Scenario(
        "F18",
        "503 and no order, entry",
        partial(lost_on_the_way, kind=Kind.ENTRY, answer=_UNAVAILABLE),
        Turn.FIRST,
        is_short=True,
    ),
    Scenario(
        "F18", "garbage and no order, exit", partial(lost_on_the_way, kind=Kind.EXIT, answer=_GARBAGE), Turn.FIRST
    ),
    *(
        Scenario(
            "F18",
            f"{what} and an order, {kind}",
            partial(accepted_without_an_answer, kind=kind, is_deaf=True, loss=Loss.REPLY, answer=answer),
        )
        for what, kind, answer in (("504", Kind.ENTRY, _NO_ANSWER), ("garbage", Kind.PARTIAL, _GARBAGE))
    ),
    Scenario(
        "F19", "order hidden for a third of the window", partial(missing_for_a_while, share=0.3), Turn.FIRST, True
    ),
    Scenario("F19", "order hidden for two thirds of the window", partial(missing_for_a_while, share=0.65), Turn.FIRST),
    Scenario("F19", "order hidden until it counts as absent, then shown", seen_late, Turn.FIRST),
    Scenario("F20", "fills told twice and in reverse", fills_in_any_order, is_short=True),
    Scenario("F20", "fills told before the answer", fills_before_the_answer, is_short=True),
    Scenario("F20", "fills told after the cancel", fills_after_the_cancel),
    Scenario("F22", "one worker without the venue while approvals come", one_cut_off),
    Scenario("F22", "every worker without the venue", all_cut_off, Turn.ALONE),
]
