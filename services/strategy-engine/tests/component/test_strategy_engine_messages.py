"""Handlers over fakes: each message counts once, and the engine's memory follows the tables."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.orders import Fill, OrderDenied, OrderEvent
from sigmax.schemas.types import Action, DenialCode, Liquidity, OrderStatus, OrderType, Side, Submission
from strategy_engine.domain.book import Holding
from strategy_engine.domain.spec import Status
from strategy_engine.handlers.messages import on_command, on_fill, on_order_denied, on_order_event

BTC = "BTC/USDT@binance"
SIGNAL = UUID(int=7)
WHOSE = {"signal_id": SIGNAL, "account_id": "paper", "strategy_id": "a", "instrument_id": BTC}


def a_command(room: Any, name: CommandName, subject: str = "a", **values: str) -> Command:
    envelope = Command.first(f"{name}{subject}{values}", room.clock.now())
    return Command(**envelope, command=name, subject=subject, values=values, requested_by="ann")


def a_fill(room: Any, *, side: Side = Side.BUY, quantity: str = "1", fee: str = "0", currency: str = "BTC") -> Fill:
    return Fill(
        **Fill.first(f"{side}{quantity}", room.clock.now()), **WHOSE, execution_id=f"{side}{quantity}",
        client_order_id="sx", venue_order_id="1", venue="paper", side=side, price=Decimal(100),
        quantity=Decimal(quantity), fee=Decimal(fee), fee_currency=currency, liquidity=Liquidity.TAKER,
        executed_at=room.clock.now(),
    )  # fmt: skip


def an_event(room: Any, status: OrderStatus, filled: str = "0") -> OrderEvent:
    return OrderEvent(
        **OrderEvent.first(f"{status}", room.clock.now()), **WHOSE, client_order_id="sx", sequence=1, venue="paper",
        side=Side.BUY, order_type=OrderType.MARKET, quantity=Decimal(1), status=status, submission=Submission.ACKED,
        filled_quantity=Decimal(filled), leaves_quantity=Decimal(0),
    )  # fmt: skip


@pytest.fixture
def waiting(room: Any) -> Any:
    """Give a room in which a strategy waits for its order."""
    held = Holding("a", BTC, Decimal(0), SIGNAL, room.clock.now().replace(hour=13), 1)
    room.store.tables.holdings["a", BTC] = held
    room.engine.book.apply([held])
    return room


async def command(room: Any, message: Command) -> int:
    """Handle a command; give how often the engine was told to look."""
    looks = []

    async def refresh() -> None:
        looks.append(1)

    await on_command(message, clock=room.clock, open_ledger=room.store, refresh=refresh)
    return len(looks)


async def test_a_command_changes_the_table_and_the_engine_looks_at_once(room: Any) -> None:
    room.strategy()

    assert await command(room, a_command(room, CommandName.SET_PARAMS, entry="7")) == 1

    assert (room.store.tables.specs["a"].version, room.store.tables.specs["a"].params["entry"]) == (2, 7)
    assert room.store.tables.versions["a", 2] == "ann"


async def test_a_command_that_comes_twice_counts_once(room: Any) -> None:
    room.strategy()
    stop, start = (a_command(room, name) for name in (CommandName.STOP_STRATEGY, CommandName.ACTIVATE_STRATEGY))

    for message in (stop, start, stop):
        await command(room, message)

    assert room.store.tables.specs["a"].status is Status.ACTIVE


async def test_a_command_that_cannot_be_done_is_told(room: Any) -> None:
    room.strategy()

    assert await command(room, a_command(room, CommandName.SET_PARAMS, entry="1")) == 0

    assert room.store.tables.specs["a"].version == 1
    assert "entry" in room.sent(Alert)[0].text


async def test_commands_for_others_are_left_alone(room: Any) -> None:
    await command(room, a_command(room, CommandName.HALT, "global"))

    assert room.store.tables.inbox == set()


@pytest.mark.parametrize(
    ("fill", "held"),
    [
        ({"fee": "0.001"}, "0.999"),
        ({"fee": "0.1", "currency": "USDT"}, "1"),
        ({"fee": "-0.001"}, "1.001"),
        ({"side": Side.SELL, "quantity": "0.4"}, "-0.4"),
        ({"side": Side.SELL, "quantity": "0.4", "fee": "0.001"}, "-0.401"),
    ],
)
async def test_a_fill_moves_what_is_held_less_the_fee_in_the_base(room: Any, fill: dict[str, Any], held: str) -> None:
    await on_fill(a_fill(room, **fill), open_ledger=room.store, book=room.engine.book)

    assert room.engine.book.holding("a", BTC).quantity == Decimal(held)


async def test_a_fill_that_comes_twice_counts_once(room: Any) -> None:
    for _ in range(2):
        await on_fill(a_fill(room), open_ledger=room.store, book=room.engine.book)

    assert room.engine.book.holding("a", BTC).quantity == 1


async def test_an_order_that_is_out_is_waited_for_until_its_end(waiting: Any) -> None:
    async def event(status: OrderStatus) -> bool:
        await on_order_event(
            an_event(waiting, status),
            clock=waiting.clock,
            open_ledger=waiting.store,
            book=waiting.engine.book,
            margin_s=30,
        )
        waiting.clock.pass_s(7200)
        return bool(waiting.engine.book.holding("a", BTC).is_working(waiting.clock.now()))

    assert await event(OrderStatus.PARTIALLY_FILLED)
    assert not await event(OrderStatus.CANCELED)


async def test_a_denial_frees_the_strategy(waiting: Any) -> None:
    denied = OrderDenied(
        **OrderDenied.first("d", waiting.clock.now()), **WHOSE, action=Action.BUY, code=DenialCode.PRICE_STALE, text="old",
        checks=(),
    )  # fmt: skip

    await on_order_denied(
        denied, clock=waiting.clock, open_ledger=waiting.store, book=waiting.engine.book, meter=waiting.meter
    )

    assert not waiting.engine.book.holding("a", BTC).is_working(waiting.clock.now())
    assert waiting.meter.counts["denied price_stale"] == 1


async def test_news_of_another_order_changes_nothing(waiting: Any) -> None:
    other = an_event(waiting, OrderStatus.REJECTED).model_copy(update={"signal_id": UUID(int=8)})

    await on_order_event(other, clock=waiting.clock, open_ledger=waiting.store, book=waiting.engine.book, margin_s=30)

    assert waiting.engine.book.holding("a", BTC).is_working(waiting.clock.now())
