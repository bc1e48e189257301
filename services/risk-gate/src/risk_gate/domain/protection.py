"""What guards one position of one strategy: made by its first buy, changed by every fill, closed with the position."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from uuid import UUID, uuid5

from risk_gate.domain.limits import PostureRule
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.types import ExitKind

ZERO = Decimal(0)
_HUNDRED = Decimal(100)
_RETRIES_QUICK = 4
_RETRY_SLOWEST = timedelta(seconds=30)
RESTING = "resting"
"""Stands for the kind in the id of a stop that rests at the venue."""
T = TypeVar("T", Decimal, datetime)


class ProtectionState(StrEnum):
    """How far a position is from being closed by its protection."""

    OPEN = "open"
    ASKING = "asking"
    """A level was reached, and judgement is asked about it."""
    EXITING = "exiting"
    """It is being sold, and will be until nothing is left."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Levels:
    """What an approval says about leaving the position again; None leaves it to the posture."""

    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    trailing_pct: Decimal | None = None
    holding_s_max: int | None = None
    strategy_version: int = 1


@dataclass(frozen=True, slots=True)
class Bought:
    """What a position grew by."""

    account_id: str
    strategy_id: str
    instrument_id: str
    price: Decimal
    quantity: Decimal
    """Base units, a fee paid in them taken off."""
    at: datetime
    key: str
    """Names the fill: a protection's id derives from its first one."""


@dataclass(frozen=True, slots=True)
class Protection:
    """One open position with its levels, and what is being done about it. Prices in quote currency, times UTC."""

    protection_id: UUID
    account_id: str
    strategy_id: str
    strategy_version: int
    instrument_id: str
    quantity: Decimal
    """Base units bought and not yet sold, fees in the base asset taken off."""
    entry_price: Decimal
    """The average of all that was bought."""
    stop_price: Decimal
    target_price: Decimal
    best_price: Decimal
    """The highest price seen since the entry; it never falls, and so no trailing stop does."""
    opened_at: datetime
    trailing_pct: Decimal | None = None
    closes_at: datetime | None = None
    state: ProtectionState = ProtectionState.OPEN
    version: int = 1
    """Rising with every change: of two copies the later one counts."""
    exit_kind: ExitKind | None = None
    exit_price: Decimal | None = None
    """What was traded when the level was reached."""
    fired_at: datetime | None = None
    """When the platform had that price."""
    attempts: int = 0
    """Wishes to sell made so far, asked about or not: part of each one's id."""
    escalation: int = 0
    """Attempts of this exit that did not sell all they asked for."""
    next_attempt_at: datetime | None = None
    held_up_told_at: datetime | None = None
    """When people were last told that other sales, which do not end, leave nothing to sell."""
    asked_until: datetime | None = None
    spared: ExitKind | None = None
    """The kind that judgement said no to; it fires again, unasked, at or below `spared_price`."""
    spared_price: Decimal | None = None
    resting_attempts: int = 0
    """Stops asked to rest so far: part of each one's id."""
    resting_refusals: int = 0
    """Of these, denied or refused in a row."""
    next_resting_at: datetime | None = None
    naked_since: datetime | None = None
    """Since when neither a resting stop nor an exit order is known to be at the venue."""
    is_naked_told: bool = False
    """People were told that it has been so for too long."""
    exit_pnl: Decimal = ZERO
    """What the sales made against the average entry, fees left out."""
    refusal: str = ""
    """Why the last attempt was denied; empty when it was approved."""

    @property
    def trailing_price(self) -> Decimal | None:
        """Give the level of the trailing stop."""
        return None if self.trailing_pct is None else self.best_price * (1 - self.trailing_pct / _HUNDRED)

    @property
    def is_live(self) -> bool:
        """Say whether there is still something to guard."""
        return self.state is not ProtectionState.CLOSED

    def exit_id(self, kind: ExitKind | str) -> UUID:
        """Derive the id of the next wish of a kind: the same in every replica, another after each attempt."""
        number = self.resting_attempts if kind == RESTING else self.attempts
        return uuid5(self.protection_id, f"{kind}:{number}")


def opened(bought: Bought, levels: Levels, rule: PostureRule) -> Protection:
    """Guard a new position; what its approval has no level for is the posture's."""
    stop, target = _levels_of(bought.price, levels, rule)
    key = f"{bought.account_id}:{bought.strategy_id}:{bought.instrument_id}:{bought.key}"
    return Protection(
        protection_id=uuid5(NAMESPACE, f"protection:{key}"),
        account_id=bought.account_id,
        strategy_id=bought.strategy_id,
        strategy_version=levels.strategy_version,
        instrument_id=bought.instrument_id,
        quantity=bought.quantity,
        entry_price=bought.price,
        stop_price=stop,
        target_price=target,
        best_price=bought.price,
        opened_at=bought.at,
        trailing_pct=levels.trailing_pct,
        closes_at=_closing_time(bought, levels),
    )


def added_to(known: Protection, bought: Bought, levels: Levels, rule: PostureRule) -> Protection:
    """Take another buy in: entry, stop, and target become the averages by quantity.

    Of two trailing distances the nearer one counts, of two closing times the earlier: more was bought, and not more
    risk per unit.
    """
    total = known.quantity + bought.quantity
    stop, target = _levels_of(bought.price, levels, rule)
    share = bought.quantity / total
    return replace(
        known,
        quantity=total,
        entry_price=_averaged(known.entry_price, bought.price, share),
        stop_price=_averaged(known.stop_price, stop, share),
        target_price=_averaged(known.target_price, target, share),
        best_price=max(known.best_price, bought.price),
        trailing_pct=_least(known.trailing_pct, levels.trailing_pct),
        closes_at=_least(known.closes_at, _closing_time(bought, levels)),
        version=known.version + 1,
    )


