"""The collector's tables in Postgres."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from collector.adapters import metrics
from collector.domain.desk import Taken
from collector.domain.feed import Anomaly, Gap, Listing, Position
from collector.ports import SavedReplay
from sigmax.runtime.database import Database, Unit
from sigmax.schemas.control import Alert
from sigmax.schemas.market import Bar, TickBatch, moment

_DAY_NS = 86_400_000_000_000
_TICK_COLUMNS = ("instrument_id", "sequence", "ts_ns", "received_ns", "price", "quantity", "side")
_BAR_COLUMNS = ("instrument_id", "timeframe_s", "open_at", "open", "high", "low", "close", "volume", "trades")
_ANOMALY_COLUMNS = ("instrument_id", "reason", "market_at", "price", "quantity", "reference_price", "detail")
_GAP_COLUMNS = ("instrument_id", "reason", "from_at", "to_at", "detail")

_SAVE_LISTING = text(
    "INSERT INTO instruments (instrument_id, symbol, base, quote, market, asset_class, tick_size, lot_size,"
    " quantity_min, notional_min, is_tradable, price_age_max_s) VALUES (:instrument_id, :symbol, :base, :quote,"
    " :market, :asset_class, :tick_size, :lot_size, :quantity_min, :notional_min, :is_tradable, :price_age_max_s)"
    " ON CONFLICT (instrument_id) DO UPDATE SET symbol = excluded.symbol, asset_class = excluded.asset_class,"
    " tick_size = excluded.tick_size, lot_size = excluded.lot_size, quantity_min = excluded.quantity_min,"
    " notional_min = excluded.notional_min, is_tradable = excluded.is_tradable,"
    " price_age_max_s = excluded.price_age_max_s, updated_at = now()"
)
_OTHERS_ARE_CLOSED = text(
    "UPDATE instruments SET is_tradable = false, updated_at = now() WHERE is_tradable AND NOT instrument_id = ANY(:ids)"
)
_ADVANCE = text(
    "UPDATE instruments SET last_sequence = greatest(last_sequence, moved.sequence), last_ts_ns = moved.ts_ns"
    " FROM unnest(CAST(:ids AS text[]), CAST(:sequences AS bigint[]), CAST(:times AS bigint[]))"
    " AS moved (instrument_id, sequence, ts_ns) WHERE instruments.instrument_id = moved.instrument_id"
)
_SAVE_REPLAY = text(
    "INSERT INTO replays (recording, file, run, pass_number, event, state, is_finished) VALUES"
    " (:recording, :file, :run, :pass_number, :event, :state, :is_finished) ON CONFLICT (recording) DO UPDATE SET"
    " file = excluded.file, run = excluded.run, pass_number = excluded.pass_number, event = excluded.event,"
    " state = excluded.state, is_finished = excluded.is_finished, updated_at = now()"
)
_INCOMING_BARS = text("CREATE TEMPORARY TABLE IF NOT EXISTS incoming_bars (LIKE bars) ON COMMIT DELETE ROWS")
_MERGE_BARS = text(
    "INSERT INTO bars SELECT DISTINCT ON (instrument_id, timeframe_s, open_at) * FROM incoming_bars"
    " ON CONFLICT (instrument_id, timeframe_s, open_at) DO UPDATE SET open = excluded.open, high = excluded.high,"
    " low = excluded.low, close = excluded.close, volume = excluded.volume, trades = excluded.trades"
)


@dataclass(slots=True)
class Gathering:
    """What is stored in one transaction."""

    batches: list[TickBatch] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The newest sequence of each instrument and its market time."""
    ticks: int = 0
    replay: SavedReplay | None = None
    """How far the recording is once this is stored."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.newest or self.anomalies or self.gaps or self.alerts or self.replay)

    @property
    def rows(self) -> int:
        """Give how many ticks and bars this is."""
        return self.ticks + len(self.bars)

    def add(self, taken: Taken) -> int:
        """Take what was published; give how many ticks and bars of it are stored."""
        before = self.rows
        self.bars.extend(taken.bars)
        self.anomalies.extend(taken.anomalies)
        self.gaps.extend(taken.gaps)
        self.newest |= {
            quote.instrument_id: (taken.sequences[quote.instrument_id], quote.ts_ns) for quote in taken.quotes
        }
        if not taken.are_made:
            self.batches.extend(batch for _, batch in taken.batches)
            self.ticks += taken.ticks
        return self.rows - before


class PostgresStore:
    """Reads and writes the schema `collector`."""

    def __init__(self, database: Database, *, file: str = "") -> None:
        """`file` is the path of the recording, for people to recognise it by."""
        self._database = database
        self._file = file
        self._recording: str | None = None
        self._listings: Sequence[Listing] = ()
        self._lanes: dict[str, int] = {}
        self._days: set[date] = set()

    def lane_of(self, instrument_id: str) -> int:
        """Give the index of an instrument among the listings."""
        return self._lanes[instrument_id]

    async def save_listings(self, listings: Sequence[Listing]) -> None:
        """Store what is traded; instruments of an earlier source are tradable no more."""
        self._listings = listings
        self._lanes = {listing.instrument.instrument_id: lane for lane, listing in enumerate(listings)}
        async with self._database.transaction() as unit:
            await unit.session.execute(_SAVE_LISTING, [_listing_row(listing) for listing in listings])
            ids = [listing.instrument.instrument_id for listing in listings]
            await unit.session.execute(_OTHERS_ARE_CLOSED, {"ids": ids})

    async def sequences(self) -> dict[str, int]:
        """Give the newest stored sequence of each instrument."""
        async with self._database.reading() as session:
            rows = await session.execute(text("SELECT instrument_id, last_sequence FROM instruments"))
            return {row.instrument_id: row.last_sequence for row in rows}

    async def last_seen_ns(self, instrument_ids: Sequence[str]) -> dict[str, int]:
        """Give the market time of the newest stored trade of each instrument that has one."""
        query = text(
            "SELECT instrument_id, last_ts_ns FROM instruments WHERE instrument_id = ANY(:ids) AND last_ts_ns > 0"
        )
        async with self._database.reading() as session:
            rows = await session.execute(query, {"ids": list(instrument_ids)})
            return {row.instrument_id: row.last_ts_ns for row in rows}

    async def replay(self, recording: str) -> SavedReplay | None:
        """Give how far a recording is stored."""
        self._recording = recording
        query = text("SELECT pass_number, event, state, run, is_finished FROM replays WHERE recording = :recording")
        async with self._database.reading() as session:
            row = (await session.execute(query, {"recording": recording})).first()
        if row is None:
            return None
        return SavedReplay(Position(row.pass_number, row.event), row.state, row.run, row.is_finished)

    async def save_replay(self, recording: str, replay: SavedReplay) -> None:
        """Store how far a recording is, before anything of it is published."""
        self._recording = recording
        async with self._database.transaction() as unit:
            await self._write_replay(unit, replay)

    async def drop_old_days(self, keep_days: int) -> int:
        """Drop the days of ticks that were last written more than `keep_days` ago; give how many."""
        async with self._database.transaction() as unit:
            dropped = await unit.session.scalar(text("SELECT drop_tick_days(:days)"), {"days": keep_days})
        self._days.clear()
        return int(dropped or 0)

    async def save(self, gathering: Gathering) -> None:
        """Store it all or nothing."""
        async with self._database.transaction() as unit:
            if gathering.batches:
                await self._write_ticks(unit, gathering.batches)
            if gathering.newest:
                await self._advance(unit, gathering.newest)
            if gathering.bars:
                await unit.session.execute(_INCOMING_BARS)
                await unit.copy("incoming_bars", _BAR_COLUMNS, [_bar_row(bar) for bar in gathering.bars])
                await unit.session.execute(_MERGE_BARS)
            if gathering.anomalies:
                await unit.copy(
                    "anomalies", _ANOMALY_COLUMNS, [self._anomaly_row(item) for item in gathering.anomalies]
                )
            if gathering.gaps:
                await unit.copy("data_gaps", _GAP_COLUMNS, [self._gap_row(item) for item in gathering.gaps])
            for alert in gathering.alerts:
                unit.publish(alert)
            if gathering.replay is not None:
                await self._write_replay(unit, gathering.replay)
        counts = {"ticks": gathering.ticks, "bars": len(gathering.bars)}
        counts |= {"anomalies": len(gathering.anomalies), "data_gaps": len(gathering.gaps)}
        for table, count in counts.items():
            metrics.rows_stored.labels(table).inc(count)

    async def _write_ticks(self, unit: Unit, batches: Sequence[TickBatch]) -> None:
        days = {_day(ts_ns) for batch in batches for ts_ns in {ts - ts % _DAY_NS for ts in batch.ts_ns}}
        for day in sorted(days - self._days):
            await unit.session.execute(text("SELECT ensure_tick_partition(:day)"), {"day": day})
        await unit.session.execute(
            text("UPDATE tick_days SET written_at = now() WHERE day = ANY(:days)"), {"days": list(days)}
        )
        connection = await (await unit.session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection
        # Text, not binary: numbers go out as whole number and exponent, without a Decimal for each.
        source = io.BytesIO("".join(_tick_lines(batches)).encode())
        await driver.copy_to_table("ticks", source=source, columns=list(_TICK_COLUMNS), format="text")
        self._days |= days

    async def _advance(self, unit: Unit, newest: dict[str, tuple[int, int]]) -> None:
        sequences, times = zip(*newest.values(), strict=True)
        values = {"ids": list(newest), "sequences": list(sequences), "times": list(times)}
        await unit.session.execute(_ADVANCE, values)

    async def _write_replay(self, unit: Unit, replay: SavedReplay) -> None:
        await unit.session.execute(
            _SAVE_REPLAY,
            {
                "recording": self._recording,
                "file": self._file,
                "run": replay.run,
                "pass_number": replay.position.pass_number,
                "event": replay.position.event,
                "state": replay.state,
                "is_finished": replay.is_finished,
            },
        )

    def _anomaly_row(self, item: Anomaly) -> tuple[Any, ...]:
        listing = self._listings[item.lane]
        exponent = listing.price_exponent
        return (
            listing.instrument.instrument_id,
            str(item.reason),
            _moment(item.ts_ns),
            _number(item.price, exponent),
            _number(item.quantity, listing.quantity_exponent),
            _number(item.reference, exponent),
            item.detail[:500],
        )

    def _gap_row(self, item: Gap) -> tuple[Any, ...]:
        instrument_id = self._listings[item.lane].instrument.instrument_id
        return (instrument_id, item.reason, _moment(item.from_ns), _moment(item.to_ns), item.detail[:500])


def _tick_lines(batches: Sequence[TickBatch]) -> Iterable[str]:
    for batch in batches:
        names, price_exponents, quantity_exponents = batch.instruments, batch.price_exponents, batch.quantity_exponents
        for index, sequence, ts_ns, received_ns, price, quantity, side in zip(
            batch.instrument_index,
            batch.sequences,
            batch.ts_ns,
            batch.received_ns,
            batch.prices,
            batch.quantities,
            batch.sides,
            strict=True,
        ):
            yield (
                f"{names[index]}\t{sequence}\t{ts_ns}\t{received_ns}\t{price}e{price_exponents[index]}"
                f"\t{quantity}e{quantity_exponents[index]}\t{side}\n"
            )


def _listing_row(listing: Listing) -> dict[str, Any]:
    instrument = listing.instrument
    return {
        "instrument_id": instrument.instrument_id,
        "symbol": listing.symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "market": instrument.market,
        "asset_class": instrument.asset_class,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
        "quantity_min": instrument.quantity_min,
        "notional_min": instrument.notional_min,
        "is_tradable": instrument.is_tradable,
        "price_age_max_s": instrument.price_age_max_s,
    }


def _bar_row(bar: Bar) -> tuple[Any, ...]:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades)
    return (bar.instrument_id, bar.timeframe_s, moment(bar.open_ns), *numbers)


def _number(value: int | None, exponent: int) -> Decimal | None:
    return None if value is None else Decimal(value).scaleb(exponent)


def _day(ts_ns: int) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=ts_ns // _DAY_NS)).date()


def _moment(ts_ns: int) -> datetime:
    """Turn a venue's word into a time that Postgres holds, however wrong the venue is."""
    return moment(min(max(ts_ns, 0), 7_000_000_000_000_000_000))
