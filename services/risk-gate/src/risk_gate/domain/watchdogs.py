"""What brings an account down by itself: losses, how its orders end, books that disagree, and a watch that was blind.

Down at once and never up: as long as a cause stands, what a person raised falls again with the next look.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.controls.market import worked_on_until
from risk_gate.domain.facts import Outcomes, Unknown, VenueState, ratio_stage, unknown_stage
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.losses import Marks, loss_stage
from risk_gate.domain.situation import Account, Holding
from risk_gate.domain.stages import StageChange
from sigmax.schemas.orders import Reconciled, VenueHealth
from sigmax.schemas.types import Scope, Stage

BLIND_MAX = timedelta(seconds=10)
"""A server that restarts is away for less."""
PAUSE_MAX = timedelta(seconds=10)
"""Between two looks; after more, the process itself stood still, and nobody else may be blamed for the time."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One account as the watch finds it."""

    account: Account
    limits: RiskLimits | None
    """None where they cannot be read."""
    cash: Decimal = Decimal(0)
    """As counted by fills."""
    holdings: dict[str, Holding] = field(default_factory=dict)
    working: frozenset[str] = frozenset()
    """Instruments with an order that may still fill."""
    fills: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)
    """By instrument, price and time of the newest."""
    marks: Marks = field(default_factory=Marks)
    outcomes: Outcomes = field(default_factory=Outcomes)
    unknown: Unknown = field(default_factory=Unknown)
    venue: VenueState | None = None

    @property
    def instruments(self) -> frozenset[str]:
        """Name what is held or worked on."""
        held = {name for name, holding in self.holdings.items() if holding.low or holding.high}
        return frozenset(held | self.working)

    def equity(self, prices: dict[str, Decimal]) -> Decimal | None:
        """Value cash and holdings as counted; None where one has no fresh price, for a guess would be no mark."""
        held = {name: holding.filled for name, holding in self.holdings.items() if holding.filled}
        if not held.keys() <= prices.keys():
            return None
        return self.cash + sum((quantity * prices[name] for name, quantity in held.items()), Decimal(0))


def account_downs(watched: Watched, prices: dict[str, Decimal]) -> list[StageChange]:
    """Give every stage that an account's own figures call for. `prices` are the fresh ones of what it holds."""
    account_id = watched.account.account_id
    if watched.limits is None:
        return [StageChange(Scope.ACCOUNT, account_id, Stage.HALTED, "its limits cannot be read")]
    found = [
        ratio_stage(watched.outcomes, watched.limits),
        unknown_stage(watched.unknown, watched.limits),
    ]
    equity = watched.equity(prices)
    if equity is not None:
        found.append(loss_stage(watched.marks, equity, watched.limits))
    return [StageChange(Scope.ACCOUNT, account_id, *down) for down in found if down is not None]


def venues_of(accounts: Iterable[Watched]) -> dict[str, VenueState | None]:
    """Give the worst that was last told of each venue; None where an account heard nothing of its own.

    An account that holds nothing and has no order working speaks only where no other trades there: nobody may run it
    any more.
    """
    by_venue: dict[str, list[Watched]] = {}
    for each in accounts:
        by_venue.setdefault(each.account.venue, []).append(each)
    found: dict[str, VenueState | None] = {}
    for venue, group in by_venue.items():
        states = [each.venue for each in group if each.instruments] or [each.venue for each in group]
        told = [state for state in states if state is not None]
        found[venue] = min(told, key=_badness) if len(told) == len(states) else None
    return found


def venues_worked_on(accounts: Iterable[Watched], now: datetime) -> dict[str, datetime]:
    """Give until when each venue is, or last was, under maintenance, as the limits of its accounts announce it."""
    found: dict[str, datetime] = {}
    for each in accounts:
        venue, limits = each.account.venue, each.limits
        until = None if limits is None else worked_on_until(venue, limits, now)
        if until is not None:
            found[venue] = max(until, found.get(venue, until))
    return found


def _badness(state: VenueState) -> tuple[bool, bool, datetime]:
    """Rank what was told of a venue, the worst first."""
    is_failing = not state.is_answering and state.failing_since is not None
    since = (state.failing_since or state.as_of) if is_failing else state.as_of
    return not is_failing, state.recovering_since is not None, since


def circuit_down(health: VenueHealth) -> StageChange | None:
    """Give REDUCING for a venue to which a worker sends nothing, because submits in a row were not answered (F22)."""
    if not health.is_circuit_open:
        return None
    return StageChange(Scope.VENUE, health.venue, Stage.REDUCING, "submits in a row were not answered: sends stopped")


def reconciliation_down(reconciled: Reconciled) -> StageChange | None:
    """Give HALTED when the books and the venue disagree beyond dust, or an order came to light too late.

    A clock that is off alone is no doubt about the books: it ends by itself, and until then nothing is sent anyway.
    """
    if reconciled.passed:
        return None
    wrong = [each for each in reconciled.differences if not each.is_dust]
    if wrong and all(each.kind == "clock" for each in wrong):
        return None
    told = "; ".join(f"{each.kind} {each.subject}: ours {each.ours}, venue {each.venue}" for each in wrong[:5])
    reason = f"the reconciliation failed: {told}" if told else "the reconciliation failed"
    return StageChange(Scope.ACCOUNT, reconciled.account_id, Stage.HALTED, reason)


class Vigil:
    """Since when the watch has really been watching: kept by each replica for itself, in memory."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._last: datetime | None = None
        self._blind_since: datetime | None = None

    def look(self, now: datetime) -> datetime:
        """Note that a look begins; give since when there has been no pause."""
        if self._since is None or self._last is None or now - self._last > PAUSE_MAX:
            self._since = now
        self._last = now
        return self._since

    def missed(self, now: datetime) -> None:
        """Note that a look failed, by a fault that will pass."""
        self._blind_since = self._blind_since or now

    def saw(self, now: datetime) -> timedelta | None:
        """Note that a look succeeded; give how long none had, if that was too long."""
        began_at = self._last or now
        # A look that takes so long saw what is no longer so.
        slow_since = began_at if now - began_at > BLIND_MAX else None
        blind_since, self._blind_since = self._blind_since or slow_since, None
        if blind_since is None:
            return None
        self._since = now
        blind = now - blind_since
        return blind if blind > BLIND_MAX else None


def blind_down(account_id: str, blind: timedelta) -> StageChange:
    """Give CAUTION for an account that nobody could watch for a while."""
    reason = f"nothing could be watched for {blind.total_seconds():.0f} s: Postgres or Redis was away"
    return StageChange(Scope.ACCOUNT, account_id, Stage.CAUTION, reason)
