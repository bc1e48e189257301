"""The faults that can strike at an await, and what each of them does to the world."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.venue import Manner

if TYPE_CHECKING:
    from sigmax_local.chaos.simulation.plan import Strike
    from sigmax_local.chaos.simulation.world import World

_RESTARTS_MAX_S = 3.0
_SKEWS_S = (-9.0, -1.2, -0.7, 0.7, 1.2, 9.0)


@dataclass(frozen=True)
class Fault:
    """A kind of fault: its name in the report, how often it is drawn, and what it does."""

    name: str
    weight: int
    strike: "Callable[[World, Process, Strike], None]"
    is_of_submit: bool = False
    """It befalls the next submit, and so is switched on while an order is on its way."""


def _crash(world: "World", process: Process, strike: "Strike") -> None:
    world.kill(process, restart_after_s=min(strike.seconds, _RESTARTS_MAX_S))


def _freeze(world: "World", process: Process, strike: "Strike") -> None:
    process.freeze(strike.seconds)
    world.broker.frozen(process)


def _cut(server: str) -> "Callable[[World, Process, Strike], None]":
    def strike(world: "World", process: Process, strike: "Strike") -> None:
        process.cut_until[server] = world.loop.time() + strike.seconds
        if server == "broker":
            world.broker.drop(process)
            world.loop.call_later(strike.seconds + 0.001, world.broker.wake)

    return strike


def _commit(when: str) -> "Callable[[World, Process, Strike], None]":
    def strike(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
        world.server.commit_faults[process.name] = when

    return strike


def _statement(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.server.faults[process.name] = "statement"


def _database(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.server.restart()
    for each in world.processes:
        each.cut_until["store"] = world.loop.time() + strike.seconds


def _venue_down(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.venue.down_until = world.loop.time() + strike.seconds


def _submit(manner: str) -> "Callable[[World, Process, Strike], None]":
    def strike(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
        world.struck[-1].manner = Manner(manner)
        world.venue.script.append(world.struck[-1].manner)

    return strike


def _broker_restarts(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.broker.restart(strike.seconds)


def _confirm(world: "World", process: Process, strike: "Strike") -> None:
    world.broker.unconfirmed[process.name] = 1 + int(strike.draw * 4)


def _twice(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.broker.twice += 1 + int(strike.draw * 4)


def _skew(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    process.skew = timedelta(seconds=_SKEWS_S[int(strike.draw * len(_SKEWS_S))])


def _halt(world: "World", process: Process, strike: "Strike") -> None:  # noqa: ARG001
    world.gate.halt(resume_after_s=strike.seconds)


FAULTS = {
    each.name: each
    for each in (
        Fault("killed", 30, _crash),
        Fault("frozen", 12, _freeze),
        Fault("Postgres restarts (F07-F08)", 5, _database),
        Fault("statement fails (F08)", 5, _statement),
        Fault("connection dies before the commit (F09)", 5, _commit("before")),
        Fault("connection dies after the commit (F09)", 8, _commit("after")),
        Fault("RabbitMQ restarts (F10)", 4, _broker_restarts),
        Fault("cut off from RabbitMQ (F10)", 4, _cut("broker")),
        Fault("confirms lost (F11)", 3, _confirm),
        Fault("messages delivered twice (F14)", 4, _twice),
        Fault("answer lost (F16)", 6, _submit("lost"), is_of_submit=True),
        Fault("request lost (F17)", 6, _submit("dropped"), is_of_submit=True),
        Fault("5xx, accepted (F18)", 4, _submit("5xx"), is_of_submit=True),
        Fault("5xx, not accepted (F18)", 4, _submit("5xx dropped"), is_of_submit=True),
        Fault("garbage, accepted (F18)", 3, _submit("garbage"), is_of_submit=True),
        Fault("answer lost, lists late (F19)", 10, _submit("lost hidden"), is_of_submit=True),
        Fault("answer lost, seen too late (F19)", 6, _submit("lost hidden long"), is_of_submit=True),
        Fault("lists late (F19)", 3, _submit("hidden"), is_of_submit=True),
        Fault("refused by the venue", 3, _submit("refused"), is_of_submit=True),
        Fault("too many requests", 3, _submit("limited"), is_of_submit=True),
        Fault("cut off from Postgres (F21)", 8, _cut("store")),
        Fault("cut off from the venue (F22)", 8, _cut("venue")),
        Fault("venue down (F22)", 5, _venue_down),
        Fault("cut off from Redis (F24)", 3, _cut("redis")),
        Fault("clock off (F24)", 4, _skew),
        Fault("halted (F26)", 5, _halt),
    )
}
