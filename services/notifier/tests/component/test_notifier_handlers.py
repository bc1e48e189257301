from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from notifier.domain.folding import KnownAlert
from notifier.domain.notices import Channel, Delivery, KnownStage, StoredAlert
from notifier.handlers import Routing, on_alert, on_audit_head, on_dispatch, on_stage_changed
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, AuditHead, StageChanged
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.types import AlertLevel, Scope, Stage

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class FixedClock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def now_ns(self) -> int:
        return nanoseconds(self.at)


@dataclass
class FakeRow:
    alert: StoredAlert
    channel: str
    due_at: datetime
    attempts: int = 0
    state: str = "pending"


@dataclass
class FakeBook:
    """What Postgres keeps, as lists and dicts."""

    alerts: dict[UUID, StoredAlert] = field(default_factory=dict)
    keys: dict[str, KnownAlert] = field(default_factory=dict)
    rows: list[FakeRow] = field(default_factory=list)
    stages: dict[tuple[Scope, str], KnownStage] = field(default_factory=dict)
    inbox: set[UUID] = field(default_factory=set)
    sent: list[Message] = field(default_factory=list)
    heads: list[tuple[AuditHead, bool, datetime]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeBook"]:
        yield self

    async def first_time(self, message: Message) -> bool:
        is_new = message.message_id not in self.inbox
        self.inbox.add(message.message_id)
        return is_new

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    async def head_told_at(self, owner: str) -> datetime | None:
        return max((now for head, is_told, now in self.heads if is_told and head.producer == owner), default=None)

    async def keep_head(self, head: AuditHead, *, is_told: bool, now: datetime) -> None:
        self.heads.append((head, is_told, now))

    async def known(self, dedupe_key: str) -> KnownAlert | None:
        return self.keys.get(dedupe_key)

    async def enter(self, alert: Alert, now: datetime) -> KnownAlert:
        known = KnownAlert(alert.message_id, alert.level, now)
        self.keys[alert.dedupe_key] = known
        self.alerts[alert.message_id] = StoredAlert(
            alert.message_id,
            alert.producer,
            alert.level,
            alert.code,
            alert.subject,
            alert.text,
            alert.values,
            1,
            now,
            now,
        )
        return known

    async def count(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        stored = self.alerts[known.alert_id]
        self.alerts[known.alert_id] = replace(stored, occurrences=stored.occurrences + 1, last_at=now)

    async def escalate(self, known: KnownAlert, alert: Alert, now: datetime) -> None:
        await self.count(known, alert, now)
        self.alerts[known.alert_id] = replace(self.alerts[known.alert_id], level=alert.level, text=alert.text)
        self.keys[alert.dedupe_key] = replace(known, level=alert.level)

    async def deliver(self, known: KnownAlert, alert: Alert, channels: Iterable[Channel], now: datetime) -> None:
        self.rows += [FakeRow(self.alerts[known.alert_id], channel.name, now) for channel in channels]

    async def stage(self, scope: Scope, scope_id: str) -> KnownStage | None:
        return self.stages.get((scope, scope_id))

    async def remember_stage(self, change: StageChanged, now: datetime) -> None:
        self.stages[change.scope, change.scope_id] = KnownStage(change.to_stage, change.version)

    async def claim(self, channel: str, now: datetime) -> Delivery | None:
        for index, row in enumerate(self.rows):
            if row.channel == channel and row.state == "pending" and row.due_at <= now:
                row.attempts += 1
                row.due_at = now + timedelta(seconds=60)
                return Delivery(index, channel, row.attempts, row.alert)
        return None

    async def settle(self, delivery: Delivery, now: datetime) -> None:
        self.rows[delivery.delivery_id].state = "sent"

    async def postpone(self, delivery: Delivery, error: str, next_attempt_at: datetime | None) -> None:
        row = self.rows[delivery.delivery_id]
        if next_attempt_at is None:
            row.state = "failed"
        else:
            row.due_at = next_attempt_at


class FakeSender:
    def __init__(self, name: str, *errors: str | None) -> None:
        self.channel = Channel(name)
        self.errors = list(errors)
        self.sent: list[str] = []

    async def send(self, alert: StoredAlert) -> str | None:
        error = self.errors.pop(0) if self.errors else None
        if error is None:
            self.sent.append(alert.text)
        return error


ROUTING = Routing([Channel("log"), Channel("chat", AlertLevel.DANGER)], timedelta(minutes=5))


def an_alert(part: str = "a", level: AlertLevel = AlertLevel.WARNING, key: str = "feed") -> Alert:
    return Alert(
        **Alert.first(part, NOW),
        producer="collector",
        level=level,
        code="feed_gap",
        subject="BTC",
        text=part,
        dedupe_key=key,
    )


async def test_an_alert_is_stored_and_put_on_its_way() -> None:
    book = FakeBook()
    await on_alert(an_alert(level=AlertLevel.DANGER), FixedClock(), book.open, ROUTING)
    assert [row.channel for row in book.rows] == ["log", "chat"]


async def test_a_redelivered_alert_counts_once() -> None:
    book = FakeBook()
    for _ in range(2):
        await on_alert(an_alert(), FixedClock(), book.open, ROUTING)
    assert [stored.occurrences for stored in book.alerts.values()] == [1]


async def test_repeats_are_counted_and_not_sent() -> None:
    book = FakeBook()
    for part in "abc":
        await on_alert(an_alert(part), FixedClock(), book.open, ROUTING)
    assert [stored.occurrences for stored in book.alerts.values()] == [3]
    assert len(book.rows) == 1


async def test_an_escalation_is_sent_with_the_newer_words() -> None:
    book = FakeBook()
    await on_alert(an_alert("a"), FixedClock(), book.open, ROUTING)
    await on_alert(an_alert("b", AlertLevel.CRITICAL), FixedClock(), book.open, ROUTING)
    assert [(row.channel, row.alert.text) for row in book.rows] == [("log", "a"), ("log", "b"), ("chat", "b")]


async def test_a_halt_is_told_once_however_often_the_stage_is_repeated() -> None:
    book = FakeBook()
    for turn in range(3):
        change = StageChanged(
            **StageChanged.first(f"halt:{turn}", NOW),
            scope=Scope.GLOBAL,
            scope_id="global",
            from_stage=Stage.NORMAL,
            to_stage=Stage.HALTED,
            version=2,
            changed_by="ada",
            reason="test",
        )
        await on_stage_changed(change, FixedClock(), book.open, ROUTING)
    assert [stored.level for stored in book.alerts.values()] == [AlertLevel.CRITICAL]


async def test_a_failed_send_is_tried_again_later_and_the_other_channel_is_not_held_up() -> None:
    book, clock = FakeBook(), FixedClock()
    await on_alert(an_alert(level=AlertLevel.DANGER), clock, book.open, ROUTING)
    chat, log = FakeSender("chat", "the service did not take it"), FakeSender("log")

    await on_dispatch(chat, clock, book.open)
    await on_dispatch(log, clock, book.open)
    assert (chat.sent, log.sent) == ([], ["a"])

    clock.at += timedelta(seconds=2)
    await on_dispatch(chat, clock, book.open)
    assert chat.sent == ["a"]


async def test_a_channel_that_never_takes_it_is_given_up_and_reported() -> None:
    book, clock = FakeBook(), FixedClock()
    await on_alert(an_alert(level=AlertLevel.DANGER), clock, book.open, ROUTING)
    chat = FakeSender("chat", *["down"] * 20)
    for _ in range(20):
        await on_dispatch(chat, clock, book.open)
        clock.at += timedelta(minutes=11)

    assert book.rows[1].state == "failed"
    assert book.rows[1].attempts == 10
    assert [(m.code, m.subject) for m in book.sent if isinstance(m, Alert)] == [("delivery_failed", "chat")]


async def test_a_sent_alert_is_not_sent_again() -> None:
    book, clock = FakeBook(), FixedClock()
    await on_alert(an_alert(), clock, book.open, ROUTING)
    log = FakeSender("log")
    for _ in range(3):
        await on_dispatch(log, clock, book.open)
        clock.at += timedelta(minutes=10)
    assert log.sent == ["a"]


def a_head(position: int, owner: str = "risk_gate") -> AuditHead:
    return AuditHead(
        **AuditHead.first(f"{owner}:{position}", NOW),
        producer=owner,
        position=position,
        hash=f"{position:064x}",
        at=NOW,
        signature="s",
    )


async def test_every_head_of_an_audit_chain_is_kept_and_people_are_told_one_a_day() -> None:
    book, clock = FakeBook(), FixedClock()
    for position in (1, 2):
        await on_audit_head(a_head(position), clock, book.open, ROUTING)
    await on_audit_head(a_head(1, "order_worker"), clock, book.open, ROUTING)
    clock.at = NOW + timedelta(hours=24) - timedelta(seconds=1)
    await on_audit_head(a_head(3), clock, book.open, ROUTING)
    clock.at = NOW + timedelta(hours=24)
    await on_audit_head(a_head(4), clock, book.open, ROUTING)

    assert len(book.heads) == 5
    told = [(stored.subject, stored.values["position"], stored.values["hash"]) for stored in book.alerts.values()]
    assert told == [
        ("risk_gate", "1", f"{1:064x}"),
        ("order_worker", "1", f"{1:064x}"),
        ("risk_gate", "4", f"{4:064x}"),
    ]
    assert all(stored.level is AlertLevel.INFO for stored in book.alerts.values())


async def test_a_redelivered_head_is_kept_once() -> None:
    book = FakeBook()
    for _ in range(2):
        await on_audit_head(a_head(1), FixedClock(), book.open, ROUTING)
    assert len(book.heads) == 1
