"""F24 in front of risk-gate: limits that cannot be read approve nothing, and halt the account until people look."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from sigmax.schemas.types import DenialCode, Scope, Stage
from sigmax_local.chaos.matrix.base import STRIKE_S, Kind, require
from sigmax_local.chaos.matrix.checks import dead_letters
from sigmax_local.chaos.matrix.front import Front
from sigmax_local.chaos.matrix.front_scene import FrontScene
from sigmax_local.chaos.matrix.outside import ACCOUNT
from sigmax_local.chaos.matrix.scenarios import Scenario, Turn

_NEWER = """
    INSERT INTO risk_gate.limits (account_id, version, "values", changed_by)
    SELECT account_id, (SELECT max(version) + 1 FROM risk_gate.limits), {values}, 'chaos'
    FROM risk_gate.limits WHERE account_id = $1 AND version = $2
"""
_GATE = ("risk_gate",)

Fault = Callable[[Front], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def limit_missing(front: Front) -> AsyncIterator[None]:
    """Make a version of the limits in which one is not there."""
    whole = await front.value("SELECT max(version) FROM risk_gate.limits WHERE account_id = $1", ACCOUNT)
    await front.rows(_NEWER.format(values="\"values\" - 'order_notional_max'"), ACCOUNT, whole)
    try:
        yield
    finally:
        await front.rows(_NEWER.format(values='"values"'), ACCOUNT, whole)


@asynccontextmanager
async def right_revoked(front: Front) -> AsyncIterator[None]:
    """Take the right to read the limits from risk-gate."""
    await front.rows("REVOKE SELECT ON risk_gate.limits FROM risk_gate")
    try:
        yield
    finally:
        await front.rows("GRANT SELECT ON risk_gate.limits TO risk_gate")


async def limits_unreadable(scene: FrontScene, fault: Fault, *, is_decided: bool) -> str:
    """Have limits that cannot be read: no signal is approved, also no sale; the account is halted, and people told."""
    await scene.hold()
    dead = await dead_letters(scene.gate.addresses, _GATE)
    entry, sale = scene.wish(), scene.wish(Kind.EXIT)
    async with fault(scene.gate):
        for wish in (entry, sale):
            await scene.speak(wish)
        if is_decided:
            for wish in (entry, sale):
                outcome = await scene.denied(wish, DenialCode.LIMIT_MISSING, DenialCode.TRADING_HALTED)
        else:
            outcome = await _put_aside(scene, dead)
        for wish in (entry, sale):
            verdict = await scene.gate.verdict(wish)
            require(verdict is None or verdict["outcome"] == "denied", "it was approved without limits")
            await scene.nothing_of(wish)
        await scene.stage_is(Scope.ACCOUNT, ACCOUNT, Stage.HALTED)
    await scene.normal(Scope.ACCOUNT, ACCOUNT)
    await scene.until(scene.has_stop, "the stop rests again", STRIKE_S * 2)
    await scene.trade(Kind.EXIT)
    scene.gate.planted += await dead_letters(scene.gate.addresses, _GATE) - dead
    return f"{outcome}; account halted"


async def _put_aside(scene: FrontScene, before: int) -> str:
    """Wait until what could not be decided lies in the dead letters, and people have heard of it."""

    async def is_told() -> bool:
        rejected = [each for each in scene.gate.alerts if each.code == "message_rejected"]
        return bool(rejected) and await dead_letters(scene.gate.addresses, _GATE) > before

    await scene.until(is_told, "it lies in the dead letters, and people are told", STRIKE_S)
    return "dead letters, 0 orders"


FRONT_LIMITS = [
    Scenario(
        "F24",
        "risk-gate: a limit is missing",
        partial(limits_unreadable, fault=limit_missing, is_decided=True),
        Turn.ALONE,
        has_gate=True,
    ),
    Scenario(
        "F24",
        "risk-gate: the right to read the limits is gone",
        partial(limits_unreadable, fault=right_revoked, is_decided=False),
        Turn.ALONE,
        has_gate=True,
    ),
]
