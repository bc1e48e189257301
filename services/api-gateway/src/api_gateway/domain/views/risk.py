"""Stages, limits, and what else the risk gate keeps."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api_gateway.domain.views.base import Json, View
from sigmax.schemas.types import DenialCode, ExitKind, Posture, Scope, Stage


class StageView(View):
    """How much trading is allowed in one scope."""

    scope: Scope
    scope_id: str
    stage: Stage
    version: int
    reason: str
    changed_by: str
    """Who asked for it and, where two were needed, who approved it; `risk-gate` where the platform did it by itself."""
    changed_at: datetime


class StageChangeView(View):
    """One change of a stage."""

    scope: Scope
    scope_id: str
    version: int
    from_stage: Stage
    to_stage: Stage
    reason: str
    changed_by: str
    changed_at: datetime


class LimitsView(View):
    """One version of an account's limits."""

    account_id: str
    version: int
    values: dict[str, Json]
    changed_by: str
    created_at: datetime


class PostureView(View):
    """How boldly an account trades."""

    account_id: str
    posture: Posture
    is_manual: bool
    """A person holds it; else the market's weather is asked again at `evaluate_at`."""
    cause: str
    """`evaluated`, `by_hand`, `released` (a person gave it back), or `forced` (by stops in a row)."""
    reason: str
    changed_by: str
    changed_at: datetime
    evaluate_at: datetime | None


class LadderEventView(View):
    """One step of the failure ladder: what fails, and what was done about it."""

    event_id: int
    fault: str
    scope: Scope
    scope_id: str
    step: int
    """0: it is over."""
    text: str
    snapshot: Json | None
    """Of the books, at a grave step."""
    at: datetime


class TransferView(View):
    """Money that came or went beside the platform, as two people had it booked."""

    transaction_id: UUID
    account_id: str
    asset: str
    amount: Decimal
    """Below zero: it went."""
    reason: str
    created_at: datetime


class RestingStopView(View):
    """An order that waits at the venue for a protection's stop price."""

    client_order_id: str
    trigger_price: Decimal | None
    created_at: datetime
    cancel_asked_at: datetime | None
    """Before the bot sells by itself, it has the resting order taken off."""


class ProtectionView(View):
    """What guards one position of one strategy, with no strategy and no model alive."""

    protection_id: UUID
    account_id: str
    strategy_id: str
    instrument_id: str
    quantity: Decimal
    entry_price: Decimal
    stop_price: Decimal
    target_price: Decimal
    best_price: Decimal
    """The highest since the entry."""
    trailing_pct: Decimal | None
    trailing_price: Decimal | None
    """Where the trailing stop stands: it rises with the best price and never falls."""
    closes_at: datetime | None
    """The time stop."""
    state: str
    """`open`, `asking` (judgement), `exiting`, or `closed`."""
    exit_kind: ExitKind | None
    exit_price: Decimal | None
    """What was traded when the level was reached."""
    attempts: int
    refusal: str
    """Why the last attempt was denied; empty where it was not."""
    opened_at: datetime
    naked_since: datetime | None
    """Since when neither a resting stop nor an exit order is known to be at the venue."""
    resting: list[RestingStopView]
    updated_at: datetime


class FlatteningView(View):
    """One order to hold nothing, and how it ended."""

    flattening_id: UUID
    scope: Scope
    scope_id: str
    requested_by: str
    reason: str
    everything: bool
    """Also what no strategy of ours bought."""
    started_at: datetime
    ended_at: datetime | None
    is_flat: bool | None
    """Null while it goes on."""
    remaining: list[dict[str, Json]]
    """What is left, and why."""


class LatchView(View):
    """Something that a control locked until a person, or a time, takes it off."""

    latch_id: int
    account_id: str
    scope: Scope
    scope_id: str
    code: DenialCode
    """The denial it makes."""
    reason: str
    latched_at: datetime
    expires_at: datetime | None
    """Null: only two people take it off."""
    released_at: datetime | None
    released_by: str | None


class VenueHealthView(View):
    """Whether an account's venue answers, as order-worker told last."""

    account_id: str
    venue: str
    is_answering: bool
    failing_since: datetime | None
    clock_gap_ms: Decimal
    """The venue's clock less ours."""
    orders_unknown: int
    as_of: datetime
    """Silence is no good news: what is old is not known any more."""


class EquityMarkView(View):
    """What an account was worth in one minute, from fresh prices alone."""

    account_id: str
    minute: datetime
    equity: Decimal
    peak: Decimal
    """The highest until then, since losses were released."""
