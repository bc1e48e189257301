import hashlib
import hmac
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_venue.domain import params, signing, streams
from paper_venue.domain.errors import DialectError, of_refusal
from paper_venue.domain.intervals import interval_of
from paper_venue.domain.orders import generated_client_id, number
from paper_venue.domain.params import Params
from paper_venue.domain.signing import Credentials, check_time
from paper_venue.domain.streams import DepthFeed, StreamKind, read_name
from sigmax.domain.trading_rules import Refusal

CREDENTIALS = Credentials("key", "secret", "paper")


def sign(payload: str) -> str:
    return hmac.new(b"secret", payload.encode(), hashlib.sha256).hexdigest()


def code(error: pytest.ExceptionInfo[DialectError]) -> int:
    return error.value.problem.code


def test_every_refusal_of_the_exchange_has_words() -> None:
    for reason in Refusal:
        problem = of_refusal(reason)
        assert problem.status == 400
        assert problem.code < 0
        assert problem.message


def test_filter_failures_name_the_filter() -> None:
    assert of_refusal(Refusal.LOT_SIZE).body() == {"code": -1013, "msg": "Filter failure: LOT_SIZE"}


def test_the_query_wins_over_the_body() -> None:
    assert params.split("a=1&b=%2B", "a=2&c=3") == {"a": "1", "b": "+", "c": "3"}


def test_a_parameter_sent_twice_is_refused() -> None:
    with pytest.raises(DialectError) as error:
        params.split("a=1&a=1")
    assert code(error) == -1101


def test_a_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(DialectError) as error:
        Params({"a": "1", "limit": ""}).require(frozenset({"a"}), frozenset({"limit"}))
    assert code(error) == -1105


@pytest.mark.parametrize("text", ["1e5", "+1", "-1", ".5", "1.", "", " 1", "0x1", "1_000", "inf", "nan", "٣", "1" * 21])
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(DialectError) as error:
        Params({"price": text}).decimal("price", 8)
    assert code(error) == -1100


@given(st.decimals(min_value=0, max_value=10**15, places=8, allow_nan=False))
def test_a_number_that_is_written_is_read_as_it_was(value: Decimal) -> None:
    assert Params({"price": number(value)}).decimal("price", 8) == value


@given(st.text(max_size=80))
def test_no_text_breaks_the_readers(text: str) -> None:
    values = Params({"x": text})
    for read in (
        lambda: values.decimal("x", 8),
        lambda: values.integer("x"),
        lambda: values.client_id("x"),
        lambda: values.flag("x"),
        lambda: values.names("x"),
        lambda: params.split(text, text),
        lambda: CREDENTIALS.check_raw(text, text),
        lambda: check_time(text, text, 0),
        lambda: read_name(text),
    ):
        try:
            read()
        except DialectError:
            continue


def test_limits_are_held_within_bounds() -> None:
    assert [Params({"limit": text}).limit(500, 1000) for text in ("0", "7", "5000")] == [1, 7, 1000]
    assert Params({}).limit(500, 1000) == 500


def test_a_generated_client_id_follows_from_its_seed_and_is_allowed() -> None:
    name = generated_client_id("seed")

    assert name == generated_client_id("seed") != generated_client_id("other")
    assert Params({"id": name}).client_id("id") == name


def test_a_signature_may_stand_anywhere() -> None:
    for raw in ("a=1&signature={}&b=2", "signature={}&a=1&b=2", "a=1&b=2&signature={}"):
        CREDENTIALS.check_raw(raw.format(sign("a=1&b=2")), "")
    CREDENTIALS.check_raw("a=1", f"b=2&signature={sign('a=1b=2')}")


def test_a_socket_signature_covers_the_sorted_parameters() -> None:
    sent = {"timestamp": 5, "apiKey": "key", "flag": False}
    payload = "apiKey=key&flag=false&timestamp=5"

    CREDENTIALS.check_sorted(sent | {"signature": sign(payload)})
    with pytest.raises(DialectError) as error:
        CREDENTIALS.check_sorted(sent | {"signature": sign(payload + "0")})
    assert code(error) == -1022


def test_a_socket_signature_may_cover_the_encoded_parameters() -> None:
    CREDENTIALS.check_sorted({"name": "a b", "signature": sign("name=a%20b")})


def test_a_timestamp_may_count_microseconds() -> None:
    check_time("1700000000000123", "1000.5", 1_700_000_000_500)


@pytest.mark.parametrize("window", ["0", "-1", "60000.1", "NaN", "x"])
def test_a_window_that_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(DialectError):
        check_time("1700000000000", window, 1_700_000_000_000)


def test_texts_of_json_values_are_those_that_were_signed() -> None:
    assert [signing.text_of(value) for value in (True, False, 7, "x")] == ["true", "false", "7", "x"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("btcusdt@trade", StreamKind.TRADE),
        ("btcusdt@aggTrade", StreamKind.AGGREGATE),
        ("btcusdt@bookTicker", StreamKind.BOOK_TICKER),
        ("btcusdt@miniTicker", StreamKind.MINI_TICKER),
        ("btcusdt@ticker", StreamKind.TICKER),
        ("btcusdt@depth", StreamKind.DEPTH),
        ("btcusdt@depth@100ms", StreamKind.DEPTH),
        ("btcusdt@depth10@100ms", StreamKind.PARTIAL_DEPTH),
        ("btcusdt@kline_15m", StreamKind.KLINE),
        ("!miniTicker@arr", StreamKind.ALL_MINI_TICKERS),
    ],
)
def test_stream_names_are_taken_apart(text: str, kind: StreamKind) -> None:
    name = read_name(text)
    assert name is not None
    assert name.kind is kind


@pytest.mark.parametrize(
    "text", ["", "0", "BTCUSDT@trade", "btcusdt@kline", "btcusdt@kline_7m", "btcusdt@trade5", "x@hope"]
)
def test_what_names_no_stream_is_none(text: str) -> None:
    assert read_name(text) is None


def test_an_unknown_interval_is_refused() -> None:
    assert interval_of("3d").seconds == 259_200
    with pytest.raises(DialectError) as error:
        interval_of("7m")
    assert code(error) == -1120


levels = st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), st.sampled_from(["5", "6"]))


@given(st.lists(st.tuples(st.integers(1, 5), levels, levels), max_size=10))
def test_depth_changes_are_gapless_and_rebuild_the_book(
    states: list[tuple[int, dict[str, str], dict[str, str]]],
) -> None:
    feed = DepthFeed(7, {"1": "5"}, {})
    book: dict[str, dict[str, str]] = {"b": {"1": "5"}, "a": {}}
    update_id = 7
    for step, bids, asks in states:
        event = feed.step("X", update_id + step, dict(bids), dict(asks), 0)
        assert event["U"] == update_id + 1
        update_id = event["u"]
        for side in ("b", "a"):
            for price, quantity in event[side]:
                if quantity == "0":
                    del book[side][price]
                else:
                    book[side][price] = quantity
        assert book == {"b": bids, "a": asks}


def test_a_kline_says_whether_it_is_closed() -> None:
    from paper_venue.domain.tape import Kline

    bar = Kline(60_000_000_000, *(Decimal(price) for price in (1, 3, 1, 2)))
    event = streams.kline_event("BTCUSDT", bar, interval_of("1m"), 9, is_closed=True)

    assert (event["k"]["t"], event["k"]["T"], event["k"]["x"]) == (60_000, 119_999, True)
