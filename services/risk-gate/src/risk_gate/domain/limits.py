"""The limits of one account, and how much each posture enters."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sigmax.schemas.types import InstrumentId, NonNegative, Posture, Price, Quantity

Percent = Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)]

DUPLICATE_WINDOW_MAX_S = 10
"""How far back approvals are loaded: a longer window would be a limit that nobody checks."""
RATE_WINDOW_S = 1


class RiskLimits(BaseModel):
    """What one account may do. Every field is required: a limit that is not there denies.

    Money is in the account's currency.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(ge=1)
    posture: Posture
    strategy_budget_pct: Percent
    """The part of equity that one strategy may hold; sizes shrink to what is left of it."""
    limit_offset_bps: Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]
    """How far through the market a marketable limit may reach."""
    order_notional_max: Price
    order_quantity_max: dict[InstrumentId, Quantity] = Field(max_length=10_000)
    """Base units by instrument; where it names none, the share of the volume alone bounds the quantity."""
    volume_share_max_pct: Percent
    """Of what traded in the last minute."""
    price_collar_pct: Percent
    position_notional_max: Price
    leverage_max: Annotated[Decimal, Field(gt=0, le=10, allow_inf_nan=False)]
    concentration_max_pct: Percent
    fee_bps: Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]
    cash_buffer_pct: NonNegative
    """Cash that stays untouched, as a percentage of equity."""
    strategy_orders_per_s_max: int = Field(ge=1)
    account_orders_per_s_max: int = Field(ge=1)
    duplicate_window_s: int = Field(ge=1, le=DUPLICATE_WINDOW_MAX_S)
    signal_age_max_s: int = Field(ge=1)
    reconciliation_age_max_s: int = Field(ge=1)
    instruments_allowed: tuple[InstrumentId, ...] | None
    """None allows whatever the collector lists."""
    instruments_restricted: tuple[InstrumentId, ...]


START_LIMITS = RiskLimits(
    version=1,
    posture=Posture.GUERRILLA,
    strategy_budget_pct=Decimal(20),
    limit_offset_bps=Decimal(50),
    order_notional_max=Decimal(10_000),
    order_quantity_max={},
    volume_share_max_pct=Decimal(5),
    price_collar_pct=Decimal(2),
    position_notional_max=Decimal(20_000),
    leverage_max=Decimal(1),
    concentration_max_pct=Decimal(20),
    fee_bps=Decimal(20),
    cash_buffer_pct=Decimal(1),
    strategy_orders_per_s_max=1,
    account_orders_per_s_max=5,
    duplicate_window_s=10,
    signal_age_max_s=60,
    reconciliation_age_max_s=120,
    instruments_allowed=None,
    instruments_restricted=(),
)
"""Cautious values for an account that has none yet."""


@dataclass(frozen=True, slots=True)
class PostureRule:
    """How a posture enters, in percent: of equity, and of the entry price."""

    entry_pct: Decimal
    stop_pct: Decimal
    target_pct: Decimal


POSTURES = {
    Posture.OFFENSIVE: PostureRule(Decimal("2.5"), Decimal("1.5"), Decimal("3.0")),
    Posture.GUERRILLA: PostureRule(Decimal("2.0"), Decimal("1.2"), Decimal("2.4")),
    Posture.DEFENSIVE: PostureRule(Decimal("1.5"), Decimal("0.8"), Decimal("1.8")),
}
