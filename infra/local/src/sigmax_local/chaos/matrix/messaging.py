"""F10 to F15, F23, F25: what the broker and the messages themselves may do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aio_pika
import httpx2

from sigmax.runtime.rights import rabbitmq_definitions
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested, Fill, OrderApproved, PositionChanged
from sigmax.schemas.topology import EXCHANGE, queue_of
from sigmax.schemas.types import Scope, Side, Stage
from sigmax_local.chaos.matrix.base import STRIKE_S, Kind, name_of, require
from sigmax_local.chaos.matrix.kept import Worker, is_ready
from sigmax_local.chaos.matrix.points import Blow, Point
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.testkit.fault_proxy import Loss

_SERVICE = "order-worker"
_AWAY_S = 3.0
_SWEPT_S = 4.0
"""By then the outbox has been swept: a row is old enough after 2 s."""
_NOTICED_S = 15.0
_BACK_S = 30.0
"""What order-safety.md requires of consumers."""


@asynccontextmanager
async def _admin(scene: Scene) -> AsyncIterator[Any]:
    connection = await aio_pika.connect(scene.gate.addresses.admin_urls[2])
    async with connection:
        yield await connection.channel()


async def broker_gone(scene: Scene, kind: Kind, *, is_restart: bool) -> str:
    """Take the broker away with an answer in hand: what was committed is told when it is back."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        armed = scene.control.arm(Point.ANSWERED, approved.client_order_id, Blow.HOLD)
        await scene.gate.say(approved)
        await scene.struck(armed)
        if is_restart:
            armed.let_go()
            await scene.stack.restart_server("RabbitMQ")
        else:
            for worker in scene.stack.workers:
                await worker.rabbitmq.away()
            armed.let_go()
            await asyncio.sleep(_AWAY_S)
            for worker in scene.stack.workers:
                await worker.rabbitmq.accept()
    outcome = await scene.one_order(approved, kind)
    await scene.until(lambda: _are_ready(scene), "consumers are back", _BACK_S)
    await scene.until(lambda: _is_told(scene), "the outbox is empty", STRIKE_S)
    second = scene.approve(Kind.ENTRY)
    await scene.gate.say(second)
    await scene.one_order(second, Kind.ENTRY)
    return f"{outcome}, all told"


async def _are_ready(scene: Scene) -> bool:
    return all(await asyncio.gather(*(is_ready(worker) for worker in scene.stack.workers)))


async def _is_told(scene: Scene) -> bool:
    return bool(await scene.gate.value("SELECT count(*) = 0 FROM order_worker.outbox"))


async def confirm_lost(scene: Scene, kind: Kind) -> str:
    """Lose the broker's confirm of an order event: it is published again under the same id."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        await scene.trapped(
            lambda each: each.rabbitmq, name_of(approved), loss=Loss.REPLY, then=lambda: scene.gate.say(approved)
        )
    outcome = await scene.one_order(approved, kind)

    async def look() -> bool:
        heard = [event for event in scene.gate.events if event.client_order_id == approved.client_order_id]
        ids = [event.message_id for event in heard]
        return len(ids) > len(set(ids))

    await scene.until(look, "the event comes a second time with the same message id", STRIKE_S)
    return f"{outcome}, told twice under one id"


async def not_routable(scene: Scene, topic: str) -> str:
    """Take every reader of a topic away: what cannot be routed stays in the outbox."""
    await scene.prepare()
    approved = scene.approve(Kind.ENTRY)
    definitions = rabbitmq_definitions(scene.gate.addresses.secrets.rabbitmq_passwords())
    bound = [each["destination"] for each in definitions["bindings"] if each["routing_key"] == topic]
    require(bool(bound), f"nobody reads {topic}")
    async with _admin(scene) as channel:
        queues = [await channel.get_queue(name, ensure=False) for name in bound]
        async with scene.striking():
            for queue in queues:
                await queue.unbind(EXCHANGE, topic)
            try:
                failures = await _failures(scene)
                await scene.gate.say(approved)
                await scene.one_order(approved, Kind.ENTRY)
                await asyncio.sleep(_SWEPT_S)
                kept = "SELECT count(*) > 0 FROM order_worker.outbox WHERE topic = $1"
                require(await scene.gate.value(kept, topic), "what could not be routed left the outbox")
                require(await _failures(scene) > failures, "no failure was counted")
            finally:
                for queue in queues:
                    await queue.bind(EXCHANGE, topic)
    await scene.until(lambda: _is_told(scene), "the outbox is empty", STRIKE_S)
    return "1 order, acked, told later"


async def _failures(scene: Scene) -> float:
    name = "sigmax_outbox_failures_total"
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
        pages = [
            (await client.get(f"{worker.process.url}/metrics")).text
            for worker in scene.stack.workers
            if worker.process is not None and worker.is_ready
        ]
    lines = [line for page in pages for line in page.splitlines() if line.startswith(f"{name} ")]
    return sum(float(line.split()[1]) for line in lines)


async def queue_deleted(scene: Scene, message: type[CancelRequested] | type[StageChanged]) -> str:
    """Delete a queue: readiness fails; made again by the topology's definitions, it has consumers again."""
    await scene.prepare()
    name = queue_of(_SERVICE, message)
    definitions = rabbitmq_definitions(scene.gate.addresses.secrets.rabbitmq_passwords())
    made = next(each for each in definitions["queues"] if each["name"] == name)
    keys = [each["routing_key"] for each in definitions["bindings"] if each["destination"] == name]

    async def none_is_ready() -> bool:
        return not any(await asyncio.gather(*(is_ready(worker) for worker in scene.stack.workers)))

    async with scene.striking(), _admin(scene) as channel:
        await channel.queue_delete(name)
        try:
            await scene.until(none_is_ready, "readiness fails", _NOTICED_S)
        finally:
            queue = await channel.declare_queue(name, durable=True, arguments=made["arguments"])
            for key in keys:
                await queue.bind(EXCHANGE, key)
        try:
            await scene.until(lambda: _are_ready(scene), "consumers are back", _BACK_S)
        except AssertionError:
            await _restart_all(scene.stack.workers)
            await scene.stack.until_ready(len(scene.stack.workers))
            await scene.until(lambda: _are_ready(scene), "consumers are back after a restart", _BACK_S)
    approved = scene.approve(Kind.RESTING)
    await scene.gate.say(approved)
    await scene.reach(approved, "new")
    await scene.gate.cancel(approved)
    return f"{await scene.one_order(approved, Kind.RESTING, 'canceled')}, consumers back"


