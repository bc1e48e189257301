"""What exits do without a tick: the clock, retries, resting stops, and the copy in memory."""

from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from risk_gate.domain import protection as protections
from risk_gate.domain import resting
from risk_gate.domain.exits import TICK_AGE_MAX_NS, OpenOrder, Step, exit_kind, gives_up, next_step
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.protection import Levels, Protection, ProtectionState
from risk_gate.domain.stages import OWNER
from risk_gate.handlers.exits import Seen, advance, end, fire, is_dust
from risk_gate.handlers.guarding import decide_waiting, keep_in_step, uncovered
from risk_gate.handlers.making_way import key_of, position_of, posture_rule
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import PositionKey
from sigmax.schemas.control import Alert
from sigmax.schemas.market import Instrument, Quote, moment, nanoseconds
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """One instrument as the market has it now."""

    instrument: Instrument | None
    quote: Quote | None

    def fresh_price(self, now_ns: int) -> Decimal | None:
        """Give the last price if it tells what is traded now, by the age that the instrument allows."""
        told_s = self.instrument.price_age_max_s if self.instrument else 0
        age_max_ns = max(TICK_AGE_MAX_NS, int(told_s * _NS_PER_S))
        is_fresh = self.quote is not None and now_ns - self.quote.received_ns <= age_max_ns
        return self.quote.last if self.quote is not None and is_fresh else None

    @property
    def seen(self) -> Seen | None:
        """Give the price behind what is done now."""
        quote = self.quote
        return None if quote is None else Seen(quote.last, moment(quote.received_ns), moment(quote.ts_ns))

    def worth(self, quantity: Decimal) -> Decimal:
        """Give what a quantity is worth; what is worth most is cared for first."""
        return quantity * self.quote.last if self.quote else quantity

    def makes_dust_of(self, known: Protection) -> bool:
        """Say whether what is left of a position is too small to be sold."""
        if self.instrument is None or self.quote is None:
            return False
        return is_dust(known.quantity, self.quote.last, self.instrument)


async def sweep(world: World) -> None:
    """Take every protection from Postgres into memory, and do for each what no tick and no message will do."""
    await _remember_best(world)
    mark = world.exits.watch.mark()
    async with world.open_ledger() as ledger:
        live = await ledger.protections()
        orders = await ledger.orders_by_position()
        waiting = await ledger.waiting()
        limits = {name: await ledger.limits_of(name) for name in {each.account_id for each in live}}
        # Only what was held before there were protections: since then each fill makes its own.
        unguarded = await ledger.unguarded() if mark == 1 else []
    world.exits.watch.replace(live, mark)
    for key in dict.fromkeys(position_of(sale.signal) for sale in waiting):
        await _decide_waiting(key, world)
    if unguarded:
        await _guard(world)
    looks = {name: Look(*await world.market.look(name)) for name in {each.instrument_id for each in live}}
    for each in sorted(live, key=lambda each: looks[each.instrument_id].worth(each.quantity), reverse=True):
        look = looks[each.instrument_id]
        fresh = look.fresh_price(world.clock.now_ns())
        known = each if fresh is None else world.exits.watch.lift(each, fresh)
        try:
            if _needs_care(known, orders.get(key_of(known), []), look, limits[known.account_id], world):
                await tend(known, look, world)
        except Exception:
            # One position that cannot be cared for keeps no other waiting; the next turn comes to it again.
            log.exception("protection_not_tended", protection_id=str(known.protection_id))


async def tend(known: Protection, look: Look, world: World) -> None:
    """Do what one protection needs now; its row decides."""
    async with world.open_ledger() as ledger:
        await ledger.lock_account(known.account_id)
        current = await ledger.protection(known.protection_id)
        if current is None or not current.is_live:
            return
        current = replace(current, best_price=max(current.best_price, known.best_price))
        if current.state is ProtectionState.OPEN:
            after = await _watch_over(current, look, ledger, world)
        else:
            after = await _go_on(current, look, ledger, world)
    world.exits.watch.keep(after)


