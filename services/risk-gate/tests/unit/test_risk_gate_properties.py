"""Whatever the situation: nothing approved breaks a limit, the verdict is a function of its inputs, and a number that
is none, or a limit that is not there, denies."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import (
    BTC,
    ETH,
    NOW,
    a_quote,
    a_signal,
    a_situation,
    an_account,
    an_instrument,
    some_limits,
)

from risk_gate.domain.assess import assess
from risk_gate.domain.book import cash_needed
from risk_gate.domain.controls.numbers import NUMBER_MAX
from risk_gate.domain.facts import (
    Adds,
    Beat,
    Counts,
    Facts,
    Fleet,
    Identity,
    Opposing,
    Outcomes,
    Turnover,
    Unknown,
    VenueState,
)
from risk_gate.domain.limits import POSTURES, RiskLimits
from risk_gate.domain.losses import Marks
from risk_gate.domain.situation import Book, Holding, Judgement, PacedOrder, Reserved, SimilarOrder, Situation, StageRow
from sigmax.domain.fees import EXACT
from sigmax.schemas.orders import OrderApproved, OrderDenied
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Posture, Side

D = Decimal


def decimals(low: str, high: str, places: int = 2) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


def moments(most_s: int) -> st.SearchStrategy[Any]:
    return st.integers(-1_000_000, most_s * 1_000_000).map(lambda us: NOW - timedelta(microseconds=us))


def mostly(calm: Any, wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give what harms nothing four times out of five: one thing goes wrong at a time, or a few."""
    return st.sampled_from(range(5)).flatmap(lambda turn: wild if turn == 4 else st.just(calm))


