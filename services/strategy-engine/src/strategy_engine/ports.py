"""What the handlers need from the world."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from sigmax.schemas.base import Message
from sigmax.schemas.market import Instrument
from sigmax.schemas.orders import Fill
from strategy_engine.domain.book import Holding
from strategy_engine.domain.signals import Draft
from strategy_engine.domain.spec import Spec


class LedgerPort(Protocol):
    """The service's tables within one transaction, which commits when its block is left."""

    async def first_time(self, message: Message) -> bool:
        """Enter a message in the inbox; False means that it was handled before."""
        ...

    def publish(self, message: Message) -> None:
        """Have a message sent after the commit."""
        ...

    async def strategies(self, *, lock: bool = False) -> list[Spec]:
        """Give all strategies; `lock` keeps others from changing them until the commit."""
        ...

    async def seed(self, specs: Sequence[Spec]) -> None:
        """Store the first strategies, unless there are any."""
        ...

    async def save(self, spec: Spec, changed_by: str) -> None:
        """Store a strategy's new status or parameters; a new version is also kept among its versions."""
        ...

    async def pause(self, spec: Spec, reason: str) -> bool:
        """Pause this version of a strategy; False when it no longer runs anyway."""
        ...

    async def holdings(self, changed_since: datetime | None) -> list[Holding]:
        """Give all holdings, or those that changed since a time."""
        ...

    async def claim(self, draft: Draft, now: datetime, working_until: datetime) -> Holding | None:
        """Store a signal and mark its holding as working, or neither.

        None when the signal is known, the strategy does not run, an order of it may be on its way, or it holds
        something else than it believed.
        """
        ...

    async def add_fill(self, fill: Fill, held: Decimal) -> Holding:
        """Enter a fill, once per venue, account, and execution id; give the holding as the sum of its fills."""
        ...

    async def order_is_out(self, strategy_id: str, instrument_id: str, signal_id: UUID) -> Holding | None:
        """Wait for this order's end from now on, however long; None when it is not being waited for."""
        ...

    async def order_ended(
        self, strategy_id: str, instrument_id: str, signal_id: UUID, filled: Decimal, until: datetime
    ) -> Holding | None:
        """Stop waiting for this order as soon as all its fills are here, and at `until` in any case."""
        ...


class OpenLedger(Protocol):
    """Opens a transaction on the service's tables."""

    def __call__(self) -> AbstractAsyncContextManager[LedgerPort]:
        """Open it."""
        ...


class FeedPort(Protocol):
    """The market data streams. An entry is (stream, entry id, body)."""

    positions: dict[str, str]
    """The id of the last entry taken, per stream; whoever changes it decides what is read next."""
    waiting: int
    """How many entries the last read took if it was a full one, after which there may be more; else 0."""

    async def read(self) -> list[tuple[str, str, bytes]]:
        """Wait a little for new entries and give them, in the order of `positions`."""
        ...

    def history(self, stream: str, until: str, age_max_s: float | None) -> AsyncIterator[bytes]:
        """Give the bodies of stored entries up to and with `until`, none older than `age_max_s` before it."""
        ...

    async def newest(self, stream: str) -> str:
        """Give the id of the newest entry, `0-0` where there is none."""
        ...

    async def instruments(self) -> dict[str, Instrument]:
        """Give what is known of the instruments."""
        ...


class LeasePort(Protocol):
    """Which shards are this replica's for now, and how far each was processed."""

    def held(self) -> set[int]:
        """Give the shards whose lease is surely not over yet."""
        ...

    async def all_held(self) -> bool:
        """Say whether every shard is held by some replica."""
        ...

    async def leave(self, shard: int) -> None:
        """Give a lease back."""
        ...

    async def cursors(self, shard: int) -> dict[str, str]:
        """Give the id of the last entry processed, per stream, by whoever held the shard."""
        ...

    async def store_cursors(self, shard: int, positions: Mapping[str, str]) -> bool:
        """Store how far a shard was processed; False when another replica took it meanwhile."""
        ...


class MeterPort(Protocol):
    """Counts what happens."""

    def read(self, ticks: int, bars: int) -> None:
        """Count what was read."""
        ...

    def behind(self, late_s: float) -> None:
        """Tell how long the oldest entry of a read had been in its stream."""
        ...

    def begun(self, latency_s: float) -> None:
        """Count a closed bar that the strategies are given: how long after its last event."""
        ...

    def evaluated(self, latency_s: float, strategies: int) -> None:
        """Count a closed bar: how long after its last event it was evaluated, and by how many strategies."""
        ...

    def signal(self, strategy_id: str, action: str) -> None:
        """Count a signal."""
        ...

    def dropped(self, reason: str) -> None:
        """Count a wish that became no signal."""
        ...

    def unreadable(self) -> None:
        """Count an entry that could not be decoded."""
        ...

    def denied(self, code: str) -> None:
        """Count a denial by its code."""
        ...

    def state(self, shards: int, specs: Sequence[Spec]) -> None:
        """Show how many shards are held and how the strategies stand."""
        ...