async def _restart_all(workers: list[Worker]) -> None:
    for worker in workers:
        if worker.process is not None:
            await worker.process.kill()
        worker.is_ready = False


async def delivered_often(scene: Scene, kind: Kind, times: int) -> str:
    """Deliver one approval many times, to all workers at once."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    async with scene.striking():
        await asyncio.gather(*(scene.gate.say(approved) for _ in range(times)))
        return await scene.one_order(approved, kind)


async def said_twice(scene: Scene, kind: Kind) -> str:
    """Deliver two messages with ids of their own for one signal: they derive the same order."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    again = scene.gate.approve(f"{scene.number}:0", scene.instrument_id, another_id=True, **_terms(approved))
    require(again.message_id != approved.message_id, "the messages are the same")
    async with scene.striking():
        await asyncio.gather(scene.gate.say(approved), scene.gate.say(again))
        return await scene.one_order(approved, kind)


def _terms(approved: OrderApproved) -> dict[str, Any]:
    names = ("side", "quantity", "limit_price", "reduce_only")
    return {name: getattr(approved, name) for name in names}


async def signal_again(scene: Scene) -> str:
    """Deliver an approval again after its order has filled."""
    await scene.prepare()
    approved = scene.approve(Kind.ENTRY)
    await scene.place(approved, "filled")
    for _ in range(2):
        await scene.gate.say(approved)
        outcome = await scene.one_order(approved, Kind.ENTRY)
    return outcome


async def approved_too_long_ago(scene: Scene, side: Side) -> str:
    """Deliver an approval that is not valid any more."""
    await scene.prepare(Kind.EXIT if side is Side.SELL else Kind.ENTRY)
    approved = scene.approve(Kind.ENTRY, side=side, valid_until=datetime.now(UTC) - timedelta(seconds=1))
    await scene.gate.say(approved)
    return await scene.no_order(approved)


async def cancel_overtakes(scene: Scene, kind: Kind) -> str:
    """Deliver a cancel before its order."""
    await scene.prepare(kind)
    approved = scene.approve(kind)
    await scene.gate.cancel(approved)
    wanted = "SELECT count(*) > 0 FROM order_worker.cancels_wanted WHERE client_order_id = $1"
    await scene.until(lambda: scene.gate.value(wanted, approved.client_order_id), "the wish is kept", STRIKE_S)
    await scene.gate.say(approved)
    return await scene.no_order(approved)


