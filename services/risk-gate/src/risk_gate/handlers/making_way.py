"""Takes off the venue what stands in the way of a sale: the position's resting stop, and own entries in the book."""

from collections.abc import Iterable

from risk_gate.domain.exits import OpenOrder, stands_in_way
from risk_gate.domain.limits import POSTURES, START_LIMITS, PostureRule
from risk_gate.domain.protection import Protection
from risk_gate.domain.situation import Judgement
from risk_gate.domain.stages import PLATFORM
from risk_gate.ports import LedgerPort, World
from risk_gate.ports.exits import PositionKey, WaitingSale
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.signals import Signal


async def makes_way(signal: Signal, judgement: Judgement, ledger: LedgerPort, world: World) -> bool:
    """Have a strategy's sale wait while what stands in its way leaves the venue. The account is locked.

    A resting stop would sell the same, and an entry that rests in the book would trade with it. True when it waits; it
    is decided on when that has ended, or when that takes too long.
    """
    key = position_of(signal)
    orders = list(await ledger.orders_of(key))
    known = await ledger.protection_of(key)
    now, bound = world.clock.now(), world.exits.rules.cancel_bound
    in_way = [order for order in orders if stands_in_way(order)]
    if known is None or not in_way or any(now - (each.cancel_asked_at or now) >= bound for each in in_way):
        return False
    await cancel_all(known, in_way, ledger, world)
    await ledger.keep_waiting(WaitingSale(signal, judgement.size_factor, now))
    return True


async def cancel_all(known: Protection, orders: Iterable[OpenOrder], ledger: LedgerPort, world: World) -> None:
    """Ask for orders to be taken off the venue, each once."""
    now = world.clock.now()
    for order in orders:
        if order.cancel_asked_at is None:
            await ledger.cancel_asked(order.client_order_id, now)
            ledger.publish(
                CancelRequested(
                    **CancelRequested.first(f"for an exit:{order.client_order_id}", now),
                    client_order_id=order.client_order_id,
                    account_id=known.account_id,
                    requested_by=PLATFORM,
                    reason="the position is sold otherwise, or has changed",
                )
            )


def key_of(known: Protection) -> PositionKey:
    """Name the position."""
    return PositionKey(known.account_id, known.strategy_id, known.instrument_id)


def position_of(signal: Signal) -> PositionKey:
    """Name the position that a wish is about."""
    return PositionKey(signal.account_id, signal.strategy_id, signal.instrument_id)


async def posture_rule(account_id: str, ledger: LedgerPort) -> PostureRule:
    """Give the numbers of the posture that an account trades in now."""
    postures = await ledger.postures()
    posture, _ = postures.get(account_id, (START_LIMITS.posture, None))
    return POSTURES[posture]
