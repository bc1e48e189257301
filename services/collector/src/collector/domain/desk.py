"""The desk that turns what a source tells into market data: checked, numbered, and cut into shards."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from collector.domain.bars import MINUTE_S, MinuteBars, MinuteVolume, OpenBar
from collector.domain.cleaning import CleanerState, CleaningLimits, IdRun, TickCleaner
from collector.domain.feed import START, Anomaly, Feed, Gap, Listing, Position, RawBar, Reason, Trades
from sigmax.schemas.market import SHARDS, Bar, Quote, TickBatch, shard_of

BATCH_MAX = 500
"""Ticks in one stream entry."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DeskRules:
    """What differs between sources."""

    limits: CleaningLimits | None = CleaningLimits()  # noqa: RUF009 - frozen
    """None looks for no spikes."""
    builds_bars: bool = True
    """False where the source tells bars itself."""
    ahead_max_ns: int | None = None
    """How far a trade may lie ahead of the wall clock; None where market time is a recording's."""
    grace_ns: int = 2 * _SECOND_NS
    """How long a minute waits for late trades before the wall clock closes its bar."""
    silence_ns: int | None = None
    """A silence in market time that is marked as a gap; None marks none."""


@dataclass(slots=True)
class Taken:
    """What the desk made of one feed."""

    batches: list[tuple[int, TickBatch]] = field(default_factory=list)
    """Shard and ticks, in order."""
    bars: list[Bar] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    sequences: dict[str, int] = field(default_factory=dict)
    """The newest sequence of every instrument that traded."""
    ticks: int = 0
    are_made: bool = False
    """True for ticks made of recorded bars: they are published, and the bars are what is stored."""
    position: Position = START
    is_published: bool = False


class LaneState(msgspec.Struct, array_like=True):
    """What one lane remembers."""

    sequence: int
    cleaner: CleanerState
    bar: OpenBar | None


class _Lane:
    """One instrument on the desk."""

    __slots__ = ("bars", "cleaner", "ids", "listing", "mark", "sequence", "shard", "slot", "ts_ns", "volume")

    def __init__(self, listing: Listing, rules: DeskRules, bars_from_ns: int) -> None:
        self.listing = listing
        self.shard = shard_of(listing.instrument.instrument_id)
        self.cleaner = TickCleaner(rules.limits)
        self.bars = MinuteBars(bars_from_ns)
        self.ids = IdRun()
        self.volume = MinuteVolume()
        self.sequence = 0
        self.ts_ns = 0
        self.mark: object = None
        self.slot = 0


class _Sheet:
    """The tick batch being written for one shard."""

    __slots__ = ("batch", "lanes")

    def __init__(self) -> None:
        self.lanes: list[_Lane] = []
        self.batch = TickBatch([], [], [], [], [], [], [], [], [], [])

    def slot(self, lane: _Lane) -> int:
        """Give the index of the lane in this batch."""
        if lane.mark is not self:
            lane.mark, lane.slot = self, len(self.lanes)
            self.lanes.append(lane)
            self.batch.instruments.append(lane.listing.instrument.instrument_id)
            self.batch.price_exponents.append(lane.listing.price_exponent)
            self.batch.quantity_exponents.append(lane.listing.quantity_exponent)
        return lane.slot


