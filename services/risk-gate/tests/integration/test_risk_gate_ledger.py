"""The handlers over real Postgres: what holds when replicas race, messages double, and rows are broken."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from risk_gate_builders import (
    BTC,
    ETH,
    KEY,
    NOW,
    a_command,
    a_decision,
    a_fill,
    a_fill_of,
    a_position,
    a_quote,
    a_reconciliation,
    a_request,
    a_signal,
    an_event_of,
    an_id,
    an_instrument,
)
from risk_gate_fakes import FakeLedger, FakeMarket, FakeWorld
from risk_gate_replicas import Gate, a_gate
from sqlalchemy.exc import DBAPIError

from risk_gate.adapters.redis import RedisMarket
from risk_gate.adapters.start import not_ready, open_account
from risk_gate.handlers import booking, commands, deciding
from sigmax.domain.approval import verify
from sigmax.runtime.settings import SettingsError
from sigmax.schemas.base import Message
from sigmax.schemas.market import INSTRUMENTS, LATEST
from sigmax.schemas.orders import Fill, OrderApproved, OrderEvent, PositionChanged, Reconciled
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

HANDLERS: dict[type[Message], Any] = {
    Fill: booking.on_fill,
    OrderEvent: booking.on_order_event,
    PositionChanged: booking.on_position_changed,
    Reconciled: booking.on_reconciled,
}


@pytest.fixture
async def gate(clean: Addresses, service_env: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    async with a_gate(clean, service_env, monkeypatch) as made:
        await booking.on_reconciled(a_reconciliation(), made.world)
        yield made


async def test_a_signal_becomes_one_verdict_one_reservation_and_one_message(gate: Gate) -> None:
    approved = await gate.approve()
    await deciding.on_signal(a_signal(), gate.worlds[1])

    assert verify(approved, KEY)
    (verdict,) = await gate.rows("SELECT * FROM verdicts")
    assert (verdict.outcome, verdict.signal_id) == ("approved", an_id("signal"))
    assert verdict.approved["quantity"] == "19.900"
    assert len(verdict.checks) == len(approved.checks)
    (reserved,) = await gate.rows("SELECT * FROM reservations")
    assert reserved.leaves_quantity == Decimal("19.9")
    assert reserved.notional == Decimal("1999.95")
    assert reserved.cost == Decimal("2003.9499")


async def test_a_denial_keeps_its_numbers(gate: Gate) -> None:
    gate.fake.market.instrument = None
    await deciding.on_signal(a_signal(), gate.world)
    (verdict,) = await gate.rows("SELECT * FROM verdicts")
    assert (verdict.outcome, verdict.code) == ("denied", "instrument_not_tradable")
    assert any(not check["passed"] and check["limit"] == BTC for check in verdict.checks)
    assert not await gate.rows("SELECT * FROM reservations")
    assert await gate.outbox("risk_gate.order_denied.v1") == 1


async def test_the_same_signal_at_two_replicas_at_once_is_decided_once(gate: Gate) -> None:
    for number in range(10):
        gate.fake.clock.advance(11)
        signal = a_signal(f"signal {number}", at=gate.fake.clock.now())
        await asyncio.gather(*(deciding.on_signal(signal, world) for world in gate.worlds * 2))
    (count,) = await gate.rows("SELECT count(*) AS verdicts, count(DISTINCT signal_id) AS signals FROM verdicts")
    assert count.verdicts == count.signals == 10


async def test_replicas_that_decide_at_once_do_not_spend_the_same_room(gate: Gate) -> None:
    await gate.limit(position_notional_max="6000")
    for number in range(4):
        # Unlike quantities, or they would be duplicates of one another.
        signals = [
            a_signal(f"{half} {number}", strategy_id=half, strength=f"0.{9 - number}{half}", at=gate.fake.clock.now())
            for half in ("0", "5")
        ]
        await asyncio.gather(
            *(deciding.on_signal(signal, world) for signal, world in zip(signals, gate.worlds, strict=True))
        )
        gate.fake.clock.advance(1)
    (total,) = await gate.rows("SELECT sum(notional) AS notional, count(*) AS orders FROM reservations")
    assert total.orders == 3
    assert total.notional <= 6000


async def test_verdicts_fills_and_limits_can_be_added_to_and_not_changed(gate: Gate) -> None:
    await gate.approve()
    for sql in (
        "UPDATE verdicts SET text = ''",
        "DELETE FROM verdicts",
        "UPDATE fills SET price = 1",
        "DELETE FROM limits",
        "UPDATE stage_changes SET reason = ''",
        "DELETE FROM stage_changes",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            await gate.change(sql)


async def test_a_fault_in_the_middle_leaves_nothing_and_the_next_try_decides(gate: Gate) -> None:
    class BrokenMarket(FakeMarket):
        async def look(self, *_: Any) -> Any:
            raise ConnectionError("no market")

    with pytest.raises(ConnectionError):
        await deciding.on_signal(a_signal(), replace(gate.world, market=BrokenMarket(gate.fake.clock)))
    assert not await gate.rows("SELECT * FROM verdicts")
    assert await gate.approve()


@pytest.mark.parametrize("turn", ["request first", "decision first", "at once"])
async def test_a_judged_signal_is_decided_once_whichever_half_comes_first(gate: Gate, turn: str) -> None:
    for number in range(5):
        gate.fake.clock.advance(11)
        request = a_request(a_signal(f"{turn} {number}", at=gate.fake.clock.now()))
        decision = a_decision(request)
        first, second = gate.worlds
        if turn == "at once":
            await asyncio.gather(
                deciding.on_judgement_requested(request, first), deciding.on_decision(decision, second)
            )
        elif turn == "request first":
            await deciding.on_judgement_requested(request, first)
            await deciding.on_decision(decision, second)
        else:
            await deciding.on_decision(decision, second)
            await deciding.on_judgement_requested(request, first)
        await deciding.on_decision(decision, first)
    assert await gate.outbox("risk_gate.order_approved.v1") == 5
    assert await gate.rows("SELECT 1 FROM proposals WHERE NOT is_settled") == []


async def test_silence_is_denied_once_by_all_replicas_together(gate: Gate) -> None:
    requests = [a_request(a_signal(f"silent {number}")) for number in range(5)]
    for request in requests:
        await deciding.on_judgement_requested(request, gate.world)
    gate.fake.clock.advance(6)
    await asyncio.gather(*(deciding.deny_unjudged(world) for world in gate.worlds))
    await deciding.on_decision(a_decision(requests[0]), gate.world)
    rows = await gate.rows("SELECT code FROM verdicts")
    assert [row.code for row in rows] == ["judgement_refused"] * 5


async def test_a_halt_cancels_every_order_approved_before_it_and_none_is_approved_after(gate: Gate) -> None:
    signals = [a_signal(f"s{number}", strategy_id=f"s{number}", strength=f"0.{number}") for number in range(9)]
    await gate.limit(account_orders_per_s_max=100, instrument_open_orders_max=100)
    halt = asyncio.create_task(_soon(commands.on_command(a_command("halt"), gate.worlds[1])))
    await asyncio.gather(
        *(deciding.on_signal(signal, gate.worlds[number % 2]) for number, signal in enumerate(signals))
    )
    await halt
    approved = {
        row.id for row in await gate.rows("SELECT client_order_id AS id FROM verdicts WHERE outcome = 'approved'")
    }
    cancelled = await gate.rows(
        "SELECT convert_from(body, 'UTF8')::jsonb ->> 'client_order_id' AS id FROM outbox"
        " WHERE topic = 'risk_gate.cancel_requested.v1'"
    )
    assert {row.id for row in cancelled} == approved
    denied = await gate.rows("SELECT code FROM verdicts WHERE outcome = 'denied'")
    assert len(approved) + len(denied) == len(signals)
    assert {row.code for row in denied} <= {"kill_switch_on"}


async def test_a_halt_survives_a_restart_and_resuming_needs_young_books(gate: Gate) -> None:
    await commands.on_command(a_command("halt"), gate.world)
    await open_account(gate.databases[1], gate.settings.account, gate.settings.limits_at_start())
    (stage,) = await gate.rows("SELECT * FROM stages WHERE scope = 'global'")
    assert (stage.stage, stage.version, stage.changed_by) == ("halted", 2, "ada")

    gate.fake.clock.advance(121)
    second = {"approved_by": "grace", "approved_at": gate.fake.clock.now()}
    await commands.on_command(a_command("resume", name="too late", **second), gate.world)
    assert await gate.outbox("risk_gate.alert.v1") == 1
    await booking.on_reconciled(a_reconciliation("new", as_of=gate.fake.clock.now()), gate.world)
    await commands.on_command(a_command("resume", name="in time", **second), gate.world)
    for step in ("one", "two"):
        await commands.on_command(a_command("resume", name=step), gate.world)
    (stage,) = await gate.rows("SELECT * FROM stages WHERE scope = 'global'")
    assert (stage.stage, stage.version) == ("normal", 5)
    history = await gate.rows("SELECT * FROM stage_changes ORDER BY version")
    assert [(row.from_stage, row.to_stage, row.changed_by) for row in history] == [
        ("normal", "halted", "ada"),
        ("halted", "reducing", "ada, grace"),
        ("reducing", "caution", "ada"),
        ("caution", "normal", "ada"),
    ]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("DELETE FROM stages WHERE scope = 'global'", "kill_switch_on"),
        ("DELETE FROM stages WHERE scope = 'account'", "trading_halted"),
        ("UPDATE stages SET stage = 'fine'", "kill_switch_on"),
        ("INSERT INTO limits VALUES ('paper', 2, '{}', 'ada')", "limit_missing"),
        ("INSERT INTO limits VALUES ('paper', 2, '[]', 'ada')", "limit_missing"),
        ("INSERT INTO limits SELECT account_id, 2, \"values\" - 'fee_bps', 'ada' FROM limits", "limit_missing"),
        ("UPDATE book_cash SET fill_amount = 'NaN', reported_amount = 'NaN'", "number_invalid"),
        ("INSERT INTO book_positions VALUES ('paper', 'X/USDT@m', 'Infinity')", "number_invalid"),
    ],
)
async def test_what_cannot_be_read_denies(gate: Gate, clean: Addresses, damage: str, code: str) -> None:
    # By hand, as the superuser: the service itself may not remove a stage.
    superuser = await asyncpg.connect(clean.admin_urls[0], server_settings={"search_path": "risk_gate"})
    await superuser.execute(damage)
    await superuser.close()
    await deciding.on_signal(a_signal(), gate.world)
    (verdict,) = await gate.rows("SELECT code FROM verdicts")
    assert verdict.code == code
    is_of_the_account = code in {"kill_switch_on", "trading_halted", "limit_missing"} and "fine" not in damage
    if is_of_the_account and "INSERT" not in damage:
        assert await not_ready(gate.databases[0], "paper") is not None


async def test_an_unknown_account_is_denied(gate: Gate) -> None:
    await deciding.on_signal(a_signal(account_id="other"), gate.world)
    (verdict,) = await gate.rows("SELECT code FROM verdicts")
    assert verdict.code == "trading_halted"


async def test_an_account_stored_for_another_venue_or_mode_does_not_start(gate: Gate) -> None:
    for changes in ({"venue": "binance"}, {"mode": "live"}, {"currency": "EUR"}):
        account = replace(gate.settings.account, **changes)
        with pytest.raises(SettingsError, match="account paper is stored with"):
            await open_account(gate.databases[0], account, gate.settings.limits_at_start())


async def test_without_a_reconciliation_everything_is_denied(
    clean: Addresses, service_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_gate(clean, service_env, monkeypatch) as gate:
        await deciding.on_signal(a_signal(), gate.world)
        (verdict,) = await gate.rows("SELECT code FROM verdicts")
        assert verdict.code == "reconciliation_missing"


async def test_rate_and_duplicate_windows_hold_over_replicas(gate: Gate) -> None:
    await gate.approve("first")
    gate.fake.clock.advance(0.9)
    await deciding.on_signal(a_signal("fast", at=gate.fake.clock.now(), strength="0.5"), gate.worlds[1])
    gate.fake.clock.advance(0.2)
    await deciding.on_signal(a_signal("again", at=gate.fake.clock.now()), gate.worlds[1])
    gate.fake.clock.advance(9)
    await deciding.on_signal(a_signal("later", at=gate.fake.clock.now()), gate.worlds[1])
    rows = await gate.rows("SELECT outcome, code FROM verdicts ORDER BY created_at")
    assert [row.code or row.outcome for row in rows] == [
        "approved",
        "order_rate_exceeded",
        "order_duplicated",
        "approved",
    ]


def a_story(approved: OrderApproved, seed: int) -> list[Message]:
    """Fills, positions, events, and reconciliations of one order; doubled and shuffled."""
    draw = random.Random(seed)
    price, filled = approved.limit_price or Decimal(0), Decimal(0)
    story: list[Message] = [an_event_of(approved, 1, "new")]
    for index, part in enumerate(("3", "5", "2.9"), start=1):
        at = NOW + timedelta(seconds=index)
        filled += Decimal(part)
        fee = {"fee": "0.003", "fee_currency": "BTC"} if index == 1 else {"fee": "0.1"}
        story += [
            a_fill_of(approved, str(index), part, at=at, **fee),
            a_position(index, str(filled), str(100_000 - filled * price)),
            an_event_of(approved, index + 1, "partially_filled", str(filled)),
        ]
    story.append(an_event_of(approved, 9, "canceled", str(filled)))
    story.append(
        a_reconciliation(
            "middle", "98000", as_of=NOW + timedelta(seconds=2), positions={BTC: Decimal("7.997")}, sequence=2
        )
    )
    story += draw.sample(story, k=5)
    draw.shuffle(story)
    return story


@pytest.mark.parametrize("seed", range(12))
async def test_postgres_keeps_the_same_book_as_the_rules_whatever_the_order(gate: Gate, seed: int) -> None:
    approved = await gate.approve()
    twin = FakeWorld()
    twin.state.cash["USDT"].reported = Decimal(100_000)
    await deciding.on_signal(a_signal(), twin.world)
    for number, message in enumerate(a_story(approved, seed)):
        await HANDLERS[type(message)](message, gate.worlds[number % 2])
        await HANDLERS[type(message)](message, twin.world)
        expected = FakeLedger(twin.state).book(a_signal("a look"), NOW)
        book = await gate.book()
        assert book.cash == expected.cash
        assert book.own == {name: quantity for name, quantity in expected.own.items() if quantity}
        assert book.exposed_quantity(BTC) == expected.exposed_quantity(BTC)
        assert book.sellable_quantity(BTC, "ema") == expected.sellable_quantity(BTC, "ema")
        assert book.reserved_cash() == expected.reserved_cash()


async def test_fills_and_a_reconciliation_at_once_count_every_fill_once(gate: Gate) -> None:
    as_of = NOW + timedelta(seconds=10)
    early = [a_fill(f"early {n}", "1", at=NOW + timedelta(seconds=n % 10 + 1)) for n in range(10)]
    late = [a_fill(f"late {n}", "1", at=as_of + timedelta(seconds=n + 1)) for n in range(10)]
    reconciled = a_reconciliation("new", "99000", as_of=as_of, positions={BTC: Decimal(10)}, sequence=10)
    work = [booking.on_fill(fill, gate.worlds[n % 2]) for n, fill in enumerate(early + late)]
    work.insert(7, booking.on_reconciled(reconciled, gate.worlds[1]))
    await asyncio.gather(*work)
    (position,) = await gate.rows("SELECT * FROM book_positions")
    (cash,) = await gate.rows("SELECT * FROM book_cash")
    assert position.fill_quantity == 20
    assert cash.fill_amount == 98_000
    assert (await gate.book()).own == {BTC: Decimal(20)}


async def test_a_reconciliation_that_names_a_holding_no_more_ends_it(gate: Gate) -> None:
    await booking.on_reconciled(
        a_reconciliation("one", as_of=NOW + timedelta(seconds=1), positions={ETH: Decimal(3)}, sequence=1), gate.world
    )
    await booking.on_reconciled(a_reconciliation("two", as_of=NOW + timedelta(seconds=2), sequence=2), gate.world)
    assert not (await gate.book()).holdings


async def test_market_data_that_is_broken_is_absent(clean: Addresses) -> None:
    writer = Redis.from_url(clean.redis_url_as("collector"))
    reader = Redis.from_url(clean.redis_url_as("risk_gate"))
    try:
        await writer.hset(LATEST, mapping={BTC: a_quote().encode(), ETH: b"\xc1 not msgpack"})
        await writer.hset(INSTRUMENTS, mapping={BTC: an_instrument().encode(), ETH: b""})
        market = RedisMarket(reader, timeout_s=5)
        assert await market.look(BTC) == (an_instrument(), a_quote())
        assert await market.look(ETH) == await market.look("X/USDT@binance") == (None, None)
        assert await market.quotes({BTC, ETH, "X/USDT@binance"}) == {BTC: a_quote()}
        assert await market.quotes(()) == {}
    finally:
        await writer.aclose()
        await reader.aclose()


async def _soon(work: Any) -> None:
    await asyncio.sleep(0.01)
    await work