BOOKS = st.builds(
    Book,
    cash=st.sampled_from([D(5_000), D(50_000), D(100_000), D("299999.99")]),
    holdings=st.dictionaries(st.sampled_from([BTC, ETH]), st.builds(Holding, decimals("0", "50", 3))),
    own=st.dictionaries(st.just(BTC), decimals("-1", "50", 3)),
    reserved=mostly(
        (),
        st.lists(
            st.builds(
                Reserved,
                st.sampled_from(["ema", "rsi"]),
                st.sampled_from([BTC, ETH]),
                st.sampled_from(Side),
                decimals("0", "50", 3),
                decimals("0", "5000"),
                st.integers(0, 3),
            ),
            max_size=2,
        ).map(tuple),
    ),
    paced=mostly(
        (), st.lists(st.builds(PacedOrder, st.sampled_from(["ema", "rsi"]), moments(3)), max_size=6).map(tuple)
    ),
    similar=st.lists(
        st.builds(SimilarOrder, decimals("0.001", "100", 3), decimals("90", "110"), moments(12)), max_size=1
    ).map(tuple),
)
NAMED = Identity("paper", ("a.example",), "0" * 16)
FACTS = st.builds(
    Facts,
    counts=mostly(
        Counts(),
        st.builds(
            Counts,
            account_day=st.sampled_from([0, 499, 500]),
            strategy_day=st.sampled_from([0, 199, 200]),
            strategy_run=st.sampled_from([0, 999, 1000]),
            judged_day=st.sampled_from([0, 19, 20]),
            judged_notional=decimals("0", "25000"),
            judged_last_at=st.none() | moments(90),
        ),
    ),
    turnover=mostly(
        Turnover(), st.builds(Turnover, decimals("0", "25000"), decimals("0", "120000"), decimals("0", "600000"))
    ),
    marks=mostly(Marks(), st.builds(Marks, *[st.none() | decimals("0", "150000")] * 3)),
    outcomes=mostly(
        Outcomes(),
        st.integers(0, 20).flatmap(lambda ended: st.builds(Outcomes, st.just(ended), st.integers(0, ended))),
    ),
    unknown=mostly(Unknown(), st.builds(Unknown, st.integers(0, 1), st.integers(0, 3))),
    venue=mostly(
        None,
        st.builds(
            VenueState,
            st.just("paper"),
            st.booleans(),
            st.none() | moments(90),
            decimals("-600", "600", 1),
            st.integers(0, 2),
            moments(90),
            identity=st.none()
            | st.sampled_from([NAMED, replace(NAMED, mode="live"), replace(NAMED, key_fingerprint="f" * 16)]),
        ),
    ),
    stops=mostly((), st.lists(moments(7200), max_size=4).map(tuple)),
    adds=st.builds(Adds, st.integers(0, 4), st.none() | decimals("50", "150")),
    opposing=mostly((), st.lists(st.builds(Opposing, st.just("own"), decimals("90", "110")), max_size=1).map(tuple)),
)
LIMITS = st.builds(
    some_limits,
    strategy_budget_pct=st.sampled_from([D(1), D(5), D(20)]),
    venue_hosts=st.sampled_from([(), NAMED.hosts]),
    venue_keys=st.sampled_from([(), (NAMED.key_fingerprint,)]),
    order_notional_max=decimals("500", "20000"),
    position_notional_max=decimals("1000", "50000"),
    concentration_max_pct=decimals("1", "100"),
    leverage_max=decimals("0.1", "2"),
    net_leverage_max=decimals("0.1", "2"),
    trade_risk_max_pct=st.sampled_from([D("0.01"), D("0.1"), D("0.2")]),
    posture_limit_share_pct=st.sampled_from([dict.fromkeys(Posture, 0), dict.fromkeys(Posture, 100)]),
    cash_buffer_pct=decimals("0", "10"),
    judged_shadow=mostly(False, st.just(True)),
    alerting_required=st.just(False),
)
SITUATIONS = st.builds(
    a_situation,
    account=st.builds(an_account, reconciled_at=moments(110), mode=mostly("paper", st.just("live"))),
    limits=LIMITS,
    stages=mostly("normal", st.sampled_from(["caution", "reducing", "halted"])).map(
        lambda stage: (StageRow("global", "global", "normal"), StageRow("account", "paper", stage))
    ),
    book=BOOKS,
    instrument=st.builds(an_instrument, lot_size=st.sampled_from([D("0.001"), D("0.3"), D(1)])),
    quotes=st.builds(
        lambda last, other, volume, age: {
            BTC: a_quote(last=str(last), minute_volume=volume, age=timedelta(milliseconds=age)),
            ETH: a_quote(ETH, str(other)),
        },
        decimals("98", "102"),
        decimals("1", "100"),
        mostly(D(5000), st.sampled_from([D(0), D(100), D("1234.567")])),
        st.integers(0, 2010),
    ),
    posture=st.none() | st.sampled_from(Posture),
    facts=FACTS,
    fleet=st.none()
    | st.builds(lambda at, version: Fleet((Beat("notifier", version, True, at),)), moments(20), st.sampled_from("12")),
    rival=mostly(None, st.builds(lambda last: a_quote("BTC/USDT@kraken", str(last)), decimals("98", "102"))),
    volatility_pct=st.sampled_from([None, D(0), D("1.5"), D(7), D(80)]),
)
SIGNALS = st.builds(
    a_signal,
    st.sampled_from([f"s{index}" for index in range(20)]),
    action=st.sampled_from(["buy"] * 6 + ["dca", "sell", "close"]),
    strength=decimals("0", "1"),
    reference_price=decimals("99", "101"),
)
JUDGEMENTS = st.builds(
    Judgement,
    size_factor=st.sampled_from([D(1), D(1), D("0.33"), D(0)]),
    is_asked=st.booleans(),
    is_models=st.sampled_from([False, False, True]),
    is_recorded=st.sampled_from([True, True, False]),
)


def verdict_on(signal: Signal, situation: Situation, judgement: Judgement) -> OrderApproved | OrderDenied:
    return assess(signal, situation, NOW, approval_lifetime=timedelta(seconds=15), judgement=judgement)


