"""Joins the alert book, the channels, and the handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from notifier.adapters.metrics import show_channel
from notifier.adapters.postgres import books
from notifier.adapters.senders import AppriseSender, FileSender, LogSender
from notifier.handlers import Routing, on_alert, on_audit_head, on_dispatch, on_order_event, on_stage_changed
from notifier.ports import Sender
from notifier.settings import Settings
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.orders import OrderEvent


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Register the consumers, and one loop per channel, so that a slow channel holds up no other."""
    settings = Settings.model_validate(service.settings)
    remote = [
        AppriseSender(url, line, level_min=settings.channel_level_min, timeout_s=settings.send_timeout_s)
        for line, url in enumerate(settings.channel_urls, start=1)
    ]
    local: list[Sender] = [LogSender()]
    if settings.alert_file is not None:
        local.append(FileSender(settings.alert_file))
    senders: list[Sender] = [*local, *remote]
    routing = Routing(
        [sender.channel for sender in senders],
        timedelta(seconds=settings.dedupe_window_s),
        timedelta(seconds=settings.audit_heads_interval_s),
    )
    open_book = books(service.database)
    clock = service.clock
    service.on(Alert, partial(on_alert, clock=clock, open_book=open_book, routing=routing))
    service.on(StageChanged, partial(on_stage_changed, clock=clock, open_book=open_book, routing=routing))
    service.on(AuditHead, partial(on_audit_head, clock=clock, open_book=open_book, routing=routing))
    service.on(OrderEvent, partial(on_order_event, clock=clock, open_book=open_book, routing=routing))
    for sender in senders:
        show_channel(sender.channel.name)
        service.every(
            settings.dispatch_interval_s,
            partial(on_dispatch, sender, clock, open_book),
            name=f"dispatch_{sender.channel.name}",
        )
    yield
    for sender in remote:
        sender.close()


app = build_service(Settings, wire)
