"""Strategies, signals, decisions, verdicts, and the chain that explains one fill."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api_gateway.domain.views.base import Json, View
from api_gateway.domain.views.risk import FlatteningView, LimitsView, PostureView, ProtectionView, StageChangeView
from api_gateway.domain.views.trading import FillView, LedgerEntryView, OrderView, PositionView
from sigmax.schemas.types import Action, DenialCode, ExitKind, Verdict


class StrategyView(View):
    """A strategy as it runs."""

    strategy_id: str
    kind: str
    version: int
    status: str
    """`active`, `stopped`, or `paused` (by the engine, after a fault)."""
    account_id: str
    timeframe_s: int
    instruments: list[str]
    params: dict[str, Json]
    asks_judgement: bool
    paused_reason: str | None
    updated_at: datetime


class SignalView(View):
    """A strategy's wish to trade."""

    signal_id: UUID
    correlation_id: UUID
    strategy_id: str
    strategy_version: int
    account_id: str
    instrument_id: str
    action: Action
    strength: Decimal
    reference_price: Decimal
    stop_pct: Decimal | None
    target_pct: Decimal | None
    reason: str
    features: Json
    """What the strategy saw, by name."""
    asks_judgement: bool
    market_time: datetime
    tick_received_at: datetime
    valid_until: datetime
    created_at: datetime


class DecisionView(View):
    """Judgement on one signal."""

    decision_id: UUID
    request_id: UUID
    signal_id: UUID
    correlation_id: UUID
    strategy_id: str
    instrument_id: str
    policy: str
    """`local` when no model was asked."""
    verdict: Verdict
    size_factor: Decimal
    confidence: Decimal
    reasons: list[str]
    answers: Json
    cost_usd: Decimal
    latency_ms: Decimal
    tape_id: UUID | None
    created_at: datetime


class CallView(View):
    """One stored call to a model: text of others, to be shown as text only."""

    tape_id: UUID
    endpoint: str
    model: str
    prompt: Json
    parameters: Json
    reply: str | None
    error: str | None
    latency_ms: Decimal | None
    cost_usd: Decimal | None
    created_at: datetime


class VerdictView(View):
    """The risk gate's word on one signal, with every number it saw."""

    verdict_id: UUID
    signal_id: UUID
    correlation_id: UUID
    account_id: str
    strategy_id: str
    instrument_id: str
    action: Action
    outcome: str
    """`approved` or `denied`."""
    code: DenialCode | None
    """Why not; null when approved."""
    client_order_id: str | None
    text: str
    checks: Json
    approved: Json | None
    """The approval as it was sent, without its signature."""
    created_at: datetime


class ExitView(View):
    """Why a position was sold without a strategy asking for it."""

    kind: ExitKind
    is_resting: bool
    """The order had been waiting at the venue; else the bot sold when a tick reached the level."""
    level: Decimal | None
    """The price that had to be reached; null where it was no price: a time stop, a flattening."""
    reached_price: Decimal | None
    """What was traded when it was; of a resting stop only the venue knows."""
    ordered_at: datetime
    attempts: int
    text: str
    """One sentence for a person."""


class WhyView(View):
    """The whole chain behind one fill; a link that is not there is null or empty."""

    execution_id: str
    correlation_id: UUID | None
    market_time: datetime | None
    """When the market moved; in a replay, the recording's time."""
    tick_received_at: datetime | None
    """When the collector had the tick, wall time."""
    tick_to_send_ms: Decimal | None
    tick_to_fill_ms: Decimal | None
    signal: SignalView | None
    decision: DecisionView | None
    calls: list[CallView]
    verdict: VerdictView | None
    order: OrderView | None
    fill: FillView
    ledger: list[LedgerEntryView]
    position_after: Decimal
    """Base units held right after this fill: the sum over fills, less fees paid in the base asset."""
    position_now: PositionView | None
    exit: ExitView | None
    """Only where a protection or a flattening sold."""
    protection: ProtectionView | None
    """What guards, or guarded, the position that this fill made or closed."""
    flattening: FlatteningView | None
    """Whose wish to hold nothing it was."""
    limits: LimitsView | None
    """Those in force when it was decided; `changed_by` names both people who set them."""
    stages: list[StageChangeView]
    """The last change of each stage that concerned it, before it was decided, with both people where it took two."""
    posture: PostureView | None
    """The one in force when it was decided; null where it was that of the limits."""
