"""Commands, holdings, shares, and settings: the small rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.market import SHARDS, Instrument
from strategy_engine.domain.alerts import refused
from strategy_engine.domain.book import Book, Holding
from strategy_engine.domain.commands import carry_out
from strategy_engine.domain.shares import share_of
from strategy_engine.domain.spec import Spec, Status, check_timeframe
from strategy_engine.settings import Settings

BTC = "BTC/USDT@binance"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SPEC = Spec(
    "ema", "ema_cross", 1, Status.ACTIVE, "paper", 60, ("*",),
    {"fast": 5, "slow": 13, "stop_pct": None, "target_pct": None}, asks_judgement=False,
)  # fmt: skip
STOPPED = replace(SPEC, strategy_id="off", status=Status.STOPPED)


def a_command(name: CommandName, subject: str = "ema", **values: str) -> Command:
    return Command(**Command.first("c", NOW), command=name, subject=subject, values=values, requested_by="ann")


def test_parameters_are_changed_in_part_and_make_a_version() -> None:
    changed = carry_out(a_command(CommandName.SET_PARAMS, fast="7", stop_pct="1.5"), [SPEC, STOPPED])

    assert changed == [replace(SPEC, version=2, params={**SPEC.params, "fast": 7, "stop_pct": "1.5"})]


def test_an_empty_value_takes_a_parameter_back_to_its_default() -> None:
    spec = replace(SPEC, params={**SPEC.params, "fast": 7, "stop_pct": "1.5"})

    assert carry_out(a_command(CommandName.SET_PARAMS, fast="", stop_pct=""), [spec]) == [replace(SPEC, version=2)]


def test_parameters_that_change_nothing_make_no_version() -> None:
    assert carry_out(a_command(CommandName.SET_PARAMS, fast="5"), [SPEC]) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (a_command(CommandName.SET_PARAMS, fast="50"), "fast"),
        (a_command(CommandName.SET_PARAMS, fast="1e9"), "fast"),
        (a_command(CommandName.SET_PARAMS, speed="1"), "speed"),
        (a_command(CommandName.SET_PARAMS), "no parameter"),
        (a_command(CommandName.SET_PARAMS, "global", fast="6"), "one strategy at a time"),
        (a_command(CommandName.SET_PARAMS, "nobody", fast="6"), "nobody"),
        (a_command(CommandName.STOP_STRATEGY, "nobody"), "nobody"),
        (a_command(CommandName.STOP_STRATEGY, ""), "''"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_changes(command: Command, said: str) -> None:
    answer = carry_out(command, [SPEC, STOPPED])

    assert isinstance(answer, str)
    assert said in answer
    assert said in refused(command, answer, NOW).text


def test_a_strategy_with_bad_parameters_is_not_activated() -> None:
    broken = replace(STOPPED, params={"fast": 99, "slow": 3})

    assert "fast" in str(carry_out(a_command(CommandName.ACTIVATE_STRATEGY, "off"), [broken]))


def test_starting_and_stopping_touch_whom_they_name_or_all() -> None:
    paused = replace(SPEC, strategy_id="p", status=Status.PAUSED)
    specs = [SPEC, STOPPED, paused]

    assert carry_out(a_command(CommandName.ACTIVATE_STRATEGY, "p"), specs) == [replace(paused, status=Status.ACTIVE)]
    assert carry_out(a_command(CommandName.STOP_STRATEGY, "global"), specs) == [
        replace(SPEC, status=Status.STOPPED),
        replace(paused, status=Status.STOPPED),
    ]
    assert carry_out(a_command(CommandName.STOP_STRATEGY, "off"), specs) == []


def a_book(quantity: str) -> Book:
    book = Book()
    book.instruments[BTC] = Instrument(
        BTC, "BTC", "USDT", "binance", Decimal("0.01"), Decimal("0.001"), Decimal("0.002"), Decimal(10), "crypto"
    )
    book.apply([Holding("ema", BTC, Decimal(quantity), sequence=1)])
    return book


@pytest.mark.parametrize(
    ("quantity", "price", "is_held"),
    [
        ("0.5", "100", True),
        ("0", "100", False),
        ("-1", "100", False),
        ("0.0009", "1000000", False),  # below a lot
        ("0.0019", "1000000", False),  # one lot, below the smallest order
        ("0.0999", "100", False),  # its whole lots are worth less than the smallest order
        ("0.1", "100", True),
    ],
)
def test_what_could_not_be_sold_does_not_count_as_held(quantity: str, price: str, is_held: bool) -> None:
    assert a_book(quantity).position("ema", BTC, Decimal(price)).is_held is is_held


def test_an_instrument_nobody_described_is_held_as_the_fills_say() -> None:
    book = a_book("0.0001")
    book.instruments.clear()

    assert book.position("ema", BTC, Decimal(1)).is_held


def test_older_news_of_a_holding_is_ignored() -> None:
    book = a_book("1")
    book.apply([Holding("ema", BTC, Decimal(2), sequence=3), Holding("ema", BTC, Decimal(9), sequence=2)])

    assert book.holding("ema", BTC).quantity == 2


def test_a_strategy_waits_for_its_order_until_it_is_over_or_was_never_heard_of() -> None:
    waiting = Holding("ema", BTC, Decimal(0), UUID(int=1), NOW, 1)

    assert waiting.is_working(NOW - timedelta(seconds=1))
    assert not waiting.is_working(NOW)
    assert replace(waiting, working_until=None).is_working(NOW + timedelta(days=1))
    assert not replace(waiting, working_signal_id=None).is_working(NOW - timedelta(days=1))


@given(st.sets(st.text("abcdef.0123", min_size=1), min_size=1, max_size=9))
def test_every_shard_has_one_taker_and_shares_are_fair(replicas: set[str]) -> None:
    shares = [share_of(replica, sorted(replicas)) for replica in replicas]

    assert sorted(shard for share in shares for shard in share) == list(range(SHARDS))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("timeframe_s", [0, -60, 61, 90, 8 * 86_400])
def test_a_timeframe_that_no_bars_can_be_built_for_is_refused(timeframe_s: int) -> None:
    with pytest.raises(ValueError, match="timeframe"):
        check_timeframe(timeframe_s)


SERVERS = {
    "database_url": "postgresql://h:1/sigmax", "rabbitmq_url": "amqp://h:1/", "redis_url": "redis://h:1/0",
    "database_password": "x", "rabbitmq_password": "x", "redis_password": "x",
}  # fmt: skip


def test_a_new_installation_begins_with_three_strategies_of_which_one_asks_for_judgement() -> None:
    seeds = Settings(**SERVERS, seed_params={"ema_cross": {"fast": 3, "slow": 8}}, seed_timeframe_s=5).seeds()  # type: ignore[arg-type]

    assert [(seed.strategy_id, seed.asks_judgement) for seed in seeds] == [
        ("ema-cross", False),
        ("rsi-reversion", True),
        ("donchian-breakout", False),
    ]
    assert (seeds[0].params["fast"], seeds[0].timeframe_s, seeds[0].instruments) == (3, 5, ("*",))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"seed_params": {"ema_cross": {"fast": 99}}}, "fast"),
        ({"seed_params": {"macd": {}}}, "seed_params"),
        ({"seed_timeframe_s": 61}, "seed_timeframe_s"),
        ({"signal_valid_s": 0}, "signal_valid_s"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(bad: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(**SERVERS, **bad)  # type: ignore[arg-type]
