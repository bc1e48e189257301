"""What exits do without a tick: the clock, retries, resting stops, and the copy in memory."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from risk_gate.domain import protection as protections
from risk_gate.domain.exits import TICK_AGE_MAX_NS, OpenOrder, Step, exit_kind, next_step, resting_step
from risk_gate.domain.protection import Levels, Protection, ProtectionState
from risk_gate.handlers.exits import Seen, advance, end, fire, is_dust
from risk_gate.handlers.guarding import decide_waiting, keep_in_step, resting_wish
from risk_gate.handlers.making_way import OWNER, key_of, position_of, posture_rule
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import PositionKey
from sigmax.schemas.control import Alert
from sigmax.schemas.market import Instrument, Quote, moment, nanoseconds
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()

NAKED_MAX = timedelta(seconds=5)
"""A position is without a stop at the venue, and without an exit order, for no longer; else people are told."""
_NAKED_TOLD = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Look:
    """One instrument as the market has it now."""

    instrument: Instrument | None
    quote: Quote | None

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
        # Only what was held before there were protections: since then each fill makes its own.
        unguarded = await ledger.unguarded() if mark == 1 else []
    world.exits.watch.replace(live, mark)
    for key in dict.fromkeys(position_of(sale.signal) for sale in waiting):
        await _decide_waiting(key, world)
    if unguarded:
        await _guard(world)
    looks = {name: Look(*await world.market.look(name)) for name in {each.instrument_id for each in live}}
    for known in sorted(live, key=lambda each: looks[each.instrument_id].worth(each.quantity), reverse=True):
        look = looks[known.instrument_id]
        try:
            if _needs_care(known, orders.get(key_of(known), []), look, world):
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
        _tell_if_naked(known, ledger, world)
        return await keep_in_step(known, ledger, world)
    return known


def _needs_care(known: Protection, orders: list[OpenOrder], look: Look, world: World) -> bool:
    """Say, without locking anything, whether a protection has something to be done; mostly it has not."""
    now, quote = world.clock.now(), look.quote
    if known.state is ProtectionState.ASKING:
        return not _waits_for_answer(known, world)
    if known.state is ProtectionState.EXITING:
        step = next_step(known, orders, now, world.exits.rules)
        is_told = step is Step.STUCK and known.next_attempt_at is not None and now < known.next_attempt_at
        return step is not Step.WAIT and not is_told
    is_fresh = quote is not None and world.clock.now_ns() - quote.received_ns <= TICK_AGE_MAX_NS
    if quote is not None and is_fresh and exit_kind(known, quote.last, now) is not None:
        return True
    return (look.makes_dust_of(known) and not orders) or _rests_wrongly(known, orders, look, world)


def _rests_wrongly(known: Protection, orders: list[OpenOrder], look: Look, world: World) -> bool:
    if look.instrument is None or not world.exits.rules.rests_stops:
        return False
    now = world.clock.now()
    wish = resting_wish(known, orders, look.instrument)
    last = look.quote.last if look.quote else None
    return _is_naked(known, now) or resting_step(known, wish, orders, last, now) is not Step.WAIT


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
            await ledger.keep_protection(protections.opened(bought, Levels(), rule))


def _is_naked(known: Protection, now: datetime) -> bool:
    """Say whether people are to be told now that no stop has rested for too long; once is enough."""
    return known.naked_since is not None and NAKED_MAX <= now - known.naked_since < NAKED_MAX + _NAKED_TOLD


def _tell_if_naked(known: Protection, ledger: LedgerPort, world: World) -> None:
    now = world.clock.now()
    if known.naked_since is None or not _is_naked(known, now):
        return
    key = f"stop_not_resting:{known.protection_id}:{nanoseconds(known.naked_since)}"
    ledger.publish(
        Alert(
            **Alert.first(key, now),
            producer=OWNER,
            level=AlertLevel.DANGER,
            code="stop_not_resting",
            subject=f"{known.strategy_id} {known.instrument_id}",
            text=(
                f"No stop of {known.quantity:f} {known.instrument_id} of {known.strategy_id} has rested at the venue"
                f" for {NAKED_MAX.total_seconds():.0f} s. The gate's own stop at {known.stop_price:.8f} stands."
            ),
            values={"account_id": known.account_id, "stop_price": f"{known.stop_price:.8f}"},
            dedupe_key=f"stop_not_resting:{known.protection_id}",
        )
    )
