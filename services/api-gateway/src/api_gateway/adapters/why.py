"""The whole chain behind one fill, joined from the tables of everyone who had a part in it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.judgement_books import (
    DECISIONS,
    SIGNALS,
    VERDICTS,
    calls_of,
    decision_view,
    signal_view,
    verdict_view,
)
from api_gateway.adapters.sql import Listing, Row, rows
from api_gateway.adapters.trading_books import FILLS, LEDGER, fill_view, ledger_view, order_of, position_view
from api_gateway.adapters.why_exit import allowed_by, exit_of
from api_gateway.domain.views.judgement import VerdictView, WhyView
from sigmax.runtime.database import Database
from sigmax.schemas.market import base_of

_FILL = (
    f"SELECT {FILLS.columns}, fill_id FROM {FILLS.source} WHERE execution_id = :execution_id"  # noqa: S608
    " AND (CAST(:account_id AS text) IS NULL OR account_id = :account_id) ORDER BY fill_id LIMIT 1"
)
_LEDGER = (
    f"SELECT {LEDGER.columns} FROM {LEDGER.source} WHERE account_id = :account_id AND execution_id = :execution_id"  # noqa: S608
    " ORDER BY entry_id"
)
_HELD_AFTER = (
    "SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END"
    " - CASE WHEN fee_currency = :base THEN fee ELSE 0 END), 0) AS held FROM order_worker.fills"
    " WHERE account_id = :account_id AND instrument_id = :instrument_id AND fill_id <= :fill_id"
)
_POSITION = (
    "SELECT account_id, instrument_id, quantity, average_price, realized_pnl, updated_at FROM order_worker.positions"
    " WHERE account_id = :account_id AND instrument_id = :instrument_id"
)


class WhyBooks:
    """Explains fills."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def why(self, execution_id: str, account_id: str | None) -> WhyView | None:
        """Give the whole chain behind one fill."""
        async with self._database.reading() as session:
            found = await rows(session, _FILL, {"execution_id": execution_id, "account_id": account_id})
            return await _chain(session, found[0]) if found else None


async def _chain(session: AsyncSession, row: Row) -> WhyView:
    signal_id, account_id = row["signal_id"], row["account_id"]
    here = {"account_id": account_id, "instrument_id": row["instrument_id"]}
    fill = fill_view({name: value for name, value in row.items() if name != "fill_id"})
    order = await order_of(session, row["client_order_id"]) if row["client_order_id"] else None
    signal_row = await _by_signal(session, SIGNALS, signal_id)
    decision_row = await _by_signal(session, DECISIONS, signal_id)
    verdict_row = await _by_signal(session, VERDICTS, signal_id)
    ledger = await rows(session, _LEDGER, {"account_id": account_id, "execution_id": row["execution_id"]})
    held = await rows(session, _HELD_AFTER, {**here, "base": base_of(row["instrument_id"]), "fill_id": row["fill_id"]})
    position = await rows(session, _POSITION, here)
    signal = signal_view(signal_row) if signal_row else None
    verdict = verdict_view(verdict_row) if verdict_row else None
    ticked_at = signal.tick_received_at if signal else order.tick_received_at if order else None
    exit_, protection, flattening = await exit_of(session, row)
    decided_at = verdict.created_at if verdict else row["recorded_at"]
    limits, posture, stages = await allowed_by(session, row, decided_at)
    return WhyView(
        execution_id=row["execution_id"],
        correlation_id=order.correlation_id if order else signal.correlation_id if signal else None,
        market_time=signal.market_time if signal else _market_time(verdict),
        tick_received_at=ticked_at,
        tick_to_send_ms=_ms(ticked_at, order.sent_at if order else None),
        tick_to_fill_ms=_ms(ticked_at, fill.recorded_at),
        signal=signal,
        decision=decision_view(decision_row) if decision_row else None,
        calls=await calls_of(session, decision_row["request_id"]) if decision_row else [],
        verdict=verdict,
        order=order,
        fill=fill,
        ledger=[ledger_view(entry) for entry in ledger],
        position_after=held[0]["held"],
        position_now=position_view(position[0], None) if position else None,
        exit=exit_,
        protection=protection,
        flattening=flattening,
        limits=limits,
        stages=stages,
        posture=posture,
    )


def _market_time(verdict: VerdictView | None) -> datetime | None:
    """Give the time of the tick that a protective exit acted on: no signal of a strategy has it."""
    told = (verdict.approved or {}).get("market_time") if verdict else None
    return datetime.fromisoformat(told) if told else None


async def _by_signal(session: AsyncSession, listing: Listing, signal_id: Any) -> Row | None:
    if signal_id is None:
        return None
    found = await rows(
        session,
        f"SELECT {listing.columns} FROM {listing.source} WHERE signal_id = :id ORDER BY {listing.time} DESC LIMIT 1",  # noqa: S608
        {"id": signal_id},
    )
    return found[0] if found else None


def _ms(start: datetime | None, end: datetime | None) -> Decimal | None:
    if start is None or end is None:
        return None
    return Decimal(str((end - start).total_seconds())) * 1000
