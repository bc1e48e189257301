"""The words and numbers that messages are made of."""

from datetime import UTC
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

_DIGITS_MAX = 38
"""Room for any price or quantity a venue quotes, and an end to what a hostile sender may make us hold."""

Price = Annotated[Decimal, Field(gt=0, allow_inf_nan=False, max_digits=_DIGITS_MAX)]
"""Quote currency per unit of base."""
Quantity = Annotated[Decimal, Field(gt=0, allow_inf_nan=False, max_digits=_DIGITS_MAX)]
"""Units of the base asset of an order or a fill: never zero, the side gives the direction."""
NonNegative = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=_DIGITS_MAX)]
Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=_DIGITS_MAX)]
"""Any finite decimal: money, a signed position, a ratio."""
Share = Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)]
"""A part of a whole, 0 to 1."""
Utc = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
"""An aware time, kept in UTC; a naive one is refused."""

Name = Annotated[str, Field(min_length=1, max_length=64)]
ClientOrderId = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[A-Za-z0-9_-]+$")]
"""Ours; the shape that every venue accepts."""
InstrumentId = Annotated[str, Field(min_length=3, max_length=64, pattern=r"^[^@\s]+/[^@\s]+@[^@\s]+$")]
"""`BASE/QUOTE@market`, for example `BTC/USDT@binance`: what is traded, and whose prices are meant."""
Text = Annotated[str, Field(max_length=2000)]


class Side(StrEnum):
    """FIX tag 54."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Give +1 for a buy and -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """FIX tag 40."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    """Rests at the venue, and becomes a market order when its trigger price is traded."""
    STOP_LIMIT = "stop_limit"
    """The same, and becomes a limit order."""


class TimeInForce(StrEnum):
    """FIX tag 59."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"


class OrderStatus(StrEnum):
    """FIX tag 39: the venue's word. `unplaced` is ours: proven never to have reached the venue."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNPLACED = "unplaced"

    @property
    def is_terminal(self) -> bool:
        """Say whether nothing more rests at the venue; a late fill may still follow a cancel."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.UNPLACED}
)


class Submission(StrEnum):
    """Whether the venue has the order: ours, not the venue's."""

    READY = "ready"
    SENDING = "sending"
    ACKED = "acked"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ABSENT = "absent"


class Liquidity(StrEnum):
    """FIX tag 851."""

    MAKER = "maker"
    TAKER = "taker"


class Action(StrEnum):
    """What a signal wants done."""

    BUY = "buy"
    SELL = "sell"
    DCA = "dca"
    CLOSE = "close"


class Verdict(StrEnum):
    """What judgement makes of a signal."""

    APPROVE = "approve"
    REJECT = "reject"
    HOLD = "hold"
    ADJUST = "adjust"


class Mode(StrEnum):
    """Where an account trades. Live is asked for by name."""

    PAPER = "paper"
    LIVE = "live"


class Stage(StrEnum):
    """How much trading is allowed; later members are stricter."""

    NORMAL = "normal"
    CAUTION = "caution"
    REDUCING = "reducing"
    HALTED = "halted"
    LOCKED = "locked"

    @property
    def severity(self) -> int:
        """Rank the stage: 0 for NORMAL, 4 for LOCKED."""
        return list(Stage).index(self)


class Posture(StrEnum):
    """How boldly to trade."""

    OFFENSIVE = "offensive"
    GUERRILLA = "guerrilla"
    DEFENSIVE = "defensive"


class Scope(StrEnum):
    """What a stage applies to."""

    GLOBAL = "global"
    VENUE = "venue"
    ACCOUNT = "account"
    STRATEGY = "strategy"
    INSTRUMENT = "instrument"


class AlertLevel(StrEnum):
    """How soon a person should look; later members are more urgent."""

    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"
    CRITICAL = "critical"


class Trigger(StrEnum):
    """What a strategy wants to trade on."""

    MARKET = "market"
    NEWS = "news"


class ExitKind(StrEnum):
    """Why a position is closed without a strategy asking for it."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    TIME_STOP = "time_stop"
    FLATTEN = "flatten"
    """A person, or the failure ladder, wants to hold nothing."""


class DenialCode(StrEnum):
    """Why risk-gate said no. Members stand in order of precedence: the first broken rule names the denial."""

    NUMBER_INVALID = "number_invalid"
    KILL_SWITCH_ON = "kill_switch_on"
    TRADING_HALTED = "trading_halted"
    TRADING_REDUCING = "trading_reducing"
    MODE_MISMATCH = "mode_mismatch"
    BUILD_MIXED = "build_mixed"
    LIMIT_MISSING = "limit_missing"
    CLOCK_OFF = "clock_off"
    SIGNAL_EXPIRED = "signal_expired"
    JUDGEMENT_INVALID = "judgement_invalid"
    JUDGEMENT_REFUSED = "judgement_refused"
    JUDGEMENT_UNCLEAN = "judgement_unclean"
    JUDGEMENT_UNRECORDED = "judgement_unrecorded"
    JUDGEMENT_BUDGET_EXCEEDED = "judgement_budget_exceeded"
    NEWS_UNCONFIRMED = "news_unconfirmed"
    INSTRUMENT_NOT_TRADABLE = "instrument_not_tradable"
    INSTRUMENT_NEW_IN_CAUTION = "instrument_new_in_caution"
    MARKET_CLOSED = "market_closed"
    PRICE_STALE = "price_stale"
    PRICE_ANOMALOUS = "price_anomalous"
    RECONCILIATION_MISSING = "reconciliation_missing"
    VENUE_SILENT = "venue_silent"
    ALERTING_DOWN = "alerting_down"
    FILL_UNEXPLAINED = "fill_unexplained"
    UNKNOWN_SUBMISSION = "unknown_submission"
    LOSS_EXCEEDED = "loss_exceeded"
    LOSING_STREAK = "losing_streak"
    CANCEL_RATIO_EXCEEDED = "cancel_ratio_exceeded"
    NOTHING_TO_CLOSE = "nothing_to_close"
    QUANTITY_BELOW_MIN = "quantity_below_min"
    QUANTITY_EXCEEDS_MAX = "quantity_exceeds_max"
    NOTIONAL_BELOW_MIN = "notional_below_min"
    NOTIONAL_EXCEEDS_MAX = "notional_exceeds_max"
    PRICE_OUTSIDE_COLLAR = "price_outside_collar"
    POSITION_EXCEEDS_MAX = "position_exceeds_max"
    EXPOSURE_EXCEEDS_MAX = "exposure_exceeds_max"
    CONCENTRATION_EXCEEDS_MAX = "concentration_exceeds_max"
    POSITIONS_EXCEED_MAX = "positions_exceed_max"
    """Of the posture: so many instruments are held at once, and no more."""
    DCA_EXCEEDED = "dca_exceeded"
    BUYING_POWER_EXCEEDED = "buying_power_exceeded"
    OPEN_ORDERS_EXCEEDED = "open_orders_exceeded"
    ORDER_RATE_EXCEEDED = "order_rate_exceeded"
    ORDER_COUNT_EXCEEDED = "order_count_exceeded"
    TURNOVER_EXCEEDED = "turnover_exceeded"
    ORDER_DUPLICATED = "order_duplicated"
    SELF_TRADE = "self_trade"
    SHORT_NOT_ALLOWED = "short_not_allowed"
