"""From market data to a judged wish.

strategy_engine.signal.v1                -> risk-gate
strategy_engine.judgement_requested.v1   -> llm-controller, risk-gate
llm_controller.decision.v1               -> risk-gate, api-gateway
risk_gate.exit_judgement_requested.v1    -> llm-controller

risk-gate takes the wish itself from strategy-engine alone, and from llm-controller only the verdict on it: whoever
speaks for a model cannot put an order into its mouth. A new field is optional. A new meaning is a new version.
"""

from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from sigmax.schemas.base import Message
from sigmax.schemas.types import (
    Action,
    ExitKind,
    InstrumentId,
    Name,
    NonNegative,
    Number,
    Price,
    Share,
    Text,
    Trigger,
    Utc,
    Verdict,
)


class Signal(Message):
    """A strategy's wish to trade. It is no order until risk-gate approves it.

    `message_id` derives from (strategy, version, instrument, bar end, action): two engines that see the same bar make
    one signal.
    """

    TOPIC = "strategy_engine.signal.v1"

    strategy_id: Name
    strategy_version: int = Field(ge=1)
    account_id: Name
    instrument_id: InstrumentId
    action: Action
    strength: Share
    reference_price: Price
    """The price the strategy saw."""
    stop_pct: NonNegative | None = None
    """Distance of the stop from the entry, in percent; None leaves it to the posture."""
    target_pct: NonNegative | None = None
    trailing_pct: NonNegative | None = None
    """How far the price may fall back from its best since the entry, in percent; None trails nothing."""
    holding_s_max: int | None = Field(default=None, ge=1)
    """After which the position is closed whatever the price; None for no such time."""
    trigger: Trigger = Trigger.MARKET
    news_sources: tuple[Name, ...] = Field(default=(), max_length=20)
    """Whose news it is; independent sources have different names."""
    is_market_confirmed: bool = False
    """The market has moved with the news."""
    reason: Text
    snapshot_id: UUID
    """Names the stored features the strategy decided on."""
    market_time: Utc
    """The end of the bar, or the time of the tick, that made the signal; in a replay, the recording's time."""
    tick_received_at: Utc
    """Wall time at which the collector had the tick behind the signal."""
    valid_until: Utc


class JudgementRequested(Message):
    """The same wish, of a strategy or event that asks for judgement first."""

    TOPIC = "strategy_engine.judgement_requested.v1"

    signal: Signal
    policy: Name = "single"
    snapshot: dict[str, str] = Field(max_length=100)
    """What the strategy saw, by name: the only figures a model may cite."""
    deadline_at: Utc


class Answer(BaseModel):
    """What one role or voter said."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Name
    source: Name
    """The model's name, or `local` for the built-in policy."""
    verdict: Verdict
    confidence: Share
    reasons: tuple[Text, ...] = Field(max_length=20)


class Decision(Message):
    """Judgement on one signal: a verdict and never a quantity."""

    TOPIC = "llm_controller.decision.v1"

    request_id: UUID
    signal_id: UUID
    """Of the signal, or of the exit, that was asked about."""
    strategy_id: Name
    instrument_id: InstrumentId
    policy: Name
    """`local` when no model is configured."""
    verdict: Verdict
    size_factor: Share = Decimal(1)
    """With `adjust`: the part of the usual size to trade. It can lower a size and never raise it."""
    answers: tuple[Answer, ...] = Field(max_length=10)
    confidence: Share
    reasons: tuple[Text, ...] = Field(max_length=20)
    cost_usd: NonNegative = Decimal(0)
    latency_ms: Number = Decimal(0)
    tape_id: UUID | None = None
    """The stored call; None when no model was asked."""


class ExitJudgementRequested(Message):
    """A protective exit of an account whose policy is `vote`. No answer by the deadline means go.

    The answer is a `Decision` whose `signal_id` is `exit_id` and whose `request_id` is this message.
    """

    TOPIC = "risk_gate.exit_judgement_requested.v1"

    exit_id: UUID
    account_id: Name
    strategy_id: Name
    instrument_id: InstrumentId
    kind: ExitKind
    quantity: Number
    entry_price: Price
    trigger_price: Price
    last_price: Price
    deadline_at: Utc
