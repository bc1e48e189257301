"""A stop at the venue and the gate's own sell a position once, however their words cross and wherever the gate dies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import BTC, a_signal, some_limits
from risk_gate_trading import Trading
from risk_gate_venue import Venue, bought, restart

from risk_gate.domain.exits import ExitPolicy
from risk_gate.domain.protection import ProtectionState
from risk_gate.handlers import deciding
from sigmax.schemas.types import Stage

SHARES = st.sampled_from([Decimal(0), Decimal("0.3"), Decimal(1)])
ACTIONS = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from(["100", "101", "102", "99", "98.6", "97.9", "96", "110.5"])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 2, 5, 11])),
    st.tuples(st.just("take"), SHARES),
    st.tuples(st.just("trigger"), st.sampled_from([Decimal("0.4"), Decimal(1)])),
    st.tuples(st.just("heed"), st.none()),
    st.tuples(st.just("tell"), st.integers(0, 3)),
    st.tuples(st.just("tell"), st.integers(0, 3)),
    st.tuples(st.just("retell"), st.integers(0, 9)),
    st.tuples(st.just("sale"), st.sampled_from(["close", "sell"])),
    st.tuples(st.just("add"), st.none()),
    st.tuples(st.just("refuse"), st.none()),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("stage"), st.sampled_from([Stage.HALTED, Stage.NORMAL, Stage.REDUCING])),
)


async def happen(venue: Venue, number: int, action: str, value: Any) -> None:
    trading = venue.trading
    if action == "tick":
        await trading.tick(value)
    elif action == "wait":
        await trading.wait(value)
    elif action == "take":
        venue.take(value)
    elif action == "trigger":
        for order in venue.resting:
            venue.fill(order, value)
    elif action == "heed":
        venue.heed()
    elif action == "tell":
        await venue.tell(value, doubled=bool(value % 2))
    elif action == "retell":
        await venue.retell(value)
    elif action == "refuse":
        venue.refuse()
    elif action == "restart":
        restart(trading)
    elif action == "stage":
        trading.stage(value)
    else:
        signal = {"action": "dca" if action == "add" else value, "at": trading.fake.clock.now(), "stop_pct": "2"}
        signal |= {"reference_price": trading.fake.market.prices[BTC], "strength": "0.5"}
        await deciding.on_signal(a_signal(f"wish {number}", **signal), trading.world)


async def quiet(venue: Venue) -> None:
    """Let everything that is under way come to its end, with trading allowed."""
    venue.trading.stage(Stage.NORMAL)
    for _ in range(60):
        if not (venue.take() or venue.heed() or await venue.tell()):
            return
        venue.holds()


async def resting_at_venue(trading: Trading, trailing: str | None) -> Venue:
    """Give a position with its stop at the venue, in an account in which no pace holds up a strategy's sale."""
    trading.fake.state.limits["paper"] = some_limits(strategy_orders_per_s_max=1000, account_orders_per_s_max=1000)
    venue = await bought(trading, trailing_pct=trailing)
    await trading.wait(0.5)
    venue.take()
    await venue.tell()
    return venue


async def ends_flat(venue: Venue) -> None:
    """See that a fall through every level sells what is left, whatever happened before: once."""
    trading = venue.trading
    await quiet(venue)
    for price in ("90", "80", "80", "80", "80"):
        await trading.tick(price)
        await quiet(venue)
        await trading.wait(6)
        await quiet(venue)
    venue.holds()
    assert venue.position < Decimal("0.01"), "something was left unguarded"
    assert trading.fake.state.own["ema", BTC] == venue.position


FELL = ("tick", "97.9")
WHOLE, PART = ("trigger", Decimal(1)), ("trigger", Decimal("0.4"))
TOLD = [("tell", 0)] * 6
CROSSINGS: dict[str, list[tuple[str, Any]]] = {
    "it fills wholly before the exit is decided": [WHOLE, FELL, ("heed", None), *TOLD],
    "it fills partly before the exit is decided": [PART, FELL, ("heed", None), *TOLD],
    "it fills wholly, and the cancel is too late": [FELL, WHOLE, ("heed", None), *TOLD],
    "it fills partly, then is canceled": [FELL, PART, ("heed", None), *TOLD],
    "the fill is heard after the cancel": [FELL, PART, ("heed", None), ("tell", 2), ("tell", 1), ("tell", 0), *TOLD],
    "the cancel hangs": [FELL, ("wait", 5), ("wait", 11), PART, ("wait", 5), *TOLD, ("heed", None)],
    "the cancel hangs over a partial fill": [PART, ("tell", 0), ("wait", 5), ("wait", 2), ("heed", None), *TOLD],
    "the cancel hangs before a strategy's sale": [("sale", "close"), ("wait", 5), ("wait", 0.5), WHOLE, *TOLD],
    "it fills while a strategy's sale waits": [("sale", "sell"), PART, *TOLD, ("heed", None), *TOLD],
    "it fills while it is replaced": [("tick", "104"), ("wait", 11), PART, ("heed", None), ("tell", 1), *TOLD],
    "the gate dies between cancel and sale": [FELL, ("restart", None), ("heed", None), ("restart", None), *TOLD],
    "a profit hangs, and the price falls": [("tick", "110.5"), ("wait", 5), ("wait", 0.5)],
    "every word comes twice": [FELL, PART, ("heed", None), ("tell", 1), ("tell", 1), ("retell", 0), ("retell", 1)],
}


