"""What the tables of those who carry commands out show of their effects."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.risk_books import NEWEST_LIMITS, NEWEST_POSTURES
from api_gateway.adapters.sql import Row, parsed, rows
from api_gateway.domain.commands import Wish
from api_gateway.domain.effects import Observed
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import OrderStatus, Posture, Stage

_STRATEGIES = frozenset({CommandName.ACTIVATE_STRATEGY, CommandName.STOP_STRATEGY, CommandName.SET_PARAMS})
_STAGES = frozenset({CommandName.HALT, CommandName.RESUME, CommandName.SET_STAGE})
_ON_ORDERS = frozenset({CommandName.CANCEL_ORDER, CommandName.IDENTIFY_ORDER})
_ORDERS = "SELECT client_order_id, status FROM order_worker.orders WHERE client_order_id = ANY(CAST(:ids AS text[]))"
_TRANSFERS = (
    "SELECT transaction_id FROM order_worker.ledger_entries"
    " WHERE ledger_account = 'transfer' AND transaction_id = ANY(CAST(:ids AS uuid[]))"
)
_FLATTENINGS = (
    "SELECT flattening_id, ended_at IS NOT NULL AS is_over FROM risk_gate.flattenings"
    " WHERE flattening_id = ANY(CAST(:ids AS uuid[]))"
)
_LATCHED = "SELECT DISTINCT scope, scope_id FROM risk_gate.latches WHERE released_at IS NULL"
_HANDLED = "SELECT message_id FROM risk_gate.inbox WHERE message_id = ANY(CAST(:ids AS uuid[]))"


class World:
    """What the owners' tables show, read once for many commands."""

    def __init__(self) -> None:
        self._strategies: dict[str, Row] = {}
        self._stages: dict[tuple[str, str], str] = {}
        self._orders: dict[str, str] = {}
        self._limits: dict[str, Row] = {}
        self._postures: dict[str, Row] = {}
        self._transfers: set[UUID] = set()
        self._flattenings: dict[UUID, bool] = {}
        self._handled: set[UUID] = set()
        self._latched: set[tuple[str, str]] = set()

    @classmethod
    async def look(cls, session: AsyncSession, watched: Sequence[tuple[UUID, Wish]]) -> "World":
        """Read what these commands may have changed."""
        world = cls()
        names = {wish.command for _, wish in watched}
        if names & _STRATEGIES:
            found = await rows(session, "SELECT strategy_id, status, params FROM strategy_engine.strategies")
            world._strategies = {row["strategy_id"]: row for row in found}
        if names & _STAGES:
            found = await rows(session, "SELECT scope, scope_id, stage FROM risk_gate.stages")
            world._stages = {(row["scope"], row["scope_id"]): row["stage"] for row in found}
        if CommandName.SET_LIMITS in names:
            world._limits = {row["account_id"]: row for row in await rows(session, NEWEST_LIMITS)}
        if CommandName.SET_POSTURE in names:
            world._postures = {row["account_id"]: row for row in await rows(session, NEWEST_POSTURES)}
        if orders := [_order_of(wish) for _, wish in watched if wish.command in _ON_ORDERS]:
            found = await rows(session, _ORDERS, {"ids": orders})
            world._orders = {row["client_order_id"]: row["status"] for row in found}
        if transfers := [command_id for command_id, wish in watched if wish.command is CommandName.BOOK_TRANSFER]:
            world._transfers = {row["transaction_id"] for row in await rows(session, _TRANSFERS, {"ids": transfers})}
        if flattenings := [command_id for command_id, wish in watched if wish.command is CommandName.FLATTEN]:
            found = await rows(session, _FLATTENINGS, {"ids": flattenings})
            world._flattenings = {row["flattening_id"]: row["is_over"] for row in found}
        if releases := [command_id for command_id, wish in watched if wish.command is CommandName.RELEASE]:
            world._handled = {row["message_id"] for row in await rows(session, _HANDLED, {"ids": releases})}
            world._latched = {(row["scope"], row["scope_id"]) for row in await rows(session, _LATCHED)}
        return world

    def of(self, command_id: UUID, wish: Wish) -> Observed:
        """Give what can be seen of one command's effect."""
        strategy = self._strategies.get(wish.subject)
        stage = self._stages.get((wish.scope.value, wish.subject))
        order = self._orders.get(_order_of(wish))
        limits = self._limits.get(wish.subject)
        posture = self._postures.get(wish.subject)
        return Observed(
            strategy_status=strategy["status"] if strategy else None,
            strategy_params=parsed(strategy["params"]) if strategy else None,
            stage=Stage(stage) if stage else None,
            order_status=OrderStatus(order) if order else None,
            posture=Posture(posture["posture"]) if posture else None,
            is_posture_by_hand=posture["is_manual"] if posture else None,
            limits=parsed(limits["values"]) if limits else None,
            is_flattening_over=self._flattenings.get(command_id),
            is_released=command_id in self._handled and (wish.scope.value, wish.subject) not in self._latched,
            is_transfer_booked=command_id in self._transfers,
        )


def _order_of(wish: Wish) -> str:
    """Give the order that a command is about; of most it is about none."""
    return wish.values.get("client_order_id", wish.subject)
