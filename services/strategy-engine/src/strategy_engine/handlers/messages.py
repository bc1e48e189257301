"""What people and orders tell the engine. Each handler is one transaction; the engine's memory follows its commit.

Messages of one kind go to whichever replica is free, so what they say is written to the tables, and the replica that
runs the strategy reads it there within a second.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import structlog

from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Command
from sigmax.schemas.market import base_of
from sigmax.schemas.orders import Fill, OrderDenied, OrderEvent
from strategy_engine.domain import alerts
from strategy_engine.domain.book import Book
from strategy_engine.domain.commands import carry_out, is_ours
from strategy_engine.ports import MeterPort, OpenLedger

log = structlog.get_logger()


async def on_command(
    command: Command, *, clock: ClockPort, open_ledger: OpenLedger, refresh: Callable[[], Awaitable[None]]
) -> None:
    """Start, stop, or set a strategy; what cannot be done is told and changes nothing."""
    if not is_ours(command):
        return
    async with open_ledger() as ledger:
        if not await ledger.first_time(command):
            return
        changed = carry_out(command, await ledger.strategies(lock=True))
        if isinstance(changed, str):
            ledger.publish(alerts.refused(command, changed, clock.now()))
            return
        for spec in changed:
            await ledger.save(spec, command.requested_by)
            log.info("strategy_changed", strategy_id=spec.strategy_id, version=spec.version, status=spec.status)
    await refresh()


async def on_fill(fill: Fill, *, open_ledger: OpenLedger, book: Book) -> None:
    """Add a fill to what its strategy holds; a fee paid in the base asset never arrived."""
    held = fill.side.sign * fill.quantity
    if fill.fee_currency == base_of(fill.instrument_id):
        held -= fill.fee
    async with open_ledger() as ledger:
        if not await ledger.first_time(fill):
            return
        holding = await ledger.add_fill(fill, held)
    book.apply([holding])


async def on_order_event(
    event: OrderEvent, *, clock: ClockPort, open_ledger: OpenLedger, book: Book, margin_s: float
) -> None:
    """Follow the order of a signal: while it is out the strategy waits, and at its end until all its fills are here."""
    async with open_ledger() as ledger:
        if not await ledger.first_time(event):
            return
        if event.status.is_terminal:
            holding = await ledger.order_ended(
                event.strategy_id,
                event.instrument_id,
                event.signal_id,
                event.filled_quantity,
                clock.now() + timedelta(seconds=margin_s),
            )
        else:
            holding = await ledger.order_is_out(event.strategy_id, event.instrument_id, event.signal_id)
    if holding is not None:
        book.apply([holding])


async def on_order_denied(
    denied: OrderDenied, *, clock: ClockPort, open_ledger: OpenLedger, book: Book, meter: MeterPort
) -> None:
    """Free the strategy: it may wish again at the next event."""
    async with open_ledger() as ledger:
        if not await ledger.first_time(denied):
            return
        holding = await ledger.order_ended(
            denied.strategy_id, denied.instrument_id, denied.signal_id, filled=Decimal(0), until=clock.now()
        )
    meter.denied(denied.code)
    if holding is not None:
        book.apply([holding])
