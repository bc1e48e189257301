"""Which trades are prices."""

import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.cleaning import CleaningLimits, IdRun, TickCleaner
from collector.domain.feed import Reason

DATA = Path(__file__).parents[5] / "shared" / "data"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def a_cleaner(*prices: int) -> TickCleaner:
    cleaner = TickCleaner(CleaningLimits())
    for i, price in enumerate(prices):
        assert cleaner.judge(START + i * SECOND, price, 1, None) is None
    return cleaner


def test_an_unreadable_number_is_no_price() -> None:
    assert a_cleaner().judge(START, None, 1, None) is Reason.MALFORMED
    assert a_cleaner().judge(START, 100, None, None) is Reason.MALFORMED


@pytest.mark.parametrize(("price", "quantity"), [(0, 1), (-5, 1), (100, 0), (100, -1)])
def test_nothing_and_less_is_no_price(price: int, quantity: int) -> None:
    assert a_cleaner().judge(START, price, quantity, None) is Reason.ZERO


def test_a_trade_before_the_last_one_is_out_of_order_and_one_at_the_same_time_is_not() -> None:
    cleaner = a_cleaner(10_000, 10_001)

    assert cleaner.judge(START, 10_000, 1, None) is Reason.OUT_OF_ORDER
    assert cleaner.judge(START + SECOND, 10_000, 1, None) is None


def test_a_repeated_id_is_a_duplicate() -> None:
    cleaner = TickCleaner(CleaningLimits())

    assert cleaner.judge(START, 10_000, 1, 7) is None
    assert cleaner.judge(START, 10_000, 1, 7) is Reason.DUPLICATE
    assert cleaner.judge(START, 10_000, 1, 8) is None


def test_repeated_rows_without_ids_are_several_fills() -> None:
    cleaner = a_cleaner(10_000)

    for _ in range(5):
        assert cleaner.judge(START + SECOND, 10_000, 3, None) is None


def test_only_the_newest_ids_are_remembered() -> None:
    cleaner = TickCleaner(CleaningLimits(ids=4))
    for trade_id in range(10):
        cleaner.judge(START, 10_000, 1, trade_id)

    assert cleaner.judge(START, 10_000, 1, 9) is Reason.DUPLICATE
    assert cleaner.judge(START, 10_000, 1, 2) is None
    assert len(cleaner.state().ids) == 4


def test_a_lone_far_price_is_a_spike_and_the_next_usual_one_is_not() -> None:
    cleaner = a_cleaner(*[10_000] * 40)

    assert cleaner.judge(START + 50 * SECOND, 10_500, 1, None) is Reason.SPIKE
    assert cleaner.judge(START + 51 * SECOND, 10_001, 1, None) is None
    assert cleaner.judge(START + 52 * SECOND, 9_500, 1, None) is Reason.SPIKE


def test_a_new_level_is_accepted_once_three_trades_agree_on_it() -> None:
    cleaner = a_cleaner(*[10_000] * 40)

    verdicts = [cleaner.judge(START + (50 + i) * SECOND, 11_000 + i, 1, None) for i in range(5)]

    assert verdicts == [Reason.SPIKE, Reason.SPIKE, None, None, None]
    assert cleaner.judge(START + 60 * SECOND, 10_000, 1, None) is Reason.SPIKE


def test_spikes_that_disagree_are_never_a_new_level() -> None:
    cleaner = a_cleaner(*[10_000] * 40)

    for i, price in enumerate([11_000, 9_000, 12_000, 8_000, 13_000, 7_000]):
        assert cleaner.judge(START + (50 + i) * SECOND, price, 1, None) is Reason.SPIKE


def test_after_a_long_silence_a_move_is_believed() -> None:
    assert a_cleaner(*[10_000] * 40).judge(START + 41 * SECOND, 10_300, 1, None) is Reason.SPIKE
    assert a_cleaner(*[10_000] * 40).judge(START + 3600 * SECOND, 10_300, 1, None) is None


def test_a_fast_market_that_moves_from_trade_to_trade_is_believed() -> None:
    prices = [int(60_000 * 0.995**i) for i in range(60)]

    a_cleaner(*prices)


