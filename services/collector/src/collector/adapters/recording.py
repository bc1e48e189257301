"""The events of a recording, in the order of market time and block by block."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from collector.adapters.recording_file import BAR_COLUMNS
from collector.adapters.recording_survey import Survey
from collector.domain.bars import LOT, BarCleaner, trades_of
from collector.domain.feed import Anomaly, Gap, RawBar

_ROWS = 50_000
_BAR_ROWS = 5_000
_SIDES = {"buy": 1, "sell": -1}
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS

Extra = RawBar | Anomaly | Gap
_NO_TRADE = -1
"""The lane of an event that is no trade but stands among the extras."""


@dataclass(slots=True)
class Block:
    """Consecutive events as arrays. An event whose lane is negative is an extra."""

    first: int
    """Index of the first event in its pass."""
    ts_ns: NDArray[np.int64]
    """Market time at which each event is told."""
    lanes: NDArray[np.int64]
    prices: NDArray[np.int64]
    quantities: NDArray[np.int64]
    sides: NDArray[np.int64]
    trade_ids: list[int | str | None] | None = None
    extras: dict[int, Extra] = field(default_factory=dict)
    """By index in this block."""

    def __len__(self) -> int:
        return len(self.ts_ns)


def blocks(survey: Survey, pass_number: int, event: int) -> Iterator[Block]:
    """Give the events of one pass from event `event` on; each later pass follows the one before in market time."""
    shift_ns = pass_number * _span_ns(survey)
    if survey.file.kind == "bars":
        return _from(_bar_blocks(survey, shift_ns), event)
    return _trade_blocks(survey, shift_ns, event, has_ids=pass_number == 0)


def _span_ns(survey: Survey) -> int:
    """Give whole days, so that minutes, hours, and days of a later pass lie where they lay."""
    bar_ns = (survey.bar_seconds or 0) * _SECOND_NS
    return ((survey.last_ts + bar_ns - survey.first_ts) // _DAY_NS + 1) * _DAY_NS


def _chunks(survey: Survey, size: int, offset: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
    if survey.is_sorted:
        yield from survey.file.chunks(size, offset)
        return
    # Symbols that stand one after the other have to be merged: this needs all rows at once.
    whole = survey.file.frame.sort("ts", maintain_order=True).collect()
    for start in range(offset, whole.height, size):
        yield start, whole.slice(start, size)


def _trade_blocks(survey: Survey, shift_ns: int, event: int, *, has_ids: bool) -> Iterator[Block]:
    lane_of = {market.symbol: lane for lane, market in enumerate(survey.markets)}
    price_factors = np.array([10.0**market.prices.digits for market in survey.markets])
    amount_factors = np.array([10.0**market.amounts.digits for market in survey.markets])
    for start, frame in _chunks(survey, _ROWS, event):
        lanes = frame["symbol"].replace_strict(lane_of, return_dtype=pl.Int64).to_numpy()
        sides = frame["side"].fill_null("").str.to_lowercase()
        yield Block(
            first=start,
            ts_ns=frame["ts"].to_numpy() + shift_ns,
            lanes=lanes,
            prices=_whole(frame["price"].to_numpy(), price_factors[lanes]),
            quantities=_whole(frame["qty"].to_numpy(), amount_factors[lanes]),
            sides=sides.replace_strict(_SIDES, default=0, return_dtype=pl.Int64).to_numpy(),
            # Ids of a later pass repeat those of the first, and are no duplicates.
            trade_ids=frame["trade_id"].to_list() if survey.file.has_trade_ids and has_ids else None,
        )


def _whole(values: NDArray[np.float64], factors: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(values * factors).astype(np.int64)


@dataclass(slots=True)
class _Event:
    ts_ns: int
    order: int
    """At one instant a bar closes before the next one's first trade."""
    lane: int
    price: int = 0
    quantity: int = 0
    extra: Extra | None = None