@pytest.mark.parametrize("crossing", CROSSINGS)
async def test_both_never_sell_when(crossing: str) -> None:
    venue = await resting_at_venue(Trading(rests_stops=True), "2")
    for number, (action, value) in enumerate(CROSSINGS[crossing]):
        await happen(venue, number, action, value)
        venue.holds()
    await ends_flat(venue)


@settings(deadline=None, max_examples=80)
@given(
    actions=st.lists(ACTIONS, min_size=4, max_size=22),
    trailing=st.sampled_from([None, "1"]),
    policy=st.sampled_from(ExitPolicy),
)
async def test_what_may_be_sold_is_never_more_than_is_held(
    actions: list[tuple[str, Any]], trailing: str | None, policy: ExitPolicy
) -> None:
    venue = await resting_at_venue(Trading(rests_stops=True, policy=policy), trailing)
    for number, (action, value) in enumerate(actions):
        await happen(venue, number, action, value)
        venue.holds()
    await ends_flat(venue)


# A crash at each await ---------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process dies: nobody catches that."""


class Fuse:
    """Lets so many awaits pass, and dies at the next one, once."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.passed = 0

    def burn(self) -> None:
        self.passed += 1
        self.left -= 1
        if self.left == -1:
            raise Crash

    def wrap(self, thing: Any) -> Any:
        return _Fused(thing, self)


class _Fused:
    def __init__(self, thing: Any, fuse: Fuse) -> None:
        self._thing, self._fuse = thing, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found) or name == "publish":
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            result = await found(*args, **kwargs)
            self._fuse.burn()
            return result

        return call


def fused(trading: Trading, fuse: Fuse) -> None:
    """Have every await of the gate on the world pass through a fuse, the commit too."""
    fake = trading.fake

    @asynccontextmanager
    async def open_ledger() -> AsyncIterator[Any]:
        async with fake.open_ledger() as ledger:
            yield fuse.wrap(ledger)
            fuse.burn()
        fuse.burn()

    fake.world = replace(trading.world, open_ledger=open_ledger, market=fuse.wrap(fake.market))


async def through(trading: Trading, step: Callable[[], Awaitable[object]], venue: Venue) -> None:
    """Do something; where the gate dies over it, start it anew and do it again, as a redelivery does."""
    try:
        await step()
    except Crash:
        venue.holds()
        restart(trading)
        await trading.wait(0)
        venue.holds()
        await step()
    venue.holds()


async def replacement(after: int) -> tuple[Venue, Fuse]:
    """Let the price rise until the resting stop must follow; the gate dies at one await and comes back."""
    trading = Trading(rests_stops=True)
    venue = await bought(trading, trailing_pct="2")
    await trading.wait(0.5)
    venue.take()
    await venue.tell()
    await trading.wait(10)
    await trading.tick("104")
    fuse = Fuse(after)
    fused(trading, fuse)
    # By hand, for a word is heard again where the gate died over it.
    await through(trading, lambda: trading.wait(0.5), venue)
    venue.heed()
    while venue.words:
        word = venue.words.pop(0)
        await through(trading, lambda word=word: venue._hear(word), venue)
    await through(trading, lambda: trading.wait(0.5), venue)
    venue.take()
    while venue.words:
        word = venue.words.pop(0)
        await through(trading, lambda word=word: venue._hear(word), venue)
    return venue, fuse


async def test_a_replacement_that_nothing_disturbs_leaves_one_stop_at_the_new_level() -> None:
    venue, _ = await replacement(10_000)
    (stop,) = venue.resting
    assert (stop.approved.trigger_price, stop.approved.quantity) == (Decimal("101.92"), 10)
    assert venue.trading.protection.naked_since is None


@pytest.mark.parametrize("part", range(8))
async def test_a_crash_at_any_await_of_a_replacement_leaves_one_stop_or_the_gates_own(part: int) -> None:
    _, fuse = await replacement(10_000)
    assert fuse.passed > 60
    for after in range(part, fuse.passed, 8):
        venue, _ = await replacement(after)
        trading = venue.trading
        trading.fake.world = replace(trading.world, open_ledger=trading.fake.open_ledger, market=trading.fake.market)
        (stop,) = venue.resting
        assert stop.approved.trigger_price == Decimal("101.92"), after
        # And the gate's own stop is alive: what the venue does not sell, it sells.
        await trading.tick("101.5")
        await quiet(venue)
        await trading.wait(2)
        await quiet(venue)
        assert venue.position == 0
        assert trading.protection.state is ProtectionState.CLOSED
