"""The tables: a signal takes its holding or nothing, and a holding is the sum of its fills, in whatever order news comes."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from sigmax.runtime.database import Database, asyncpg_url
from sigmax.schemas.market import Bar, nanoseconds
from sigmax.schemas.orders import Fill
from sigmax.schemas.types import Action, Liquidity, Side
from sigmax_local.servers import Addresses
from strategy_engine.adapters.postgres import postgres_ledgers
from strategy_engine.domain.book import Holding
from strategy_engine.domain.desk import Wished
from strategy_engine.domain.signals import Draft, draft
from strategy_engine.domain.spec import Spec, Status, check_params
from strategy_engine.domain.strategies import Position, Wish
from strategy_engine.ports import OpenLedger

pytestmark = pytest.mark.integration

BTC = "BTC/USDT@binance"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=40)
SPEC = Spec(
    "ema", "ema_cross", 1, Status.ACTIVE, "paper", 60, ("*",), check_params("ema_cross", {"stop_pct": "1.5"}),
    asks_judgement=False,
)  # fmt: skip


@pytest.fixture
async def open_ledger(clean: Addresses) -> AsyncIterator[OpenLedger]:
    password = clean.secrets.get("strategy_engine", "database_password")
    url = asyncpg_url(clean.database_url, "strategy_engine", password)
    database = Database(url, owner="strategy_engine", application="test")
    ledger = postgres_ledgers(database)
    async with ledger() as unit:
        await unit.seed([SPEC])
    yield ledger
    await database.close()


def a_draft(minute: int = 0, held: str = "0", instrument_id: str = BTC) -> Draft:
    bar = Bar(
        instrument_id, 60, nanoseconds(NOW) + minute * 60 * 10**9, Decimal(1), Decimal(1), Decimal(1), Decimal("100.25"),
        Decimal(1), 1, nanoseconds(NOW) + minute,
    )  # fmt: skip
    return draft(Wished(SPEC, bar, Wish(Action.BUY, 0.5, "why"), Position(Decimal(held))), NOW, 10, 5)


def a_fill(signal_id: UUID, execution_id: str, *, side: Side = Side.BUY, instrument_id: str = BTC) -> Fill:
    return Fill(
        **Fill.first(execution_id, NOW), execution_id=execution_id, client_order_id="sx", venue_order_id="1",
        signal_id=signal_id, account_id="paper", venue="paper", strategy_id="ema", instrument_id=instrument_id, side=side,
        price=Decimal(100), quantity=Decimal(1), fee=Decimal(0), fee_currency="USDT", liquidity=Liquidity.TAKER,
        executed_at=NOW,
    )  # fmt: skip


async def claim(open_ledger: OpenLedger, made: Draft, now: datetime = NOW) -> Holding | None:
    async with open_ledger() as ledger:
        return await ledger.claim(made, now, LATER)


async def holding(open_ledger: OpenLedger, instrument_id: str = BTC) -> Holding:
    async with open_ledger() as ledger:
        (found,) = [held for held in await ledger.holdings(None) if held.instrument_id == instrument_id]
    return found


async def test_a_known_signal_is_not_claimed_again_even_when_its_holding_is_free(open_ledger: OpenLedger) -> None:
    made = a_draft()
    assert await claim(open_ledger, made) is not None
    async with open_ledger() as ledger:
        await ledger.order_ended("ema", BTC, made.signal.message_id, Decimal(0), NOW)

    assert await claim(open_ledger, made) is None
    assert not (await holding(open_ledger)).is_working(NOW)


async def test_while_an_order_may_be_on_its_way_no_other_is_claimed(open_ledger: OpenLedger) -> None:
    await claim(open_ledger, a_draft(0))

    assert await claim(open_ledger, a_draft(1)) is None
    assert await claim(open_ledger, a_draft(2), now=LATER + timedelta(seconds=1)) is not None


async def test_of_claims_at_the_same_moment_one_wins(open_ledger: OpenLedger) -> None:
    won = await asyncio.gather(*(claim(open_ledger, a_draft(minute)) for minute in range(6)))

    assert sum(holding is not None for holding in won) == 1


async def test_a_wish_of_who_believed_to_hold_something_else_is_void(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        await ledger.add_fill(a_fill(UUID(int=1), "e1"), Decimal(1))

    assert await claim(open_ledger, a_draft(held="0")) is None
    assert await claim(open_ledger, a_draft(held="1")) is not None


async def test_a_strategy_that_does_not_run_claims_nothing(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        assert await ledger.pause(SPEC, "broken")
        assert not await ledger.pause(SPEC, "broken again")

    assert await claim(open_ledger, a_draft()) is None


async def test_whatever_the_order_of_news_an_order_is_over_when_its_fills_are_here(open_ledger: OpenLedger) -> None:
    news = ("out", "ended", "fill 1", "fill 2", "fill 2")
    for number, order in enumerate(sorted(set(itertools.permutations(news)))):
        instrument_id = f"C{number}/USDT@binance"
        made = a_draft(instrument_id=instrument_id)
        await claim(open_ledger, made)
        for i in range(len(order)):
            await tell(open_ledger, order[i], made.signal.message_id, instrument_id)
            is_over = {"ended", "fill 1", "fill 2"} <= set(order[: i + 1])
            assert (await holding(open_ledger, instrument_id)).is_working(NOW) is not is_over, order[: i + 1]
        assert (await holding(open_ledger, instrument_id)).quantity == Decimal("1.998")


async def tell(open_ledger: OpenLedger, news: str, signal_id: UUID, instrument_id: str) -> None:
    async with open_ledger() as ledger:
        if news == "out":
            await ledger.order_is_out("ema", instrument_id, signal_id)
        elif news == "ended":
            await ledger.order_ended("ema", instrument_id, signal_id, Decimal(2), LATER)
        else:
            fill = a_fill(signal_id, f"{instrument_id} {news}", instrument_id=instrument_id)
            await ledger.add_fill(fill, Decimal("0.999"))


async def test_an_order_that_is_known_to_be_out_is_waited_for_however_long(open_ledger: OpenLedger) -> None:
    made = a_draft()
    await claim(open_ledger, made)
    async with open_ledger() as ledger:
        assert await ledger.order_is_out("ema", BTC, made.signal.message_id) is not None
        assert await ledger.order_is_out("ema", BTC, UUID(int=9)) is None

    assert (await holding(open_ledger)).is_working(LATER + timedelta(days=1))


async def test_an_ended_order_whose_fills_never_come_is_not_waited_for_for_ever(open_ledger: OpenLedger) -> None:
    made = a_draft()
    await claim(open_ledger, made)
    async with open_ledger() as ledger:
        await ledger.order_ended("ema", BTC, made.signal.message_id, Decimal(1), LATER)

    assert (await holding(open_ledger)).is_working(NOW)
    assert not (await holding(open_ledger)).is_working(LATER)


async def test_fills_that_arrive_at_once_are_all_counted(open_ledger: OpenLedger) -> None:
    async def add(number: int) -> None:
        async with open_ledger() as ledger:
            side = Side.SELL if number % 4 == 3 else Side.BUY
            await ledger.add_fill(a_fill(UUID(int=1), f"e{number}", side=side), Decimal(side.sign))

    await asyncio.gather(*(add(number) for number in range(12)))

    assert (await holding(open_ledger)).quantity == 6


async def test_seeds_are_sown_once(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        await ledger.save(SPEC, "ann")
        await ledger.seed([SPEC, SPEC])
        assert await ledger.strategies() == [SPEC]


async def test_changes_of_holdings_are_found_by_their_time(open_ledger: OpenLedger) -> None:
    await claim(open_ledger, a_draft())

    async with open_ledger() as ledger:
        assert len(await ledger.holdings(datetime(2020, 1, 1, tzinfo=UTC))) == 1
        assert await ledger.holdings(datetime(2999, 1, 1, tzinfo=UTC)) == []