def sold_from(known: Protection, price: Decimal, left: Decimal) -> Protection:
    """Take a sale out, of which so much is left; with the last unit the protection closes."""
    sold = known.quantity - left
    return replace(
        known,
        quantity=max(left, ZERO),
        exit_pnl=known.exit_pnl + (price - known.entry_price) * sold,
        state=ProtectionState.CLOSED if left <= 0 else known.state,
        naked_since=None if left <= 0 else known.naked_since,
        version=known.version + 1,
    )


def closed(known: Protection) -> Protection:
    """Stop guarding what cannot be sold: it is smaller than the smallest order."""
    return replace(known, state=ProtectionState.CLOSED, naked_since=None, version=known.version + 1)


def asking(known: Protection, kind: ExitKind, price: Decimal, at: datetime, until: datetime) -> Protection:
    """Wait for judgement on an exit, no longer than its deadline."""
    state = ProtectionState.ASKING
    return replace(
        known, state=state, exit_kind=kind, exit_price=price, fired_at=at, asked_until=until, version=known.version + 1
    )


def spared(known: Protection) -> Protection:
    """Do without the exit that judgement said no to, until the price falls one more step.

    There it goes without asking.
    """
    return replace(
        known,
        state=ProtectionState.OPEN,
        spared=known.exit_kind,
        spared_price=None if known.exit_kind is None else below(known, known.exit_kind),
        attempts=known.attempts + 1,
        exit_kind=None,
        exit_price=None,
        asked_until=None,
        version=known.version + 1,
    )


def below(known: Protection, kind: ExitKind) -> Decimal:
    """Give where a kind of exit goes after judgement said no: half its level's distance from the entry lower."""
    level, distance = _step_of(known, kind)
    return level - distance / 2


def exiting(known: Protection, kind: ExitKind, price: Decimal, at: datetime | None = None) -> Protection:
    """Sell it, and go on until nothing is left. `at` is when the platform had the price; None: that is known."""
    return replace(
        known,
        state=ProtectionState.EXITING,
        exit_kind=kind,
        exit_price=price,
        fired_at=at or known.fired_at,
        asked_until=None,
        escalation=0,
        next_attempt_at=None,
        held_up_told_at=None,
        version=known.version + 1,
    )


def attempted(known: Protection, now: datetime, *, refusal: str, retry: timedelta) -> Protection:
    """Note one attempt; a denied one, with its reason, counts as one that sold nothing."""
    escalation = known.escalation + bool(refusal)
    return replace(
        known,
        attempts=known.attempts + 1,
        escalation=escalation,
        refusal=refusal,
        next_attempt_at=now + retry_after(escalation, retry),
        version=known.version + 1,
    )


def held_up(known: Protection, now: datetime) -> Protection:
    """Note that people were told what holds it up. It sells the moment that this ends, and tells again in a while."""
    return replace(known, held_up_told_at=now, version=known.version + 1)


def is_held_up_told(known: Protection, now: datetime) -> bool:
    """Say whether people were told of it lately."""
    return known.held_up_told_at is not None and now - known.held_up_told_at < _RETRY_SLOWEST


def fell_short(known: Protection) -> Protection:
    """Note that an attempt's order has ended with something unsold: the next one tries harder."""
    return replace(known, escalation=known.escalation + 1, version=known.version + 1)


def stood_down(known: Protection) -> Protection:
    """Go back to watching: the price left the target again before the profit could be taken."""
    return replace(
        known,
        state=ProtectionState.OPEN,
        exit_kind=None,
        exit_price=None,
        escalation=0,
        next_attempt_at=None,
        version=known.version + 1,
    )


def retry_after(escalation: int, retry: timedelta) -> timedelta:
    """Give the wait before the next attempt: the usual one at first, then doubling up to half a minute."""
    doublings = min(max(escalation - _RETRIES_QUICK, 0), 10)
    wait: timedelta = retry * 2**doublings
    return max(min(wait, _RETRY_SLOWEST), retry)


def _levels_of(price: Decimal, levels: Levels, rule: PostureRule) -> tuple[Decimal, Decimal]:
    stop = price * (1 - rule.stop_pct / _HUNDRED) if levels.stop_price is None else levels.stop_price
    target = price * (1 + rule.target_pct / _HUNDRED) if levels.target_price is None else levels.target_price
    return stop, target


def _averaged(old: Decimal, new: Decimal, share: Decimal) -> Decimal:
    """Give the average, exactly the same where both are: several fills of one order move no level."""
    return old + (new - old) * share


def _closing_time(bought: Bought, levels: Levels) -> datetime | None:
    return None if levels.holding_s_max is None else bought.at + timedelta(seconds=levels.holding_s_max)


def _step_of(known: Protection, kind: ExitKind) -> tuple[Decimal, Decimal]:
    """Give the level of a kind, and its distance from the entry."""
    stop_distance = abs(known.entry_price - known.stop_price)
    if kind is ExitKind.TAKE_PROFIT:
        return known.target_price, abs(known.target_price - known.entry_price)
    if kind is ExitKind.TRAILING_STOP and known.trailing_price is not None:
        return known.trailing_price, known.best_price - known.trailing_price
    if kind is ExitKind.TIME_STOP:
        return known.exit_price or known.entry_price, stop_distance
    return known.stop_price, stop_distance


def _least(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
