"""Market hours, price limits, and whether two sources agree: just under, at, and just over."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import (
    BTC,
    ETH,
    NOW,
    a_quote,
    a_signal,
    a_situation,
    an_instrument,
    some_limits,
)
from risk_gate_deciding import A_MICROSECOND, code_of, decide, failed, order_check

from risk_gate.domain.closes import DayCloses
from risk_gate.domain.controls.market import began_at, closed_because
from risk_gate.domain.limits import KRX
from risk_gate.domain.situation import Book, Holding
from risk_gate.domain.volatility import RETURNS_MIN, volatility_pct
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.types import DenialCode

HELD = Book(cash=Decimal(99_500), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
SAMSUNG = an_instrument(instrument_id="005930/KRW@krx", market="krx", quote="KRW", asset_class="equity")
OF_SAMSUNG = {SAMSUNG.instrument_id: a_quote(SAMSUNG.instrument_id)}


def in_seoul(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+09:00").astimezone(UTC)


# Control 3 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "is_open"),
    [
        ("2026-11-20T08:59:59.999999", False),
        ("2026-11-20T09:00:00", True),
        ("2026-11-20T15:19:59.999999", True),
        ("2026-11-20T15:20:00", False),
        ("2026-11-21T10:00:00", False),
        ("2026-11-23T10:00:00", True),
    ],
)
def test_krx_trades_on_weekdays_from_nine_to_twenty_past_three(local: str, is_open: bool) -> None:
    assert (closed_because(SAMSUNG, "kis", some_limits(), in_seoul(local)) is None) is is_open


def test_krx_is_closed_on_its_holidays() -> None:
    holidays = KRX.model_copy(update={"holidays": ("2026-11-20",)})
    limits = some_limits(market_sessions={"krx": holidays.model_dump()})
    assert closed_because(SAMSUNG, "kis", limits, in_seoul("2026-11-20T10:00:00")) is not None


def test_a_market_without_a_session_never_closes() -> None:
    assert closed_because(an_instrument(), "paper", some_limits(), in_seoul("2026-11-21T03:00:00")) is None


@pytest.mark.parametrize("market", ["binance", "paper"])
@pytest.mark.parametrize(
    ("starts", "ends", "code"),
    [
        (A_MICROSECOND, timedelta(hours=1), None),
        (timedelta(0), timedelta(hours=1), DenialCode.MARKET_CLOSED),
        (timedelta(hours=-1), A_MICROSECOND, DenialCode.MARKET_CLOSED),
        (timedelta(hours=-1), timedelta(0), None),
    ],
)
def test_nothing_is_sent_while_the_market_or_the_venue_is_worked_on(
    market: str, starts: timedelta, ends: timedelta, code: DenialCode | None
) -> None:
    window = {"market": market, "starts_at": NOW + starts, "ends_at": NOW + ends}
    limits = some_limits(maintenance_windows=[window])
    assert code_of(decide(limits=limits)) is code
    assert code_of(decide(a_signal(action="close"), book=HELD, limits=limits)) is code


@pytest.mark.parametrize(
    ("limit_price", "passed"),
    [("129.99", True), ("130", True), ("130.01", False), ("70.01", True), ("70", True), ("69.99", False)],
)
def test_a_limit_stays_within_the_markets_daily_limits(limit_price: str, passed: bool) -> None:
    situation = a_situation(instrument=SAMSUNG, quotes=OF_SAMSUNG, close_previous=Decimal(100))
    signal = a_signal(instrument_id=SAMSUNG.instrument_id)
    limit = {"limit_price": Decimal(limit_price), "control": 3}
    assert order_check(DenialCode.PRICE_OUTSIDE_COLLAR, situation, signal, **limit).passed is passed


@pytest.mark.parametrize(("action", "passed"), [("buy", False), ("dca", False), ("sell", True), ("close", True)])
def test_where_a_market_has_daily_limits_and_nobody_knows_its_last_close_nothing_is_entered(
    action: str, passed: bool
) -> None:
    situation = a_situation(instrument=SAMSUNG, quotes=OF_SAMSUNG)
    signal = a_signal(instrument_id=SAMSUNG.instrument_id, action=action)
    check = order_check(DenialCode.PRICE_OUTSIDE_COLLAR, situation, signal, control=3)
    assert check.passed is passed
    assert check.seen.startswith("the last close is not known")


def test_a_market_without_daily_limits_has_none() -> None:
    assert order_check(DenialCode.PRICE_OUTSIDE_COLLAR, a_situation(), limit_price=Decimal(999), control=3).passed


def bars(*closed: tuple[str, str]) -> DayCloses:
    closes = DayCloses()
    for at, close in closed:
        closes.note(SAMSUNG.instrument_id, nanoseconds(in_seoul(at)), Decimal(close))
    return closes


FRIDAY = (("2026-11-20T09:01:00", "70000"), ("2026-11-20T15:20:00", "71000"), ("2026-11-20T15:31:00", "71500"))


@pytest.mark.parametrize(
    ("at", "close"),
    [
        ("2026-11-20T15:40:00", None),
        ("2026-11-20T23:59:59.999999", None),
        ("2026-11-21T00:00:00", "71500"),
        ("2026-11-23T09:00:00", "71500"),
    ],
)
def test_the_last_close_is_that_of_the_newest_day_before_by_the_markets_own_clock(at: str, close: str | None) -> None:
    found = bars(*FRIDAY).before(SAMSUNG.instrument_id, nanoseconds(in_seoul(at)))
    assert found == (None if close is None else Decimal(close))


def test_bars_of_today_move_nothing_and_come_in_any_order() -> None:
    monday = (("2026-11-23T09:01:00", "72000"), ("2026-11-23T10:00:00", "73000"))
    for closed in ((*FRIDAY, *monday), (*reversed(monday), *reversed(FRIDAY))):
        closes = bars(*closed)
        assert closes.reaches_back
        assert closes.before(SAMSUNG.instrument_id, nanoseconds(in_seoul("2026-11-23T11:00:00"))) == Decimal(71500)
        assert closes.before(SAMSUNG.instrument_id, nanoseconds(in_seoul("2026-11-24T09:00:00"))) == Decimal(73000)
    assert not bars(*FRIDAY).reaches_back


def test_a_bar_that_ends_with_the_day_is_of_the_day() -> None:
    closes = bars(("2026-11-21T00:00:00", "71500"))
    assert closes.before(SAMSUNG.instrument_id, nanoseconds(in_seoul("2026-11-20T23:59:59"))) is None
    assert closes.before(SAMSUNG.instrument_id, nanoseconds(in_seoul("2026-11-21T00:00:00"))) == Decimal(71500)


@pytest.mark.parametrize(
    ("window", "began"),
    [
        (None, "2026-11-20T09:00:00"),
        (("2026-11-20T08:00:00", "2026-11-20T08:30:00"), "2026-11-20T09:00:00"),
        (("2026-11-20T10:00:00", "2026-11-20T10:30:00"), "2026-11-20T10:30:00"),
        (("2026-11-20T11:30:00", "2026-11-20T11:45:00"), "2026-11-20T09:00:00"),
    ],
)
def test_a_market_trades_since_its_session_began_or_its_maintenance_ended(
    window: tuple[str, str] | None, began: str
) -> None:
    windows = []
    if window is not None:
        windows = [{"market": "kis", "starts_at": in_seoul(window[0]), "ends_at": in_seoul(window[1])}]
    limits = some_limits(maintenance_windows=windows)
    assert began_at(SAMSUNG, "kis", limits, in_seoul("2026-11-20T11:00:00")) == in_seoul(began)


def test_a_market_that_never_closes_began_never() -> None:
    assert began_at(an_instrument(), "paper", some_limits(), NOW) is None


# Control 4: two sources --------------------------------------------------------------------------------------------

RIVAL = "BTC/USDT@kraken"


@pytest.mark.parametrize(
    ("price", "code"),
    [
        ("100", None),
        ("99.01", None),
        (str(Decimal(100) / Decimal("1.01")), None),
        ("99.009", DenialCode.PRICE_ANOMALOUS),
        ("101.01", None),
        ("101.02", DenialCode.PRICE_ANOMALOUS),
    ],
)
def test_another_market_agrees_within_one_percent(price: str, code: DenialCode | None) -> None:
    verdict = decide(rival=a_quote(RIVAL, price))
    assert code_of(verdict) is code
    if code is not None:
        assert RIVAL in failed(verdict).seen


@pytest.mark.parametrize(
    ("age", "code"),
    [(timedelta(seconds=2), DenialCode.PRICE_ANOMALOUS), (timedelta(seconds=2) + A_MICROSECOND, None)],
)
def test_an_old_price_of_another_market_says_nothing(age: timedelta, code: DenialCode | None) -> None:
    assert code_of(decide(rival=a_quote(RIVAL, "150", age=age))) is code


@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [("98", "100", None), ("98.02", "100", None), ("98", "100.019", None), ("97", "100", DenialCode.PRICE_ANOMALOUS)],
)
def test_the_last_price_agrees_with_its_own_book(bid: str, ask: str, code: DenialCode | None) -> None:
    """The middle of 97 and 100 is 98.5: the last price of 100 is 1.5 % away."""
    quotes = {BTC: a_quote(bid=Decimal(bid), ask=Decimal(ask))}
    allowed = some_limits(price_gap_max_pct="1.02041")
    assert code_of(decide(quotes=quotes, limits=allowed)) is code


def test_sources_that_disagree_hold_up_no_exit() -> None:
    assert code_of(decide(a_signal(action="close"), book=HELD, rival=a_quote(RIVAL, "150"))) is None


def test_a_rival_that_is_no_number_is_denied_first() -> None:
    assert code_of(decide(rival=a_quote(RIVAL, "NaN"))) is DenialCode.NUMBER_INVALID


# Volatility, and the mix of orders ---------------------------------------------------------------------------------


def swings(pct: str, count: int) -> list[Decimal]:
    up = 1 + Decimal(pct) / 100
    return [Decimal(100) * (up if index % 2 else 1) for index in range(count)]


def test_a_days_move_follows_from_the_last_hours_minutes() -> None:
    measured = volatility_pct(swings("0.1", 61))
    assert measured is not None
    assert Decimal("3.7") < measured < Decimal("3.9")  # 0.1 % a minute, times the root of 1 440
    assert volatility_pct([Decimal(100)] * 61) == 0


def test_too_few_bars_say_nothing() -> None:
    assert volatility_pct(swings("0.1", RETURNS_MIN)) is None
    assert volatility_pct(swings("0.1", RETURNS_MIN + 1)) is not None
    assert volatility_pct([*swings("0.1", 20), Decimal("NaN")]) is None


@pytest.mark.parametrize(
    ("volatility", "quantity"),
    [(None, "19.900"), ("4.9", "19.900"), ("5", "19.900"), ("10", "9.950"), ("50", "1.990"), ("0", "19.900")],
)
def test_what_moves_twice_as_far_is_bought_half_as_much(volatility: str | None, quantity: str) -> None:
    """0.1 % of equity is risked; a usual day of 5 % makes that 2 % of equity, the posture's own part."""
    measured = None if volatility is None else Decimal(volatility)
    assert decide(volatility_pct=measured).quantity == Decimal(quantity)


