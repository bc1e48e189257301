"""F07 to F09 and F21: Postgres goes away, for one worker or for all, at an exact moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from sigmax.schemas.orders import OrderApproved
from sigmax_local.chaos.matrix.base import Kind, UnmetError, name_of, require
from sigmax_local.chaos.matrix.kept import Worker, is_ready
from sigmax_local.chaos.matrix.points import Blow, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.testkit.fault_proxy import Loss

_LEASE_OVER_S = 5.0
_AWAY_S = 3.0
_COMMIT = b"COMMIT"
_TRIES = 4


@asynccontextmanager
async def without_postgres(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Cut workers off from Postgres for the length of the block."""
    for worker in workers:
        await worker.postgres.away()
    try:
        yield
    finally:
        for worker in workers:
            await worker.postgres.accept()


async def away_for_all(scene: Scene, cut: Callable[[Scene], Awaitable[None]], *, is_shared: bool) -> str:
    """Take Postgres from every worker before an order can be claimed: nothing is sent until it is back.

    Where the venue shares it, the venue may not take orders when the workers can send them again.
    """
    await scene.prepare()
    approvals = [scene.approve(Kind.ENTRY) for _ in range(3)]
    async with without_postgres(scene.stack.workers):
        for approved in approvals:
            await scene.gate.say(approved)
        await cut(scene)
        ready = await asyncio.gather(*(is_ready(worker) for worker in scene.stack.workers))
        require(not any(ready), "a worker says that it is ready without Postgres")
        for approved in approvals:
            require(not await scene.gate.venue_orders(approved), "an order was sent while Postgres was away")
    outcomes = [
        await (scene.at_most_one(approved) if is_shared else scene.one_order(approved, Kind.ENTRY))
        for approved in approvals
    ]
    return " and ".join(sorted(set(outcomes)))


async def _wait(_: Scene) -> None:
    await asyncio.sleep(_AWAY_S)


async def away_after_the_reply(scene: Scene, point: Point, kind: Kind) -> str:
    """Take Postgres from the worker that holds the venue's answer, for longer than its lease."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        armed = scene.control.arm(point, approved.client_order_id, Blow.HOLD)
        await scene.gate.say(approved)
        worker = await scene.struck(armed)
        async with without_postgres([worker]):
            armed.let_go()
            await asyncio.sleep(_LEASE_OVER_S)
    return await scene.one_order(approved, kind)


async def lost_in_the_commit(scene: Scene, loss: Loss, kind: Kind, *, is_outcome: bool) -> str:
    """Cut the connection with a commit under way: the row says whether it was done.

    On a busy machine these short leases may end before the send: then there is no order, and one more is tried.
    An answer in hand is an order at the venue, however late the worker is.
    """
    await scene.prepare(kind)
    for late in range(_TRIES):
        approved = await _struck_in_the_commit(scene, loss, kind, is_outcome=is_outcome)
        if is_outcome:
            return await scene.one_order(approved, kind)
        if outcome := await scene.one_order_if_in_time(approved, kind):
            return f"{outcome}; {late} before it later than the lease: 0 orders, unplaced" if late else outcome
    raise UnmetError(f"no order was sent within its lease, {_TRIES} times")


async def _struck_in_the_commit(scene: Scene, loss: Loss, kind: Kind, *, is_outcome: bool) -> OrderApproved:
    async with scene.striking():
        approved = scene.approve(kind)
        armed = scene.control.arm(Point.ANSWERED, approved.client_order_id, Blow.HOLD) if is_outcome else None
        if armed is not None:
            await scene.gate.say(approved)
            await scene.struck(armed)

        async def go_on() -> None:
            await scene.gate.say(approved) if armed is None else armed.let_go()

        await scene.trapped(lambda each: each.postgres, name_of(approved), _COMMIT, loss=loss, then=go_on)
    return approved


async def cut_off_while_idle(scene: Scene) -> str:
    """Cut one worker off from Postgres while approvals come: it sends none; all are sent once."""
    await scene.prepare()
    approvals = [scene.approve(Kind.ENTRY) for _ in range(6)]
    worker = scene.random.choice(scene.stack.workers)
    async with scene.striking():
        claimed = "SELECT count(*) FROM order_worker.orders WHERE worker = $1"
        async with without_postgres([worker]):
            before = await scene.gate.value(claimed, worker.name)
            for approved in approvals:
                await scene.gate.say(approved)
            await asyncio.sleep(_AWAY_S)
            after = await scene.gate.value(claimed, worker.name)
        require(before == after, "a worker without Postgres claimed an order")
    for approved in approvals:
        outcome = await scene.one_order(approved, Kind.ENTRY)
    return outcome


async def restarted(scene: Scene) -> None:
    """Restart the server itself."""
    await scene.stack.restart_server("PostgreSQL")


BOOKS = [
    Scenario(
        "F07",
        "Postgres gone for every worker before the claim",
        partial(away_for_all, cut=_wait, is_shared=False),
        Turn.ALONE,
    ),
    Scenario(
        "F07",
        "Postgres restarted before the claim",
        partial(away_for_all, cut=restarted, is_shared=True),
        Turn.ALONE,
        needs_own_servers=True,
    ),
    *(
        Scenario(
            "F08",
            f"Postgres gone for the worker with the reply, past its lease, {kind}",
            partial(away_after_the_reply, point=Point.ANSWERED, kind=kind),
            is_short=kind is Kind.ENTRY,
        )
        for kind in (Kind.ENTRY, Kind.PARTIAL, Kind.EXIT)
    ),
    *(
        Scenario(
            "F09",
            f"connection cut, the {what} of the commit of the {'outcome' if is_outcome else 'order'} lost, {kind}",
            partial(lost_in_the_commit, loss=loss, kind=kind, is_outcome=is_outcome),
            is_short=is_short,
        )
        for loss, what, kind, is_outcome, is_short in (
            (Loss.REPLY, "reply", Kind.ENTRY, False, True),
            (Loss.REQUEST, "request", Kind.EXIT, False, False),
            (Loss.REPLY, "reply", Kind.PARTIAL, True, True),
            (Loss.REQUEST, "request", Kind.ENTRY, True, False),
        )
    ),
    Scenario("F21", "one worker without Postgres while approvals come", cut_off_while_idle, is_short=True),
    Scenario(
        "F21",
        "one worker without Postgres with a request in flight",
        partial(away_after_the_reply, point=Point.WRITING, kind=Kind.RESTING),
    ),
]