@settings(max_examples=600, deadline=None)
@given(signal=SIGNALS, situation=SITUATIONS, judgement=JUDGEMENTS)
def test_no_approval_breaks_any_limit(signal: Signal, situation: Situation, judgement: Judgement) -> None:
    """The limits are computed here once more, apart from the controls' own code."""
    verdict = verdict_on(signal, situation, judgement)
    if isinstance(verdict, OrderDenied):
        return
    limits, instrument, book, facts = situation.limits, situation.instrument, situation.book, situation.facts
    assert limits is not None
    assert instrument is not None
    assert verdict.limit_price is not None
    quantity, last = verdict.quantity, situation.quotes[BTC].last
    worst = max(verdict.limit_price, verdict.reference_price)
    notional = quantity * worst
    assert EXACT.remainder(quantity, instrument.lot_size) == 0
    assert notional <= limits.order_notional_max
    assert abs(verdict.limit_price / last - 1) * 100 <= limits.price_collar_pct
    assert all(verdict.side.sign * (verdict.limit_price - own.limit_price) < 0 for own in facts.opposing)
    told = facts.venue.identity if facts.venue else None
    mode = situation.account.mode if situation.account else None
    assert (told is None and mode == "paper" and not limits.venue_hosts) or (
        told == replace(NAMED, mode=str(mode)) and limits.venue_hosts and limits.venue_keys
    )
    if verdict.side is Side.SELL:
        held = book.holdings.get(BTC, Holding(D(0))).low - book.leaves(BTC, Side.SELL)
        assert quantity <= min(held, book.own.get(BTC, D(0)) - book.leaves(BTC, Side.SELL, "ema"))
        return
    _assert_an_entry_is_within(verdict, situation, limits, notional, worst)
    if judgement.is_models:
        assert judgement.is_recorded
        assert not limits.judged_shadow
        assert facts.counts.judged_day < limits.judged_orders_per_day_max
        assert facts.counts.judged_notional + notional <= limits.judged_notional_per_day_max


def _assert_an_entry_is_within(
    verdict: OrderApproved, situation: Situation, limits: RiskLimits, notional: Decimal, worst: Decimal
) -> None:
    book, facts, quotes = situation.book, situation.facts, situation.quotes
    prices = {name: quote.last for name, quote in quotes.items()}
    held = {name: book.holdings.get(name, Holding(D(0))).filled for name in (BTC, ETH)}
    equity = book.cash + sum(held[name] * prices[name] for name in held)
    long = {name: held[name] + book.leaves(name, Side.BUY) for name in held}
    position = long[BTC] * max(worst, prices[BTC]) + verdict.quantity * max(worst, prices[BTC])
    posture = situation.posture or limits.posture
    cautious = 2 if verdict.stage == "caution" else 1
    volatility = limits.volatility_assumed_pct if situation.volatility_pct is None else situation.volatility_pct
    tiny = D("1e-12")
    assert notional * cautious <= equity * POSTURES[posture].entry_pct / 100 + tiny
    assert notional * volatility / 100 <= equity * limits.trade_risk_max_pct / 100 + tiny
    own = max(book.own.get(BTC, D(0)), D(0)) * prices[BTC] + book.reserved_cash("ema")
    assert own + notional <= equity * limits.strategy_budget_pct / 100 + tiny
    assert verdict.quantity <= quotes[BTC].minute_volume * limits.volume_share_max_pct / 100
    assert position <= limits.position_notional_max
    assert position <= equity * limits.concentration_max_pct / 100
    assert position + long[ETH] * prices[ETH] <= equity * min(limits.leverage_max, limits.net_leverage_max)
    taken = sum((row.cost for row in book.reserved), D(0)) + equity * limits.cash_buffer_pct / 100
    assert cash_needed(Side.BUY, verdict.quantity, verdict.limit_price or D(0), limits.fee_bps) + taken <= book.cash
    assert len({name for name in held if long[name] or held[name]} | {BTC}) <= limits.posture_positions_max[posture]
    assert facts.unknown == Unknown(0, facts.unknown.account)
    assert facts.unknown.account <= limits.account_unknown_max
    assert facts.turnover.minute + notional <= limits.turnover_per_minute_max
    assert facts.turnover.hour + notional <= limits.turnover_per_hour_max
    assert facts.turnover.day + notional <= limits.turnover_per_day_max
    assert facts.counts.account_day < limits.account_orders_per_day_max
    assert facts.counts.strategy_day < limits.strategy_orders_per_day_max
    assert facts.counts.strategy_run < limits.strategy_orders_per_run_max
    for mark, allowed in (
        (facts.marks.minute, limits.loss_minute_max_pct),
        (facts.marks.day, limits.loss_day_max_pct),
        (facts.marks.peak, limits.drawdown_max_pct),
    ):
        assert mark is None or (mark - equity) * 100 <= mark * allowed
    assert verdict.stage in {"normal", "caution"}