def mixed(share: int, **changes: Any) -> list[Any]:
    limits = some_limits(posture_limit_share_pct={"offensive": share, "guerrilla": share, "defensive": share})
    quotes = {BTC: a_quote(bid=Decimal("99.987"), ask=Decimal("100.1"))}
    return [decide(a_signal(f"s{index}", **changes), limits=limits, quotes=quotes) for index in range(200)]


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (70, 120, 160), (90, 165, 195), (100, 200, 200)])
def test_a_postures_share_of_entries_rests_at_the_touch(share: int, least: int, most: int) -> None:
    verdicts = mixed(share)
    resting = [each for each in verdicts if each.time_in_force == "gtc"]
    assert least <= len(resting) <= most
    assert {each.limit_price for each in resting} <= {Decimal("99.98")}
    assert [each.time_in_force for each in mixed(share)] == [each.time_in_force for each in verdicts]


def test_an_exit_never_rests() -> None:
    limits = some_limits(posture_limit_share_pct={"offensive": 100, "guerrilla": 100, "defensive": 100})
    verdict = decide(a_signal(action="close"), book=HELD, limits=limits)
    assert (verdict.time_in_force, verdict.limit_price) == ("ioc", Decimal("99.50"))


def test_the_posture_in_force_decides_size_stop_and_target() -> None:
    verdict = decide(posture="defensive")
    assert verdict.quantity == Decimal("14.925")  # 1.5 % of 100 000 at 100.50
    assert (verdict.stop_price, verdict.target_price) == (Decimal("99.20"), Decimal("101.80"))
    assert decide(posture=None).quantity == Decimal("19.9")


def test_another_instrument_is_no_rival() -> None:
    assert code_of(decide(quotes={BTC: a_quote(), ETH: a_quote(ETH, "1")})) is None


# Control 4: how many sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources_min", "book", "rival", "code"),
    [
        (1, False, False, None),
        (2, False, False, DenialCode.PRICE_ANOMALOUS),
        (2, True, False, None),
        (2, False, True, None),
        (3, True, False, DenialCode.PRICE_ANOMALOUS),
        (3, True, True, None),
    ],
)
def test_an_entry_asks_for_so_many_sources_of_its_price(
    sources_min: int, book: bool, rival: bool, code: DenialCode | None
) -> None:
    sides = {"bid": Decimal("99.99"), "ask": Decimal("100.01")} if book else {}
    verdict = decide(
        limits=some_limits(price_sources_min=sources_min),
        quotes={BTC: a_quote(**sides)},
        rival=a_quote(RIVAL) if rival else None,
    )
    assert code_of(verdict) is code