async def old_stage(scene: Scene) -> str:
    """Deliver an old stage after a newer one: it is ignored, and the halt stands."""
    await scene.prepare()
    halted, after = scene.approve(Kind.ENTRY), scene.approve(Kind.ENTRY)
    await scene.gate.stage(Scope.INSTRUMENT, scene.instrument_id, Stage.NORMAL)
    async with scene.halted(Scope.INSTRUMENT, scene.instrument_id):
        await scene.gate.stage(Scope.INSTRUMENT, scene.instrument_id, Stage.NORMAL, version=1)
        await asyncio.sleep(0.5)
        await scene.gate.say(halted)
        await scene.no_order(halted)
    known = "SELECT stage = 'normal' FROM order_worker.stages WHERE scope = 'instrument' AND scope_id = $1"
    await scene.until(lambda: scene.gate.value(known, scene.instrument_id), "the newer stage is known", STRIKE_S)
    await scene.place(after, "filled")
    await scene.one_order(after, Kind.ENTRY)
    return "old stage ignored"


async def poison(scene: Scene, body: bytes | None) -> str:
    """Deliver what cannot be read, or was not signed: it goes to the dead letters, people hear, the rest moves on."""
    await scene.prepare()
    forged = scene.gate.approve(f"{scene.number}:forged", scene.instrument_id)
    forged = forged.model_copy(update={"quantity": forged.quantity * 2})
    del scene.gate.published[forged.client_order_id]
    before = len([alert for alert in scene.gate.alerts if alert.code == "message_rejected"])
    scene.gate.planted += 1
    async with _admin(scene) as channel:
        message = aio_pika.Message(body or forged.encode(), message_id=str(forged.message_id), delivery_mode=2)
        await (await channel.get_exchange(EXCHANGE, ensure=False)).publish(message, OrderApproved.TOPIC)
    approved = scene.approve(Kind.ENTRY)
    await scene.place(approved, "filled")
    outcome = await scene.one_order(approved, Kind.ENTRY)

    async def look() -> bool:
        return len([alert for alert in scene.gate.alerts if alert.code == "message_rejected"]) > before

    await scene.until(look, "people are told of a rejected message", STRIKE_S)
    rows = "SELECT count(*) FROM order_worker.orders WHERE client_order_id = $1"
    require(await scene.gate.value(rows, forged.client_order_id) == 0, "the forged approval made an order")
    return f"dead letter, {outcome} behind it"


MESSAGING = [
    *(
        Scenario(
            "F10",
            f"broker {'restarted' if is_restart else 'gone'} with an answer in hand, {kind}",
            partial(broker_gone, kind=kind, is_restart=is_restart),
            Turn.ALONE,
            is_short=not is_restart and kind is Kind.ENTRY,
            needs_own_servers=is_restart,
        )
        for kind, is_restart in ((Kind.ENTRY, False), (Kind.EXIT, True), (Kind.PARTIAL, True))
    ),
    Scenario("F11", "confirm of an order event lost, entry", partial(confirm_lost, kind=Kind.ENTRY), is_short=True),
    Scenario("F11", "confirm of an order event lost, partial fill", partial(confirm_lost, kind=Kind.PARTIAL)),
    Scenario("F12", "nobody reads the fills", partial(not_routable, topic=Fill.TOPIC), Turn.ALONE),
    Scenario("F12", "nobody reads the positions", partial(not_routable, topic=PositionChanged.TOPIC), Turn.ALONE),
    Scenario("F13", "queue of cancels deleted", partial(queue_deleted, message=CancelRequested), Turn.ALONE),
    Scenario("F13", "queue of stages deleted", partial(queue_deleted, message=StageChanged), Turn.ALONE),
    Scenario(
        "F14", "approval delivered 20 times, entry", partial(delivered_often, kind=Kind.ENTRY, times=20), is_short=True
    ),
    Scenario("F14", "approval delivered 20 times, partial fill", partial(delivered_often, kind=Kind.PARTIAL, times=20)),
    Scenario("F14", "two messages for one signal, exit", partial(said_twice, kind=Kind.EXIT)),
    Scenario("F15", "cancel before its order, entry", partial(cancel_overtakes, kind=Kind.ENTRY), is_short=True),
    Scenario("F15", "cancel before its order, exit", partial(cancel_overtakes, kind=Kind.EXIT)),
    Scenario("F15", "stage older than the one known", old_stage),
    Scenario("F23", "approval that is no JSON", partial(poison, body=b"{not json"), is_short=True),
    Scenario("F23", "approval changed after it was signed", partial(poison, body=None)),
    Scenario("F25", "signal again after its order filled", signal_again, is_short=True),
    Scenario("F25", "approval past its time, entry", partial(approved_too_long_ago, side=Side.BUY), is_short=True),
    Scenario("F25", "approval past its time, exit", partial(approved_too_long_ago, side=Side.SELL)),
]