def _bar_blocks(survey: Survey, shift_ns: int) -> Iterator[Block]:
    """Turn each bar into four trades and its close.

    Events are held back until no later row can come before them.
    """
    timeframe_s = survey.bar_seconds or 0
    cleaners = [BarCleaner() for _ in survey.markets]
    is_continuous = [market.parsed.asset_class == "crypto" for market in survey.markets]
    last_open = [0] * len(survey.markets)
    held: list[_Event] = []
    first = 0
    for _, frame in _chunks(survey, _BAR_ROWS):
        bars = _raw_bars(survey, frame, timeframe_s, shift_ns)
        for bar in bars:
            reason = cleaners[bar.lane].judge(bar)
            if reason is not None:
                anomaly = Anomaly(bar.lane, reason, bar.open_ns, 0, bar.close, bar.volume, detail=_shape(bar))
                held.append(_Event(bar.open_ns, 2, bar.lane, extra=anomaly))
                continue
            expected_ns = last_open[bar.lane] + timeframe_s * _SECOND_NS
            if is_continuous[bar.lane] and last_open[bar.lane] and bar.open_ns > expected_ns:
                held.append(
                    _Event(bar.open_ns, 0, bar.lane, extra=Gap(bar.lane, "missing_bars", expected_ns, bar.open_ns))
                )
            last_open[bar.lane] = bar.open_ns
            held.extend(_Event(ts_ns, 2, bar.lane, price, quantity) for ts_ns, price, quantity in trades_of(bar))
            held.append(_Event(bar.open_ns + timeframe_s * _SECOND_NS, 1, bar.lane, extra=bar))
        held.sort(key=lambda event: (event.ts_ns, event.order))
        ready = _before(held, bars[-1].open_ns)
        yield _block(first, held[:ready])
        first += ready
        del held[:ready]
    yield _block(first, held)


def _raw_bars(survey: Survey, frame: pl.DataFrame, timeframe_s: int, shift_ns: int) -> list[RawBar]:
    lane_of = {market.symbol: lane for lane, market in enumerate(survey.markets)}
    prices = np.array([10.0**market.prices.digits for market in survey.markets])
    lots = np.array([10.0**market.amounts.digits for market in survey.markets])
    lanes = frame["symbol"].replace_strict(lane_of, return_dtype=pl.Int64).to_numpy()
    columns = [_whole(frame[column].to_numpy(), prices[lanes]).tolist() for column in BAR_COLUMNS[2:-1]]
    columns.append((_whole(frame["volume"].to_numpy(), lots[lanes]) * LOT).tolist())
    times = (frame["ts"].to_numpy() + shift_ns).tolist()
    return [
        RawBar(lane, timeframe_s, ts_ns, *numbers)
        for lane, ts_ns, *numbers in zip(lanes.tolist(), times, *columns, strict=True)
    ]


def _before(events: list[_Event], ts_ns: int) -> int:
    """Count the events before a time; events are sorted."""
    low, high = 0, len(events)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if events[middle].ts_ns < ts_ns else (low, middle)
    return low


def _block(first: int, events: list[_Event]) -> Block:
    return Block(
        first=first,
        ts_ns=np.array([event.ts_ns for event in events], dtype=np.int64),
        lanes=np.array([_NO_TRADE if event.extra else event.lane for event in events], dtype=np.int64),
        prices=np.array([event.price for event in events], dtype=np.int64),
        quantities=np.array([event.quantity for event in events], dtype=np.int64),
        sides=np.zeros(len(events), dtype=np.int64),
        extras={index: event.extra for index, event in enumerate(events) if event.extra is not None},
    )


def _from(parts: Iterator[Block], event: int) -> Iterator[Block]:
    """Leave out the events before `event`; bars are judged from the first one, as they were the first time."""
    for block in parts:
        skipped = event - block.first
        if skipped <= 0:
            yield block
        elif skipped < len(block):
            yield Block(
                first=event,
                ts_ns=block.ts_ns[skipped:],
                lanes=block.lanes[skipped:],
                prices=block.prices[skipped:],
                quantities=block.quantities[skipped:],
                sides=block.sides[skipped:],
                extras={index - skipped: extra for index, extra in block.extras.items() if index >= skipped},
            )


def _shape(bar: RawBar) -> str:
    return f"open {bar.open} high {bar.high} low {bar.low} close {bar.close} (scaled)"
