"""A request, whichever way it came: over HTTP or over a socket."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from paper_venue.domain import errors
from paper_venue.domain.faults import Faults
from paper_venue.domain.limits import RateCounters
from paper_venue.domain.params import Params
from paper_venue.domain.signing import Credentials
from paper_venue.handlers.desk import Desk
from paper_venue.handlers.hub import Hub
from sigmax.domain.trading_rules import TradingRules


@dataclass(slots=True)
class Venue:
    """What every handler works with."""

    desk: Desk
    hub: Hub
    credentials: Credentials
    counters: RateCounters
    faults: Faults
    is_admin_enabled: bool
    serials: Iterator[int] = field(default_factory=count)
    """Tell apart requests of the same nanosecond."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its sender known and its parameters checked against what the endpoint knows."""

    venue: Venue
    params: Params
    account_id: str
    now_ns: int

    @property
    def desk(self) -> Desk:
        """Give the desk."""
        return self.venue.desk

    @property
    def now_ms(self) -> int:
        """Give the venue's time."""
        return self.now_ns // 1_000_000

    @property
    def instrument_id(self) -> str:
        """Give the instrument that `symbol` names. Raises `DialectError` for an unknown one."""
        return self.desk.floor.instrument_of(self.params.text("symbol"))

    @property
    def seed(self) -> str:
        """Give a text that no other request has: names that the client left out are made from it."""
        return f"{self.account_id}:{self.now_ns}:{next(self.venue.serials)}"

    @property
    def rules(self) -> TradingRules:
        """Give the rules of that instrument."""
        return self.desk.floor.market(self.instrument_id).rules

    def time_ns(self, name: str) -> int | None:
        """Give a time in milliseconds as nanoseconds, or None where it was not sent."""
        value = self.params.integer(name)
        if value is not None and value > _TIME_MAX_MS:
            raise errors.illegal(name, "a time in milliseconds")
        return None if value is None else value * 1_000_000


_TIME_MAX_MS = 10**14

Action = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing that can be asked: where, with which parameters, and what it costs."""

    method: str
    path: str
    """Below `/api/v3/`."""
    action: Action
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    is_signed: bool = False
    weight: int = 1
    places_order: bool = False
    socket_method: str | None = None
    """Its name on the WebSocket API."""

    def check(self, params: Params) -> None:
        """Raise `DialectError` when a parameter is missing or unknown."""
        signed = _SIGNED if self.is_signed else frozenset()
        params.require(self.required, self.optional | signed)


_SIGNED = frozenset({"timestamp", "recvWindow", "signature"})


def endpoint(
    method: str,
    path: str,
    action: Action,
    *,
    required: str = "",
    optional: str = "",
    is_signed: bool = False,
    weight: int = 1,
    places_order: bool = False,
    socket_method: str | None = None,
) -> Endpoint:
    """Describe an endpoint; `required` and `optional` name parameters, separated by spaces."""
    return Endpoint(
        method,
        path,
        action,
        frozenset(required.split()),
        frozenset(optional.split()),
        is_signed,
        weight,
        places_order,
        socket_method,
    )
