"""The ledger in Postgres: accounts, limits, stages, the book, proposals, and verdicts."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row

from risk_gate.adapters import statements
from risk_gate.adapters.stage_ledger import StageLedger
from risk_gate.domain.book import FillEffect, cash_needed, final_quantity
from risk_gate.domain.judging import Proposal
from risk_gate.domain.limits import DUPLICATE_WINDOW_MAX_S, RATE_WINDOW_S, RiskLimits
from risk_gate.domain.situation import (
    ZERO,
    Account,
    Book,
    Holding,
    PacedOrder,
    Reserved,
    SimilarOrder,
    Situation,
    StageRow,
)
from risk_gate.domain.sizing import side_of
from sigmax.runtime.database import Database, Unit
from sigmax.runtime.ledgers import opener
from sigmax.schemas.orders import Check, Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Mode, Side

log = structlog.get_logger()

_CHECKS = TypeAdapter(tuple[Check, ...])


class PostgresLedger(StageLedger):
    """One open transaction."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit)
        self._fee_bps = ZERO

    async def lock_account(self, account_id: str) -> Account | None:
        """Give an account, its row locked until the transaction ends."""
        row = (await self._session.execute(statements.ACCOUNT, {"account_id": account_id})).first()
        return None if row is None else _account(row)

    async def situation(self, signal: Signal, account: Account | None, now: datetime) -> Situation | None:
        """Load everything but the market in one statement, after the lock, so that it sees all decisions before."""
        found = await self._session.execute(
            statements.SITUATION,
            {
                "signal_id": signal.message_id,
                "account_id": signal.account_id,
                "strategy_id": signal.strategy_id,
                "instrument_id": signal.instrument_id,
                "side": side_of(signal.action),
                "currency": account.currency if account else "",
                "rate_since": now - timedelta(seconds=RATE_WINDOW_S),
                "duplicate_since": now - timedelta(seconds=DUPLICATE_WINDOW_MAX_S),
            },
        )
        row = found.one()
        if row.is_decided:
            return None
        limits = _limits(signal.account_id, row.limits)
        self._fee_bps = limits.fee_bps if limits else ZERO
        stages = tuple(StageRow(*stage) for stage in _rows(row.stages))
        return Situation(account=account, limits=limits, stages=stages, book=_book(row))

    async def record(self, signal: Signal, verdict: OrderApproved | OrderDenied) -> None:
        """Insert the verdict, and the order it makes; publish it."""
        values: dict[str, Any] = {
            "verdict_id": verdict.message_id,
            "signal_id": signal.message_id,
            "correlation_id": verdict.correlation_id,
            "account_id": verdict.account_id,
            "strategy_id": verdict.strategy_id,
            "instrument_id": verdict.instrument_id,
            "action": verdict.action,
            "checks": _CHECKS.dump_json(verdict.checks).decode(),
            "created_at": verdict.occurred_at,
        }
        if isinstance(verdict, OrderDenied):
            values |= {"outcome": "denied", "code": verdict.code, "text": verdict.text}
            values |= {"client_order_id": None, "approved": None}
            await self._session.execute(statements.DENY, values)
        else:
            price = verdict.limit_price or verdict.reference_price
            values |= {
                "outcome": "approved",
                "code": None,
                "client_order_id": verdict.client_order_id,
                "text": f"{verdict.side} {verdict.quantity} at {price} or better",
                "approved": verdict.model_dump_json(exclude={"checks"}),
                "venue": verdict.venue,
                "side": verdict.side,
                "quantity": verdict.quantity,
                "limit_price": price,
                "unit_cost": cash_needed(verdict.side, Decimal(1), price, self._fee_bps),
            }
            await self._session.execute(statements.APPROVE, values)
        self._unit.publish(verdict)

    async def propose(self, request: JudgementRequested) -> Proposal:
        """Keep a request, and give it with what is there of its decision; the row stays locked."""
        values = {
            "signal_id": request.signal.message_id,
            "request_id": request.message_id,
            "signal": request.signal.model_dump_json(),
            "deadline_at": request.deadline_at,
        }
        return _proposal((await self._session.execute(statements.PROPOSE, values)).one())

    async def judge(self, decision: Decision) -> Proposal:
        """Keep a decision, and give it with what is there of its request; the row stays locked."""
        values = {"signal_id": decision.signal_id, "decision": decision.model_dump_json()}
        return _proposal((await self._session.execute(statements.JUDGE, values)).one())

    async def overdue(self, before: datetime) -> Sequence[Proposal]:
        """Give and lock proposals without a decision in time; those another replica holds are its business."""
        rows = await self._session.execute(statements.OVERDUE, {"before": before})
        return [_proposal(row) for row in rows]

    async def settle(self, signal_id: UUID) -> None:
        """Note that a proposal has its verdict."""
        await self._session.execute(statements.SETTLE, {"signal_id": signal_id})

    async def reconciled_at(self, account_id: str) -> datetime | None:
        """Give when the account was last reconciled, its row locked until the transaction ends."""
        at: datetime | None = await self._session.scalar(statements.RECONCILED_AT, {"account_id": account_id})
        return at

    async def apply_fill(self, fill: Fill, effect: FillEffect, *, moves_book: bool) -> None:
        """Enter a fill and all its effects in one statement; a fill that is there already changes nothing."""
        await self._session.execute(
            statements.FILL,
            {
                "venue": fill.venue,
                "account_id": fill.account_id,
                "execution_id": fill.execution_id,
                "client_order_id": fill.client_order_id,
                "strategy_id": fill.strategy_id,
                "instrument_id": fill.instrument_id,
                "side": fill.side,
                "price": fill.price,
                "quantity": fill.quantity,
                "position_change": effect.position_change,
                "cash_change": effect.cash_change,
                "cash_currency": effect.cash_currency,
                "recorded_at": fill.occurred_at,
                "moves_book": moves_book,
            },
        )

    async def apply_event(self, event: OrderEvent) -> None:
        """Note the order's state, unless a later one is known."""
        await self._session.execute(
            statements.EVENT,
            {
                "client_order_id": event.client_order_id,
                "sequence": event.sequence,
                "status": event.status,
                "submission": event.submission,
                "final_quantity": final_quantity(event),
            },
        )

    async def apply_position(self, position: PositionChanged) -> None:
        """Note order-worker's figures, unless later ones are known."""
        values = {"account_id": position.account_id, "sequence": position.sequence}
        await self._session.execute(
            statements.REPORTED_POSITION,
            {**values, "instrument_id": position.instrument_id, "quantity": position.quantity},
        )
        cash = json.dumps({name: str(balance.settled) for name, balance in position.cash.items()})
        await self._session.execute(statements.REPORTED_CASH, {**values, "cash": cash})

    async def rebase(self, reconciled: Reconciled) -> None:
        """Set positions and cash to the reconciled figures and the fills since; what is not named is none."""
        of_account = {"account_id": reconciled.account_id, "as_of": reconciled.as_of}
        await self._session.execute(statements.RECONCILED, {**of_account, "passed": reconciled.passed})
        values = {**of_account, "sequence": reconciled.sequence}
        positions = json.dumps({name: str(quantity) for name, quantity in reconciled.positions.items()})
        await self._session.execute(statements.REBASE_POSITIONS, {**values, "positions": positions})
        cash = json.dumps({name: str(balance.settled) for name, balance in reconciled.cash.items()})
        await self._session.execute(statements.REBASE_CASH, {**values, "cash": cash})

    async def lock_accounts(self) -> Sequence[tuple[Account, timedelta | None]]:
        """Give all accounts with the reconciliation age their limits allow, the rows locked."""
        rows = (await self._session.execute(statements.ACCOUNTS)).all()
        limits = [(_account(row), _limits(row.account_id, row.limits)) for row in rows]
        return [
            (account, timedelta(seconds=found.reconciliation_age_max_s) if found else None) for account, found in limits
        ]