class Desk:
    """Takes feeds in order. It reads no clock; two desks that take the same feeds make the same data."""

    def __init__(self, listings: Sequence[Listing], rules: DeskRules, *, bars_from_ns: int = 0) -> None:
        """`bars_from_ns` names the first minute that is seen whole."""
        self._rules = rules
        self._lanes = [_Lane(listing, rules, bars_from_ns) for listing in listings]
        self._by_id = {lane.listing.instrument.instrument_id: lane for lane in self._lanes}
        self.position = START

    def continue_from(self, sequences: dict[str, int]) -> None:
        """Number the next ticks after those already published; unknown instruments are ignored."""
        for instrument_id, sequence in sequences.items():
            lane = self._by_id.get(instrument_id)
            if lane is not None:
                lane.sequence = max(lane.sequence, sequence)

    def take(self, feed: Feed, now_ns: int) -> Taken:
        """Judge what the source told; `now_ns` is the wall clock."""
        taken = Taken(position=feed.position, is_published=feed.is_published, are_made=not self._rules.builds_bars)
        taken.anomalies.extend(feed.anomalies)
        taken.gaps.extend(feed.gaps)
        sheets: list[_Sheet] = [_Sheet() for _ in range(SHARDS)]
        for trades in feed.trades:
            self._take_trades(trades, sheets, taken, now_ns)
        for shard, sheet in enumerate(sheets):
            self._turn_in(shard, sheet, taken)
        taken.bars.extend(self._recorded(raw, now_ns) for raw in feed.bars)
        taken.quotes.extend(self._quote(self._by_id[instrument_id], now_ns) for instrument_id in taken.sequences)
        self.position = feed.position
        return taken

    def close_due(self, now_ns: int) -> list[Bar]:
        """Close the minutes that are over by the wall clock: for live feeds, where the next trade may be far."""
        if not self._rules.builds_bars:
            return []
        closed = ((lane, lane.bars.close(now_ns - self._rules.grace_ns)) for lane in self._lanes)
        return [self._built(lane, bar, now_ns) for lane, bar in closed if bar is not None]

    @property
    def sequences(self) -> dict[str, int]:
        """Give the newest sequence of each instrument."""
        return {instrument_id: lane.sequence for instrument_id, lane in self._by_id.items()}

    def state(self) -> bytes:
        """Give all that the desk remembers, to go on from after a restart as if there had been none."""
        lanes = {
            instrument_id: LaneState(lane.sequence, lane.cleaner.state(), lane.bars.bar)
            for instrument_id, lane in self._by_id.items()
        }
        return msgspec.msgpack.encode(lanes)

    def restore(self, state: bytes, position: Position) -> None:
        """Go on where an earlier desk was at `position`."""
        for instrument_id, remembered in msgspec.msgpack.decode(state, type=dict[str, LaneState]).items():
            lane = self._by_id.get(instrument_id)
            if lane is not None:
                lane.sequence = remembered.sequence
                lane.cleaner.restore(remembered.cleaner)
                lane.bars.restore(remembered.bar)
        self.position = position

    def _take_trades(self, trades: Trades, sheets: list[_Sheet], taken: Taken, now_ns: int) -> None:
        lanes, rules = self._lanes, self._rules
        horizon_ns = None if rules.ahead_max_ns is None else trades.received_ns + rules.ahead_max_ns
        ids: Sequence[int | str | None] = trades.trade_ids or [None] * len(trades.lanes)
        for index, ts_ns, price, quantity, side, trade_id in zip(
            trades.lanes, trades.ts_ns, trades.prices, trades.quantities, trades.sides, ids, strict=True
        ):
            lane = lanes[index]
            reference = lane.cleaner.last_price
            reason = (
                Reason.FROM_FUTURE
                if horizon_ns is not None and ts_ns > horizon_ns
                else lane.cleaner.judge(ts_ns, price, quantity, trade_id)
            )
            if reason is not None or price is None or quantity is None:
                taken.anomalies.append(
                    Anomaly(index, reason or Reason.MALFORMED, ts_ns, trades.received_ns, price, quantity, reference)
                )
                continue
            self._mark_gaps(index, ts_ns, trade_id, taken)
            lane.sequence += 1
            lane.ts_ns = ts_ns
            lane.volume.add(ts_ns, quantity)
            if rules.builds_bars:
                closed = lane.bars.add(ts_ns, price, quantity)
                if closed is not None:
                    taken.bars.append(self._built(lane, closed, now_ns))
            sheet = sheets[lane.shard]
            if len(sheet.batch.prices) >= BATCH_MAX:
                self._turn_in(lane.shard, sheet, taken)
                sheet = sheets[lane.shard] = _Sheet()
            batch = sheet.batch
            batch.instrument_index.append(lane.slot if lane.mark is sheet else sheet.slot(lane))
            batch.sequences.append(lane.sequence)
            batch.ts_ns.append(ts_ns)
            batch.received_ns.append(trades.received_ns)
            batch.prices.append(price)
            batch.quantities.append(quantity)
            batch.sides.append(side)

    def _mark_gaps(self, index: int, ts_ns: int, trade_id: int | str | None, taken: Taken) -> None:
        lane = self._lanes[index]
        if trade_id is not None:
            missing = lane.ids.missing(trade_id)
            if missing:
                taken.gaps.append(Gap(index, "missing_ids", lane.ts_ns, ts_ns, f"{missing} trades"))
        silence_ns = self._rules.silence_ns
        if silence_ns is not None and lane.ts_ns and ts_ns - lane.ts_ns > silence_ns:
            taken.gaps.append(Gap(index, "silence", lane.ts_ns, ts_ns))

    def _turn_in(self, shard: int, sheet: _Sheet, taken: Taken) -> None:
        if not sheet.lanes:
            return
        taken.batches.append((shard, sheet.batch))
        taken.ticks += len(sheet.batch)
        for lane in sheet.lanes:
            taken.sequences[lane.listing.instrument.instrument_id] = lane.sequence

    def _quote(self, lane: _Lane, now_ns: int) -> Quote:
        listing = lane.listing
        return Quote(
            instrument_id=listing.instrument.instrument_id,
            last=Decimal(lane.cleaner.last_price).scaleb(listing.price_exponent),
            bid=None,
            ask=None,
            ts_ns=lane.ts_ns,
            received_ns=now_ns,
            minute_volume=Decimal(lane.volume.total).scaleb(listing.quantity_exponent),
        )

    def _built(self, lane: _Lane, bar: OpenBar, now_ns: int) -> Bar:
        return _bar(lane.listing, bar, MINUTE_S, bar.trades, now_ns)

    def _recorded(self, raw: RawBar, now_ns: int) -> Bar:
        return _bar(self._lanes[raw.lane].listing, raw, raw.timeframe_s, 4 if raw.volume else 0, now_ns)


def _bar(listing: Listing, scaled: OpenBar | RawBar, timeframe_s: int, trades: int, now_ns: int) -> Bar:
    return Bar(
        instrument_id=listing.instrument.instrument_id,
        timeframe_s=timeframe_s,
        open_ns=scaled.open_ns,
        open=Decimal(scaled.open).scaleb(listing.price_exponent),
        high=Decimal(scaled.high).scaleb(listing.price_exponent),
        low=Decimal(scaled.low).scaleb(listing.price_exponent),
        close=Decimal(scaled.close).scaleb(listing.price_exponent),
        volume=Decimal(scaled.volume).scaleb(listing.quantity_exponent),
        trades=trades,
        received_ns=now_ns,
    )
