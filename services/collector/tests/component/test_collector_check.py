"""Files of one's own are taken, or refused with the file, column, and row that is wrong."""

import json
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collector import check, sample
from collector.adapters.recording import blocks
from collector.adapters.recording_file import RecordingError
from collector.adapters.recording_survey import survey
from collector.domain.feed import Gap, RawBar

DATA = Path(__file__).parents[5] / "shared" / "data"
START = 1_620_000_000_000_000_000
SECOND = 1_000_000_000


def trades(**columns: Any) -> pl.DataFrame:
    rows = 5
    whole: dict[str, Any] = {
        "ts": [START + i * SECOND for i in range(rows)],
        "symbol": ["BTCUSDT"] * rows,
        "price": [50_000.1, 50_000.2, 50_000.3, 50_000.2, 50_000.1],
        "qty": [0.001, 0.002, 0.5, 1.0, 0.25],
        "side": ["buy", "sell", "", None, "buy"],
    }
    return pl.DataFrame({name: values for name, values in (whole | columns).items() if values is not ...}, strict=False)


def bars(**columns: Any) -> pl.DataFrame:
    rows = 4
    whole: dict[str, Any] = {
        "ts": [START + i * 60 * SECOND for i in range(rows)],
        "symbol": ["ADA/USDT"] * rows,
        "open": [1.0, 1.1, 1.2, 1.3],
        "high": [1.2, 1.3, 1.4, 1.5],
        "low": [0.9, 1.0, 1.1, 1.2],
        "close": [1.1, 1.2, 1.3, 1.4],
        "volume": [10.0, 20.0, 0.0, 40.5],
    }
    return pl.DataFrame({name: values for name, values in (whole | columns).items() if values is not ...}, strict=False)


def written(frame: pl.DataFrame, folder: Path, suffix: str) -> Path:
    path = folder / f"recording{suffix}"
    if suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_good_trades_are_told_about(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    path = written(trades(), tmp_path, suffix)

    assert check.main([str(path)]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "file": str(path),
        "kind": "trades",
        "rows": 5,
        "instruments": ["BTC/USDT@replay"],
        "quotes": ["USDT"],
        "first_ts": START,
        "last_ts": START + 4 * SECOND,
        "bar_seconds": None,
    }


def test_good_bars_are_told_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(written(bars(), tmp_path, ".csv"))]) == 0

    summary = json.loads(capsys.readouterr().out)
    assert (summary["kind"], summary["bar_seconds"], summary["rows"]) == ("bars", 60, 4)


