"""Which plan a seed stands for: every second one walks through the awaits of one scene, most others are drawn.

The walk is complete: it plays the same scene again and again, and each time one fault strikes at the next await. First
a replica is killed after each of them in turn, then the other faults follow. A smaller part walks through the same
scene at a venue that keeps no client ids.
"""

import asyncio
from dataclasses import replace
from functools import cache

from order_worker.domain.sightings import Capabilities
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.plan import Plan, Strike, Wish, drawn
from sigmax_local.chaos.simulation.quiet import silent
from sigmax_local.chaos.simulation.strikes import FAULTS
from sigmax_local.chaos.simulation.world import World

_BTC, _ETH = "BTC/USDT@binance", "ETH/USDT@binance"
SCENE = Plan(
    seed=0,
    scene=0,
    workers=3,
    wishes=(
        Wish(1, 1.0, _BTC, is_buy=True, quantity="2"),
        Wish(2, 1.1, _BTC, is_buy=True, quantity="4", cancel_at_s=1.5),
        Wish(3, 1.6, _ETH, is_buy=True, quantity="1", is_ioc=True),
        Wish(4, 3.0, _BTC, is_buy=False, quantity="1", is_exit=True),
        Wish(5, 3.1, _ETH, is_buy=False, quantity="2", is_published_again=True, has_twin=True),
        Wish(6, 4.5, _ETH, is_buy=True, quantity="1", cancel_at_s=0.0, cancel_comes_first=True),
    ),
    strikes=(
        Strike("answer lost (F16)", "on_order_approved", 20, 0.0, 0.0),
        Strike("request lost (F17)", "on_order_approved", 60, 0.0, 0.0),
    ),
    halt_at_s=7.5,
    resume_at_s=8.5,
    stream_loss=0.1,
    transfer_at_s=6.0,
    ends_at_s=12.0,
)
"""Entries, an exit, cancels before and after the send, an answer and a request that get lost: what the walk plays."""
SCENE_WITHOUT_IDS = replace(
    SCENE,
    venue=Capabilities(client_ids=False, execution_ids=False),
    wishes=tuple(replace(wish, imitated_s=0.2 if wish.number % 2 else 0.0) for wish in SCENE.wishes),
)
"""The same at a venue that keeps no ids, while somebody gives the same orders by hand."""
_IDLE = ("guard", "health", "clock", "outbox", "outbox_sweep", "sweep", "resolver", "on_stage_changed")
"""Tasks that mostly find nothing to do: of their awaits the walk takes every third."""
_SECONDS = (0.3, 2.5, 5.0)


def plan_of(seed: int) -> Plan:
    """Give the plan of a seed."""
    if seed % 12 == 9:
        return _walked(seed, seed // 12, SCENE_WITHOUT_IDS)
    return drawn(seed) if seed % 2 else _walked(seed, seed // 2, SCENE)


def _walked(seed: int, number: int, scene: Plan) -> Plan:
    round_, step = divmod(number, len(awaits(scene)))
    entry, nth = awaits(scene)[step]
    fault = _faults()[round_ % len(_faults())]
    strike = Strike(fault, entry, nth, _SECONDS[nth % len(_SECONDS)], (nth % 7) / 7)
    return replace(scene, seed=seed, strikes=(*scene.strikes, strike))


@cache
def _faults() -> tuple[str, ...]:
    return tuple(name for name, each in FAULTS.items() if not each.is_of_submit)


@cache
def awaits(scene: Plan) -> tuple[tuple[str, int], ...]:
    """Play a scene once with no fault but its own, and give every await of it."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    world = World(scene, loop)
    try:
        with silent():
            loop.run_until_complete(world.play())
    finally:
        loop.end()
    return tuple(
        (entry, nth)
        for entry, count in sorted(world.awaits.items())
        for nth in range(1, count + 1, 3 if entry in _IDLE else 1)
    )
