"""Whether a command has had its effect, judged from what its owner's tables show."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from api_gateway.domain.commands import Wish
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import OrderStatus, Posture, Stage


@dataclass(frozen=True)
class Observed:
    """What other services' tables show about a command and its subject; None where there is no such row."""

    strategy_status: str | None = None
    strategy_params: Mapping[str, object] | None = None
    stage: Stage | None = None
    order_status: OrderStatus | None = None
    posture: Posture | None = None
    is_posture_by_hand: bool | None = None
    limits: Mapping[str, object] | None = None
    is_flattening_over: bool | None = None
    is_released: bool | None = None
    is_transfer_booked: bool | None = None


def is_done(wish: Wish, observed: Observed) -> bool:
    """Say whether a command's effect is seen."""
    return _EFFECTS[wish.command](wish, observed)


def _are_params_set(wish: Wish, observed: Observed) -> bool:
    params = observed.strategy_params or {}
    return all(name in params and _same(params[name], value) for name, value in wish.values.items())


def _is_halted(_wish: Wish, observed: Observed) -> bool:
    return observed.stage is not None and observed.stage.severity >= Stage.HALTED.severity


def _is_stage_reached(wish: Wish, observed: Observed) -> bool:
    """Say whether a stage is where it was wanted, or beyond it."""
    if observed.stage is None:
        return False
    wanted = Stage(wish.values["stage"])
    if wanted.severity >= Stage(wish.values["from"]).severity:
        return observed.stage.severity >= wanted.severity
    return observed.stage.severity <= wanted.severity


def _is_over(_wish: Wish, observed: Observed) -> bool:
    return observed.order_status is not None and observed.order_status.is_terminal


def _is_identified(wish: Wish, observed: Observed) -> bool:
    """Say whether an unknown order has become what people said: the venue order they named, or none at all."""
    if wish.values.get("venue_order_id"):
        return observed.order_status not in {None, OrderStatus.PENDING_NEW, OrderStatus.UNPLACED}
    return observed.order_status is OrderStatus.UNPLACED


def _is_posture_set(wish: Wish, observed: Observed) -> bool:
    wanted = wish.values.get("posture")
    if wanted is None:
        return observed.is_posture_by_hand is False
    return observed.is_posture_by_hand is True and observed.posture == wanted


def _are_limits_in_force(wish: Wish, observed: Observed) -> bool:
    seen = observed.limits or {}
    return all(name in seen and _is_equal(seen[name], json.loads(value)) for name, value in wish.values.items())


_EFFECTS: dict[CommandName, Callable[[Wish, Observed], bool]] = {
    CommandName.ACTIVATE_STRATEGY: lambda _, observed: observed.strategy_status == "active",
    CommandName.STOP_STRATEGY: lambda _, observed: observed.strategy_status == "stopped",
    CommandName.SET_PARAMS: _are_params_set,
    CommandName.HALT: _is_halted,
    CommandName.RESUME: _is_stage_reached,
    CommandName.SET_STAGE: _is_stage_reached,
    CommandName.CANCEL_ORDER: _is_over,
    CommandName.SET_POSTURE: _is_posture_set,
    CommandName.SET_LIMITS: _are_limits_in_force,
    CommandName.FLATTEN: lambda _, observed: observed.is_flattening_over is True,
    CommandName.RELEASE: lambda _, observed: observed.is_released is True,
    CommandName.BOOK_TRANSFER: lambda _, observed: observed.is_transfer_booked is True,
    CommandName.IDENTIFY_ORDER: _is_identified,
}


def _is_equal(seen: Any, wanted: Any) -> bool:
    """Compare two JSON values; a number is the same as text or as a number."""
    if isinstance(wanted, dict) and isinstance(seen, dict):
        return wanted.keys() == seen.keys() and all(_is_equal(seen[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list) and isinstance(seen, list):
        return len(wanted) == len(seen) and all(map(_is_equal, seen, wanted))
    if any(value is None or isinstance(value, dict | list) for value in (wanted, seen)):
        return bool(seen == wanted)
    return _same(seen, str(wanted))


def _same(seen: object, wished: str) -> bool:
    if wished == "":
        return True  # back to a default, which only its owner knows
    if isinstance(seen, bool):
        return str(seen).lower() == wished.lower()
    try:
        return Decimal(str(seen)) == Decimal(wished)
    except InvalidOperation:
        return str(seen) == wished
