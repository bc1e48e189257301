"""What is in a recording: each value looked at once, before anything starts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collector.adapters.recording_file import RecordingError, RecordingFile, open_recording
from collector.domain.feed import Listing
from collector.domain.steps import Grid, lot_size, notional_min, price_age_max_s, tick_size
from collector.domain.symbols import Symbol, parse_symbol
from sigmax.schemas.market import Instrument

MARKET = "replay"
_CHUNK = 500_000
_TS_MIN = 31_536_000_000_000_000
_TS_MAX = 4_102_444_800_000_000_000
"""1971 to 2100: seconds, milliseconds, and microseconds taken for nanoseconds all lie before."""
_NOT_NANOSECONDS = (
    "is not in nanoseconds since 1970-01-01 UTC (1971 to 2100); multiply seconds by 10^9, milliseconds by 10^6,"
    " microseconds by 10^3"
)
_DIGITS_MAX = 12
_DIGITS_OF_NOISE = 8
"""Where no number of digits holds the values exactly (they were computed, not quoted), they are rounded to these."""
_EXACT_MAX = 2.0**53
_BAR_SECONDS_DEFAULT = 60
_PRICES = {"trades": ("price",), "bars": ("open", "high", "low", "close")}
_AMOUNT = {"trades": "qty", "bars": "volume"}


@dataclass(slots=True)
class _Numbers:
    """The decimal grid of one column, gathered chunk by chunk."""

    digits: int = 0
    divisor: int = 0
    distinct: int = 0
    largest: float = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        values = np.unique(values)
        digits = _digits_of(values, self.digits)
        self.divisor *= 10 ** (digits - self.digits)
        self.digits = digits
        whole = np.rint(values * 10.0**digits).astype(np.int64)
        self.divisor = int(np.gcd(np.gcd.reduce(whole), self.divisor))
        self.distinct = max(self.distinct, len(values))
        self.largest = max(self.largest, float(values[-1]))

    def grid(self) -> Grid:
        return Grid(self.digits, self.divisor, self.distinct)


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol of a recording."""

    symbol: str
    parsed: Symbol
    prices: Grid
    amounts: Grid
    price_max: Decimal


@dataclass(frozen=True, slots=True)
class Survey:
    """A recording that can be replayed."""

    file: RecordingFile
    markets: tuple[Market, ...]
    """In the order of their symbols."""
    first_ts: int
    last_ts: int
    bar_seconds: int | None
    """The usual distance of two bars; None for trades."""
    is_sorted: bool
    """False where symbols stand one after the other: replay then sorts them into one time."""

    def summary(self) -> dict[str, Any]:
        """Give what `python -m collector.check` prints."""
        return {
            "file": str(self.file.path),
            "kind": self.file.kind,
            "rows": self.file.rows,
            "instruments": [market.parsed.instrument_id(MARKET) for market in self.markets],
            "quotes": sorted({market.parsed.quote for market in self.markets}),
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "bar_seconds": self.bar_seconds,
        }

    def listings(self, speed: float) -> list[Listing]:
        """Give the instruments of the recording as replayed at a speed, in the order of `markets`."""
        return [self._listing(market, speed) for market in self.markets]

    def _listing(self, market: Market, speed: float) -> Listing:
        parsed = market.parsed
        lot = lot_size(market.amounts, parsed.asset_class, market.price_max)
        instrument = Instrument(
            instrument_id=parsed.instrument_id(MARKET),
            base=parsed.base,
            quote=parsed.quote,
            market=MARKET,
            tick_size=tick_size(market.prices),
            lot_size=lot,
            quantity_min=lot,
            notional_min=notional_min(parsed.quote, parsed.asset_class),
            asset_class=parsed.asset_class,
            price_age_max_s=price_age_max_s(parsed.asset_class, self.bar_seconds, speed),
        )
        # A trade made of a bar holds hundredths of a lot.
        finer = 0 if self.bar_seconds is None else 2
        return Listing(market.symbol, instrument, -market.prices.digits, -market.amounts.digits - finer)


@dataclass(slots=True)
class _Gathered:
    prices: dict[str, _Numbers] = field(default_factory=dict)
    amounts: dict[str, _Numbers] = field(default_factory=dict)
    steps: Counter[int] = field(default_factory=Counter)
    last_by_symbol: dict[str, int] = field(default_factory=dict)
    last_ts: int = 0
    is_sorted: bool = True


def survey(path: Path) -> Survey:
    """Open a recording and look at all of it. Raises `RecordingError` at the first thing that is wrong."""
    file = open_recording(path)
    gathered = _Gathered()
    first_ts, last_ts = _TS_MAX, 0
    for offset, frame in file.chunks(_CHUNK):
        _check_values(file, offset, frame)
        _check_order(file, offset, frame, gathered)
        for (symbol,), part in frame.group_by("symbol"):
            _gather(file.kind, str(symbol), part, gathered)
        ts = frame["ts"].to_numpy()
        first_ts, last_ts = min(first_ts, int(ts.min())), max(last_ts, int(ts.max()))
    markets = tuple(
        Market(
            symbol,
            parse_symbol(symbol),
            gathered.prices[symbol].grid(),
            gathered.amounts[symbol].grid(),
            Decimal(str(gathered.prices[symbol].largest)),
        )
        for symbol in sorted(gathered.prices)
    )
    _check_distinct(file, markets)
    return Survey(file, markets, first_ts, last_ts, _bar_seconds(file.kind, gathered.steps), gathered.is_sorted)


