"""F24 and F25 in front of risk-gate: prices that nobody may trust, signals that come too late, or twice."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from functools import partial

from sigmax.schemas.types import DenialCode
from sigmax_local.chaos.matrix.base import Kind, require
from sigmax_local.chaos.matrix.front import Wish
from sigmax_local.chaos.matrix.front_scene import FrontScene
from sigmax_local.chaos.matrix.outside import PRICE_AGE_MAX_S
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn

_OLDER_S = 2.0
_SIGNAL_AGE_MAX_S = 60
"""A limit of risk-gate's."""


async def without_a_price(scene: FrontScene, *, was_known: bool) -> str:
    """Have no fresh price of an instrument: what would buy it is denied, and passes when there is one again."""
    if was_known:
        scene.gate.quoted.discard(scene.instrument_id)
        await asyncio.sleep(PRICE_AGE_MAX_S + _OLDER_S)
    else:
        await scene.gate.forget(scene.instrument_id)
    outcome = await scene.refused(Kind.ENTRY, DenialCode.PRICE_STALE)
    scene.gate.quoted.add(scene.instrument_id)
    await scene.gate.quote([scene.instrument_id])
    await scene.trade(Kind.ENTRY)
    return outcome


async def old_signal(scene: FrontScene, kind: Kind, *, is_old: bool) -> str:
    """Deliver a signal whose own time is over, or one that says it is valid and was made too long ago."""
    if kind is Kind.EXIT:
        await scene.hold()
    now = datetime.now(UTC)
    if is_old:
        made_at = now - timedelta(seconds=_SIGNAL_AGE_MAX_S + _OLDER_S)
        wish = scene.wish(kind, occurred_at=made_at, valid_until=now + timedelta(hours=1))
    else:
        wish = scene.wish(kind, valid_until=now - timedelta(milliseconds=1))
    await scene.speak(wish)
    return await scene.denied(wish, DenialCode.SIGNAL_EXPIRED)


async def waited_too_long(scene: FrontScene) -> str:
    """Deliver a signal while risk-gate is cut off from the broker, and let its time pass."""
    gate = scene.risk_gate
    await gate.rabbitmq.away()
    try:
        late = scene.wish(valid_until=datetime.now(UTC) + timedelta(seconds=1))
        await scene.speak(late)
        await asyncio.sleep(_OLDER_S)
    finally:
        await gate.rabbitmq.accept()
    return await scene.denied(late, DenialCode.SIGNAL_EXPIRED)


async def signal_often(scene: FrontScene, kind: Kind, times: int) -> str:
    """Deliver one signal many times at once."""
    if kind is Kind.EXIT:
        await scene.hold()
    return await _one_of(scene, await scene.ask(kind, times), kind)


async def signal_again(scene: FrontScene) -> str:
    """Deliver a signal again when its order has filled."""
    wish = await scene.ask(Kind.ENTRY)
    for _ in range(3):
        await scene.speak(wish)
        outcome = await _one_of(scene, wish, Kind.ENTRY)
    return outcome


async def gate_killed(scene: FrontScene) -> str:
    """Kill risk-gate with signals in its hands, each said three times: started anew it decides on each once."""
    # Of different sizes: two orders alike within a second are what control 15 denies.
    wishes = [scene.wish(Kind.RESTING, strength=f"0.{size}") for size in range(1, 6)]
    for wish in [*wishes, *wishes]:
        await scene.speak(wish)
    scene.risk_gate.signal(signal.SIGKILL)
    for wish in wishes:
        await scene.speak(wish)
    for wish in wishes:
        await scene.approve(wish)
        outcome = await scene.one_order(wish, Kind.RESTING)
    return f"1 verdict, {outcome}"


async def _one_of(scene: FrontScene, wish: Wish, kind: Kind) -> str:
    outcome = await scene.one_order(wish, kind)
    verdicts = "SELECT count(*) FROM risk_gate.verdicts WHERE signal_id = $1"
    require(await scene.gate.value(verdicts, wish.signal.message_id) == 1, "a signal has several verdicts")
    held = "SELECT count(*) FROM order_worker.orders WHERE instrument_id = $1 AND side = $2 AND NOT reduce_only"
    if kind is not Kind.EXIT:
        require(await scene.gate.value(held, scene.instrument_id, "buy") == 1, "a signal has several orders")
    return f"1 verdict, {outcome}"


FRONT_SIGNALS = [
    Scenario(
        "F24",
        "risk-gate: the price is older than it may be",
        partial(without_a_price, was_known=True),
        is_short=True,
        has_gate=True,
    ),
    Scenario("F24", "risk-gate: there never was a price", partial(without_a_price, was_known=False), has_gate=True),
    *(
        Scenario(
            "F25",
            f"risk-gate: signal {'made too long ago' if is_old else 'past its time'}, {kind}",
            partial(old_signal, kind=kind, is_old=is_old),
            is_short=is_short,
            has_gate=True,
        )
        for kind, is_old, is_short in (
            (Kind.ENTRY, False, True),
            (Kind.ENTRY, True, False),
            (Kind.EXIT, False, False),
        )
    ),
    Scenario(
        "F25", "risk-gate: signal past its time when risk-gate is back", waited_too_long, Turn.ALONE, has_gate=True
    ),
    *(
        Scenario(
            "F25",
            f"risk-gate: signal delivered 20 times, {kind}",
            partial(signal_often, kind=kind, times=20),
            is_short=kind is Kind.ENTRY,
            has_gate=True,
        )
        for kind in (Kind.ENTRY, Kind.EXIT, Kind.RESTING)
    ),
    Scenario("F25", "risk-gate: signal again after its order filled", signal_again, has_gate=True),
    Scenario("F25", "risk-gate: killed with signals in its hands", gate_killed, Turn.ALONE, has_gate=True),
]
