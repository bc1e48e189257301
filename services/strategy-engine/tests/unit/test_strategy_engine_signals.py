"""Signals: their ids, their lifetime, and what a model may cite."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sigmax.schemas.market import Bar
from sigmax.schemas.types import Action
from strategy_engine.domain.desk import Wished
from strategy_engine.domain.signals import Draft, draft
from strategy_engine.domain.spec import Spec, Status
from strategy_engine.domain.strategies import Position, Wish

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
RECEIVED_NS = int(NOW.timestamp()) * 10**9 - 10**9
BAR = Bar(
    "BTC/USDT@binance", 60, 1_700_000_100 * 10**9, Decimal(100), Decimal(102), Decimal(99), Decimal("101.5"), Decimal("3.25"),
    7, RECEIVED_NS,
)  # fmt: skip
SPEC = Spec("ema", "ema_cross", 3, Status.ACTIVE, "paper", 60, ("*",), {"stop_pct": "1.5"}, asks_judgement=False)
WISH = Wish(Action.BUY, 0.123456, "because", {"ema_fast": 100.123456789012})


def a_draft(*, spec: Spec = SPEC, bar: Bar = BAR, wish: Wish = WISH, now: datetime = NOW) -> Draft:
    return draft(Wished(spec, bar, wish, Position(Decimal("0.5"))), now, valid_s=10, judgement_s=5)


def test_two_engines_that_see_the_same_bar_make_one_signal() -> None:
    first, second = a_draft(), a_draft(now=NOW + timedelta(seconds=3))

    assert first.signal.message_id == second.signal.message_id
    assert first.signal.snapshot_id == second.signal.snapshot_id
    assert first.signal.valid_until == second.signal.valid_until


@pytest.mark.parametrize(
    "other",
    [
        a_draft(spec=replace(SPEC, version=4)),
        a_draft(spec=replace(SPEC, strategy_id="ema-2")),
        a_draft(wish=replace(WISH, action=Action.CLOSE)),
        a_draft(bar=Bar(**{f: getattr(BAR, f) for f in BAR.__struct_fields__} | {"instrument_id": "ETH/USDT@binance"})),
        a_draft(bar=Bar(**{f: getattr(BAR, f) for f in BAR.__struct_fields__} | {"open_ns": BAR.open_ns + 60 * 10**9})),
    ],
)
def test_another_version_strategy_action_instrument_or_bar_is_another_signal(other: Draft) -> None:
    assert other.signal.message_id != a_draft().signal.message_id


def test_a_recording_played_again_makes_signals_of_its_own() -> None:
    again = Bar(**{f: getattr(BAR, f) for f in BAR.__struct_fields__} | {"received_ns": RECEIVED_NS + 10**12})

    assert a_draft(bar=again).signal.message_id != a_draft().signal.message_id


def test_strategies_that_act_on_one_bar_are_of_one_chain() -> None:
    assert a_draft().signal.correlation_id == a_draft(spec=replace(SPEC, strategy_id="rsi")).signal.correlation_id


def test_a_signal_is_as_old_as_its_market_event() -> None:
    signal = a_draft(now=NOW + timedelta(seconds=8)).signal

    assert signal.tick_received_at == NOW - timedelta(seconds=1)
    assert signal.valid_until == NOW + timedelta(seconds=9)
    assert signal.market_time == datetime.fromtimestamp(1_700_000_160, UTC)


def test_a_signal_says_what_its_strategy_saw_and_wants() -> None:
    made = a_draft()

    assert (made.signal.reference_price, made.signal.strength) == (Decimal("101.5"), Decimal("0.1235"))
    assert (made.signal.stop_pct, made.signal.target_pct) == (Decimal("1.5"), None)
    assert made.seen_quantity == Decimal("0.5")
    assert made.request is None
    assert made.features == {
        "timeframe_s": "60", "open": "100", "high": "102", "low": "99", "close": "101.5", "volume": "3.25",
        "trades": "7", "position": "0.5", "ema_fast": "100.1234568",
    }  # fmt: skip


def test_a_strategy_that_asks_for_judgement_sends_the_same_wish_with_its_snapshot() -> None:
    judged, direct = a_draft(spec=replace(SPEC, asks_judgement=True)), a_draft()

    assert judged.request is not None
    assert judged.request.signal == judged.signal == direct.signal
    assert judged.request.snapshot == judged.features
    assert judged.request.causation_id == judged.signal.message_id
    assert judged.request.deadline_at == NOW + timedelta(seconds=5)


def test_judgement_never_lasts_longer_than_its_signal() -> None:
    late = a_draft(spec=replace(SPEC, asks_judgement=True), now=NOW + timedelta(seconds=7))

    assert late.request is not None
    assert late.request.deadline_at == late.signal.valid_until
