"""What is live: prices and heartbeats, connections and their tickets, rates and counters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from api_gateway.domain.rights import Topic
from api_gateway.domain.sessions import AccessClaims
from sigmax.schemas.market import Heartbeat, Quote


class MarketPort(Protocol):
    """Reads the live state in Redis."""

    async def latest(self) -> dict[str, Quote]:
        """Give the newest quote of each instrument; empty when nothing trades."""
        ...

    async def heartbeats(self) -> list[Heartbeat]:
        """Give the heartbeats of the last minute or more, in the order they came."""
        ...


class TicketsPort(Protocol):
    """Single-use tickets for live connections."""

    async def issue(self, claims: AccessClaims) -> str:
        """Give a ticket that lives for 30 s."""
        ...

    async def redeem(self, ticket: str) -> AccessClaims | None:
        """Take a ticket: the first who brings it gets its claims, nobody after."""
        ...


class RatesPort(Protocol):
    """Counts requests over all replicas."""

    async def wait_s(self, bucket: str, key: str, per_minute: int) -> int:
        """Count one request; give the seconds to wait when the minute's budget is spent, else 0."""
        ...


class Listener(Protocol):
    """One live connection's inbox of events."""

    topics: frozenset[Topic]
    instruments: frozenset[str]
    """Narrows ticks; empty is all."""

    async def next(self) -> bytes | None:
        """Wait for the next event, JSON; None once the connection is too slow and is to be dropped."""
        ...


class FeedPort(Protocol):
    """Fans events out to live connections."""

    async def publish(self, topic: Topic, kind: str, data: Mapping[str, Any]) -> None:
        """Give an event to all replicas."""
        ...

    def join(self, user_id: UUID) -> Listener | None:
        """Open an inbox; None when there are too many, of this user or at all."""
        ...

    def leave(self, listener: Listener) -> None:
        """Close an inbox."""
        ...


class CountersPort(Protocol):
    """What is counted for operators."""

    def login(self, outcome: str) -> None:
        """Count a login: `ok`, `wrong`, or `limited`."""
        ...

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        ...

    def ws_dropped(self, why: str) -> None:
        """Count a live connection that the gateway ended."""
        ...


@dataclass(frozen=True)
class Limits:
    """Numbers that the handlers hold callers to."""

    body_bytes_max: int = 64 * 1024
    requests_per_minute: int = 600
    changes_per_minute: int = 60
    ws_recheck_s: float = 300.0
    ws_first_message_s: float = 5.0
    origins: tuple[str, ...] = ()
