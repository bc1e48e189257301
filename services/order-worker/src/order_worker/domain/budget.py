"""How often we may ask a venue: one allowance per kind of request, shared by all replicas.

A bucket holds tokens and fills up as time passes. Its size and its pace together stay under the venue's own limit in
every window, wherever that window begins, with room for requests that were let go early and arrive late.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

SLOWED_FOR_S = 60.0
"""After the venue said "too many": so long the pace is halved."""
_BURST_SHARE = 0.2
_PACE_SHARE = 0.72
_CANCELS_10S = 200
_AMOUNT_MIN = 100
"""Of a window's weight: the heaviest question must fit into a bucket."""
_LOCAL_SHARE = 0.1
"""Of the venue's allowance, for one replica that cannot reach the common one."""


class Kind(StrEnum):
    """What a request is; none of these ever takes from another."""

    ORDERS = "orders"
    CANCELS = "cancels"
    QUERIES = "queries"
    """Counted by weight."""


@dataclass(frozen=True)
class Limit:
    """The venue takes no more than `amount` in `window_s` seconds."""

    amount: float
    window_s: float

    @property
    def capacity(self) -> float:
        """Give what may go at once after a rest."""
        return max(1.0, self.amount * _BURST_SHARE)

    @property
    def per_s(self) -> float:
        """Give the lasting pace: with the burst before it, it fills no window."""
        return self.amount * _PACE_SHARE / self.window_s

    @property
    def reserve(self) -> float:
        """Give what entries leave to exits."""
        return self.capacity * 0.2 if self.capacity >= 2 else 0.0


@dataclass(frozen=True)
class Limits:
    """What one venue allows one account."""

    orders: Limit
    cancels: Limit
    queries: Limit

    @property
    def alone(self) -> "Limits":
        """Give what one replica may do that cannot ask the others."""
        return Limits(
            *(replace(each, amount=each.amount * _LOCAL_SHARE) for each in (self.orders, self.cancels, self.queries))
        )

    def of(self, kind: Kind) -> Limit:
        """Give the limit of a kind."""
        return {Kind.ORDERS: self.orders, Kind.CANCELS: self.cancels, Kind.QUERIES: self.queries}[kind]


@dataclass(frozen=True)
class Told:
    """What the venue itself says of its limits; None where it says nothing."""

    orders: Limit | None = None
    weight: Limit | None = None


def limits_of(orders_10s: int | None, cancels_10s: int | None, weight_1m: int | None, told: Told) -> Limits:
    """Join what people set with what the venue says: the lower one stands; Binance's where neither says anything."""
    orders = _lower(orders_10s, 10.0, told.orders, 50)
    cancels = Limit(cancels_10s, 10.0) if cancels_10s is not None else _cancels(told)
    weight = _lower(weight_1m, 60.0, told.weight, 6000)
    return Limits(orders, cancels, replace(weight, amount=max(weight.amount, _AMOUNT_MIN / _BURST_SHARE)))


def _cancels(told: Told) -> Limit:
    """Give what no venue tells, because hardly one counts it: enough to take everything back within seconds."""
    own = Limit(_CANCELS_10S, 10.0)
    return told.orders if told.orders is not None and told.orders.per_s > own.per_s else own


def _lower(wanted: int | None, window_s: float, told: Limit | None, default: int) -> Limit:
    if wanted is None:
        return told or Limit(default, window_s)
    if told is not None and told.amount / told.window_s < wanted / window_s:
        return told
    return Limit(wanted, window_s)


TOO_MANY_S = 10.0
"""How long a venue is left alone that says "too many" and not for how long."""
_WEIGHT_SPENT = "-1003"


def closed_by(kind: Kind, text: str) -> tuple[Kind, ...]:
    """Say which allowances end when a request of one kind was too many; cancels go on as long as they are answered."""
    return (Kind.ORDERS, Kind.QUERIES) if _WEIGHT_SPENT in text and kind is not Kind.CANCELS else (kind,)


@dataclass(frozen=True)
class Bucket:
    """One allowance at one moment; times are seconds on any one clock."""

    tokens: float
    at: float
    closed_until: float = 0.0
    slow_until: float = 0.0

    def take(self, limit: Limit, amount: float, now: float, *, reserve: float = 0.0) -> tuple["Bucket", float]:
        """Take tokens and leave at least `reserve`: the bucket afterwards, and 0, or the seconds to wait first.

        A negative amount gives tokens back.
        """
        if now < self.closed_until and amount > 0:
            return self, self.closed_until - now
        per_s = limit.per_s / 2 if now < self.slow_until else limit.per_s
        at = max(self.at, now)
        tokens = min(limit.capacity, self.tokens + (at - self.at) * per_s)
        if amount > 0 and tokens - amount < reserve:
            return self, (amount + reserve - tokens) / per_s
        return replace(self, tokens=min(limit.capacity, tokens - amount), at=at), 0.0

    def closed(self, for_s: float, now: float) -> "Bucket":
        """Let nothing go for so long, because the venue said so, and go on slowly afterwards."""
        until = max(self.closed_until, now + for_s)
        return Bucket(0.0, max(self.at, until), until, until + SLOWED_FOR_S)
