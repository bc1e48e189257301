"""One cell being played in front of a real risk-gate: it hears signals, and decides what becomes of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sigmax.schemas.control import CommandName
from sigmax.schemas.types import Action, DenialCode, Scope, Stage
from sigmax_local.chaos.matrix.base import STRIKE_S, BaseScene, Kind, UnmetError, require
from sigmax_local.chaos.matrix.front import Front, Wish
from sigmax_local.chaos.matrix.kept import Kept

_NOTHING_S = 1.0
"""In which an order that must not be would be on its way."""
_TRIES = 10
_BUSY = (DenialCode.PRICE_STALE, DenialCode.NOTHING_TO_CLOSE)


@dataclass
class FrontScene(BaseScene):
    """What such a cell works with."""

    gate: Front

    @property
    def risk_gate(self) -> Kept:
        """Give the process. Raises `RuntimeError` in a run without one."""
        if self.stack.gate is None:
            raise RuntimeError("this run has no risk-gate")
        return self.stack.gate

    def wish(self, kind: Kind = Kind.ENTRY, **changes: Any) -> Wish:
        """Give one more signal of this cell."""
        action = Action.CLOSE if kind is Kind.EXIT else Action.BUY
        return self.gate.wish(self.instrument_id, action, is_resting=kind is Kind.RESTING, **changes)

    async def speak(self, order: Any) -> None:
        """Let a signal be heard."""
        await self.gate.say(order.signal)

    async def trade(self, kind: Kind, times: int = 1) -> str:
        """Say a signal that nothing is to strike, and wait for its order; give its outcome."""
        return await self.one_order(await self.ask(kind, times), kind)

    async def ask(self, kind: Kind, times: int = 1, **changes: Any) -> Wish:
        """Have a signal approved, which is said so many times at once; give it.

        A strategy asks again when the machine is too busy for a fresh price, or to take a resting stop away in time.
        """
        for _ in range(_TRIES):
            wish = self.wish(kind, **changes)
            await asyncio.gather(*(self.speak(wish) for _ in range(times)))
            verdict = await self.verdict(wish)
            if verdict["outcome"] == "approved":
                return wish
            require(verdict["code"] in _BUSY, f"denied: {verdict['text']}")
            await asyncio.sleep(_NOTHING_S)
        raise UnmetError(f"denied: {verdict['text']}")

    async def rest(self) -> Wish:
        """Have an entry rest in the venue's book."""
        wish = await self.ask(Kind.RESTING)
        await self.one_order(wish, Kind.RESTING)
        return wish

    async def approve(self, wish: Wish) -> None:
        """Wait until a signal is approved."""
        verdict = await self.verdict(wish)
        require(verdict["outcome"] == "approved", f"denied: {verdict['text']}")

    async def verdict(self, wish: Wish) -> Any:
        """Wait for the verdict on a signal; give its row."""
        return await self.until(partial(self.gate.verdict, wish), "there is a verdict", STRIKE_S * 2)

    async def hold(self) -> None:
        """Hold something: bought, and its stop at rest at the venue."""
        await self.trade(Kind.ENTRY)
        await self.until(self.has_stop, "a stop rests at the venue", STRIKE_S * 2)

    async def has_stop(self) -> bool:
        """Say whether risk-gate knows that a stop of this cell rests at the venue."""
        resting = "SELECT count(*) > 0 FROM risk_gate.book_orders WHERE instrument_id = $1 AND side = 'sell'"
        return bool(await self.gate.value(f"{resting} AND status = 'new'", self.instrument_id))

    async def refused(self, kind: Kind, *codes: DenialCode) -> str:
        """Say a signal that must be denied for one of these reasons; give its outcome."""
        wish = self.wish(kind)
        await self.speak(wish)
        return await self.denied(wish, *codes)

    async def denied(self, wish: Wish, *codes: DenialCode) -> str:
        """Wait until a signal is denied for one of these reasons, and told so; nothing of it may have left."""
        verdict = await self.verdict(wish)
        require(verdict["outcome"] == "denied", f"it was {verdict['outcome']}, denied was required")
        require(verdict["code"] in codes, f"denied with {verdict['code']}, {' or '.join(codes)} was required")

        async def is_told() -> bool:
            return any(each.signal_id == wish.signal.message_id for each in self.gate.denied)

        await self.until(is_told, "the denial is told", STRIKE_S)
        await asyncio.sleep(_NOTHING_S)
        await self.nothing_of(wish)
        return f"denied ({verdict['code']}), 0 orders"

    async def nothing_of(self, wish: Wish) -> None:
        """Require that nobody has an order of a signal."""
        require(await self.gate.order(wish) is None, "order-worker has an order of it")
        require(not await self.gate.venue_orders(wish), "the venue has an order of it")

    async def stage_is(self, scope: Scope, scope_id: str, stage: Stage, timeout_s: float = STRIKE_S) -> None:
        """Wait until risk-gate has a scope in a stage, and every worker may know it."""

        async def look() -> bool:
            return await self.gate.stage_of(scope, scope_id) is stage

        await self.until(look, f"the {scope} {scope_id} is {stage}", timeout_s)
        await self.until(lambda: self._is_known(scope, scope_id), f"the workers know that it is {stage}", STRIKE_S)

    async def _is_known(self, scope: Scope, scope_id: str) -> bool:
        both = "risk_gate.stages JOIN order_worker.stages USING (scope, scope_id, stage, version)"
        return bool(
            await self.gate.value(
                f"SELECT count(*) > 0 FROM {both} WHERE scope = $1 AND scope_id = $2",  # noqa: S608 - no value in it
                scope,
                scope_id,
            )
        )

    @asynccontextmanager
    async def halted(self, scope: Scope, scope_id: str) -> AsyncIterator[None]:
        """Halt a scope by a person's command; at the end two people bring it back."""
        await self.gate.command(CommandName.HALT, scope, scope_id)
        await self.stage_is(scope, scope_id, Stage.HALTED)
        try:
            async with self.nothing_sent(scope, scope_id):
                yield
        finally:
            await self.normal(scope, scope_id)

    async def normal(self, scope: Scope, scope_id: str) -> None:
        """Have people bring a scope back to NORMAL, if it is not."""
        if await self.gate.stage_of(scope, scope_id) is Stage.NORMAL:
            return
        await self.gate.raise_fully(scope, scope_id, STRIKE_S * 2)
        await self.stage_is(scope, scope_id, Stage.NORMAL)
