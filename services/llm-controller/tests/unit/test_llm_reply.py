import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_controller.domain.opinion import Opinion
from llm_controller.domain.reply import ReplyError, read_reply
from sigmax.schemas.signals import JudgementRequested
from sigmax.schemas.types import Verdict

ARequest = Callable[..., JudgementRequested]


def a_reply(**changes: Any) -> str:
    fields = {
        "instrument_id": "BTC/USDT@binance",
        "verdict": "approve",
        "size_factor": 1,
        "confidence": 0.8,
        "reasons": ["The close is above 64180 and RSI is 61.25."],
        "figures": [{"name": "rsi_14", "value": "61.25"}],
    }
    return json.dumps(fields | changes)


def read(text: str, request: JudgementRequested) -> Opinion:
    return read_reply(text, request, policy="single", source="m")


def test_a_valid_reply_is_an_opinion(a_request: ARequest) -> None:
    opinion = read(a_reply(), a_request())
    assert (opinion.verdict, opinion.confidence, opinion.size_factor) == (Verdict.APPROVE, Decimal("0.8"), Decimal(1))


@pytest.mark.parametrize("wrap", ["```json\n{}\n```", "Here you are:\n{}\nGood luck!"])
def test_json_in_a_text_reply_is_found(a_request: ARequest, wrap: str) -> None:
    assert read(wrap.replace("{}", a_reply()), a_request()).verdict is Verdict.APPROVE


def test_only_adjust_changes_the_size(a_request: ARequest) -> None:
    assert read(a_reply(verdict="adjust", size_factor=0.5), a_request()).size_factor == Decimal("0.5")
    assert read(a_reply(verdict="approve", size_factor=0.5), a_request()).size_factor == Decimal(1)


@pytest.mark.parametrize(
    "changes",
    [
        {"instrument_id": "ETH/USDT@binance"},
        {"verdict": "buy everything"},
        {"verdict": None},
        {"confidence": 1.5},
        {"confidence": -0.1},
        {"confidence": "high"},
        {"size_factor": 2},
        {"verdict": "adjust", "size_factor": 0},
        {"verdict": "adjust", "size_factor": 1},
        {"verdict": "adjust", "size_factor": 0.00001},
        {"reasons": []},
        {"reasons": ["\u200b\u202e"]},
        {"reasons": "because"},
        {"figures": [{"name": "macd", "value": "1"}]},
        {"figures": [{"name": "rsi_14", "value": "75"}]},
        {"figures": [{"name": "rsi_14", "value": "NaN"}]},
        {"figures": [{"name": "trend", "value": "down"}]},
        {"reasons": ["RSI is 75.3."]},
        {"reasons": ["Target 70,000 is near."]},
        {"reasons": ["ETH/USDT looks better."]},
    ],
)
def test_a_reply_that_breaks_a_rule_is_no_answer(a_request: ARequest, changes: dict[str, Any]) -> None:
    with pytest.raises(ReplyError):
        read(a_reply(**changes), a_request())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I approve.",
        "{",
        "{}",
        "[1, 2]",
        "null",
        '{"verdict": "approve"',
        "{" * 10_000 + "}" * 10_000,
        '{"confidence": 1e-99999999999999999999}',
        '{"confidence": NaN}',
        '{"a": ' + "9" * 15_000 + "}",
        "x" * 20_001,
    ],
)
def test_what_is_no_json_object_of_the_schema_is_no_answer(a_request: ARequest, text: str) -> None:
    with pytest.raises(ReplyError):
        read(text, a_request())


@pytest.mark.parametrize(
    "reason",
    [
        "RSI is 61.25.",
        "RSI is about 61.3.",
        "RSI is 61.",
        "The 20 bar high of 64,180 was broken.",
        "The reference price is 64250.5, with a stop of 1.2%.",
        "Strength is 70%.",
        "RSI14 agrees.",
        "BTC/USDT@binance trends up.",
        "No figure at all.",
    ],
)
def test_figures_of_the_data_may_be_cited_as_they_are_or_rounded(a_request: ARequest, reason: str) -> None:
    assert read(a_reply(reasons=[reason]), a_request()).reasons == (reason,)


def test_reasons_are_cleaned_before_anyone_sees_them(a_request: ARequest) -> None:
    opinion = read(a_reply(reasons=["Up<script>alert</script>\u202etrend\u0000"]), a_request())
    assert opinion.reasons == ("Up alert trend",)


@given(st.text(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_text_is_an_opinion_or_a_reply_error(a_request: ARequest, text: str) -> None:
    with pytest.raises(ReplyError):
        read(text, a_request())


@given(
    st.fixed_dictionaries(
        {
            "instrument_id": st.just("BTC/USDT@binance"),
            "verdict": st.sampled_from(["approve", "adjust", "hold", "reject", "maybe"]),
            "size_factor": st.floats(-1, 2) | st.none() | st.text(max_size=5),
            "confidence": st.floats(allow_nan=True),
            "reasons": st.lists(st.text(max_size=20), max_size=3),
            "figures": st.lists(
                st.fixed_dictionaries({"name": st.just("rsi_14"), "value": st.text(max_size=8)}), max_size=2
            ),
        }
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_reply_raises_a_size_or_names_another_instrument(a_request: ARequest, reply: dict[str, Any]) -> None:
    try:
        opinion = read(json.dumps(reply), a_request())
    except ReplyError:
        return
    assert Decimal(0) < opinion.size_factor <= Decimal(1)
    assert Decimal(0) <= opinion.confidence <= Decimal(1)
