"""Everything read from the environment."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from order_worker.domain.budget import Limits, Told, limits_of
from order_worker.domain.sightings import Capabilities
from sigmax.domain.approval import KEY_BYTES_MIN
from sigmax.domain.settlement import MARKETS, Market
from sigmax.runtime.audit import AuditedSettings
from sigmax.schemas.types import Mode

_PAPER_KEY = "paper"
_ABSENCE_S = 30.0
_ABSENCE_WITHOUT_IDS_S = 120.0


class Settings(AuditedSettings):
    """One account at one venue; all replicas have the same."""

    service: ClassVar[str] = "order-worker"

    account_id: str = Field(default="paper", min_length=1, max_length=64)
    venue: str = Field(default="paper", min_length=1, max_length=64)
    account_mode: Mode = Mode.PAPER
    """Live is asked for by name, and refuses to start without a venue key."""
    account_currency: str = Field(default="USDT", min_length=1, max_length=16)
    venue_class: str = Field(default="binance", pattern=r"^[a-z0-9]+$")
    """The name of the ccxt class."""
    venue_url: str | None = Field(default=None, pattern=r"^https?://")
    """Takes the place of the venue's own hosts; needed on paper."""
    venue_spare_url: str | None = Field(default=None, pattern=r"^https?://")
    """Another address of the same venue: where requests go once one at the first was not answered."""
    venue_api_key: SecretStr | None = None
    venue_api_secret: SecretStr | None = None
    approval_key: SecretStr
    """Known to risk-gate and this service alone."""

    submit_timeout_s: float = Field(default=3.0, gt=0, le=30)
    recv_window_ms: int = Field(default=3000, ge=100, le=60_000)
    send_s: float = Field(default=0.8, gt=0)
    """From the claim, which reads the stages, to the last moment at which the request may be written: so long a send
    may still follow a halt."""
    lease_s: float = Field(default=10.0, gt=0)
    """From the claim to the moment at which another worker asks what became of it."""
    venue_client_ids: bool = True
    """The venue keeps our id of an order. Where not (KIS), one order at a time is in flight for the whole account, and
    an unknown one is told from the others by what it looks like."""
    venue_execution_ids: bool = True
    """The venue gives each trade an id. Where not (KIS), the growth of what an order has filled stands for a trade."""
    absence_window_s: float | None = Field(default=None, gt=0)
    """How long the venue must have missed an order before it counts as absent; never less than twice `recv_window`
    and `submit_timeout_s` together. None is 30 s, and 120 s without client ids: there no `recvWindow` keeps a late
    request out, and lists lag."""
    absence_looks: int = Field(default=3, ge=3, le=100)
    """How many successful looks must have missed it."""
    first_look_s: float = Field(default=2.0, gt=0)
    orders_10s: int | None = Field(default=None, ge=1, le=1_000_000)
    """Orders that all replicas together may send in ten seconds. None asks the venue, and takes 50 where it does not
    say; a number above the venue's is not used."""
    cancels_10s: int | None = Field(default=None, ge=1, le=1_000_000)
    """The same for cancels, which no order and no question ever takes from, and which hardly a venue counts: 200, or as
    many as the venue takes orders."""
    weight_1m: int | None = Field(default=None, ge=500, le=100_000_000)
    """The same for questions, counted by weight in a minute; 6000 where the venue does not say."""
    market: Literal["crypto", "krx"] = "crypto"
    """How trades are settled and charged."""
    holidays: frozenset[date] = frozenset()
    """Days beside weekends on which the market does not settle, as JSON: `["2026-02-17"]`."""
    fee_bps: Decimal | None = Field(default=None, ge=0, le=1000)
    """Of the notional, where the venue does not tell its fee; None takes the market's."""
    sell_tax_bps: Decimal | None = Field(default=None, ge=0, le=1000)
    """Of the notional of a sale; None takes the market's."""
    reconcile_s: float = Field(default=60.0, gt=0, le=120)
    """Between two comparisons of the books with the venue's."""
    prefetch: int = Field(default=10, ge=1, le=100)
    """Approvals in work at once."""

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.send_s + self.submit_timeout_s >= self.lease_s:
            raise ValueError("lease_s must be above send_s and submit_timeout_s together")
        if len(self.approval_key.get_secret_value().encode()) < KEY_BYTES_MIN:
            raise ValueError(f"approval_key needs at least {KEY_BYTES_MIN} bytes")
        if MARKETS[self.market].settlement_days and not self.holidays:
            raise ValueError(f"market {self.market} settles on business days: holidays names those that are none")
        if not self.venue_execution_ids and self.rules.fee_bps is None:
            raise ValueError("a venue that names no trades tells no fees either: fee_bps says them")
        has_key = self.venue_api_key is not None and self.venue_api_secret is not None
        if self.account_mode is Mode.LIVE and not has_key:
            raise ValueError("live trading needs the secrets venue_api_key and venue_api_secret")
        if self.account_mode is Mode.PAPER and self.venue_url is None:
            raise ValueError("paper trading needs venue_url: without it orders would go to the real venue")
        return self

    def limits(self, told: Told) -> Limits:
        """Give the request budget, from these settings and from what the venue says."""
        return limits_of(self.orders_10s, self.cancels_10s, self.weight_1m, told)

    @property
    def capabilities(self) -> Capabilities:
        """Give what the venue keeps and tells of our orders."""
        return Capabilities(client_ids=self.venue_client_ids, execution_ids=self.venue_execution_ids)

    @property
    def absence_window(self) -> timedelta:
        """Give the time over which an order must be missed."""
        usual_s = _ABSENCE_S if self.venue_client_ids else _ABSENCE_WITHOUT_IDS_S
        return timedelta(seconds=usual_s if self.absence_window_s is None else self.absence_window_s)

    @property
    def rules(self) -> Market:
        """Give how trades are settled and charged."""
        rules = MARKETS[self.market]
        return replace(
            rules,
            fee_bps=rules.fee_bps if self.fee_bps is None else self.fee_bps,
            sell_tax_bps=rules.sell_tax_bps if self.sell_tax_bps is None else self.sell_tax_bps,
        )

    @property
    def key_pair(self) -> tuple[str, str]:
        """Give the venue's key and secret."""
        if self.venue_api_key is None or self.venue_api_secret is None:
            return _PAPER_KEY, _PAPER_KEY
        return self.venue_api_key.get_secret_value(), self.venue_api_secret.get_secret_value()

    @property
    def key_fingerprint(self) -> str:
        """Tell this venue key from another, and nothing of it."""
        return sha256(f"sigmax venue key {self.key_pair[0]}".encode()).hexdigest()[:16]

    @property
    def submit_timeout(self) -> timedelta:
        """Give the venue's time to answer a submit."""
        return timedelta(seconds=self.submit_timeout_s)
