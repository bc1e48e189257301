"""Stages, postures, the watch, and the ladder over real Postgres and Redis, two replicas at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from risk_gate_builders import (
    BTC,
    ETH,
    NOW,
    a_command,
    a_fill_of,
    a_reconciliation,
    a_signal,
    an_envelope,
    an_event_of,
    an_instrument,
)
from risk_gate_fakes import FakeWorld
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from risk_gate.adapters.feed import RedisFeed
from risk_gate.adapters.postgres import ledgers
from risk_gate.adapters.start import open_account
from risk_gate.handlers import booking, commands, deciding
from risk_gate.handlers.ladder import follow_rungs
from risk_gate.handlers.postures import mind_postures
from risk_gate.handlers.watching import watch
from risk_gate.ports import World
from risk_gate.settings import Settings
from sigmax.runtime.database import Database, asyncpg_url
from sigmax.schemas.base import Message
from sigmax.schemas.control import Alert, Command, PostureChanged, StageChanged
from sigmax.schemas.market import BARS, FIELD, INSTRUMENTS, MACRO, VIX, Bar, Macro, nanoseconds, shard_of
from sigmax.schemas.orders import CancelRequested, OrderApproved, OrderDenied, VenueHealth
from sigmax.schemas.types import Posture
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

TWO = {"approved_by": "grace", "approved_at": NOW}


class Replicas:
    """Two replicas with connections of their own, over one market and one clock."""

    def __init__(self, databases: list[Database], fake: FakeWorld) -> None:
        self.databases, self.fake = databases, fake
        self.worlds = [replace(fake.world, open_ledger=ledgers(database)) for database in databases]
        self.world = self.worlds[0]

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.databases[0].reading() as session:
            return list((await session.execute(text(sql), values)).all())

    async def change(self, sql: str, **values: Any) -> None:
        async with self.databases[0].transaction() as unit:
            await unit.session.execute(text(sql), values)

    async def told(self, kind: type[Any]) -> list[Any]:
        rows = await self.rows(
            "SELECT body FROM outbox WHERE topic LIKE :topic ORDER BY sequence", topic=topic_of(kind)
        )
        return [kind.decode(row.body) for row in rows]

    async def stage(self, scope: str = "account", scope_id: str = "paper") -> tuple[str, int] | None:
        rows = await self.rows(
            "SELECT stage, version FROM stages WHERE scope = :scope AND scope_id = :scope_id",
            scope=scope,
            scope_id=scope_id,
        )
        return (rows[0].stage, rows[0].version) if rows else None

    async def both(self, work: Callable[[World], Any]) -> None:
        await asyncio.gather(*(work(world) for world in self.worlds))

    async def healthy(self, **changes: Any) -> None:
        now = self.fake.clock.now()
        fields: dict[str, Any] = {
            **an_envelope(f"health {now.isoformat()}", now),
            "account_id": "paper",
            "venue": "paper",
            "is_answering": True,
            "as_of": now,
        }
        await booking.on_venue_health(VenueHealth(**(fields | changes)), self.world)

    async def approve(self, name: str = "signal", **changes: Any) -> OrderApproved:
        await deciding.on_signal(a_signal(name, at=self.fake.clock.now(), **changes), self.world)
        denied = await self.told(OrderDenied)
        assert not denied, denied[-1].text
        return (await self.told(OrderApproved))[-1]


def topic_of(kind: type[Message]) -> str:
    return kind.TOPIC.replace("*", "risk_gate")


@pytest.fixture
async def gate(clean: Addresses, service_env: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replicas]:
    async with replicas(service_env, monkeypatch) as made:
        await booking.on_reconciled(a_reconciliation(), made.world)
        yield made


@asynccontextmanager
async def replicas(service_env: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replicas]:
    for name, value in service_env(
        "risk-gate", account_currency="USDT", start_limits='{"alerting_required": false}'
    ).items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    url = asyncpg_url(settings.database_url, "risk_gate", settings.database_password.get_secret_value())
    databases = [Database(url, owner="risk_gate", application=f"test-{replica}") for replica in range(2)]
    try:
        await open_account(databases[0], settings.account, settings.limits_at_start())
        yield Replicas(databases, FakeWorld())
    finally:
        for database in databases:
            await database.close()


# The watch -----------------------------------------------------------------------------------------------------------


async def test_the_watch_sees_the_account_as_its_tables_have_it(gate: Replicas) -> None:
    approved = await gate.approve()
    await booking.on_fill(a_fill_of(approved, "1", "2", at=NOW + timedelta(seconds=1)), gate.world)
    await booking.on_order_event(an_event_of(approved, 2, "partially_filled", "2", submission="unknown"), gate.world)
    await gate.healthy(orders_unknown=3, is_answering=False, failing_since=NOW)
    await gate.change("INSERT INTO equity_marks VALUES ('paper', :at, 99000, 101000)", at=NOW - timedelta(minutes=1))
    await gate.change(
        "INSERT INTO activity (account_id, starts_at, ended, unfilled) VALUES ('paper', :at, 4, 3)",
        at=NOW - timedelta(minutes=2),
    )
    gate.fake.clock.advance(2)
    async with gate.world.open_ledger() as ledger:
        (watched,) = await ledger.watched(gate.fake.clock.now())
    assert watched.account.account_id == "paper"
    assert watched.limits is not None
    assert watched.cash == 100_000 - 2 * approved.limit_price
    assert watched.holdings[BTC].filled == 2
    assert watched.working == {BTC}
    assert watched.fills == {BTC: (approved.limit_price, NOW + timedelta(seconds=1))}
    assert (watched.marks.minute, watched.marks.peak) == (99_000, 101_000)
    assert (watched.outcomes.ended, watched.outcomes.unfilled) == (4, 3)
    assert watched.unknown.account == 3
    assert watched.venue is not None
    assert (watched.venue.is_answering, watched.venue.failing_since) == (False, NOW)


async def test_two_replicas_bring_an_account_down_once_and_cancel_each_order_once(gate: Replicas) -> None:
    working = await gate.approve()
    await gate.change("INSERT INTO equity_marks VALUES ('paper', :at, 150000, 150000)", at=NOW - timedelta(minutes=1))
    await gate.healthy()
    await gate.both(watch)
    await gate.both(watch)
    assert await gate.stage() == ("halted", 2)
    (change,) = await gate.rows("SELECT * FROM stage_changes")
    assert (change.from_stage, change.to_stage, change.changed_by) == ("normal", "halted", "risk-gate")
    assert "drawdown" in change.reason
    (cancel,) = await gate.told(CancelRequested)
    assert cancel.client_order_id == working.client_order_id
    assert len(await gate.told(StageChanged)) == 1


async def test_books_in_which_a_number_is_none_halt(gate: Replicas) -> None:
    await gate.healthy()
    await gate.change("UPDATE book_cash SET fill_amount = 'NaN'")
    await gate.change("INSERT INTO equity_marks VALUES ('paper', :at, 150000, 150000)", at=NOW - timedelta(minutes=1))
    with pytest.raises(ArithmeticError):
        await watch(gate.world)
    assert await gate.stage() == ("halted", 2)


async def test_a_quiet_watch_locks_nothing(gate: Replicas) -> None:
    await gate.healthy()
    async with gate.databases[1].transaction() as unit:
        await unit.session.execute(text("SELECT * FROM accounts FOR UPDATE"))
        async with asyncio.timeout(2):
            await watch(gate.world)


async def test_a_failing_venue_is_on_record_with_a_picture_of_the_books(gate: Replicas) -> None:
    approved = await gate.approve()
    for failing_s in (5, 30, 31):
        gate.fake.clock.advance(1)
        await gate.healthy(is_answering=False, failing_since=gate.fake.clock.now() - timedelta(seconds=failing_s))
        await gate.both(watch)
    events = await gate.rows("SELECT * FROM ladder_events ORDER BY event_id")
    assert [(each.fault, each.scope, each.scope_id, each.step) for each in events] == [
        ("venue_failing", "venue", "paper", 1),
        ("venue_failing", "venue", "paper", 2),
    ]
    assert events[0].snapshot is None
    assert events[1].snapshot["orders"][0]["client_order_id"] == approved.client_order_id
    assert events[1].snapshot["cash"][0]["currency"] == "USDT"
    assert await gate.stage("venue") == ("caution", 1)
    assert [alert.code for alert in await gate.told(Alert)] == ["venue_failing", "venue_failing"]

    gate.fake.clock.advance(1)
    await gate.healthy()
    await gate.both(watch)
    async with gate.world.open_ledger() as ledger:
        assert await ledger.ladder_steps() == []
        await follow_rungs([], ledger, gate.world)
    assert len(await gate.rows("SELECT * FROM ladder_events")) == 3


@pytest.mark.parametrize(
    ("table", "column"), [("stage_changes", "reason"), ("postures", "reason"), ("ladder_events", "text")]
)
async def test_the_histories_can_be_added_to_and_not_changed(gate: Replicas, table: str, column: str) -> None:
    for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = ''"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await gate.change(sql)


async def test_a_failed_reconciliation_halts_until_two_people_and_young_books_say_otherwise(gate: Replicas) -> None:
    gate.fake.clock.advance(1)
    await booking.on_reconciled(a_reconciliation("failed", passed=False, as_of=gate.fake.clock.now()), gate.world)
    assert await gate.stage() == ("halted", 2)
    up: dict[str, Any] = {"scope": "account", "subject": "paper"}
    await commands.on_command(a_command("resume", name="on failed books", **up, **TWO), gate.world)
    gate.fake.clock.advance(1)
    await booking.on_reconciled(a_reconciliation("passed", as_of=gate.fake.clock.now()), gate.world)
    await commands.on_command(a_command("resume", name="alone", **up), gate.world)
    assert [alert.code for alert in await gate.told(Alert)] == ["resume_refused", "second_person_missing"]
    assert await gate.stage() == ("halted", 2)
    await commands.on_command(a_command("resume", name="by two", **up, **TWO), gate.world)
    assert await gate.stage() == ("reducing", 3)


async def test_a_command_that_comes_twice_goes_one_step_up(gate: Replicas) -> None:
    await commands.on_command(a_command("set_stage", values={"stage": "reducing"}), gate.world)
    resume = a_command("resume")
    await asyncio.gather(*(commands.on_command(resume, world) for world in gate.worlds))
    assert await gate.stage("global", "global") == ("caution", 3)


# Limits and latches --------------------------------------------------------------------------------------------------------


async def test_new_limits_are_a_version_of_their_own_and_count_at_once(gate: Replicas) -> None:
    before = await gate.approve()
    await commands.on_command(
        a_command("set_limits", values={"order_notional_max": '"1000"', "fee_bps": "25"}, **TWO), gate.world
    )
    versions = await gate.rows('SELECT version, "values", changed_by FROM limits ORDER BY version')
    assert versions[-1].changed_by == "ada, grace"
    assert versions[-1].version == versions[-2].version + 1
    assert Decimal(versions[-1].values["order_notional_max"]) == 1000
    assert versions[-2].values.keys() == versions[-1].values.keys()
    gate.fake.clock.advance(11)
    await deciding.on_signal(a_signal("after", at=gate.fake.clock.now()), gate.world)
    (verdict,) = await gate.rows("SELECT code, checks FROM verdicts WHERE outcome = 'denied'")
    assert verdict.code == "notional_exceeds_max"
    assert before.quantity


async def test_a_latch_is_taken_off_by_two(gate: Replicas) -> None:
    await gate.change(
        "INSERT INTO latches (account_id, scope, scope_id, code, reason, latched_at)"
        " VALUES ('paper', 'strategy', 'ema', 'order_count_exceeded', 'too many', now())"
    )
    command = a_command("release", scope="strategy", subject="ema", **TWO)
    await commands.on_command(a_command("release", name="alone", scope="strategy", subject="ema"), gate.world)
    assert (await gate.rows("SELECT released_by FROM latches"))[0].released_by is None
    await commands.on_command(command, gate.world)
    assert (await gate.rows("SELECT released_by FROM latches"))[0].released_by == "ada, grace"


# Postures --------------------------------------------------------------------------------------------------------------------


async def test_two_replicas_evaluate_a_posture_once_and_the_next_decision_enters_with_it(gate: Replicas) -> None:
    gate.fake.feed.vix_figure = (Decimal(30), NOW)
    await gate.both(mind_postures)
    (row,) = await gate.rows("SELECT * FROM postures")
    assert (row.account_id, row.posture, row.is_manual, row.cause) == ("paper", "defensive", False, "evaluated")
    assert row.evaluate_at == NOW + timedelta(minutes=30)
    (changed,) = await gate.told(PostureChanged)
    assert (changed.from_posture, changed.to_posture) == (Posture.GUERRILLA, Posture.DEFENSIVE)
    approved = await gate.approve()
    assert approved.stop_price == Decimal("99.20")

    await commands.on_command(a_command("set_posture", values={"posture": "offensive"}), gate.world)
    gate.fake.clock.advance(11)
    approved = await gate.approve("bolder")
    assert approved.stop_price == Decimal("98.50")


async def test_three_stops_in_the_table_force_defensive_once(gate: Replicas) -> None:
    await commands.on_command(a_command("set_posture", values={"posture": "offensive"}), gate.world)
    insert = (
        "INSERT INTO stop_outs (account_id, strategy_id, instrument_id, kind, at, pnl)"
        " VALUES ('paper', 'ema', :instrument, :kind, :at, :pnl)"
    )
    stop = {"instrument": BTC, "kind": "stop_loss", "pnl": Decimal(-1)}
    for second in (1, 2):
        await gate.change(insert, **stop, at=NOW + timedelta(seconds=second))
    win = {"instrument": ETH, "kind": "take_profit", "pnl": Decimal(1)}
    await gate.change(insert, **win, at=NOW + timedelta(seconds=3))
    trailing = {**stop, "kind": "trailing_stop"}
    for second, row in ((4, stop), (5, trailing), (6, {**trailing, "pnl": Decimal(0)})):
        await gate.change(insert, **row, at=NOW + timedelta(seconds=second))
    gate.fake.clock.advance(10)
    await gate.both(mind_postures)
    assert len(await gate.rows("SELECT * FROM postures")) == 1
    await gate.change(insert, **stop, at=NOW + timedelta(seconds=7))
    await gate.both(mind_postures)
    await gate.both(mind_postures)
    rows = await gate.rows("SELECT * FROM postures ORDER BY posture_id")
    assert [(row.posture, row.cause) for row in rows] == [("offensive", "by_hand"), ("defensive", "forced")]
    assert rows[-1].evaluate_at == gate.fake.clock.now() + timedelta(hours=2)


# The feed ------------------------------------------------------------------------------------------------------------------


async def test_the_whole_feed_is_read_and_what_is_broken_is_absent(
    clean: Addresses, gate: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("risk_gate.adapters.feed._PAGE", 2)
    writer = Redis.from_url(clean.redis_url_as("collector"))
    reader = Redis.from_url(clean.redis_url_as("risk_gate"))
    try:
        feed = RedisFeed(reader, 5, gate.fake.clock)
        assert await feed.vix() is None
        assert await feed.closes() == {}
        await writer.hset(INSTRUMENTS, mapping={BTC: an_instrument().encode(), ETH: b"\xc1 not msgpack"})
        await writer.hset(MACRO, VIX, Macro(Decimal("17.5"), nanoseconds(NOW)).encode())
        stream = BARS.format(shard=shard_of(BTC))
        longer = Bar(BTC, 3600, 0, Decimal(7), Decimal(7), Decimal(7), Decimal(7), Decimal(1), 1, 3)
        await writer.xadd(stream, {FIELD: longer.encode()})
        for number in range(3):
            price = Decimal(100 + number)
            bar = Bar(BTC, 60, number, price, price, price, price, Decimal(1), 1, number)
            for _ in range(2):  # a client that tries again doubles its entry
                await writer.xadd(stream, {FIELD: bar.encode()})
        await writer.xadd(stream, {FIELD: b"\xc1"})
        assert await feed.instruments() == {BTC: an_instrument()}
        assert await feed.vix() == (Decimal("17.5"), NOW)
        assert await feed.closes() == {BTC: [Decimal(100), Decimal(101), Decimal(102)]}
        await writer.hset(MACRO, VIX, b"\xc1")
        assert await feed.vix() is None
    finally:
        await writer.aclose()
        await reader.aclose()


# The service -----------------------------------------------------------------------------------------------------------------


async def test_commands_reach_the_running_service_and_the_rest_of_the_platform(world: Any, run_service: Any) -> None:
    stages = await world.listen(StageChanged, StageChanged.TOPIC)
    postures = await world.listen(PostureChanged, PostureChanged.TOPIC)
    alerts = await world.listen(Alert, topic_of(Alert))
    async with run_service("risk-gate", account_currency="USDT") as gate:
        commands_said: list[Command] = [
            a_command("set_posture", values={"posture": "defensive"}),
            a_command("set_stage", values={"stage": "reducing"}, scope="instrument", subject=BTC),
            a_command("set_limits", values={"fee_bps": "30"}),
        ]
        for command in commands_said:
            await world.publish(command)
        await world.until_true(lambda: bool(postures) and bool(alerts))
        await world.until_true(lambda: any(each.scope_id == BTC for each in stages))
        assert postures[0].to_posture is Posture.DEFENSIVE
        assert [alert.code for alert in alerts if alert.code.startswith("second")] == ["second_person_missing"]
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def shown() -> bool:
                metrics = (await client.get(f"{gate.url}/metrics")).text
                return 'sigmax_risk_gate_posture{account="paper",posture="defensive"} 1.0' in metrics

            await world.until(shown)
