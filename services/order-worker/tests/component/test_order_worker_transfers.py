"""Deposits and withdrawals: booked when the venue shows them, asked for once however often the command comes."""

from decimal import Decimal

import pytest
from order_worker_builders import NOW, a_transfer
from order_worker_world import World

from order_worker.handlers.reconciling import reconcile
from order_worker.handlers.transfers import on_command


@pytest.fixture
async def met(world: World) -> World:
    """Give a world whose books have met 1000 USDT, and whose venue then got 500 more."""
    world.venue.money = {"USDT": Decimal(1000)}
    assert await reconcile(world.desk)
    world.venue.money = {"USDT": Decimal(1500)}
    return world


async def test_a_transfer_is_booked_once_and_a_redelivery_asks_the_venue_nothing(
    met: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_command(a_transfer("500"), met.desk)
    assert (await _usdt(met), met.alerts()) == (Decimal(1500), [])

    async def never() -> None:
        raise AssertionError("the venue was asked again")

    monkeypatch.setattr(met.venue, "balances", never)
    await on_command(a_transfer("500"), met.desk)
    assert await _usdt(met) == Decimal(1500)


@pytest.mark.parametrize("amount", ["1000", "-1", "0", "NaN", "Infinity", "much"])
async def test_what_would_not_explain_the_difference_is_refused(met: World, amount: str) -> None:
    await on_command(a_transfer(amount), met.desk)

    assert await _usdt(met) == Decimal(1000)
    assert "transfer_refused" in met.alerts()


async def test_one_person_alone_books_nothing(met: World) -> None:
    await on_command(a_transfer("500", approved_by="mina"), met.desk)

    assert await _usdt(met) == Decimal(1000)
    assert "second_person_missing" in met.alerts()


async def test_a_venue_that_does_not_answer_shows_nothing(met: World) -> None:
    met.venue.is_down = True
    await on_command(a_transfer("500"), met.desk)

    assert await _usdt(met) == Decimal(1000)
    assert "transfer_refused" in met.alerts()


async def _usdt(world: World) -> Decimal:
    async with world.books.open() as page:
        return (await page.balances(NOW))["USDT"].total
