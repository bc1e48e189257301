"""Reads what strategy-engine, llm-controller, and risk-gate wrote on the way to an order."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.judgement import CallView, DecisionView, SignalView, StrategyView, VerdictView
from api_gateway.ports.books import Filters
from sigmax.runtime.database import Database

_STRATEGIES = (
    "SELECT strategy_id, kind, version, status, account_id, timeframe_s, instruments, params, asks_judgement,"
    " paused_reason, updated_at FROM strategy_engine.strategies"
)
SIGNALS = Listing(
    "signal_id, correlation_id, strategy_id, strategy_version, account_id, instrument_id, action, strength,"
    " reference_price, stop_pct, target_pct, reason, features, asks_judgement, market_time, tick_received_at,"
    " valid_until, created_at",
    "strategy_engine.signals",
    "created_at",
    "signal_id",
    "uuid",
)
DECISIONS = Listing(
    "decision_id, request_id, signal_id, correlation_id, strategy_id, instrument_id, policy, verdict, size_factor,"
    " confidence, reasons, answers, cost_usd, latency_ms, tape_id, created_at",
    "llm_controller.decisions",
    "created_at",
    "decision_id",
    "uuid",
)
VERDICTS = Listing(
    "verdict_id, signal_id, correlation_id, account_id, strategy_id, instrument_id, action, outcome, code,"
    " client_order_id, coalesce(text, '') AS text, checks, approved, created_at",
    "risk_gate.verdicts",
    "created_at",
    "verdict_id",
    "uuid",
)
CALLS = (
    "SELECT tape_id, endpoint, model, prompt, parameters, reply, error, latency_ms, cost_usd, created_at"
    " FROM llm_controller.calls"
)


class JudgementBooks:
    """Reads strategies, signals, decisions, and verdicts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def strategies(self) -> list[StrategyView]:
        """Give all strategies by id."""
        async with self._database.reading() as session:
            return [_strategy(row) for row in await rows(session, f"{_STRATEGIES} ORDER BY strategy_id")]

    async def strategy(self, strategy_id: str) -> StrategyView | None:
        """Give one strategy."""
        async with self._database.reading() as session:
            found = await rows(session, f"{_STRATEGIES} WHERE strategy_id = :id", {"id": strategy_id})
        return _strategy(found[0]) if found else None

    async def signals(self, filters: Filters, page: PageRequest) -> Page[SignalView]:
        """Give signals, newest first."""
        conditions = _narrowed(filters)
        conditions.equal(account_id=filters.account_id)
        async with self._database.reading() as session:
            return await page_of(session, SIGNALS, conditions, page, signal_view)

    async def decisions(self, filters: Filters, page: PageRequest) -> Page[DecisionView]:
        """Give decisions, newest first."""
        conditions = _narrowed(filters)
        conditions.equal(verdict=filters.verdict)
        async with self._database.reading() as session:
            return await page_of(session, DECISIONS, conditions, page, decision_view)

    async def verdicts(self, filters: Filters, page: PageRequest) -> Page[VerdictView]:
        """Give the risk gate's verdicts, newest first."""
        conditions = _narrowed(filters)
        conditions.equal(account_id=filters.account_id, outcome=filters.outcome, code=filters.code)
        async with self._database.reading() as session:
            return await page_of(session, VERDICTS, conditions, page, verdict_view)


def signal_view(row: Row) -> SignalView:
    """Give the view of a signal's row."""
    return SignalView(**without(row, "features"), features=parsed(row["features"]))


def decision_view(row: Row) -> DecisionView:
    """Give the view of a decision's row."""
    return DecisionView(
        **without(row, "reasons", "answers"), reasons=parsed(row["reasons"]) or [], answers=parsed(row["answers"])
    )


def verdict_view(row: Row) -> VerdictView:
    """Give the view of a verdict's row."""
    return VerdictView(
        **without(row, "checks", "approved"), checks=parsed(row["checks"]), approved=unsigned(parsed(row["approved"]))
    )


async def calls_of(session: AsyncSession, request_id: Any) -> list[CallView]:
    """Give the model calls made for one request, in order."""
    found = await rows(session, f"{CALLS} WHERE request_id = :id ORDER BY created_at", {"id": request_id})
    return [
        CallView(
            **without(row, "prompt", "parameters"), prompt=parsed(row["prompt"]), parameters=parsed(row["parameters"])
        )
        for row in found
    ]


def unsigned(approved: Any) -> Any:
    """Take the signature off an approval: who may read orders need not be able to show one as risk-gate's."""
    if not isinstance(approved, dict):
        return None
    return {name: value for name, value in approved.items() if name != "signature"}


def _strategy(row: Row) -> StrategyView:
    return StrategyView(
        **without(row, "instruments", "params"), instruments=parsed(row["instruments"]), params=parsed(row["params"])
    )


def _narrowed(filters: Filters) -> Conditions:
    conditions = Conditions()
    conditions.equal(strategy_id=filters.strategy_id, instrument_id=filters.instrument_id)
    conditions.between("created_at", filters.since, filters.until)
    return conditions
