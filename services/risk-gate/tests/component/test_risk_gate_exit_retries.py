"""An exit that is not filled tries harder; a vote may hold it up, once."""

from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
)
from risk_gate_trading import Trading, holding

from risk_gate.domain.exits import ExitPolicy
from risk_gate.domain.protection import ProtectionState
from risk_gate.handlers import exit_votes
from sigmax.schemas.orders import OrderDenied
from sigmax.schemas.signals import Decision, ExitJudgementRequested
from sigmax.schemas.types import AlertLevel, DenialCode, OrderType

# Escalation --------------------------------------------------------------------------------------------------------


async def test_an_exit_that_does_not_fill_tries_harder_each_time_and_people_are_told() -> None:
    trading = await holding()
    await trading.tick("97")
    shares = []
    for attempt in range(4):
        order = trading.exits[-1]
        assert len(trading.exits) == attempt + 1
        shares.append((order.order_type, order.limit_price))
        await trading.end(order, "expired")
        await trading.wait(1.9)
        assert len(trading.exits) == attempt + 1
        await trading.wait(0.1)
    limit = OrderType.LIMIT
    assert shares == [
        (limit, Decimal("96.52")),  # 0.5 %
        (limit, Decimal("95.79")),  # half way to the collar
        (limit, Decimal("95.06")),  # 2 %, the collar
        (OrderType.MARKET, None),
    ]
    levels = [alert.level for alert in trading.alerts("exit_not_filled")]
    assert levels == [AlertLevel.DANGER] * 2 + [AlertLevel.CRITICAL] * 2
    assert len({order.client_order_id for order in trading.exits}) == len(trading.exits)


async def test_a_market_order_stays_within_the_slippage_that_is_allowed() -> None:
    trading = await holding()
    await trading.tick("97")
    for _ in range(3):
        await trading.end(trading.exits[-1], "expired")
        await trading.wait(2)
    bids = trading.fake.market
    market_order = trading.exits[-1]
    assert market_order.order_type is OrderType.MARKET
    await trading.end(market_order, "expired")

    quotes = bids.quotes

    async def wide(names: Any) -> Any:
        return {name: _with_bid(quote, "92") for name, quote in (await quotes(names)).items()}

    bids.quotes = wide  # type: ignore[method-assign]
    await trading.wait(30)
    assert trading.fake.published(OrderDenied)[-1].code is DenialCode.PRICE_OUTSIDE_COLLAR


def _with_bid(quote: Any, bid: str) -> Any:
    return type(quote)(**{**{name: getattr(quote, name) for name in quote.__struct_fields__}, "bid": Decimal(bid)})


async def test_what_a_partial_fill_leaves_is_sold_and_never_more() -> None:
    trading = await holding()
    await trading.tick("97")
    await trading.end(trading.exits[0], "expired", "4")
    await trading.wait(2)
    assert len(trading.exits) == 1  # the venue counts four that are not in our book yet
    await trading.fill(trading.exits[0], "4", "97")
    await trading.wait(2)
    assert [order.quantity for order in trading.exits] == [10, 6]


async def test_while_an_exits_order_is_unknown_nothing_more_is_sold_and_people_are_told() -> None:
    trading = await holding()
    await trading.tick("97")
    for _ in range(5):
        await trading.wait(2)
    assert len(trading.exits) == 1
    (alert,) = trading.alerts("exit_not_filled")
    assert "have not ended" in alert.text
    await trading.end(trading.exits[0], "unplaced")
    await trading.wait(0.5)
    assert len(trading.exits) == 2  # it waits no longer than for what held it up


async def test_a_profit_that_is_gone_is_no_longer_taken() -> None:
    trading = await holding()
    await trading.tick("110")
    await trading.end(trading.exits[0], "expired")
    trading.fake.market.prices[BTC] = "108"
    await trading.wait(2)
    assert len(trading.exits) == 1
    assert trading.protection.state is ProtectionState.OPEN
    await trading.tick("110")
    assert len({order.client_order_id for order in trading.exits}) == 2


# The vote ----------------------------------------------------------------------------------------------------------


async def voting() -> tuple[Trading, ExitJudgementRequested]:
    trading = await holding(policy=ExitPolicy.VOTE)
    await trading.tick("97.9")
    (asked,) = trading.fake.published(ExitJudgementRequested)
    assert trading.exits == []
    return trading, asked


async def answer(trading: Trading, asked: ExitJudgementRequested, verdict: str, **changes: Any) -> None:
    fields: dict[str, Any] = {
        **Decision.after(asked, trading.fake.clock.now()),
        "request_id": asked.message_id,
        "signal_id": asked.exit_id,
        "strategy_id": asked.strategy_id,
        "instrument_id": asked.instrument_id,
        "policy": "local",
        "verdict": verdict,
        "answers": (),
        "confidence": "1",
        "reasons": ("test",),
    }
    await exit_votes.on_decision(Decision(**(fields | changes)), trading.world)


async def test_an_approved_exit_goes_at_once() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "approve")
    assert len(trading.exits) == 1


@pytest.mark.parametrize("verdict", [None, "hold"])
async def test_no_answer_by_the_deadline_means_go(verdict: str | None) -> None:
    trading, asked = await voting()
    if verdict:
        await answer(trading, asked, verdict)
    await trading.wait(1.9)
    assert trading.exits == []
    await trading.wait(0.1)
    assert len(trading.exits) == 1


async def test_a_clear_no_postpones_it_by_one_step_where_nobody_is_asked() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "reject")
    await trading.wait(5)
    await trading.tick("97.01")
    assert trading.exits == []
    await trading.tick("97")
    assert len(trading.exits) == 1
    assert len(trading.fake.published(ExitJudgementRequested)) == 1


async def test_a_no_that_is_late_or_about_something_else_changes_nothing() -> None:
    trading, asked = await voting()
    await answer(trading, asked, "reject", strategy_id="other")
    trading.fake.clock.advance(2)
    late = asked.model_copy(update={"message_id": asked.exit_id})
    await answer(trading, late, "reject")
    assert len(trading.exits) == 1