def ledgers(database: Database) -> Callable[[], AbstractAsyncContextManager[PostgresLedger]]:
    """Give what opens one transaction after another."""
    return opener(database, PostgresLedger)


def read_limits(stored: str | None) -> RiskLimits | None:
    """Read stored limits. Raises `pydantic.ValidationError` where one is missing or none."""
    if stored is None:
        return None
    row = json.loads(stored, parse_float=Decimal)
    values = row["values"] if isinstance(row["values"], dict) else {}
    return RiskLimits.model_validate({**values, "version": row["version"]})


def _limits(account_id: str, stored: str | None) -> RiskLimits | None:
    """Read stored limits; what cannot be read is as good as missing, and a missing limit denies."""
    try:
        return read_limits(stored)
    except ValidationError as error:
        log.error("limits_unreadable", account_id=account_id, error=str(error))
        return None


def _account(row: Row[Any]) -> Account:
    return Account(
        account_id=row.account_id,
        venue=row.venue,
        mode=Mode(row.mode),
        currency=row.currency,
        reconciled_at=row.reconciled_at,
        reconciliation_passed=row.reconciliation_passed,
    )


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        signal_id=row.signal_id,
        request_id=row.request_id,
        signal=None if row.signal is None else Signal.model_validate_json(row.signal),
        decision=None if row.decision is None else Decision.model_validate_json(row.decision),
        is_settled=row.is_settled,
    )


def _rows(stored: str | None) -> list[list[Any]]:
    rows: list[list[Any]] = json.loads(stored) if stored else []
    return rows


def _book(row: Row[Any]) -> Book:
    return Book(
        cash=Decimal(row.cash or 0),
        holdings={
            name: Holding(Decimal(filled), None if reported is None else Decimal(reported))
            for name, filled, reported in _rows(row.holdings)
        },
        own={name: Decimal(quantity) for name, quantity in _rows(row.own)},
        reserved=tuple(
            Reserved(strategy_id, name, Side(side), Decimal(leaves), Decimal(cost))
            for strategy_id, name, side, leaves, cost in _rows(row.reserved)
        ),
        paced=tuple(PacedOrder(strategy_id, datetime.fromisoformat(at)) for strategy_id, at in _rows(row.paced)),
        similar=tuple(
            SimilarOrder(Decimal(quantity), Decimal(price), datetime.fromisoformat(at))
            for quantity, price, at in _rows(row.similar)
        ),
    )