async def _go_on(known: Protection, look: Look, ledger: LedgerPort, world: World) -> Protection:
    """Go on with an exit, or begin with one about which nobody answered in time."""
    if known.state is ProtectionState.ASKING and known.exit_kind is not None:
        if _waits_for_answer(known, world):
            return known
        known = protections.exiting(known, known.exit_kind, known.exit_price or known.entry_price)
    return await advance(known, look.seen, ledger, world)


async def _watch_over(known: Protection, look: Look, ledger: LedgerPort, world: World) -> Protection:
    if look.seen is not None and (fired := await fire(known, look.seen, ledger, world)) is not None:
        return fired
    if look.makes_dust_of(known) and not await ledger.orders_of(key_of(known)):
        after = await end(protections.closed(known), ledger, world)
        await ledger.keep_protection(after)
        return after
    if world.exits.rules.rests_stops:
        if resting.is_to_be_told(known, world.clock.now()):
            ledger.publish(_naked(known, world))
            known = resting.told_naked(known)
            await ledger.keep_protection(known)
        return await keep_in_step(known, ledger, world)
    return known


def _needs_care(
    known: Protection, orders: list[OpenOrder], look: Look, limits: RiskLimits | None, world: World
) -> bool:
    """Say, without locking anything, whether a protection has something to be done; mostly it has not."""
    now = world.clock.now()
    if known.state is ProtectionState.ASKING:
        return not _waits_for_answer(known, world)
    fresh = look.fresh_price(world.clock.now_ns())
    if known.state is ProtectionState.EXITING:
        if fresh is not None and gives_up(known, fresh):
            return True
        step = next_step(known, orders, now, world.exits.rules)
        return step is not Step.WAIT and not (step is Step.STUCK and protections.is_held_up_told(known, now))
    if fresh is not None and exit_kind(known, fresh, now) is not None:
        return True
    is_dust_left = look.makes_dust_of(known) and not orders
    return is_dust_left or (world.exits.rules.rests_stops and _rests_wrongly(known, orders, look, limits, world))


def _rests_wrongly(
    known: Protection, orders: list[OpenOrder], look: Look, limits: RiskLimits | None, world: World
) -> bool:
    now = world.clock.now()
    if resting.is_to_be_told(known, now):
        return True
    if look.instrument is None or limits is None:
        return False
    wish = resting.resting_wish(known, orders, look.instrument, limits, world.exits.rules.policy)
    last = look.quote.last if look.quote else None
    return resting.resting_step(known, wish, orders, last, now) is not Step.WAIT


def _waits_for_answer(known: Protection, world: World) -> bool:
    return known.asked_until is not None and world.clock.now() < known.asked_until


async def _remember_best(world: World) -> None:
    """Store the highest prices that this replica has seen, so that a restart forgets no more than the last turn."""
    risen = {each.protection_id: each.best_price for each in world.exits.watch.risen()}
    if risen:
        async with world.open_ledger() as ledger:
            await ledger.raise_best(risen)


async def _decide_waiting(key: PositionKey, world: World) -> None:
    async with world.open_ledger() as ledger:
        await ledger.lock_account(key.account_id)
        await decide_waiting(key, ledger, world)


async def _guard(world: World) -> None:
    """Guard what is held since before there were protections, by the posture's numbers."""
    async with world.open_ledger() as ledger:
        await ledger.lock_accounts()
        for bought in await ledger.unguarded():
            rule = await posture_rule(bought.account_id, ledger)
            known = protections.opened(bought, Levels(), rule)
            await ledger.keep_protection(uncovered(known, world.clock.now(), world))


def _naked(known: Protection, world: World) -> Alert:
    since = known.naked_since or world.clock.now()
    return Alert(
        **Alert.first(f"stop_not_resting:{known.protection_id}:{nanoseconds(since)}", world.clock.now()),
        producer=OWNER,
        level=AlertLevel.DANGER,
        code="stop_not_resting",
        subject=f"{known.strategy_id} {known.instrument_id}",
        text=(
            f"No stop of {known.quantity:f} {known.instrument_id} of {known.strategy_id} has rested at the venue"
            f" for {resting.NAKED_MAX.total_seconds():.0f} s. The gate's own stop at {known.stop_price:.8f} stands."
        ),
        values={"account_id": known.account_id, "stop_price": f"{known.stop_price:.8f}"},
        dedupe_key=f"stop_not_resting:{known.protection_id}",
    )
