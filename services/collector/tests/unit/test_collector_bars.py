"""Bars from trades, trades from bars, and which recorded bars are bars."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.bars import LOT, BarCleaner, MinuteBars, MinuteVolume, trades_of
from collector.domain.feed import RawBar, Reason

DATA = Path(__file__).parents[5] / "shared" / "data"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_700_000_000 * SECOND // MINUTE * MINUTE


def a_bar(
    minute: int = 0, open_: int = 100, high: int = 101, low: int = 99, close: int = 100, volume: int = 8
) -> RawBar:
    return RawBar(0, 60, START + minute * MINUTE, open_, high, low, close, volume * LOT)


def test_a_bar_closes_on_the_first_trade_of_the_next_minute() -> None:
    bars = MinuteBars()
    for second, price in ((0, 10), (20, 14), (40, 8), (59, 12)):
        assert bars.add(START + second * SECOND, price, 2) is None

    closed = bars.add(START + MINUTE, 13, 1)

    assert closed is not None
    assert (closed.open_ns, closed.open, closed.high, closed.low, closed.close) == (START, 10, 14, 8, 12)
    assert (closed.volume, closed.trades) == (8, 4)


def test_a_minute_without_trades_has_no_bar() -> None:
    bars = MinuteBars()
    bars.add(START, 10, 1)

    first = bars.add(START + 5 * MINUTE, 11, 1)
    second = bars.add(START + 6 * MINUTE, 12, 1)

    assert first is not None
    assert second is not None
    assert (first.open_ns, second.open_ns) == (START, START + 5 * MINUTE)


def test_the_wall_clock_closes_a_bar_and_a_late_trade_does_not_open_it_again() -> None:
    bars = MinuteBars()
    bars.add(START, 10, 1)

    assert bars.close(START + MINUTE - 1) is None
    assert bars.close(START + MINUTE) is not None
    assert bars.add(START + 59 * SECOND, 11, 1) is None
    assert bars.close(START + 2 * MINUTE) is None


def test_the_minute_in_which_a_feed_starts_has_no_bar() -> None:
    bars = MinuteBars(from_ns=START + MINUTE)
    bars.add(START + 30 * SECOND, 10, 1)

    assert bars.add(START + MINUTE, 11, 1) is None
    assert bars.add(START + 2 * MINUTE, 12, 1) is not None


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 1000), st.integers(1, 50)), min_size=1, max_size=100))
def test_bars_hold_all_that_traded(steps: list[tuple[int, int, int]]) -> None:
    bars, closed, now = MinuteBars(), [], START
    for step, price, quantity in steps:
        now += step * SECOND
        bar = bars.add(now, price, quantity)
        if bar is not None:
            closed.append(bar)
    last = bars.close(now + MINUTE)
    assert last is not None
    closed.append(last)

    assert sum(bar.volume for bar in closed) == sum(quantity for _, _, quantity in steps)
    assert sum(bar.trades for bar in closed) == len(steps)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in closed)
    assert [bar.open_ns for bar in closed] == sorted({bar.open_ns for bar in closed})


def test_the_minute_volume_forgets_after_a_minute() -> None:
    volume = MinuteVolume()
    for second in range(120):
        volume.add(START + second * SECOND, 1)
    assert volume.total == 60

    volume.add(START + 10 * MINUTE, 5)
    assert volume.total == 5


@given(st.integers(1, 10**6), st.integers(0, 100), st.integers(0, 100), st.integers(-50, 50), st.integers(1, 10**9))
def test_the_trades_of_a_bar_make_the_bar_again(low: int, up: int, body: int, drift: int, volume: int) -> None:
    open_ = low + min(body, up)
    close = max(low, min(low + up, open_ + drift))
    bar = RawBar(0, 60, START, open_, low + up, low, close, volume * LOT)
    bars, trades = MinuteBars(), trades_of(bar)

    for ts_ns, price, quantity in trades:
        bars.add(ts_ns, price, quantity)
    made = bars.close(START + MINUTE)

    assert made is not None
    assert (made.open, made.high, made.low, made.close) == (bar.open, bar.high, bar.low, bar.close)
    assert made.volume == volume * LOT
    assert all(quantity > 0 for _, _, quantity in trades)
    assert [ts_ns for ts_ns, _, _ in trades] == [START + i * 15 * SECOND for i in range(4)]


def test_the_path_through_a_bar_follows_its_direction() -> None:
    assert [price for _, price, _ in trades_of(a_bar(open_=100, high=105, low=98, close=104))] == [100, 98, 105, 104]
    assert [price for _, price, _ in trades_of(a_bar(open_=104, high=105, low=98, close=100))] == [104, 105, 98, 100]


def test_trades_of_a_bar_are_whole_lots_where_the_volume_allows_it() -> None:
    assert [quantity for _, _, quantity in trades_of(a_bar(volume=11))] == [200, 200, 200, 500]
    assert [quantity for _, _, quantity in trades_of(a_bar(volume=2))] == [50, 50, 50, 50]


def test_a_bar_without_volume_had_no_trade() -> None:
    assert trades_of(a_bar(volume=0)) == []


@pytest.mark.parametrize(
    ("bar", "reason"),
    [
        (a_bar(low=0), Reason.ZERO),
        (a_bar(volume=-1), Reason.ZERO),
        (a_bar(high=99, low=98), Reason.BAR_INCONSISTENT),
        (a_bar(low=101, high=102), Reason.BAR_INCONSISTENT),
        (a_bar(low=10), Reason.BAR_SPIKE),
        (a_bar(high=1000), Reason.BAR_SPIKE),
    ],
)
def test_a_bad_bar_is_refused(bar: RawBar, reason: Reason) -> None:
    assert BarCleaner().judge(bar) is reason


def test_the_same_bar_twice_and_an_earlier_one_are_refused() -> None:
    cleaner = BarCleaner()

    assert cleaner.judge(a_bar(5)) is None
    assert cleaner.judge(a_bar(5)) is Reason.DUPLICATE
    assert cleaner.judge(a_bar(4)) is Reason.OUT_OF_ORDER


def _refused(path: str, symbol: str | None = None) -> list[tuple[str, Reason]]:
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not here")
    frame = pl.read_parquet(DATA / path)
    if symbol is not None:
        frame = frame.filter(pl.col("symbol") == symbol)
    cleaner = BarCleaner()
    refused = []
    for row in frame.iter_rows(named=True):
        numbers = [round(row[name] * 10**8) for name in ("open", "high", "low", "close", "volume")]
        reason = cleaner.judge(RawBar(0, 60, row["ts"], *numbers))
        if reason is not None:
            refused.append((str(pl.Series([row["ts"]]).cast(pl.Datetime("ns"))[0]), reason))
    return refused


@pytest.mark.parametrize("coin", ["ADA", "BCH", "DOGE", "EOS", "ETH", "XRP"])
def test_no_bar_of_a_real_crash_is_thrown_away(coin: str) -> None:
    assert _refused(f"crypto/candles_1m/binance_spot_{coin}USDT_1m_20210420_20210520.parquet") == []


def test_bad_prints_in_daily_bars_are_refused_and_the_flash_crash_is_not() -> None:
    refused = _refused("us/candles_1d/us_daily_dev_1998_2021.parquet", "AAPL")

    assert [day[:10] for day, _ in refused] == ["2009-09-21", "2010-08-31", "2011-01-03"]
    assert {reason for _, reason in refused} == {Reason.BAR_SPIKE}
