"""The limits of one account: what it may do, and how each posture trades."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sigmax.schemas.types import InstrumentId, Name, NonNegative, Posture, Price, Quantity, Utc

Percent = Annotated[Decimal, Field(gt=0, le=100, allow_inf_nan=False)]
Bps = Annotated[Decimal, Field(ge=0, le=1000, allow_inf_nan=False)]
Times = Annotated[Decimal, Field(gt=0, le=10, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[int, Field(ge=1, le=7 * 86_400)]
CountByPosture = Annotated[dict[Posture, Count], Field(min_length=len(Posture))]
"""Each posture is named: one that is not there would be a limit that is missing."""

DUPLICATE_WINDOW_MAX_S = 10
"""How far back approvals are loaded: a longer window would be a limit that nobody checks."""
RATE_WINDOW_S = 1
RATE_WINDOW_CAUTION_S = 2
"""In CAUTION the same number of orders takes twice the time."""
RATIO_WINDOW_S = 300
"""Over which the part of orders that end with nothing filled is taken."""


class MarketSession(BaseModel):
    """When a market trades continuously, in its own time; its auctions are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    utc_offset_min: int = Field(ge=-14 * 60, le=14 * 60)
    opens: time
    closes: time
    """Until, and not at, this time."""
    weekdays: tuple[Annotated[int, Field(ge=0, le=6)], ...] = Field(min_length=1, max_length=7)
    """0 is Monday."""
    holidays: tuple[Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")], ...] = Field(max_length=1000)


class MaintenanceWindow(BaseModel):
    """A time in which a market is not traded: it, or the venue, is being worked on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    market: Name
    starts_at: Utc
    ends_at: Utc
    """Until, and not at, this time."""


class RiskLimits(BaseModel):
    """What one account may do. Every field is required: a limit that is not there denies.

    Money is in the account's currency. What a name ends with is its unit; `_max` and `_min` are within the limit.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(ge=1)

    # Size and price of an order.
    posture: Posture
    """In force until a posture is chosen."""
    posture_positions_max: CountByPosture
    """So many instruments are held at once."""
    posture_limit_share_pct: Annotated[
        dict[Posture, Annotated[int, Field(ge=0, le=100)]], Field(min_length=len(Posture))
    ]
    """Of the entries: they rest at the touch as limit orders, and the others go through the market."""
    working_s_max: Seconds
    """How long a resting entry may wait to be filled."""
    strategy_budget_pct: Percent
    """The part of equity that one strategy may hold; sizes shrink to what is left of it."""
    trade_risk_max_pct: Percent
    """Of equity: what an entry loses when its price moves against it as far as it usually does in a day."""
    volatility_assumed_pct: Percent
    """The usual move of a day where it cannot be measured yet."""
    limit_offset_bps: Bps
    """How far through the market a marketable limit may reach."""
    order_notional_max: Price
    order_quantity_max: dict[InstrumentId, Quantity] = Field(max_length=10_000)
    """Base units by instrument; where it names none, the share of the volume alone bounds the quantity."""
    volume_share_max_pct: Percent
    """Of what traded in the last minute."""
    dca_adds_max: Annotated[int, Field(ge=0, le=1000)]
    """How often a position is added to."""
    dca_spacing_pct: NonNegative
    """How far below the last entry an addition must be."""
    dca_size_max_pct: Percent
    """Of equity: the whole position of the strategy once it was added to."""

    # Stops that rest at the venue.
    resting_step_pct: Percent
    """Of its price: the gate's own level may be so far from the stop that rests, before that one is replaced."""
    resting_apart_s_min: Seconds
    """From one stop of a position to the next that only follows the price: each takes a cancel and an order."""

    # The market.
    instruments_allowed: tuple[InstrumentId, ...] | None
    """None allows whatever the collector lists."""
    instruments_restricted: tuple[InstrumentId, ...]
    market_sessions: dict[Name, MarketSession] = Field(max_length=100)
    """By market; one that is not named never closes."""
    maintenance_windows: tuple[MaintenanceWindow, ...] = Field(max_length=1000)
    price_limit_pct: dict[Name, Percent] = Field(max_length=100)
    """By market: its daily limit around the last close of an earlier day. One that is not named has none."""
    price_gap_max_pct: Percent
    """By which two sources of a price may differ."""
    price_sources_min: Annotated[int, Field(ge=1, le=3)]
    """The market itself, its book, and the same pair at another market: so many must be there for an entry."""
    price_collar_pct: Percent

    # What is held.
    position_notional_max: Price
    leverage_max: Times
    """Gross exposure in equities."""
    net_leverage_max: Times
    concentration_max_pct: Percent
    fee_bps: Bps
    cash_buffer_pct: NonNegative
    """Cash that stays untouched, as a percentage of equity."""
    shorts_allowed: Literal[False]
    """Nothing here opens a short position; a grant that nobody honours is refused."""

    # Pace.
    instrument_open_orders_max: Count
    account_open_orders_max: Count
    strategy_orders_per_s_max: Count
    account_orders_per_s_max: Count
    strategy_orders_per_run_max: Count
    """A run is a version of a strategy, until a person releases it."""
    strategy_orders_per_day_max: Count
    account_orders_per_day_max: Count
    turnover_per_minute_max: Price
    """Notional entered, executed or not."""
    turnover_per_hour_max: Price
    turnover_per_day_max: Price
    duplicate_window_s: int = Field(ge=1, le=DUPLICATE_WINDOW_MAX_S)

    # The account's state.
    loss_minute_max_pct: Percent
    loss_day_max_pct: Percent
    drawdown_max_pct: Percent
    """From the highest equity."""
    streak_stops_max: Annotated[int, Field(ge=0, le=1000)]
    """So many stops of an instrument may come within the window; one more locks it."""
    streak_window_s: Seconds
    streak_lock_s: Seconds
    cancel_ratio_caution_pct: Percent
    """Of the orders that ended in five minutes, with nothing filled: above it the account goes to CAUTION."""
    cancel_ratio_max_pct: Percent
    cancel_ratio_sample_min: Count
    """Fewer ended orders say nothing."""
    instrument_unknown_max: Annotated[int, Field(ge=0, le=1000)]
    """Orders of which nobody knows whether the venue has them."""
    account_unknown_max: Annotated[int, Field(ge=0, le=1000)]
    sending_lease_s: Seconds
    """An order that is being sent for longer counts as unknown."""
    signal_age_max_s: int = Field(ge=1)
    reconciliation_age_max_s: int = Field(ge=1)
    venue_hosts: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = Field(max_length=20)
    """Where order-worker's requests may go. A paper account takes the first word; a live one people's."""
    venue_keys: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...] = Field(max_length=20)
    """Fingerprints of the venue keys that it may trade with."""
    venue_silence_max_s: Seconds
    clock_gap_max_ms: Annotated[int, Field(ge=1, le=60_000)]
    fill_price_tolerance_bps: Bps
    """By which a fill may be worse than its order's limit."""
    alerting_required: bool
    """Of a paper account; a live one always needs somebody who can be told."""
    single_build_required: bool
    """Of a paper account; a live one is never traded by a mixed fleet."""
    beat_age_max_s: Seconds
    """After which a service that has not been heard of is gone."""

    # Judgement.
    judged_shadow: bool
    """What a model let pass is recorded and not traded."""
    judged_orders_per_day_max: Count
    judged_notional_per_day_max: Price
    judged_cooldown_s: Annotated[int, Field(ge=0, le=86_400)]
    news_sources_min: Count


