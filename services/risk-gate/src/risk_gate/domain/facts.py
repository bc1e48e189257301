"""What an account has been doing, loaded with every decision."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.losses import Marks
from sigmax.schemas.types import DenialCode, Scope, Stage

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Counts:
    """Orders approved so far, since a person last released them."""

    account_day: int = 0
    strategy_day: int = 0
    strategy_run: int = 0
    judged_day: int = 0
    judged_notional: Decimal = _ZERO
    judged_last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turnover:
    """Notional entered by the account, executed or not."""

    minute: Decimal = _ZERO
    hour: Decimal = _ZERO
    day: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How the account's orders of the last five minutes ended."""

    ended: int = 0
    unfilled: int = 0
    """Canceled, rejected, or expired with nothing filled."""

    @property
    def unfilled_pct(self) -> Decimal:
        """Give the part of the ended orders that filled nothing."""
        return Decimal(self.unfilled) * _HUNDRED / self.ended if self.ended else _ZERO


@dataclass(frozen=True, slots=True)
class Unknown:
    """Orders of which nobody knows whether the venue has them."""

    instrument: int = 0
    account: int = 0
    unclear: int = 0
    """Of the account: those that wait for a person."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom order-worker trades, by its own word."""

    mode: str
    hosts: tuple[str, ...]
    """Names of the hosts its requests go to."""
    key_fingerprint: str
    """Tells one venue key from another, and nothing of the key."""


@dataclass(frozen=True, slots=True)
class VenueState:
    """What order-worker last told of the venue."""

    venue: str
    is_answering: bool
    failing_since: datetime | None
    clock_gap_ms: Decimal
    orders_unknown: int
    as_of: datetime
    recovering_since: datetime | None = None
    """Since when it answers again, while that is not believed yet: no more time counts against it."""
    identity: Identity | None = None
    """None from an order-worker that did not say."""
    orders_unclear: int = 0
    """Unknown orders that wait for a person."""

    def failing_for(self, now: datetime) -> timedelta | None:
        """Say for how long it has been failing; None while it answers."""
        if self.is_answering or self.failing_since is None:
            return None
        return (self.recovering_since or now) - self.failing_since


@dataclass(frozen=True, slots=True)
class Latch:
    """Something is locked until it expires, or until a person releases it."""

    scope: Scope
    scope_id: str
    code: DenialCode
    reason: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Adds:
    """What was added to the asking strategy's position since it was opened."""

    count: int = 0
    last_price: Decimal | None = None
    """The limit of the newest entry."""


@dataclass(frozen=True, slots=True)
class Opposing:
    """An own order that rests on the other side of the market."""

    client_order_id: str
    limit_price: Decimal


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything of an account's recent past that a control looks at."""

    counts: Counts = field(default_factory=Counts)
    turnover: Turnover = field(default_factory=Turnover)
    marks: Marks = field(default_factory=Marks)
    outcomes: Outcomes = field(default_factory=Outcomes)
    unknown: Unknown = field(default_factory=Unknown)
    venue: VenueState | None = None
    latches: tuple[Latch, ...] = ()
    """Those in force."""
    stops: tuple[datetime, ...] = ()
    """When the instrument was stopped out, since it was last released."""
    adds: Adds = field(default_factory=Adds)
    opposing: tuple[Opposing, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest heartbeat of one process."""

    service: str
    version: str
    is_ready: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Fleet:
    """The processes that were heard of, each with its newest heartbeat."""

    beats: tuple[Beat, ...] = ()

    def versions(self, since: datetime) -> frozenset[str]:
        """Give the versions that were running at or after a time."""
        return frozenset(beat.version for beat in self.beats if beat.at >= since)

    def ready_at(self, service: str) -> datetime | None:
        """Give when a process of a service last said that it is ready; None when none did."""
        return max((beat.at for beat in self.beats if beat.service == service and beat.is_ready), default=None)


def ratio_stage(outcomes: Outcomes, limits: RiskLimits) -> tuple[Stage, str] | None:
    """Give CAUTION, and why, when too many orders end with nothing filled. Control 19."""
    if outcomes.ended < limits.cancel_ratio_sample_min or outcomes.unfilled_pct <= limits.cancel_ratio_caution_pct:
        return None
    told = f"{outcomes.unfilled} of {outcomes.ended} orders ended with nothing filled in 5 min"
    return Stage.CAUTION, f"{told} (limit {limits.cancel_ratio_caution_pct} %)"


def unknown_stage(unknown: Unknown, limits: RiskLimits) -> tuple[Stage, str] | None:
    """Give REDUCING, and why, when nobody knows what became of several orders, or only a person can. Control 20."""
    if unknown.unclear:
        return Stage.REDUCING, f"{unknown.unclear} orders may or may not be at the venue, and wait for a person"
    if unknown.account <= limits.account_unknown_max:
        return None
    return Stage.REDUCING, f"{unknown.account} orders may or may not be at the venue"