def test_trades_made_of_checked_bars_are_not_looked_at_for_spikes() -> None:
    cleaner = TickCleaner(None)

    assert [cleaner.judge(START, price, 1, None) for price in (100, 1000, 10)] == [None, None, None]


@given(st.lists(st.integers(1, 10**12), max_size=200), st.integers(0, 200))
def test_a_restored_cleaner_judges_as_the_first_one_would_have(prices: list[int], cut: int) -> None:
    whole, first = TickCleaner(CleaningLimits()), TickCleaner(CleaningLimits())
    expected = [whole.judge(START + i, price, 1, i) for i, price in enumerate(prices)]
    found = [first.judge(START + i, price, 1, i) for i, price in enumerate(prices[:cut])]
    second = TickCleaner(CleaningLimits())
    second.restore(first.state())
    found += [second.judge(START + i, price, 1, i) for i, price in enumerate(prices[cut:], start=min(cut, len(prices)))]

    assert found == expected
    assert second.state() == whole.state()


@given(st.lists(st.integers(9_950, 10_050), min_size=1, max_size=200))
def test_a_quiet_market_has_no_spike(prices: list[int]) -> None:
    a_cleaner(*prices)


def test_missing_ids_are_counted_only_where_the_venue_counts_without_holes() -> None:
    run, holes = IdRun(), IdRun()
    for trade_id in range(100):
        assert run.missing(trade_id) == 0
    rng = random.Random(1)
    trade_id = 0
    for _ in range(200):
        trade_id += rng.choice([1, 2, 3])
        assert holes.missing(trade_id) == 0

    assert run.missing(105) == 5
    assert run.missing(106) == 0
    assert run.missing("not a number") == 0


def _real(path: str) -> pl.DataFrame:
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not here")
    return pl.read_parquet(DATA / path)


def _verdicts(frame: pl.DataFrame, digits: int) -> list[Reason | None]:
    cleaner = TickCleaner(CleaningLimits())
    prices = (frame["price"] * 10**digits).round().cast(pl.Int64).to_list()
    ids = frame["trade_id"].to_list() if "trade_id" in frame.columns else [None] * len(frame)
    return [
        cleaner.judge(ts, price, 1, trade_id)
        for ts, price, trade_id in zip(frame["ts"].to_list(), prices, ids, strict=True)
    ]


@pytest.mark.parametrize(
    ("path", "digits", "refused_max"),
    [
        ("crypto/ticks/binance_spot_BTCUSDT_trades_20240808.parquet", 2, 0),
        ("crypto/ticks/binance_usdm_BTCUSDT_trades_20240808.parquet", 1, 0),
        ("crypto/ticks/kraken_BTCUSD_trades_20190701_0000_0100.parquet", 1, 0),
        ("crypto/ticks/bitstamp_BTCUSD_trades_20150501.parquet", 2, 0),
        ("futures/ticks/ES_trades_20130901_part1.parquet", 2, 0),
        ("us/ticks/IBM_trades_20131007_20131011.parquet", 4, 3),
        ("us/ticks/AAPL_trades_20100507.parquet", 4, 20),
        ("us/ticks/XXX_taq_raw_trades_20180102.parquet", 4, 0),
    ],
)
def test_real_trades_pass(path: str, digits: int, refused_max: int) -> None:
    refused = [verdict for verdict in _verdicts(_real(path), digits) if verdict is not None]

    assert len(refused) <= refused_max, refused[:5]


def test_labelled_bad_ticks_are_found(record_property: Callable[[str, object], None]) -> None:
    frame = _real("us/ticks/SPY_trades_20131010.parquet")
    verdicts = _verdicts(frame, 4)
    labels = frame["suspicious"].to_list()
    found = sum(1 for verdict, label in zip(verdicts, labels, strict=True) if label and verdict is Reason.SPIKE)
    refused = sum(1 for verdict in verdicts if verdict is not None)
    record_property("recall", f"{found} of {sum(labels)}")
    record_property("refused", f"{refused} of {len(verdicts)}")
    print(f"labelled bad ticks found: {found} of {sum(labels)}; refused in all: {refused} of {len(verdicts)}")

    assert found >= 0.8 * sum(labels)
    assert refused <= 60
