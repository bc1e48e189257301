"""Everything the venue reads from its environment."""

from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.types import Name, NonNegative

_FeeBps = Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]
_Bps = Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]


class Settings(ServiceSettings):
    """Fees, the made-up book, limits, and the one key pair."""

    service: ClassVar[str] = "paper-venue"

    venue_api_key: SecretStr
    venue_api_secret: SecretStr
    account_id: Name = "paper"
    """The account that the key trades for."""
    opening_balances: dict[Name, NonNegative] = Field(default_factory=dict)
    """JSON, by asset; applied once, when the account is made."""
    maker_bps: _FeeBps = Decimal(10)
    taker_bps: _FeeBps = Decimal(10)
    depth_levels: int = Field(default=20, ge=1, le=200)
    depth_thickness: int = Field(default=1, ge=1, le=1000)
    """Usual trades on the best level."""
    half_spread_bps: _Bps = Decimal(0)
    """Distance of the best bid and ask from the last price; at least one tick."""
    step_bps: _Bps = Decimal(0)
    """Distance between levels of the book; at least one tick."""
    weight_1m_max: int = Field(default=600_000, ge=1)
    """Request weight per address and minute; the real venue has 6000."""
    orders_10s_max: int = Field(default=100_000, ge=1)
    """Orders per account in ten seconds; the real venue has 50."""
    orders_1d_max: int = Field(default=100_000_000, ge=1)
    flush_s: float = Field(default=2.0, gt=0, le=60)
    """How often moving markets are stored when nobody trades here."""
    instruments_s: float = Field(default=5.0, gt=0, le=600)
    """How often the list of instruments is read."""
    kline_days: int = Field(default=30, ge=2)
    """How long minutes are kept."""
    admin_enabled: bool = False
    """Opens `/admin`: prices, balances, and faults for tests. Never where others can reach it."""