@settings(max_examples=100, deadline=None)
@given(signal=SIGNALS, situation=SITUATIONS, judgement=JUDGEMENTS)
def test_the_verdict_is_a_function_of_what_it_is_given(
    signal: Signal, situation: Situation, judgement: Judgement
) -> None:
    verdict = verdict_on(signal, situation, judgement)
    again = verdict_on(signal.model_copy(), replace(situation), replace(judgement))
    assert verdict == again
    assert all(check.passed for check in verdict.checks) is isinstance(verdict, OrderApproved)
    assert len(verdict.checks) <= 60


BAD = st.sampled_from([D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), NUMBER_MAX * 2, -NUMBER_MAX * 2])


def broken(bad: Decimal) -> dict[str, Situation]:
    plain = a_situation()
    facts = plain.facts

    def with_facts(**changes: Any) -> Situation:
        return replace(plain, facts=replace(facts, **changes))

    def with_book(**changes: Any) -> Situation:
        return replace(plain, book=replace(plain.book, **changes))

    return {
        "cash": with_book(cash=bad),
        "counted cash": with_book(cash_counted=bad),
        "holding": with_book(holdings={BTC: Holding(bad)}),
        "reported": with_book(holdings={BTC: Holding(D(1), bad)}),
        "own": with_book(own={BTC: bad}),
        "leaves": with_book(reserved=(Reserved("x", BTC, Side.BUY, bad, D(1)),)),
        "cost": with_book(reserved=(Reserved("x", BTC, Side.BUY, D(1), bad),)),
        "minute": with_facts(turnover=Turnover(minute=bad)),
        "hour": with_facts(turnover=Turnover(hour=bad)),
        "day": with_facts(turnover=Turnover(day=bad)),
        "judged": with_facts(counts=Counts(judged_notional=bad)),
        "mark": with_facts(marks=Marks(minute=bad)),
        "day's mark": with_facts(marks=Marks(day=bad)),
        "peak": with_facts(marks=Marks(peak=bad)),
        "last entry": with_facts(adds=Adds(1, bad)),
        "clock": with_facts(venue=VenueState("paper", True, None, bad, 0, NOW)),
        "own order": with_facts(opposing=(Opposing("x", bad),)),
        "volatility": replace(plain, volatility_pct=bad),
        "rival": replace(plain, rival=a_quote("BTC/USDT@kraken", str(bad))),
        "price": replace(plain, quotes={BTC: a_quote(last=str(bad))}),
        "volume": replace(plain, quotes={BTC: a_quote(minute_volume=bad)}),
        "tick": replace(plain, instrument=an_instrument(tick_size=bad)),
        "lot": replace(plain, instrument=an_instrument(lot_size=bad)),
        "last close": replace(plain, close_previous=bad),
    }


@pytest.mark.parametrize("name", sorted(broken(D(1))))
@settings(max_examples=15, deadline=None)
@given(bad=BAD, action=st.sampled_from(["buy", "dca", "sell", "close"]))
def test_a_number_that_is_none_is_denied_before_any_comparison(name: str, bad: Decimal, action: str) -> None:
    verdict = verdict_on(a_signal(action=action), broken(bad)[name], Judgement())
    assert isinstance(verdict, OrderDenied)
    assert verdict.code is DenialCode.NUMBER_INVALID
    assert len(verdict.checks) == 1


@pytest.mark.parametrize("count", [-1, 10**16])
@pytest.mark.parametrize("name", ["account_day", "strategy_day", "strategy_run", "judged_day"])
def test_an_absurd_count_is_denied(name: str, count: int) -> None:
    situation = a_situation(facts=Facts(counts=Counts(**{name: count})))
    verdict = verdict_on(a_signal(), situation, Judgement())
    assert isinstance(verdict, OrderDenied)
    assert verdict.code is DenialCode.NUMBER_INVALID


def test_these_situations_are_approved_often_enough_to_mean_something() -> None:
    seen: list[bool] = []

    @settings(max_examples=200, database=None)
    @given(signal=SIGNALS, situation=SITUATIONS, judgement=JUDGEMENTS)
    def count(signal: Signal, situation: Situation, judgement: Judgement) -> None:
        verdict = verdict_on(signal, situation, judgement)
        seen.append(isinstance(verdict, OrderApproved) and verdict.side is Side.BUY)

    count()
    assert sum(seen) >= 5