def _check_values(file: RecordingFile, offset: int, frame: pl.DataFrame) -> None:
    """Refuse the first row with a value that nothing can be made of."""
    found: list[tuple[int, str, str]] = []
    for column, broken, text in _value_rules(file, frame):
        if broken.any():
            index = broken.arg_max() or 0
            found.append((index, column, f"{_shown(frame[column][index])} {text}"))
    if found:
        index, column, text = min(found)
        raise RecordingError(f"{file.path}: column {column}, {file.row(offset + index)}: {text}")


def _value_rules(file: RecordingFile, frame: pl.DataFrame) -> Iterable[tuple[str, pl.Series, str]]:
    fix = "; correct or remove the row"
    ts, symbol = frame["ts"], frame["symbol"]
    yield "ts", ts.is_null(), "is no time" + fix
    yield (
        "ts",
        ((ts < _TS_MIN) | (ts > _TS_MAX)).fill_null(value=False),
        _NOT_NANOSECONDS,
    )
    yield "symbol", symbol.is_null() | (symbol.str.strip_chars() == ""), "names no symbol" + fix
    unknown = [name for name in symbol.drop_nulls().unique().to_list() if not _is_symbol(name)]
    yield "symbol", symbol.is_in(unknown).fill_null(value=False), "is no symbol: letters, digits, and . - _ / : only"
    for column in _PRICES[file.kind]:
        price = frame[column]
        yield column, price.is_null() | ~price.is_finite().fill_null(value=False), "is no price" + fix
        yield column, (price <= 0).fill_null(value=False), "is no price: it must be above zero" + fix
    amount = frame[_AMOUNT[file.kind]]
    yield amount.name, amount.is_null() | ~amount.is_finite().fill_null(value=False), "is no quantity" + fix
    yield amount.name, (amount < 0).fill_null(value=False), "is no quantity: it must not be negative" + fix
    if file.kind == "trades":
        known = frame["side"].fill_null("").str.to_lowercase().is_in(["", "buy", "sell"])
        yield "side", ~known, "is no side; it must be buy, sell, or empty where the source does not record it"


def _is_symbol(name: str) -> bool:
    try:
        parse_symbol(name)
    except ValueError:
        return False
    return True


def _check_order(file: RecordingFile, offset: int, frame: pl.DataFrame, gathered: _Gathered) -> None:
    """Refuse the first row that is earlier than the row before it of the same symbol."""
    ts = frame["ts"]
    if ts[0] >= gathered.last_ts and ts.is_sorted():
        gathered.last_ts = ts[-1]
        for symbol, last in frame.group_by("symbol").agg(pl.col("ts").last()).iter_rows():
            gathered.last_by_symbol[symbol] = last
        return
    gathered.is_sorted = False
    carried = pl.col("symbol").replace_strict(gathered.last_by_symbol, default=0, return_dtype=pl.Int64)
    before = frame.select(pl.col("ts").shift(1).over("symbol").fill_null(carried).alias("before"))["before"]
    broken = ts < before
    if broken.any():
        index = broken.arg_max() or 0
        raise RecordingError(
            f"{file.path}: column ts, {file.row(offset + index)}: {ts[index]} is earlier than {before[index]} before it"
            f" (symbol {frame['symbol'][index]}); sort the file by ts"
        )
    gathered.last_ts = max(gathered.last_ts, ts[-1])
    for symbol, last in frame.group_by("symbol").agg(pl.col("ts").last()).iter_rows():
        gathered.last_by_symbol[symbol] = last


def _gather(kind: str, symbol: str, frame: pl.DataFrame, gathered: _Gathered) -> None:
    prices = gathered.prices.setdefault(symbol, _Numbers())
    for column in _PRICES[kind]:
        prices.add(frame[column].to_numpy())
    gathered.amounts.setdefault(symbol, _Numbers()).add(frame[_AMOUNT[kind]].to_numpy())
    if kind == "bars":
        steps, counts = np.unique(np.diff(frame["ts"].to_numpy()), return_counts=True)
        gathered.steps.update({int(step): int(count) for step, count in zip(steps, counts, strict=True) if step > 0})


def _digits_of(values: NDArray[np.float64], at_least: int) -> int:
    """Give how many digits after the point hold all values exactly: the nearest floats of such decimals."""
    room = _DIGITS_MAX
    while room > 0 and float(values[-1]) * 10.0**room >= _EXACT_MAX:
        room -= 1
    for digits in range(at_least, room + 1):
        factor = 10.0**digits
        if np.array_equal(np.rint(values * factor) / factor, values):
            return digits
    return max(at_least, min(_DIGITS_OF_NOISE, room))


def _bar_seconds(kind: str, steps: Counter[int]) -> int | None:
    if kind == "trades":
        return None
    if not steps:
        return _BAR_SECONDS_DEFAULT
    return max(1, steps.most_common(1)[0][0] // 1_000_000_000)


def _check_distinct(file: RecordingFile, markets: tuple[Market, ...]) -> None:
    seen: dict[str, str] = {}
    for market in markets:
        instrument_id = market.parsed.instrument_id(MARKET)
        if instrument_id in seen:
            raise RecordingError(
                f"{file.path}: column symbol: {seen[instrument_id]!r} and {market.symbol!r} both stand for"
                f" {instrument_id}; give them one spelling"
            )
        seen[instrument_id] = market.symbol


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