@dataclass(frozen=True, slots=True)
class PostureRule:
    """How a posture enters, in percent: of equity, and of the entry price; what a new account starts with."""

    entry_pct: Decimal
    stop_pct: Decimal
    target_pct: Decimal
    positions_max: int
    limit_share_pct: int
    """Of the entries: as limit orders at the touch."""


POSTURES = {
    Posture.OFFENSIVE: PostureRule(Decimal("2.5"), Decimal("1.5"), Decimal("3.0"), 5, 70),
    Posture.GUERRILLA: PostureRule(Decimal("2.0"), Decimal("1.2"), Decimal("2.4"), 3, 90),
    Posture.DEFENSIVE: PostureRule(Decimal("1.5"), Decimal("0.8"), Decimal("1.8"), 2, 100),
}

KRX = MarketSession(utc_offset_min=540, opens=time(9), closes=time(15, 20), weekdays=(0, 1, 2, 3, 4), holidays=())

START_LIMITS = RiskLimits(
    version=1,
    posture=Posture.GUERRILLA,
    posture_positions_max={posture: rule.positions_max for posture, rule in POSTURES.items()},
    posture_limit_share_pct={posture: rule.limit_share_pct for posture, rule in POSTURES.items()},
    working_s_max=10,
    strategy_budget_pct=Decimal(20),
    trade_risk_max_pct=Decimal("0.1"),
    volatility_assumed_pct=Decimal(5),
    limit_offset_bps=Decimal(50),
    order_notional_max=Decimal(10_000),
    order_quantity_max={},
    volume_share_max_pct=Decimal(5),
    dca_adds_max=3,
    dca_spacing_pct=Decimal(1),
    dca_size_max_pct=Decimal(6),
    resting_step_pct=Decimal("0.25"),
    resting_apart_s_min=10,
    instruments_allowed=None,
    instruments_restricted=(),
    market_sessions={"krx": KRX},
    maintenance_windows=(),
    price_limit_pct={"krx": Decimal(30)},
    price_gap_max_pct=Decimal(1),
    price_sources_min=1,
    price_collar_pct=Decimal(2),
    position_notional_max=Decimal(20_000),
    leverage_max=Decimal(1),
    net_leverage_max=Decimal(1),
    concentration_max_pct=Decimal(20),
    fee_bps=Decimal(20),
    cash_buffer_pct=Decimal(1),
    shorts_allowed=False,
    instrument_open_orders_max=5,
    account_open_orders_max=50,
    strategy_orders_per_s_max=1,
    account_orders_per_s_max=5,
    strategy_orders_per_run_max=1_000,
    strategy_orders_per_day_max=200,
    account_orders_per_day_max=500,
    turnover_per_minute_max=Decimal(20_000),
    turnover_per_hour_max=Decimal(100_000),
    turnover_per_day_max=Decimal(500_000),
    duplicate_window_s=10,
    loss_minute_max_pct=Decimal(1),
    loss_day_max_pct=Decimal(3),
    drawdown_max_pct=Decimal(10),
    streak_stops_max=2,
    streak_window_s=3600,
    streak_lock_s=3600,
    cancel_ratio_caution_pct=Decimal(50),
    cancel_ratio_max_pct=Decimal(80),
    cancel_ratio_sample_min=10,
    instrument_unknown_max=0,
    account_unknown_max=1,
    sending_lease_s=10,
    signal_age_max_s=60,
    reconciliation_age_max_s=120,
    venue_hosts=(),
    venue_keys=(),
    venue_silence_max_s=60,
    clock_gap_max_ms=500,
    fill_price_tolerance_bps=Decimal(0),
    alerting_required=True,
    single_build_required=False,
    beat_age_max_s=15,
    judged_shadow=True,
    judged_orders_per_day_max=20,
    judged_notional_per_day_max=Decimal(20_000),
    judged_cooldown_s=60,
    news_sources_min=2,
)
"""Cautious values for an account that has none yet."""


def changed_limits(current: RiskLimits, values: Mapping[str, str]) -> RiskLimits | str:
    """Give the next version of the limits, or say in one sentence why there is none.

    `values` are JSON by the name of the limit, as the command `set_limits` carries them; others stay as they are.
    """
    unknown = sorted(set(values) - (set(RiskLimits.model_fields) - {"version"}))
    if unknown:
        return f"there is no such limit: {', '.join(unknown)}"
    try:
        read = {name: _parsed(value) for name, value in values.items()}
        changed = RiskLimits.model_validate({**current.model_dump(), **read, "version": current.version + 1})
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        return f"a value is not JSON: {error}"
    if changed == current.model_copy(update={"version": changed.version}):
        return "nothing would change"
    return changed


def _parsed(value: str) -> object:
    def refuse(word: str) -> object:
        raise ValueError(f"{word} is no number")

    return json.loads(value, parse_float=Decimal, parse_constant=refuse)
