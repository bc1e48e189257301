"""Follows what order-worker tells of orders, fills, and positions."""

from risk_gate.domain.book import effect_of, moves_book
from risk_gate.handlers.guarding import follow_event, follow_fill
from risk_gate.ports import World
from sigmax.schemas.orders import Fill, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.types import Side


async def on_fill(fill: Fill, world: World) -> None:
    """Move what is held by a fill, and release as much of its order's reservation."""
    guarded = None
    async with world.open_ledger() as ledger:
        if await ledger.first_time(fill):
            reconciled_at = await ledger.reconciled_at(fill.account_id)
            is_news = moves_book(fill.occurred_at, reconciled_at)
            await ledger.apply_fill(fill, effect_of(fill), moves_book=is_news)
            guarded = await follow_fill(fill, ledger, world)
    if guarded is not None:
        world.exits.watch.keep(guarded)


async def on_order_event(event: OrderEvent, world: World) -> None:
    """Follow an order; its end releases what will never fill."""
    guarded = None
    async with world.open_ledger() as ledger:
        if await ledger.first_time(event):
            if event.side is Side.SELL:
                # What follows may sell: the account comes before its orders, as with a fill.
                await ledger.lock_account(event.account_id)
            await ledger.apply_event(event)
            if event.side is Side.SELL:
                guarded = await follow_event(event, ledger, world)
    if guarded is not None:
        world.exits.watch.keep(guarded)


async def on_position_changed(position: PositionChanged, world: World) -> None:
    """Keep order-worker's own figures beside ours."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(position):
            await ledger.reconciled_at(position.account_id)
            await ledger.apply_position(position)


async def on_reconciled(reconciled: Reconciled, world: World) -> None:
    """Start the book anew from figures that were held against the venue's; older ones than known are left alone."""
    async with world.open_ledger() as ledger:
        if not await ledger.first_time(reconciled):
            return
        account = await ledger.lock_account(reconciled.account_id)
        if account and (account.reconciled_at is None or reconciled.as_of > account.reconciled_at):
            await ledger.rebase(reconciled)
