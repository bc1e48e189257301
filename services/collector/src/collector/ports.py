"""What the collector's handlers need from the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.domain.desk import DeskRules, Taken
from collector.domain.feed import Feed, Listing, Position
from sigmax.schemas.control import Alert


class SourcePort(Protocol):
    """Where market data comes from: a venue's feed or a recording."""

    rules: DeskRules
    recording: str | None
    """What names a recording whatever its path is; None for a live feed."""

    async def open(self) -> list[Listing]:
        """Find out what is traded there."""
        ...

    def seek(self, start: Position, published: Position) -> None:
        """Begin a recording at `start`; what comes before `published` was told already."""
        ...

    async def read(self) -> Feed | None:
        """Wait for the next news and give all there is; None when a recording is over."""
        ...

    def problem(self) -> str | None:
        """Say what keeps the source from telling, if anything does."""
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...


class MarketPort(Protocol):
    """The streams that everybody reads."""

    async def publish(self, taken: Taken, recording: str | None) -> None:
        """Tell it all at once; returns when it is told, however long that takes."""
        ...

    async def list_instruments(self, listings: Sequence[Listing]) -> None:
        """Tell what is traded; other instruments are not tradable any more."""
        ...

    async def sequences(self) -> dict[str, int]:
        """Give the newest published sequence of each instrument."""
        ...

    async def position(self, recording: str) -> Position | None:
        """Give how far a recording is published."""
        ...


@dataclass(frozen=True, slots=True)
class SavedReplay:
    """How far a recording is stored."""

    position: Position
    state: bytes
    """What the desk remembered there."""
    run: str
    is_finished: bool


class StorePort(Protocol):
    """The collector's tables."""

    async def save_listings(self, listings: Sequence[Listing]) -> None:
        """Store what is traded."""
        ...

    async def sequences(self) -> dict[str, int]:
        """Give the newest stored sequence of each instrument."""
        ...

    async def replay(self, recording: str) -> SavedReplay | None:
        """Give how far a recording is stored."""
        ...

    async def save_replay(self, recording: str, replay: SavedReplay) -> None:
        """Store how far a recording is, before anything of it is published."""
        ...

    async def last_seen_ns(self, instrument_ids: Sequence[str]) -> dict[str, int]:
        """Give the market time of the newest stored trade of each instrument."""
        ...

    async def drop_old_days(self, keep_days: int) -> int:
        """Drop the days of ticks that were last written more than `keep_days` ago; give how many."""
        ...


class RecorderPort(Protocol):
    """Stores what was published, in its own time."""

    async def put(self, taken: Taken) -> None:
        """Take what was published; a recording waits here when storage cannot keep up."""
        ...

    def put_alert(self, alert: Alert) -> None:
        """Take what people should know, to be told with what is stored."""
        ...

    def reset(self, *, is_recording: bool) -> None:
        """Forget what is not stored: another turn of leading begins. A recording waits for storage, a feed cannot."""
        ...

    async def flush(self) -> None:
        """Store all that was marked."""
        ...

    def wants_checkpoint(self) -> bool:
        """Say whether enough has gathered to be stored."""
        ...

    def checkpoint(self, replay: SavedReplay | None) -> None:
        """Mark that all put so far belongs together, and for a recording up to where it goes."""
        ...

    def problem(self) -> str | None:
        """Say what keeps data from being stored, if anything does."""
        ...