BAD_TRADES = [
    ({"price": ...}, "column price is missing"),
    ({"qty": ...}, "column qty is missing"),
    ({"side": ...}, "column side is missing"),
    ({"ts": ...}, "column ts is missing"),
    ({"price": [1.0, 2.0, 0.0, 1.0, 1.0]}, "column price, row 3"),
    ({"price": [1.0, -2.0, 1.0, 1.0, 1.0]}, "column price, row 2"),
    ({"price": [1.0, 2.0, None, 1.0, 1.0]}, "column price, row 3"),
    ({"qty": [1.0, 2.0, 1.0, 1.0, -1.0]}, "column qty, row 5"),
    ({"qty": [None, 2.0, 1.0, 1.0, 1.0]}, "column qty, row 1"),
    ({"symbol": ["BTCUSDT", "BTCUSDT", None, "BTCUSDT", "BTCUSDT"]}, "column symbol, row 3"),
    ({"symbol": ["BTCUSDT", "B@D", "BTCUSDT", "BTCUSDT", "BTCUSDT"]}, "column symbol, row 2"),
    ({"symbol": ["BTCUSDT", "BTC/USDT", "BTCUSDT", "BTCUSDT", "BTCUSDT"]}, "column symbol: .* one spelling"),
    ({"side": ["buy", "long", "", "", ""]}, "column side, row 2"),
    ({"ts": [START, START + 2, START + 1, START + 3, START + 4]}, "column ts, row 3.*earlier.*sort"),
    ({"ts": [START // SECOND + i for i in range(5)]}, "column ts, row 1.*nanoseconds.*multiply seconds"),
    ({"ts": [START, START // 1000, START, START, START]}, "column ts, row 2.*nanoseconds"),
    ({"ts": [START, None, START, START, START]}, "column ts, row 2"),
]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(("columns", "message"), BAD_TRADES)
def test_bad_trades_are_refused_by_column_and_row(
    tmp_path: Path, columns: dict[str, Any], message: str, suffix: str
) -> None:
    path = written(trades(**columns), tmp_path, suffix)

    with pytest.raises(RecordingError, match=message) as refused:
        survey(path)

    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"volume": ...}, "column volume is missing"),
        ({"close": ...}, "column close is missing"),
        ({"low": [0.9, 0.0, 1.0, 1.0]}, "column low, row 2"),
        ({"high": [1.2, float("nan"), 1.4, 1.5]}, "column high, row 2"),
        ({"high": [1.2, float("inf"), 1.4, 1.5]}, "column high, row 2"),
        ({"volume": [1.0, 1.0, 1.0, -1.0]}, "column volume, row 4"),
        ({"open": ["1", "x", "2", "3"]}, "column open has the type String"),
        ({"ts": [float(START)] * 4}, "column ts has the type Float64.*nanoseconds"),
    ],
)
def test_bad_bars_are_refused_by_column_and_row(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        survey(written(bars(**columns), tmp_path, ".parquet"))


def test_text_in_a_number_column_of_a_csv_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "typed.csv"
    path.write_text(f"ts,symbol,price,qty,side\n{START},ES,1640.25,1,\n{START},ES,abc,1,\n")

    with pytest.raises(RecordingError, match=r"column price, row 2 \(line 3\): 'abc' is not a number"):
        survey(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.parquet", b"", "is empty"),
        ("empty.csv", b"", "is empty"),
        ("head.csv", b"ts,symbol,price,qty,side\n", "is empty"),
        ("torn.parquet", b"PAR1\x00\x00garbage", "cannot be read"),
        ("picture.png", b"\x89PNG\r\n", "neither Parquet nor CSV"),
        ("quotes.csv", b"ts,symbol,bid,ask\n1,ES,1,2\n", "column price is missing: these are quotes"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=message):
        survey(path)


def test_an_empty_parquet_and_a_folder_and_a_wrong_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is empty"):
        survey(written(trades().head(0), tmp_path, ".parquet"))
    with pytest.raises(RecordingError, match="is a folder"):
        survey(tmp_path)
    with pytest.raises(RecordingError, match="no such file"):
        survey(tmp_path / "nowhere.parquet")


def test_the_command_exits_2_with_one_line(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "collector.check", str(tmp_path / "nowhere.parquet")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    assert "nowhere.parquet" in outcome.stderr


def test_other_number_types_are_taken(tmp_path: Path) -> None:
    frame = trades().with_columns(pl.col("price").cast(pl.Decimal(20, 2)), pl.col("qty").cast(pl.Float32))

    assert survey(written(frame, tmp_path, ".parquet")).markets[0].prices.digits == 1


def test_symbols_one_after_the_other_are_merged_into_one_time(tmp_path: Path) -> None:
    frame = pl.concat([bars(), bars(symbol=["SPY"] * 4)])
    found = survey(written(frame, tmp_path, ".parquet"))
    told = [block for block in blocks(found, 0, 0) if len(block)]

    assert not found.is_sorted
    assert all((block.ts_ns[1:] >= block.ts_ns[:-1]).all() for block in told)
    closed = [extra for block in told for extra in block.extras.values() if isinstance(extra, RawBar)]
    assert [bar.lane for bar in closed] == [0, 1] * 4


def test_missing_bars_of_a_market_that_never_closes_are_a_gap(tmp_path: Path) -> None:
    ts = [START, START + 60 * SECOND, START + 120 * SECOND, START + 600 * SECOND]
    found = survey(written(bars(ts=ts), tmp_path, ".parquet"))
    gaps = [extra for block in blocks(found, 0, 0) for extra in block.extras.values() if isinstance(extra, Gap)]

    assert gaps == [Gap(0, "missing_bars", START + 180 * SECOND, START + 600 * SECOND)]


@pytest.mark.parametrize("event", [0, 1, 4, 5, 7, 15, 16])
def test_a_recording_of_bars_goes_on_from_any_event(tmp_path: Path, event: int) -> None:
    found = survey(written(bars(), tmp_path, ".parquet"))
    whole = [ts for block in blocks(found, 0, 0) for ts in block.ts_ns.tolist()]

    rest = [ts for block in blocks(found, 0, event) for ts in block.ts_ns.tolist()]

    assert len(whole) == 3 * 5 + 1  # the bar without volume had no trade
    assert rest == whole[event:]


def test_a_later_pass_lies_whole_days_later(tmp_path: Path) -> None:
    found = survey(written(bars(), tmp_path, ".parquet"))

    first, second = (next(blocks(found, number, 0)).ts_ns for number in (0, 1))

    assert ((second - first) == 86_400 * SECOND).all()


def test_decimals_survive_the_way_through_floats(tmp_path: Path) -> None:
    prices = ["0.00001745", "0.00005049", "0.00002110", "0.00002", "0.0000211"]
    found = survey(
        written(trades(symbol=["ADA/BTC"] * 5, price=[float(price) for price in prices]), tmp_path, ".parquet")
    )
    block = next(blocks(found, 0, 0))
    exponent = found.listings(1)[0].price_exponent

    assert [Decimal(price).scaleb(exponent) for price in block.prices.tolist()] == [Decimal(price) for price in prices]


def test_the_sample_of_real_ticks_is_a_recording(tmp_path: Path) -> None:
    wheel, out = tmp_path / "mlfinpy.whl", tmp_path / "es.parquet"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            sample.MEMBER,
            "DateTime,Price,Volume\n2013-09-01 17:00:00.083,1640.25,8\n2013-09-01 17:00:00.083,1640.5,1\n",
        )

    assert sample.main([str(wheel), str(out)]) == 0

    found = survey(out)
    assert found.first_ts == 1_378_072_800_083_000_000
    assert [market.parsed.instrument_id("replay") for market in found.markets] == ["ES/USD@replay"]


def test_what_is_not_the_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"not a zip")

    assert sample.main([str(wheel), str(tmp_path / "out.parquet")]) == 2
    assert sample.main([str(tmp_path / "nowhere.whl"), str(tmp_path / "out.parquet")]) == 2
    assert "is not the wheel" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("path", "tick", "lot"),
    [
        ("futures/ticks/ES_trades_20130901_part1.parquet", "0.25", "1"),
        ("crypto/ticks/binance_spot_BTCUSDT_trades_20240808.parquet", "0.01", "0.00001"),
        ("crypto/candles_1m/binance_spot_ADAUSDT_1m_20210420_20210520.parquet", "0.00001", "0.01"),
        ("crypto/candles_5m/binance_spot_ADABTC_5m_20210225_20210520.parquet", "0.00000001", "1"),
    ],
)
def test_the_steps_of_real_markets_are_found(path: str, tick: str, lot: str) -> None:
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not here")

    instrument = survey(DATA / path).listings(1)[0].instrument

    assert (instrument.tick_size, instrument.lot_size) == (Decimal(tick), Decimal(lot))
