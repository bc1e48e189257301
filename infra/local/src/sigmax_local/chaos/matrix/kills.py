"""F01 to F06: a worker dies, or stands still, at an exact point of an order's life."""

import asyncio
import signal
from functools import partial

from sigmax_local.chaos.matrix.base import STRIKE_S, Kind
from sigmax_local.chaos.matrix.points import BOOKS, Blow, Flag, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.testkit.fault_proxy import Loss

_TRIES = 4
_STOP_S = 5.5
"""Longer than the lease."""


async def killed(scene: Scene, point: Point, kind: Kind, *, is_sent: bool) -> str:
    """Kill the worker at a point; others finish what it began, or prove that there is nothing."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        await scene.strike(approved, point)
    return await (scene.one_order(approved, kind) if is_sent else scene.no_order(approved))


async def killed_before_the_reply(scene: Scene, kind: Kind) -> str:
    """Kill the worker when the venue has answered, and the answer is on its way."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking(), scene.flag(Flag.DEAF):
        worker = await scene.send_into(approved, Loss.SILENCE)
        worker.signal(signal.SIGKILL)
    return await scene.one_order(approved, kind)


async def stopped(scene: Scene, point: Point, kind: Kind) -> str:
    """Stop the worker for longer than its lease, and let it go on: what it still sends comes too late."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        worker = await scene.strike(approved, point, Blow.STOP)
        await asyncio.sleep(_STOP_S)
        worker.signal(signal.SIGCONT)
    return await scene.at_most_one(approved)


async def killed_while_asking(scene: Scene, point: Point, passing: int, *, is_there: bool) -> str:
    """Kill the worker that resolves an unknown order, between its looks; another goes on asking.

    A worker that takes the lead meanwhile compares the books at once, and may find the order first: then nobody asks
    for it, and the next one is tried.
    """
    kind = Kind.ENTRY
    for _ in range(_TRIES):
        await scene.prepare()
        approved = scene.approve(kind)
        async with scene.striking(), scene.flag(Flag.DEAF), scene.reconciliation_held():
            armed = scene.control.arm(point, approved.client_order_id, passing=passing)
            await scene.send_into(approved, Loss.SILENCE if is_there else Loss.REQUEST)
            is_struck = await scene.struck_unless_found(armed, approved)
        outcome = await (scene.one_order(approved, kind) if is_there else scene.no_order(approved))
        if is_struck:
            return outcome
    raise AssertionError(f"a reconciliation was faster than the resolver, {_TRIES} times")


async def killed_in_a_cancel(scene: Scene, point: Point) -> str:
    """Kill the worker around the request of a cancel: it is asked again."""
    await scene.prepare()
    approved = scene.approve(Kind.RESTING)
    async with scene.striking():
        await scene.gate.say(approved)
        await scene.reach(approved, "new")
        armed = scene.control.arm(point, approved.client_order_id)
        await scene.gate.cancel(approved)
        await scene.struck(armed)
    outcome = await scene.one_order(approved, Kind.RESTING, "canceled")
    return f"{outcome}, canceled"


async def killed_in_the_reconciliation(scene: Scene) -> str:
    """Kill the worker while it holds the books against the venue's: the next one does it again."""
    await scene.prepare()
    approved = scene.approve(Kind.ENTRY)
    last = await scene.gate.value("SELECT max(reconciliation_id) FROM order_worker.reconciliations")
    async with scene.striking():
        await scene.struck(scene.control.arm(Point.RECONCILING, BOOKS))
        await scene.gate.say(approved)

    async def look() -> bool:
        passed = "SELECT count(*) > 0 FROM order_worker.reconciliations WHERE passed AND reconciliation_id > $1"
        return bool(await scene.gate.value(passed, last))

    await scene.until(look, "a reconciliation passes again", STRIKE_S * 2)
    return await scene.one_order(approved, Kind.ENTRY)


def _kills() -> list[Scenario]:
    said = "worker killed when the order was {}, {}"
    sent = [
        ("F01", Point.RECEIVED, Kind.ENTRY, False),
        ("F01", Point.RECORDING, Kind.EXIT, False),
        ("F01", Point.RECORDED, Kind.ENTRY, True),
        ("F01", Point.RECORDED, Kind.RESTING, False),
        ("F04", Point.ANSWERED, Kind.ENTRY, True),
        ("F04", Point.ANSWERED, Kind.EXIT, False),
        ("F04", Point.ANSWERED, Kind.RESTING, False),
        ("F04", Point.BOOKING, Kind.PARTIAL, False),
        ("F04", Point.BOOKING, Kind.ENTRY, False),
        ("F05", Point.BOOKED, Kind.ENTRY, True),
        ("F05", Point.BOOKED, Kind.PARTIAL, False),
        ("F05", Point.HANDLED, Kind.EXIT, False),
    ]
    unsent = [
        ("F02", Point.CLAIMED, Kind.ENTRY, True),
        ("F02", Point.SUBMITTING, Kind.EXIT, False),
        ("F02", Point.SIGNED, Kind.RESTING, False),
        ("F02", Point.WRITING, Kind.ENTRY, False),
    ]
    return [
        Scenario(
            fault,
            said.format(point, kind),
            partial(killed, point=point, kind=kind, is_sent=cells is sent),
            Turn.TOGETHER if cells is sent else Turn.FIRST,
            is_short=is_short,
        )
        for cells in (sent, unsent)
        for fault, point, kind, is_short in cells
    ]


KILLS = [
    *_kills(),
    *(
        Scenario(
            "F03",
            f"worker killed when the venue had answered and the answer was on its way, {kind}",
            partial(killed_before_the_reply, kind=kind),
            is_short=kind is Kind.EXIT,
        )
        for kind in Kind
    ),
    *(
        Scenario(
            "F06",
            f"worker stopped for longer than its lease when the order was {point}, {kind}",
            partial(stopped, point=point, kind=kind),
            Turn.FIRST,
            is_short=is_short,
        )
        for point, kind, is_short in (
            (Point.SIGNED, Kind.ENTRY, True),
            (Point.WRITING, Kind.RESTING, False),
            (Point.CLAIMED, Kind.EXIT, False),
        )
    ),
    Scenario(
        "F16",
        "resolver killed before it asked",
        partial(killed_while_asking, point=Point.LOOKING, passing=1, is_there=True),
    ),
    Scenario(
        "F16",
        "resolver killed with the answer in its hands",
        partial(killed_while_asking, point=Point.LOOKED, passing=1, is_there=True),
    ),
    Scenario(
        "F18",
        "resolver killed between two looks that found nothing",
        partial(killed_while_asking, point=Point.LOOKED, passing=2, is_there=False),
        Turn.FIRST,
    ),
    Scenario("F03", "worker killed before a cancel left", partial(killed_in_a_cancel, point=Point.CANCELING)),
    Scenario(
        "F04",
        "worker killed with the answer to a cancel in its hands",
        partial(killed_in_a_cancel, point=Point.CANCELED),
    ),
    Scenario("F04", "worker killed in the reconciliation", killed_in_the_reconciliation, Turn.ALONE),
]
