"""Market data: bulk, on Redis streams, worthless when old.

md.ticks.{shard}   collector -> strategy-engine, paper-venue, api-gateway
md.bars.{shard}    collector -> strategy-engine, api-gateway
md.latest          a hash: the newest quote of each instrument
md.instruments     a hash: what each instrument is
md.macro           a hash: measures of the whole market, such as the VIX
ops.heartbeats     every service -> scheduler, api-gateway

Entries hold one field, `d`, with msgpack. Prices and quantities travel as whole numbers with a power of ten beside
them: exact as decimals, and as cheap as floats.
"""

import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Self

import msgspec

from sigmax.schemas.types import Side

SHARDS = 4
"""How many parts market data is cut into. A fixed number: the part of an instrument never moves."""

TICKS = "md.ticks.{shard}"
BARS = "md.bars.{shard}"
LATEST = "md.latest"
INSTRUMENTS = "md.instruments"
MACRO = "md.macro"
"""A hash: the newest figure of each measure of the whole market, by name."""
VIX = "vix"
HEARTBEATS = "ops.heartbeats"
TICKS_ACCEPTED = "ticks_accepted"
"""The collector's count of trades that it published as prices, in its heartbeat."""
FIELD = b"d"


def shard_of(instrument_id: str) -> int:
    """Name the shard of an instrument: the same in every process and release."""
    return zlib.crc32(instrument_id.encode()) % SHARDS


def symbol_of(instrument_id: str) -> str:
    """Give `BTC/USDT` for `BTC/USDT@binance`."""
    return instrument_id.split("@", 1)[0]


def base_of(instrument_id: str) -> str:
    """Give `BTC` for `BTC/USDT@binance`."""
    return instrument_id.split("/", 1)[0]


def quote_of(instrument_id: str) -> str:
    """Give `USDT` for `BTC/USDT@binance`."""
    return symbol_of(instrument_id).split("/", 1)[1]


def moment(ts_ns: int) -> datetime:
    """Turn nanoseconds since 1970 into an aware UTC time (whole microseconds)."""
    seconds, nanoseconds = divmod(ts_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)


def nanoseconds(at: datetime) -> int:
    """Turn an aware time into nanoseconds since 1970, without the rounding of a float."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


class _Packed(msgspec.Struct, frozen=True):
    def encode(self) -> bytes:
        """Give the msgpack bytes of one stream entry or hash field."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read one stream entry or hash field. Raises `msgspec.DecodeError` on anything malformed."""
        return msgspec.msgpack.decode(body, type=cls)


class TickBatch(_Packed, frozen=True, array_like=True):
    """Trades of one shard as parallel arrays, in the order they were accepted.

    `instruments`, `price_exponents`, and `quantity_exponents` are one per instrument; all other lists are one per
    tick. A price is `prices[i] * 10 ** price_exponents[instrument_index[i]]`.
    """

    instruments: list[str]
    price_exponents: list[int]
    quantity_exponents: list[int]
    instrument_index: list[int]
    sequences: list[int]
    """Rising by one per instrument: a reader drops what it has seen."""
    ts_ns: list[int]
    """When the market traded. In a replay this is the time of the recording."""
    received_ns: list[int]
    """When the collector had it, by the wall clock. In live trading this is a little after `ts_ns`."""
    prices: list[int]
    quantities: list[int]
    sides: list[int]
    """The aggressor: 1 bought, -1 sold, 0 not recorded."""

    def __len__(self) -> int:
        return len(self.prices)

    def price(self, i: int) -> Decimal:
        """Give the exact price of tick `i`."""
        return Decimal(self.prices[i]).scaleb(self.price_exponents[self.instrument_index[i]])

    def quantity(self, i: int) -> Decimal:
        """Give the exact quantity of tick `i`, in units of the base asset."""
        return Decimal(self.quantities[i]).scaleb(self.quantity_exponents[self.instrument_index[i]])

    def side(self, i: int) -> Side | None:
        """Give the aggressor of tick `i`, or None where the source does not record it."""
        return {1: Side.BUY, -1: Side.SELL}.get(self.sides[i])


class Bar(_Packed, frozen=True):
    """One closed bar, OHLCV."""

    instrument_id: str
    timeframe_s: int
    open_ns: int
    """Market time at which the bar opened; it closed at `open_ns + timeframe_s * 1e9`."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    received_ns: int
    """Wall time of the event that closed the bar."""

    @property
    def close_ns(self) -> int:
        """Give the market time at which the bar closed."""
        return self.open_ns + self.timeframe_s * 1_000_000_000


class Quote(_Packed, frozen=True):
    """The newest price of one instrument."""

    instrument_id: str
    last: Decimal
    bid: Decimal | None
    """None where the feed brings trades alone."""
    ask: Decimal | None
    ts_ns: int
    received_ns: int
    """Wall time; the age of the price is now less this."""
    minute_volume: Decimal
    """Base units traded in the minute of market time before `ts_ns`."""


class Instrument(_Packed, frozen=True):
    """What an instrument is, and in which steps it trades."""

    instrument_id: str
    base: str
    quote: str
    market: str
    tick_size: Decimal
    lot_size: Decimal
    quantity_min: Decimal
    notional_min: Decimal
    asset_class: str
    """`crypto`, `equity`, or `future`."""
    is_tradable: bool = True
    price_age_max_s: float = 2.0
    """How long a price of this feed may stand before it is stale: 2 s for crypto, 5 s for equities, longer only where
    a recording has bars alone."""
    close_previous: Decimal | None = None
    """The last close, which a market's daily price limits are measured from; None where there are none."""


class Macro(_Packed, frozen=True):
    """The newest figure of one measure of the whole market."""

    value: Decimal
    ts_ns: int
    """When the market had it."""


class Heartbeat(_Packed, frozen=True, omit_defaults=True):
    """A service says that it lives."""

    service: str
    replica: str
    version: str
    ready: bool
    at_ns: int
    last_handled_ns: int
    """0 before the first message."""
    queues: dict[str, int]
    """Messages waiting, by queue or stream."""
    problems: list[str]
    """Why it is not ready."""
    counts: dict[str, int] = {}
    """What the process has counted since it started, by name."""
    INTERVAL_S: ClassVar[float] = 2.0
