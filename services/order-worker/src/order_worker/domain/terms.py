"""The terms on which one worker trades: whose account, and how long anything may take."""

from dataclasses import dataclass, field
from datetime import timedelta

from sigmax.domain.settlement import CRYPTO, Calendar, Market
from sigmax.schemas.types import Mode


@dataclass(frozen=True)
class Terms:
    """One account at one venue, and every bound of the order's life."""

    account_id: str
    venue: str
    mode: Mode
    currency: str
    approval_key: bytes = field(repr=False)
    worker: str
    hosts: tuple[str, ...] = ()
    """Where requests go: the venue's own host, or what stands for it, and the spare one."""
    key_fingerprint: str | None = None
    """Of the venue's key: tells whether it is the same one, and not what it is."""
    send: timedelta = timedelta(seconds=0.8)
    """From the claim to the last moment at which the request may be written."""
    submit_timeout: timedelta = timedelta(seconds=3)
    recv_window: timedelta = timedelta(seconds=3)
    """After which the venue itself refuses a request that was held up."""
    lease: timedelta = timedelta(seconds=10)
    """From the claim to the moment at which the resolver takes over."""
    attempts_max: int = 5
    """Tries whose bytes provably never left the host."""
    retry_after: timedelta = timedelta(seconds=1)
    silence_max: timedelta = timedelta(seconds=60)
    """Since risk-gate last told the stages: beyond it nothing is sent, and working entries are taken back."""
    first_look: timedelta = timedelta(seconds=2)
    look_backoff_max: timedelta = timedelta(seconds=30)
    look_lease: timedelta = timedelta(seconds=20)
    absence_window: timedelta = timedelta(seconds=30)
    absence_looks_min: int = 3
    market: Market = CRYPTO
    """How trades are settled and charged."""
    calendar: Calendar = field(default_factory=Calendar)
    unknown_alarm: timedelta = timedelta(minutes=5)
    """An order unknown for this long needs a person."""

    @property
    def exit_waits_max(self) -> timedelta:
        """Give the time after the claim of an unknown order at which its first look is due at the latest."""
        return self.send + self.submit_timeout + self.first_look

    @property
    def absence_window_min(self) -> timedelta:
        """Give the time over which an absent order must have been missed before it counts as absent."""
        return max(self.absence_window, 2 * (self.recv_window + self.submit_timeout))
