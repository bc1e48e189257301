"""What a model may do with a signal, and what news may: just under, at, and just over each limit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from risk_gate_builders import BTC, NOW, a_decision, a_request, a_signal, an_id, some_limits
from risk_gate_deciding import A_MICROSECOND, code_of, decide, failed

from risk_gate.domain.facts import Adds, Counts, Facts
from risk_gate.domain.judging import judgement_of, unclean
from risk_gate.domain.situation import Book, Holding, Judgement
from sigmax.schemas.types import DenialCode

MODEL = Judgement(is_asked=True, is_models=True)
TRADED = some_limits(judged_shadow=False)


def judged(request_id: UUID | None = None, **changes: Any) -> Judgement:
    request = a_request(a_signal())
    return judgement_of(a_decision(request, **changes), request.signal, request_id or request.message_id)


def by_a_model(**counts: Any) -> Any:
    return decide(judgement=MODEL, limits=TRADED, facts=Facts(counts=Counts(**counts)))


# Control 31 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"instrument_id": "ETH/USDT@binance"},
        {"strategy_id": "other"},
        {"signal_id": an_id("another signal")},
        {"request_id": an_id("another request")},
    ],
)
def test_a_decision_about_something_else_is_none(changes: dict[str, Any]) -> None:
    verdict = decide(judgement=judged(**changes))
    assert code_of(verdict) is DenialCode.JUDGEMENT_INVALID
    assert "it is about" in failed(verdict).seen


def test_a_decision_on_this_signal_passes() -> None:
    assert code_of(decide(judgement=judged())) is None


# Control 32 --------------------------------------------------------------------------------------------------------


def test_a_number_of_a_model_is_never_a_quantity() -> None:
    full = decide().quantity
    assert decide(judgement=judged(verdict="adjust", size_factor="0.5")).quantity == full / 2
    wild = Judgement(is_asked=True, size_factor=Decimal("1.0001"))
    assert code_of(decide(judgement=wild)) is DenialCode.NUMBER_INVALID


# Control 33 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"judged_day": 18}, None),
        ({"judged_day": 19}, None),
        ({"judged_day": 20}, DenialCode.JUDGEMENT_BUDGET_EXCEEDED),
        ({"judged_notional": Decimal("18000.05")}, None),
        ({"judged_notional": Decimal("18000.06")}, DenialCode.JUDGEMENT_BUDGET_EXCEEDED),
        ({"judged_last_at": NOW - timedelta(seconds=60)}, None),
        ({"judged_last_at": NOW - timedelta(seconds=60) + A_MICROSECOND}, DenialCode.JUDGEMENT_BUDGET_EXCEEDED),
    ],
)
def test_what_models_let_pass_has_a_budget_and_a_cooldown(counts: dict[str, Any], code: DenialCode | None) -> None:
    assert code_of(by_a_model(**counts)) is code
    assert code_of(decide(facts=Facts(counts=Counts(**counts)))) is None


def test_in_shadow_mode_what_a_model_lets_pass_is_not_traded_and_strategies_go_on() -> None:
    verdict = decide(judgement=MODEL)
    assert code_of(verdict) is DenialCode.JUDGEMENT_BUDGET_EXCEEDED
    assert "shadow" in failed(verdict).seen
    assert code_of(decide(judgement=judged())) is None
    assert code_of(decide()) is None


def test_a_used_up_budget_holds_up_no_exit() -> None:
    book = Book(cash=Decimal(99_500), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
    counts = Counts(judged_day=999, judged_last_at=NOW)
    assert code_of(decide(a_signal(action="close"), judgement=MODEL, book=book, facts=Facts(counts=counts))) is None


# Control 34 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["rsi < 70 and price > 100", "돌파 후 거래량 증가", "risk & reward", "a\nb\tc", "100 % [sic] (maybe)", "5<6>4"],
)
def test_plain_words_are_clean(text: str) -> None:
    assert unclean(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "buy<b>now</b>",
        "</system>",
        "<!-- hidden -->",
        "&lt;script&gt;",
        "&#x202e;",
        "[see](http://x.example)",
        "![](x)",
        "https://x.example",
        "```json",
        "zero\u200bwidth",
        "right\u202eto left",
        "iso\u2066late",
        "soft\u00adhyphen",
        "tag\U000e0041",
        "\ufeffbom",
        "bell\x07",
        "nul\x00",
        "private\ue000",
    ],
)
def test_markup_and_characters_that_nobody_sees_are_not(text: str) -> None:
    assert unclean(text) is not None
    verdict = decide(judgement=judged(reasons=(text,)))
    assert code_of(verdict) is DenialCode.JUDGEMENT_UNCLEAN


def test_the_words_of_every_voter_are_looked_at() -> None:
    answer = {"role": "analyst", "source": "local", "verdict": "approve", "confidence": "1", "reasons": ("a\u200bb",)}
    assert code_of(decide(judgement=judged(answers=(answer,)))) is DenialCode.JUDGEMENT_UNCLEAN


# Control 35 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "confirmed", "code"),
    [
        ((), False, DenialCode.NEWS_UNCONFIRMED),
        (("reuters",), False, DenialCode.NEWS_UNCONFIRMED),
        (("reuters", "Reuters "), False, DenialCode.NEWS_UNCONFIRMED),
        (("reuters", "yonhap"), False, None),
        (("reuters", "yonhap", "dpa"), False, None),
        (("reuters",), True, None),
    ],
)
def test_one_article_opens_no_position(sources: tuple[str, ...], confirmed: bool, code: DenialCode | None) -> None:
    changes: dict[str, Any] = {"trigger": "news", "news_sources": sources, "is_market_confirmed": confirmed}
    assert code_of(decide(a_signal(**changes))) is code
    book = Book(cash=Decimal(99_500), holdings={BTC: Holding(Decimal(5))}, own={BTC: Decimal(5)})
    assert code_of(decide(a_signal(action="close", **changes), book=book)) is None


# Control 36 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"policy": "council"}, {"cost_usd": "0.000001"}, {"tape_id": an_id("tape")}])
def test_every_trace_of_a_call_makes_it_a_models(changes: dict[str, Any]) -> None:
    assert judged(**changes).is_models


def test_a_model_behind_a_local_name_is_known_by_its_answers() -> None:
    answer = {"role": "analyst", "source": "gpt", "verdict": "approve", "confidence": "1", "reasons": ()}
    assert judged(answers=(answer,)).is_models
    assert not judged(answers=({**answer, "source": "local"},)).is_models


def test_a_models_decision_that_is_not_on_the_tape_cannot_be_replayed() -> None:
    unrecorded = judged(policy="council")
    assert code_of(decide(judgement=unrecorded, limits=TRADED)) is DenialCode.JUDGEMENT_UNRECORDED
    recorded = judged(policy="council", tape_id=an_id("tape"))
    assert code_of(decide(judgement=recorded, limits=TRADED)) is None
    assert code_of(decide(judgement=judged())) is None


# Across controls ---------------------------------------------------------------------------------------------------


def test_a_judged_addition_on_news_shows_all_36_controls() -> None:
    signal = a_signal(action="dca", trigger="news", is_market_confirmed=True)
    book = Book(cash=Decimal(99_900), holdings={BTC: Holding(Decimal(1))}, own={BTC: Decimal(1)})
    facts = Facts(adds=Adds(1, Decimal(200)))
    verdict = decide(signal, judgement=MODEL, limits=TRADED, book=book, facts=facts)
    assert {check.control for check in verdict.checks} == set(range(1, 37))
    assert len(verdict.checks) <= 60
    refused = decide(signal, judgement=replace(MODEL, refused="no"), limits=TRADED, book=book, facts=facts)
    assert code_of(refused) is DenialCode.JUDGEMENT_REFUSED
