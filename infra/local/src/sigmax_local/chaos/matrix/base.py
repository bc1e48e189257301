"""What every cell has: an instrument of its own, ways to strike, and ways to wait for what becomes of its orders."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any

from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import Scope
from sigmax_local.chaos.matrix.kept import Worker
from sigmax_local.chaos.matrix.outside import Named, Outside
from sigmax_local.chaos.matrix.points import BOOKS, Blow, Control, Flag, Point, Strike
from sigmax_local.chaos.matrix.stack import ChaosStack
from sigmax_local.testkit.fault_proxy import FaultProxy, Loss, Trap

STRIKE_S = 120.0
"""For what takes a moment, on a machine that has other work: only what never comes waits so long."""
SETTLE_S = 170.0
"""A proof of absence waits until no other order moves money unexplained, and looks again after up to 30 s."""
_READY_MIN = 2
"""Workers that must be up before the next one is struck."""


class Kind(StrEnum):
    """What kind of order a cell is about."""

    ENTRY = "entry"
    EXIT = "exit"
    RESTING = "resting order"
    PARTIAL = "partial fill"


_FILLS = {Kind.ENTRY: "filled", Kind.EXIT: "filled", Kind.RESTING: "new", Kind.PARTIAL: "partially_filled"}


class UnmetError(AssertionError):
    """What order-safety.md requires of a fault did not come about."""


def require(is_so: bool, text: str) -> None:
    """Raise `UnmetError` unless it is so."""
    if not is_so:
        raise UnmetError(text)


@dataclass
class BaseScene:
    """What a cell works with, whoever approves its orders."""

    number: int
    seed: int
    stack: ChaosStack
    gate: Outside
    lane: asyncio.Lock
    """Whoever strikes a process holds it: one blow at a time, so that each hits what it is meant for."""
    absence_s: float
    settle_s: float = SETTLE_S
    """How long an order may take to come to its end."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - it chooses what to break, no secret

    @property
    def control(self) -> Control:
        """Give the folder of points and flags."""
        return self.stack.control

    @property
    def base(self) -> str:
        """Give the asset that this cell alone trades."""
        return f"C{self.number:03d}"

    @property
    def symbol(self) -> str:
        """Give the unified symbol."""
        return f"{self.base}/USDT"

    @property
    def instrument_id(self) -> str:
        """Give the instrument that this cell alone trades."""
        return f"{self.symbol}@chaos"

    @property
    def approved(self) -> Sequence[OrderApproved]:
        """Give every approval of this cell's instrument."""
        return [each for each in self.gate.published.values() if each.instrument_id == self.instrument_id]

    async def speak(self, order: Any) -> None:
        """Ask for an order."""
        raise NotImplementedError

    # waiting
    async def until(self, look: Callable[[], Awaitable[Any]], what: str, timeout_s: float | None = None) -> Any:
        """Look until there is something; give it. Raises `AssertionError`."""
        return await self.gate.until(look, timeout_s or self.settle_s, what)

    async def reach(self, approved: Named, *statuses: str, timeout_s: float | None = None) -> Any:
        """Wait until an order has one of these statuses; give its row."""

        async def look() -> Any:
            row = await self.gate.order(approved)
            return row if row is not None and row["status"] in statuses else None

        try:
            return await self.until(look, f"{approved.client_order_id} {'/'.join(statuses)}", timeout_s)
        except AssertionError as error:
            row = await self.gate.order(approved)
            seen = "it has no row" if row is None else f"{row['submission']}, {row['status']}: {row['reason']}"
            raise UnmetError(f"{error}; {seen}") from None

    async def one_order(self, approved: Named, kind: Kind, *statuses: str) -> str:
        """Wait for one order at the venue, known to us; say so."""
        row = await self.reach(approved, *(statuses or (_FILLS[kind], "filled")))
        there = await self.gate.venue_orders(approved)
        require(len(there) == 1, f"the venue has {len(there)} orders, 1 was required")
        require(row["submission"] == "acked", f"the order is {row['submission']}, acked was required")
        return f"1 order, {row['submission']}"

    async def no_order(self, approved: Named, submission: str = "absent") -> str:
        """Wait for the order to be unplaced, with none at the venue; say so."""
        row = await self.reach(approved, "unplaced")
        there = await self.gate.venue_orders(approved)
        require(not there, f"the venue has {len(there)} orders, none was required")
        require(row["submission"] == submission, f"the order is {row['submission']}, {submission} was required")

        async def is_heard() -> bool:
            mine = [event for event in self.gate.events if event.client_order_id == approved.client_order_id]
            return any(event.status == "unplaced" for event in mine)

        await self.until(is_heard, "it is told that the order is unplaced", STRIKE_S)
        return "0 orders, unplaced"

    async def one_order_if_in_time(self, approved: Named, kind: Kind) -> str | None:
        """Wait for one order at the venue; None if its lease ended before the send, which is proven and told."""
        row = await self.reach(approved, "unplaced", "filled", "new", "partially_filled")
        if row["status"] != "unplaced":
            return await self.one_order(approved, kind)
        await self.no_order(approved)
        # An order that nobody took up in the time of its approval is unplaced as well: that one was forgotten.
        require("the venue does not have it" in row["reason"], f"no proof: {row['reason']}")
        return None

    async def at_most_one(self, approved: Named) -> str:
        """Wait for the order's end, whichever it is; here and at the venue it is the same."""
        row = await self.reach(approved, "unplaced", "filled", "new", "partially_filled")
        there = len(await self.gate.venue_orders(approved))
        require(there <= 1, f"the venue has {there} orders")
        require((there == 1) is (row["submission"] == "acked"), f"{there} at the venue, {row['submission']} here")
        return f"{there} orders, {row['submission']}"

    # striking
    @asynccontextmanager
    async def striking(self) -> AsyncIterator[None]:
        """Hold the lane, with enough workers up."""
        async with self.lane:
            await self.stack.until_ready(_READY_MIN)
            yield

    async def struck(self, strike: Strike) -> Worker:
        """Wait until a worker has taken the blow; give it."""

        async def look() -> bool:
            return strike.has_struck

        try:
            await self.until(look, f"{strike.path.stem} was not passed", STRIKE_S)
        except AssertionError:
            strike.disarm()
            raise
        return self.stack.worker(strike.replica)

    async def struck_unless_found(self, strike: Strike, approved: Named) -> bool:
        """Wait until a worker has taken the blow, or the order is known to be at the venue; True for the blow."""

        async def look() -> bool:
            row = await self.gate.order(approved)
            return strike.has_struck or (row is not None and row["submission"] == "acked")

        try:
            await self.until(look, f"{strike.path.stem} was not passed", STRIKE_S)
        finally:
            if not strike.has_struck:
                strike.disarm()
        return strike.has_struck

    async def strike(self, order: Named, point: Point, blow: Blow = Blow.KILL, passing: int = 1) -> Worker:
        """Arm a point of an order, ask for it, and wait for the blow; give the worker that took it."""
        armed = self.control.arm(point, order.client_order_id, blow, passing)
        await self.speak(order)
        return await self.struck(armed)

    async def trapped(
        self,
        lines: Callable[[Worker], FaultProxy],
        *markers: bytes,
        loss: Loss,
        then: Callable[[], Awaitable[Any]],
        answer: bytes | None = None,
        late_s: float = 0.0,
    ) -> Worker:
        """Set the same trap on one way of every worker, do something, and give the worker whose trap sprang."""
        traps: list[tuple[Worker, Trap]] = []
        for worker in self.stack.workers:
            trap = lines(worker).trap(*markers, loss=loss, answer=answer, late_s=late_s)
            traps.append((worker, trap))
        try:
            await then()

            async def look() -> Worker | None:
                return next((worker for worker, trap in traps if trap.sprung.is_set()), None)

            found: Worker = await self.until(look, f"no request with {markers!r} came by", STRIKE_S)
            return found
        finally:
            for worker, trap in traps:
                lines(worker).disarm(trap)

    async def send_into(self, order: Named, loss: Loss, answer: bytes | None = None, late_s: float = 0.0) -> Worker:
        """Ask for an order whose request, or the venue's answer to it, gets lost; give the worker that sent it."""
        return await self.trapped(
            lambda each: each.venue,
            b"POST /api/v3/order",
            name_of(order),
            loss=loss,
            then=lambda: self.speak(order),
            answer=answer,
            late_s=late_s,
        )

    # flags
    @asynccontextmanager
    async def flag(self, flag: Flag) -> AsyncIterator[None]:
        """Raise a flag of this cell's symbol for the length of the block."""
        self.control.raise_flag(flag, self.symbol)
        try:
            yield
        finally:
            self.control.lower_flag(flag, self.symbol)

    @asynccontextmanager
    async def reconciliation_held(self) -> AsyncIterator[None]:
        """Hold the comparison with the venue for the length of the block: it finds no order by the way."""
        held = self.control.arm(Point.RECONCILING, BOOKS, Blow.HOLD)
        try:
            await self.struck(held)
            yield
        finally:
            held.disarm()
            held.let_go()

    @asynccontextmanager
    async def nothing_sent(self, scope: Scope, scope_id: str) -> AsyncIterator[None]:
        """Note that from now on, until the block ends, nothing of a scope may be sent."""
        since = datetime.now(UTC)
        self.gate.halts.append((scope, scope_id, since, None))
        try:
            yield
        finally:
            at = self.gate.halts.index((scope, scope_id, since, None))
            self.gate.halts[at] = (scope, scope_id, since, datetime.now(UTC))


def name_of(approved: Named) -> bytes:
    """Give what names an order in any request about it."""
    return approved.client_order_id.encode()
