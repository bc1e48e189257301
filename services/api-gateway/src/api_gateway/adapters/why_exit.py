"""The part of a fill's chain that a risk gate of its own mind, or a person, had in it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.guard_books import FLATTENINGS, PROTECTIONS, flattening_view, protection_views
from api_gateway.adapters.risk_books import POSTURES, limits_view
from api_gateway.adapters.sql import Row, rows
from api_gateway.domain.exits import level_of, sentence
from api_gateway.domain.views.judgement import ExitView
from api_gateway.domain.views.risk import (
    FlatteningView,
    LimitsView,
    PostureView,
    ProtectionView,
    StageChangeView,
)
from sigmax.schemas.types import ExitKind

_EXIT_ORDER = (
    "SELECT protection_id, kind, is_resting, trigger_price, created_at FROM risk_gate.exit_orders"
    " WHERE client_order_id = :client_order_id"
)
_PROTECTION = f"SELECT {PROTECTIONS.columns} FROM {PROTECTIONS.source}"  # noqa: S608 - constants of this package
_PROTECTION_BY_ID = f"{_PROTECTION} WHERE protection_id = :protection_id"
_PROTECTION_OF = (
    f"{_PROTECTION} WHERE account_id = :account_id AND strategy_id = :strategy_id AND instrument_id = :instrument_id"
    " AND opened_at <= :at ORDER BY opened_at DESC LIMIT 1"
)
_FLATTENING = (
    f"SELECT {FLATTENINGS.columns} FROM {FLATTENINGS.source}"  # noqa: S608
    " WHERE started_at <= :at AND coalesce(ended_at >= :at, true) AND (scope = 'global'"
    " OR (scope, scope_id) IN (('account', :account_id), ('strategy', :strategy_id), ('instrument', :instrument_id),"
    " ('venue', :venue))) ORDER BY started_at DESC LIMIT 1"
)
_LIMITS = (
    'SELECT account_id, version, "values", changed_by, created_at FROM risk_gate.limits'
    " WHERE account_id = :account_id AND created_at <= :at ORDER BY version DESC LIMIT 1"
)
_POSTURE = (
    f"SELECT {POSTURES} FROM risk_gate.postures WHERE account_id = :account_id AND changed_at <= :at"  # noqa: S608
    " ORDER BY posture_id DESC LIMIT 1"
)
_STAGES = (
    "SELECT DISTINCT ON (scope, scope_id) scope, scope_id, version, from_stage, to_stage, reason, changed_by,"
    " changed_at FROM risk_gate.stage_changes WHERE changed_at <= :at AND (scope = 'global'"
    " OR (scope, scope_id) IN (('account', :account_id), ('strategy', :strategy_id), ('instrument', :instrument_id),"
    " ('venue', :venue))) ORDER BY scope, scope_id, version DESC"
)


async def exit_of(
    session: AsyncSession, fill: Row
) -> tuple[ExitView | None, ProtectionView | None, FlatteningView | None]:
    """Give why a fill's order was made where a protection made it, what guards its position, and whose wish it was."""
    found = await rows(session, _EXIT_ORDER, {"client_order_id": fill["client_order_id"]})
    if not found:
        return None, await _protection(session, _PROTECTION_OF, {**_here(fill), "at": fill["recorded_at"]}), None
    order = found[0]
    protection = await _protection(session, _PROTECTION_BY_ID, {"protection_id": order["protection_id"]})
    flattening = None
    if order["kind"] == ExitKind.FLATTEN:
        began = await rows(session, _FLATTENING, {**_here(fill), "venue": fill["venue"], "at": order["created_at"]})
        flattening = flattening_view(began[0]) if began else None
    return _exit_view(order, protection) if protection else None, protection, flattening


async def allowed_by(
    session: AsyncSession, fill: Row, at: datetime
) -> tuple[LimitsView | None, PostureView | None, list[StageChangeView]]:
    """Give limits, posture, and stages as people and the platform had set them when the order was decided on."""
    here = {**_here(fill), "venue": fill["venue"], "at": at}
    limits = await rows(session, _LIMITS, _only(here, "account_id", "at"))
    posture = await rows(session, _POSTURE, _only(here, "account_id", "at"))
    return (
        limits_view(limits[0]) if limits else None,
        PostureView(**posture[0]) if posture else None,
        [StageChangeView(**row) for row in await rows(session, _STAGES, here)],
    )


def _here(fill: Row) -> dict[str, Any]:
    return _only(fill, "account_id", "strategy_id", "instrument_id")


def _only(values: Row, *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names}


async def _protection(session: AsyncSession, query: str, values: dict[str, Any]) -> ProtectionView | None:
    found = await protection_views(session, await rows(session, query, values))
    return found[0] if found else None


def _exit_view(order: Row, protection: ProtectionView) -> ExitView:
    kind, trigger = ExitKind(order["kind"]), order["trigger_price"]
    level = level_of(kind, protection.stop_price, protection.target_price, protection.trailing_price, trigger)
    reached: Decimal | None = None if order["is_resting"] else protection.exit_price
    return ExitView(
        kind=kind,
        is_resting=order["is_resting"],
        level=level,
        reached_price=reached,
        ordered_at=order["created_at"],
        attempts=protection.attempts,
        text=sentence(kind, level, reached, trigger=order["is_resting"]),
    )
