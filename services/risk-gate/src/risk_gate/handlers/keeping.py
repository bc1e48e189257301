"""What is done on time for the controls: equity is marked, resting entries end, stray judgements are counted."""

from datetime import timedelta

from risk_gate.domain.market_view import fresh_prices
from risk_gate.domain.stages import PLATFORM
from risk_gate.ports import World
from sigmax.schemas.orders import CancelRequested

_ACTIVITY_KEPT = timedelta(days=1)
_UNASKED_AFTER = timedelta(minutes=1)
"""A judgement may overtake its request, and not by so much."""


async def mark_equity(world: World) -> None:
    """Keep what each reconciled account is worth in this minute; without a fresh price of all it holds, nothing."""
    now = world.clock.now()
    instruments = await world.feed.instruments()
    async with world.open_ledger() as ledger:
        for each in await ledger.books():
            prices = fresh_prices(await world.market.quotes(each.book.instruments), instruments, now)
            if each.book.instruments <= prices.keys():
                await ledger.mark_equity(each.account_id, each.book.equity(prices), now)
        await ledger.forget_activity(now - _ACTIVITY_KEPT)


async def end_waiting_entries(world: World) -> None:
    """Take entries off the venue that have waited at the touch for long enough."""
    async with world.open_ledger() as ledger:
        now = world.clock.now()
        for client_order_id, account_id in await ledger.overdue_entries(now):
            key = f"{client_order_id}:waited:{int(now.timestamp())}"
            ledger.publish(
                CancelRequested(
                    **CancelRequested.first(key, now),
                    client_order_id=client_order_id,
                    account_id=account_id,
                    requested_by=PLATFORM,
                    reason="the entry was not filled in its time",
                )
            )


async def settle_unasked(world: World) -> None:
    """Count the judgements on signals that nobody asked about: they move nothing."""
    async with world.open_ledger() as ledger:
        for _ in await ledger.unasked(world.clock.now() - _UNASKED_AFTER):
            world.meter.unasked()
