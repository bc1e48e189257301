"""What a source of market data tells, before anything is checked."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from sigmax.schemas.market import Instrument


class Reason(StrEnum):
    """Why a trade or a bar is no price."""

    MALFORMED = "malformed"
    """No finite number, or finer than the market's steps."""
    ZERO = "zero"
    """A price or quantity of nothing or less."""
    DUPLICATE = "duplicate"
    FROM_FUTURE = "from_future"
    OUT_OF_ORDER = "out_of_order"
    SPIKE = "spike"
    BAR_INCONSISTENT = "bar_inconsistent"
    """The high is not the highest or the low not the lowest."""
    BAR_SPIKE = "bar_spike"


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument as its source lists it; all its numbers are whole multiples of these powers of ten."""

    symbol: str
    """The source's own name."""
    instrument: Instrument
    price_exponent: int
    quantity_exponent: int


@dataclass(slots=True)
class Trades:
    """Trades as parallel arrays, in the order the source told them."""

    received_ns: int
    lanes: list[int] = field(default_factory=list)
    """Index of the instrument among the source's listings."""
    ts_ns: list[int] = field(default_factory=list)
    prices: list[int | None] = field(default_factory=list)
    """Scaled; None where the source told no readable number."""
    quantities: list[int | None] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    """1 bought, -1 sold, 0 not recorded."""
    trade_ids: list[int | str | None] | None = None
    """None where the source has no ids: then repeated rows are several fills, not errors."""


@dataclass(frozen=True, slots=True)
class RawBar:
    """One closed bar of a recording, scaled by its listing."""

    lane: int
    timeframe_s: int
    open_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    """Hundredths of a lot."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A trade or bar that was told and is no price."""

    lane: int
    reason: Reason
    ts_ns: int
    received_ns: int
    price: int | None = None
    quantity: int | None = None
    reference: int | None = None
    """The price it was measured against."""
    detail: str = ""


GAP_REASONS = ("reconnect", "restart", "missing_ids", "missing_bars", "silence", "not_stored")


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of market time of which trades are missing, or may be."""

    lane: int
    reason: str
    """One of `GAP_REASONS`."""
    from_ns: int
    to_ns: int
    detail: str = ""


class Position(NamedTuple):
    """How far a recording is told; later positions are greater."""

    pass_number: int = 0
    """0 the first time through the recording."""
    event: int = 0
    """Events told in this pass: one per trade, and for bars one per trade made of them and one per bar."""


START = Position()


@dataclass(slots=True)
class Feed:
    """All that a source has to tell at one moment."""

    trades: list[Trades] = field(default_factory=list)
    bars: list[RawBar] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    position: Position = START
    """How far a recording is told after this; a live feed stays at the start."""
    is_published: bool = False
    """True for what was published before a restart: it is stored, and not told again."""
