"""How often a login may be tried: slow for who guesses, and never shut for the owner by a stranger.

Failures are counted per (account, address): a stranger elsewhere cannot lock an owner out. Wider nets, per address and
per account, stop who tries many accounts from one place, or one account from many; they are wide enough that only an
attack meets them, and end by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class LoginLimits:
    """How many failed tries within `WINDOW` are allowed."""

    pair_max: int = 5
    address_max: int = 50
    account_max: int = 100
    delay_s: float = 1.0
    """Pause after the second failure; it doubles with each further one."""


@dataclass(frozen=True)
class Failures:
    """When tries failed within the window, oldest first."""

    pair: Sequence[datetime] = ()
    address: Sequence[datetime] = ()
    account: Sequence[datetime] = ()


def wait_s(failures: Failures, limits: LoginLimits, now: datetime) -> int:
    """Give the seconds until the next try is allowed; 0 is now."""
    nets = (
        (failures.pair, limits.pair_max),
        (failures.address, limits.address_max),
        (failures.account, limits.account_max),
    )
    free_at = [times[len(times) - most] + WINDOW for times, most in nets if len(times) >= most]
    if len(failures.pair) > 1:
        pause_s = limits.delay_s * 2 ** (len(failures.pair) - 2)
        free_at.append(failures.pair[-1] + timedelta(seconds=pause_s))
    left_s = max(((at - now).total_seconds() for at in free_at), default=0.0)
    return ceil(left_s) if left_s > 0 else 0
