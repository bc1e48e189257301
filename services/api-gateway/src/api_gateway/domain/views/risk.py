"""Stages, limits, and what else the risk gate keeps."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api_gateway.domain.views.base import Json, View
from sigmax.schemas.types import Scope, Stage


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


class TransferView(View):
    """Money that came or went beside the platform, as two people had it booked."""

    transaction_id: UUID
    account_id: str
    asset: str
    amount: Decimal
    """Below zero: it went."""
    reason: str
    created_at: datetime
