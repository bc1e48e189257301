"""Protections over real Postgres: one order however many replicas watch, and never more sold than was bought."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
    NOW,
    a_command,
    a_fill_of,
    a_reconciliation,
    a_signal,
    an_event_of,
)
from risk_gate_exit_builders import some_ticks
from risk_gate_replicas import Gate, a_gate
from sqlalchemy.exc import DBAPIError

from risk_gate.adapters.postgres import PostgresLedger
from risk_gate.domain.exits import ExitPolicy, ExitRules
from risk_gate.domain.protection import Protection, ProtectionState, asking
from risk_gate.domain.watch import Hit
from risk_gate.handlers import booking, commands, deciding
from risk_gate.handlers.exit_sweep import sweep
from risk_gate.handlers.exits import on_hit
from risk_gate.handlers.flattening import follow_flattenings
from risk_gate.ports.exits import ExitDesk, PositionKey
from sigmax.schemas.orders import OrderApproved
from sigmax.schemas.types import ExitKind, Scope
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration

POSITION = PositionKey("paper", "ema", BTC)


@pytest.fixture
async def gate(clean: Addresses, service_env: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    async with a_gate(clean, service_env, monkeypatch) as made:
        made.worlds = [replace(world, exits=ExitDesk()) for world in made.worlds]
        made.world = made.worlds[0]
        await booking.on_reconciled(a_reconciliation(), made.world)
        made.fake.clock.advance(1)
        yield made


def rule(gate: Gate, **rules: Any) -> None:
    gate.worlds = [replace(world, exits=ExitDesk(rules=ExitRules(**rules))) for world in gate.worlds]
    gate.world = gate.worlds[0]


async def enter(gate: Gate, quantity: str = "10", **changes: Any) -> OrderApproved:
    approved = await gate.approve("entry", stop_pct="2", target_pct="10", **changes)
    await booking.on_fill(
        a_fill_of(approved, "entry fill", quantity, price="100", at=gate.fake.clock.now()), gate.world
    )
    await booking.on_order_event(an_event_of(approved, 5, "expired", quantity), gate.world)
    return approved


async def known(gate: Gate) -> Protection:
    async with gate.databases[0].transaction() as unit:
        found = await PostgresLedger(unit).protections()
    assert len(found) == 1
    return found[0]


async def sales(gate: Gate, order_type: str = "limit") -> list[OrderApproved]:
    rows = await gate.rows("SELECT body FROM outbox WHERE topic = 'risk_gate.order_approved.v1' ORDER BY sequence")
    approved = [OrderApproved.decode(row.body) for row in rows]
    return [each for each in approved if each.side == "sell" and each.order_type == order_type]


def a_hit(protection: Protection, price: str, gate: Gate) -> Hit:
    gate.fake.market.prices[BTC] = price
    at_ns = gate.fake.clock.now_ns()
    return Hit(protection, Decimal(price), at_ns, at_ns)


async def test_a_protection_is_read_as_it_was_kept(gate: Gate) -> None:
    await enter(gate, trailing_pct="3", holding_s_max=60)
    found = await known(gate)
    assert (found.quantity, found.entry_price, found.stop_price, found.target_price) == (10, 100, 98, 110)
    assert (found.trailing_pct, found.closes_at) == (3, gate.fake.clock.now() + timedelta(seconds=60))
    assert gate.world.exits.watch.protections == [found]
    whole = replace(
        asking(found, ExitKind.TRAILING_STOP, Decimal("97.5"), NOW, NOW),
        escalation=3,
        next_attempt_at=NOW,
        spared=ExitKind.TIME_STOP,
        spared_price=Decimal("96.5"),
        next_resting_at=NOW,
        naked_since=NOW,
        exit_pnl=Decimal("-1.25"),
        refusal="it is halted",
    )
    async with gate.databases[0].transaction() as unit:
        await PostgresLedger(unit).keep_protection(whole)
    assert await known(gate) == whole
    async with gate.databases[1].transaction() as unit:
        ledger = PostgresLedger(unit)
        assert await ledger.asked_about(whole.exit_id(ExitKind.TRAILING_STOP)) == whole
        assert await ledger.protection_of(POSITION) == whole


async def test_a_best_price_never_falls(gate: Gate) -> None:
    await enter(gate)
    found = await known(gate)
    async with gate.databases[0].transaction() as unit:
        ledger = PostgresLedger(unit)
        await ledger.raise_best({found.protection_id: Decimal(107)})
        await ledger.raise_best({found.protection_id: Decimal(105)})
        await ledger.keep_protection(found)
    assert (await known(gate)).best_price == 107


async def test_replicas_that_see_the_same_tick_make_one_order(gate: Gate) -> None:
    await enter(gate)
    hit = a_hit(await known(gate), "97", gate)
    await asyncio.gather(*(on_hit(hit, world) for world in gate.worlds * 5))
    (sold,) = await sales(gate)
    assert sold.quantity == 10
    (row,) = await gate.rows("SELECT is_resting, kind, ended_at FROM exit_orders")
    assert (row.is_resting, row.kind, row.ended_at) == (False, "stop_loss", None)


async def test_a_filled_stop_is_on_record_once_with_its_loss(gate: Gate) -> None:
    await enter(gate)
    await on_hit(a_hit(await known(gate), "97", gate), gate.world)
    (sold,) = await sales(gate)
    fill = a_fill_of(sold, "exit fill", "10", price="97", at=gate.fake.clock.now())
    await asyncio.gather(*(booking.on_fill(fill, world) for world in gate.worlds))
    await booking.on_order_event(an_event_of(sold, 5, "filled", "10"), gate.worlds[1])
    (row,) = await gate.rows("SELECT account_id, strategy_id, instrument_id, kind, pnl FROM stop_outs")
    assert tuple(row) == ("paper", "ema", BTC, "stop_loss", Decimal(-30))
    (row,) = await gate.rows("SELECT state, quantity FROM protections")
    assert tuple(row) == ("closed", 0)


async def test_the_watch_of_another_replica_finds_the_position_within_a_turn(gate: Gate) -> None:
    await enter(gate)
    other = gate.worlds[1]
    assert other.exits.watch.protections == []
    await sweep(other)
    gate.fake.market.prices[BTC] = "97"
    (hit,) = other.exits.watch.hold(some_ticks("97", at=gate.fake.clock.now()), gate.fake.clock.now_ns())
    await on_hit(hit, other)
    assert len(await sales(gate)) == 1


async def test_a_resting_stop_makes_way_and_both_never_sell(gate: Gate) -> None:
    rule(gate, rests_stops=True)
    await enter(gate)
    await asyncio.gather(*(sweep(world) for world in gate.worlds))
    (stop,) = await sales(gate, "stop_limit")
    assert (stop.quantity, stop.trigger_price) == (10, 98)
    hit = a_hit(await known(gate), "97.9", gate)
    await asyncio.gather(*(on_hit(hit, world) for world in gate.worlds))
    assert await sales(gate) == []
    assert await gate.outbox("risk_gate.cancel_requested.v1") == 1
    (row,) = await gate.rows("SELECT cancel_asked_at FROM exit_orders")
    assert row.cancel_asked_at == gate.fake.clock.now()
    canceled = an_event_of(stop, 5, "canceled")
    await asyncio.gather(*(booking.on_order_event(canceled, world) for world in gate.worlds))
    (sold,) = await sales(gate)
    assert sold.quantity == 10


async def test_a_strategys_sale_waits_with_its_judgement_until_the_stop_has_left(gate: Gate) -> None:
    rule(gate, rests_stops=True)
    await enter(gate)
    await sweep(gate.world)
    (stop,) = await sales(gate, "stop_limit")
    gate.fake.clock.advance(1)
    signal = a_signal("out", action="close", at=gate.fake.clock.now())
    await asyncio.gather(*(deciding.on_signal(signal, world) for world in gate.worlds))
    async with gate.databases[0].transaction() as unit:
        ledger = PostgresLedger(unit)
        (waiting,) = await ledger.waiting(POSITION)
        assert waiting.signal == signal
        assert await ledger.waiting() == [waiting]
    await booking.on_order_event(an_event_of(stop, 5, "canceled"), gate.world)
    assert [each.quantity for each in await sales(gate)] == [10]
    assert await gate.rows("SELECT 1 FROM waiting_sales") == []


async def test_a_vote_is_kept_and_its_deadline_is_any_replicas(gate: Gate) -> None:
    rule(gate, policy=ExitPolicy.VOTE)
    await enter(gate)
    hit = a_hit(await known(gate), "97", gate)
    await asyncio.gather(*(on_hit(hit, world) for world in gate.worlds))
    assert await gate.outbox("risk_gate.exit_judgement_requested.v1") == 1
    assert (await known(gate)).state is ProtectionState.ASKING
    gate.fake.clock.advance(2)
    await asyncio.gather(*(sweep(world) for world in gate.worlds))
    assert len(await sales(gate)) == 1


async def test_what_was_held_before_is_guarded_at_the_price_of_its_buys(gate: Gate) -> None:
    await enter(gate)
    await gate.change("UPDATE protections SET state = 'closed', strategy_id = 'gone'")
    await asyncio.gather(*(sweep(world) for world in gate.worlds))
    assert ((await known(gate)).quantity, (await known(gate)).entry_price) == (10, 100)


async def test_flatten_sells_what_a_scope_holds_and_keeps_its_progress(gate: Gate) -> None:
    await enter(gate)
    command = a_command("flatten", at=gate.fake.clock.now())
    await commands.on_command(command, gate.world)
    for _ in range(2):
        await asyncio.gather(*(sweep(world) for world in gate.worlds))
        await asyncio.gather(*(follow_flattenings(world) for world in gate.worlds))
    (sold,) = await sales(gate)
    (row,) = await gate.rows("SELECT flattening_id, scope, ended_at, is_flat, remaining FROM flattenings")
    assert (row.flattening_id, row.scope, row.ended_at, row.is_flat) == (command.message_id, "global", None, None)
    assert row.remaining[0]["quantity"].startswith("10")
    fill = a_fill_of(sold, "exit fill", "10", price="100", at=gate.fake.clock.now())
    await booking.on_fill(fill, gate.world)
    await asyncio.gather(*(follow_flattenings(world) for world in gate.worlds))
    (row,) = await gate.rows("SELECT ended_at, is_flat, remaining FROM flattenings")
    assert (row.ended_at, row.is_flat, row.remaining) == (gate.fake.clock.now(), True, [])
    (stage,) = await gate.rows("SELECT stage FROM stages WHERE scope = 'global'")
    assert stage.stage == "reducing"


@pytest.mark.parametrize(
    ("scope", "scope_id", "count"),
    [
        (Scope.GLOBAL, "global", 1),
        (Scope.VENUE, "paper", 1),
        (Scope.VENUE, "other", 0),
        (Scope.ACCOUNT, "paper", 1),
        (Scope.STRATEGY, "ema", 1),
        (Scope.STRATEGY, "rsi", 0),
        (Scope.INSTRUMENT, BTC, 1),
        (Scope.INSTRUMENT, "ETH/USDT@binance", 0),
    ],
)
async def test_a_scope_holds_what_is_its_own(gate: Gate, scope: Scope, scope_id: str, count: int) -> None:
    await enter(gate)
    async with gate.databases[0].transaction() as unit:
        ledger = PostgresLedger(unit)
        assert len(await ledger.protections_in(scope, scope_id)) == count
        assert len(await ledger.holdings_in(scope, scope_id)) == count


async def test_what_no_strategy_bought_is_what_the_account_holds_beyond_them(gate: Gate) -> None:
    await enter(gate)
    await gate.change("UPDATE book_positions SET fill_quantity = 13")
    for _ in range(2):
        async with gate.databases[0].transaction() as unit:
            (given,) = await PostgresLedger(unit).give_unowned(Scope.GLOBAL, "global", "unowned")
        assert (given.key.strategy_id, given.quantity) == ("unowned", 3)
    async with gate.databases[0].transaction() as unit:
        assert await PostgresLedger(unit).give_unowned(Scope.STRATEGY, "ema", "unowned") == []


async def test_nobody_forgets_a_protection(gate: Gate) -> None:
    await enter(gate)
    for change in ("DELETE FROM protections", "DELETE FROM exit_orders", "DELETE FROM flattenings"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await gate.change(change)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_order_of_events_no_more_is_sold_than_was_bought(gate: Gate, seed: int) -> None:
    rule(gate, rests_stops=True, retry=timedelta(0), cancel_bound=timedelta(seconds=5))
    await enter(gate)
    chance = random.Random(seed)
    filled: dict[str, Decimal] = {}
    for turn in range(25):
        gate.fake.clock.advance(1)
        gate.fake.market.prices[BTC] = chance.choice(["101", "99", "97.9", "97"])
        await gate.change("UPDATE accounts SET reconciled_at = :at", at=gate.fake.clock.now() - timedelta(seconds=1))
        work: list[Any] = [sweep(world) for world in gate.worlds]
        open_sales = [*await sales(gate), *await sales(gate, "stop_limit")]
        for order in open_sales:
            done = filled.get(order.client_order_id, Decimal(0))
            fate = chance.choice(["nothing", "fill", "end", "cancel"])
            if fate == "fill" and done < order.quantity:
                part = min(Decimal(chance.randint(1, 4)), order.quantity - done)
                filled[order.client_order_id] = done + part
                name = f"{order.client_order_id} {turn}"
                fill = a_fill_of(order, name, str(part), price="97", at=gate.fake.clock.now())
                work += [booking.on_fill(fill, world) for world in gate.worlds]
            elif fate != "nothing":
                event = an_event_of(order, 100, "canceled", str(done))
                filled[order.client_order_id] = max(done, order.quantity)
                work.append(booking.on_order_event(event, gate.worlds[turn % 2]))
        chance.shuffle(work)
        await asyncio.gather(*work)
        (row,) = await gate.rows(
            "SELECT coalesce(sum(least(coalesce(final_quantity, quantity), quantity)), 0) AS most FROM book_orders"
            " WHERE side = 'sell'"
        )
        assert row.most <= 10
    assert sum(filled.values(), Decimal(0)) > 0
