"""One function per message and timer: fold alerts, and bring them to people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from notifier.domain.folding import Folding, fold
from notifier.domain.notices import Channel, channels_for, delivery_alert, head_alert, order_alert, stage_alert
from notifier.domain.retry import retry_at
from notifier.ports import AlertBook, OpenBook, Sender
from sigmax.runtime.clock import ClockPort
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.orders import OrderEvent

log = structlog.get_logger()

_SENDS_PER_TURN = 50
"""A turn ends now and then, so that stopping the service never waits for a long backlog."""


@dataclass(frozen=True)
class Routing:
    """Where alerts go, and for how long one stands for its repeats."""

    channels: Sequence[Channel]
    window: timedelta
    heads_every: timedelta = timedelta(days=1)
    """Between two heads of one audit chain that people are told."""


async def on_alert(alert: Alert, clock: ClockPort, open_book: OpenBook, routing: Routing) -> None:
    """Store one alert; it goes out if it is news."""
    async with open_book() as book:
        if await book.first_time(alert):
            await _record(alert, book, routing, clock.now())


async def on_stage_changed(change: StageChanged, clock: ClockPort, open_book: OpenBook, routing: Routing) -> None:
    """Tell people when the stage of a scope really changed."""
    async with open_book() as book:
        if not await book.first_time(change):
            return
        now = clock.now()
        known = await book.stage(change.scope, change.scope_id)
        if known is not None and change.version <= known.version:
            return
        await book.remember_stage(change, now)
        alert = stage_alert(change, known, now)
        if alert is not None:
            await _record(alert, book, routing, now)


async def on_order_event(event: OrderEvent, clock: ClockPort, open_book: OpenBook, routing: Routing) -> None:
    """Tell people of orders that were rejected or whose fate is unknown."""
    now = clock.now()
    alert = order_alert(event, now)
    if alert is None:
        return
    async with open_book() as book:
        if await book.first_time(event):
            await _record(alert, book, routing, now)


async def on_audit_head(head: AuditHead, clock: ClockPort, open_book: OpenBook, routing: Routing) -> None:
    """Keep the head of an audit chain, write it to the log, and now and then tell people: what they have, nobody edits.

    The log has every head: whoever ships it has them off the host within the hour.
    """
    async with open_book() as book:
        if not await book.first_time(head):
            return
        now = clock.now()
        told_at = await book.head_told_at(head.producer)
        is_told = told_at is None or now - told_at >= routing.heads_every
        await book.keep_head(head, is_told=is_told, now=now)
        if is_told:
            await _record(head_alert(head, now), book, routing, now)
    log.info(
        "audit_head",
        owner=head.producer,
        position=head.position,
        hash=head.hash,
        at=head.at.isoformat(),
        seal=head.signature,  # a field named `signature` is masked
    )


async def on_dispatch(sender: Sender, clock: ClockPort, open_book: OpenBook) -> None:
    """Send what is due on one channel, the most urgent first.

    No transaction is open while a channel is talked to. A process that dies in between leaves a lease that ends: the
    alert then goes out a second time rather than not at all.
    """
    for _ in range(_SENDS_PER_TURN):
        async with open_book() as book:
            delivery = await book.claim(sender.channel.name, clock.now())
        if delivery is None:
            return
        error = await sender.send(delivery.alert)
        now = clock.now()
        async with open_book() as book:
            if error is None:
                await book.settle(delivery, now)
                continue
            next_attempt_at = retry_at(delivery.attempts, now)
            await book.postpone(delivery, error, next_attempt_at)
            lost = delivery_alert(delivery, now) if next_attempt_at is None else None
            if lost is not None:
                book.publish(lost)


async def _record(alert: Alert, book: AlertBook, routing: Routing, now: datetime) -> None:
    known = await book.known(alert.dedupe_key)
    folding = fold(alert, known, routing.window, now)
    if known is None or folding is Folding.NEW:
        known = await book.enter(alert, now)
    elif folding is Folding.ESCALATE:
        await book.escalate(known, alert, now)
    else:
        await book.count(known, alert, now)
        return
    await book.deliver(known, alert, channels_for(alert, routing.channels), now)
