"""The ledger in Postgres: accounts, limits, stages, the book, proposals, and verdicts."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from risk_gate.adapters import statements
from risk_gate.adapters.exit_ledger import ExitLedger
from risk_gate.adapters.fact_ledger import FactLedger
from risk_gate.adapters.rows import (
    ACTIVITY_S,
    STOPS_DAYS,
    account_of,
    book_of,
    day_of,
    facts_of,
    limits_of,
    lists,
    mark_times,
    posture_of,
    proposal_of,
    run_of,
    subject_of,
)
from risk_gate.adapters.situation_statements import SITUATION
from risk_gate.adapters.stage_ledger import StageLedger
from risk_gate.domain.book import FillEffect, cash_needed, final_quantity, working_until
from risk_gate.domain.judging import Proposal
from risk_gate.domain.limits import DUPLICATE_WINDOW_MAX_S, RATE_WINDOW_CAUTION_S, RATIO_WINDOW_S, RiskLimits
from risk_gate.domain.situation import ZERO, Account, Situation, StageRow
from risk_gate.domain.sizing import side_of
from sigmax.runtime.database import Database, Unit
from sigmax.runtime.ledgers import opener
from sigmax.schemas.orders import Check, Fill, OrderApproved, OrderDenied, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Action

log = structlog.get_logger()

_CHECKS = TypeAdapter(tuple[Check, ...])


class PostgresLedger(StageLedger, ExitLedger, FactLedger):
    """One open transaction."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit)
        self._limits: RiskLimits | None = None

    async def lock_account(self, account_id: str) -> Account | None:
        """Give an account, its row locked until the transaction ends."""
        row = (await self._session.execute(statements.ACCOUNT, {"account_id": account_id})).first()
        return None if row is None else account_of(row)

    async def situation(self, signal: Signal, account: Account | None, now: datetime) -> Situation | None:
        """Load everything but the market in one statement, after the lock, so that it sees all decisions before."""
        found = await self._session.execute(
            SITUATION,
            {
                "signal_id": signal.message_id,
                "account_id": signal.account_id,
                "strategy_id": signal.strategy_id,
                "instrument_id": signal.instrument_id,
                "side": side_of(signal.action),
                "currency": account.currency if account else "",
                "rate_since": now - timedelta(seconds=RATE_WINDOW_CAUTION_S),
                "duplicate_since": now - timedelta(seconds=DUPLICATE_WINDOW_MAX_S),
                **_windows(signal, now),
            },
        )
        row = found.one()
        if row.is_decided:
            return None
        limits = limits_of(signal.account_id, row.limits)
        self._limits = limits
        stages = tuple(StageRow(*stage) for stage in lists(row.stages))
        return Situation(
            account=account,
            limits=limits,
            stages=stages,
            book=book_of(row),
            posture=posture_of(row.posture),
            facts=facts_of(row, signal, limits, now),
        )

    async def record(
        self,
        signal: Signal,
        verdict: OrderApproved | OrderDenied,
        *,
        is_models: bool = False,
        is_protective: bool = False,
    ) -> None:
        """Insert the verdict, and the order it makes, and count that; publish it."""
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
            values |= self._order_values(signal, verdict, is_models=is_models, is_protective=is_protective)
            await self._session.execute(statements.APPROVE, values)
        self._unit.publish(verdict)

    def _order_values(
        self, signal: Signal, verdict: OrderApproved, *, is_models: bool, is_protective: bool
    ) -> dict[str, Any]:
        price, subject = verdict.limit_price or verdict.reference_price, subject_of(verdict.strategy_id)
        today = day_of(verdict.occurred_at)
        counted = [("account", today), (subject, today), (subject, run_of(verdict.strategy_version))]
        if is_protective:
            counted = []
        elif is_models:
            counted.append(("judged", today))
        fee_bps = self._limits.fee_bps if self._limits else ZERO
        return {
            "outcome": "approved",
            "code": None,
            "client_order_id": verdict.client_order_id,
            "text": f"{verdict.side} {verdict.quantity} at {price} or better",
            "approved": verdict.model_dump_json(exclude={"checks"}),
            "venue": verdict.venue,
            "strategy_version": verdict.strategy_version,
            "side": verdict.side,
            "quantity": verdict.quantity,
            "limit_price": price,
            "notional": verdict.quantity * max(price, verdict.reference_price),
            "unit_cost": cash_needed(verdict.side, Decimal(1), price, fee_bps),
            "order_type": verdict.order_type,
            "trigger_price": verdict.trigger_price,
            "time_in_force": verdict.time_in_force,
            "reduce_only": verdict.reduce_only,
            "is_protective": is_protective,
            "working_until": working_until(verdict, self._limits),
            "stop_price": verdict.stop_price,
            "target_price": verdict.target_price,
            "trailing_pct": signal.trailing_pct,
            "holding_s_max": signal.holding_s_max,
            "subjects": [subject for subject, _ in counted],
            "periods": [period for _, period in counted],
        }

    async def propose(self, request: JudgementRequested) -> Proposal:
        """Keep a request, and give it with what is there of its decision; the row stays locked."""
        values = {
            "signal_id": request.signal.message_id,
            "request_id": request.message_id,
            "signal": request.signal.model_dump_json(),
            "deadline_at": request.deadline_at,
        }
        return proposal_of((await self._session.execute(statements.PROPOSE, values)).one())

    async def judge(self, decision: Decision) -> Proposal:
        """Keep a decision, and give it with what is there of its request; the row stays locked."""
        values = {"signal_id": decision.signal_id, "decision": decision.model_dump_json()}
        return proposal_of((await self._session.execute(statements.JUDGE, values)).one())

    async def overdue(self, before: datetime) -> Sequence[Proposal]:
        """Give and lock proposals without a decision in time; those another replica holds are its business."""
        rows = await self._session.execute(statements.OVERDUE, {"before": before})
        return [proposal_of(row) for row in rows]

    async def settle(self, signal_id: UUID) -> None:
        """Note that a proposal has its verdict."""
        await self._session.execute(statements.SETTLE, {"signal_id": signal_id})

    async def reconciled_at(self, account_id: str) -> datetime | None:
        """Give when the account was last reconciled, its row locked until the transaction ends."""
        at: datetime | None = await self._session.scalar(statements.RECONCILED_AT, {"account_id": account_id})
        return at

    async def apply_fill(self, fill: Fill, effect: FillEffect, *, moves_book: bool) -> bool:
        """Enter a fill and all its effects in one statement; False where it is there already, and nothing changes."""
        entered: int = await self._session.scalar(
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
        return entered > 0

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
                "occurred_at": event.occurred_at,
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
        told = {"passed": reconciled.passed, "worker_venue": reconciled.venue, "worker_mode": reconciled.mode}
        await self._session.execute(statements.RECONCILED, {**of_account, **told})
        values = {**of_account, "sequence": reconciled.sequence}
        positions = json.dumps({name: str(quantity) for name, quantity in reconciled.positions.items()})
        await self._session.execute(statements.REBASE_POSITIONS, {**values, "positions": positions})
        cash = json.dumps({name: str(balance.settled) for name, balance in reconciled.cash.items()})
        await self._session.execute(statements.REBASE_CASH, {**values, "cash": cash})

    async def lock_accounts(self) -> Sequence[tuple[Account, timedelta | None]]:
        """Give all accounts with the reconciliation age their limits allow, the rows locked."""
        rows = (await self._session.execute(statements.ACCOUNTS)).all()
        limits = [(account_of(row), limits_of(row.account_id, row.limits)) for row in rows]
        return [
            (account, timedelta(seconds=found.reconciliation_age_max_s) if found else None) for account, found in limits
        ]


def ledgers(database: Database) -> Callable[[], AbstractAsyncContextManager[PostgresLedger]]:
    """Give what opens one transaction after another."""
    return opener(database, PostgresLedger)


def _windows(signal: Signal, now: datetime) -> dict[str, Any]:
    """Give how far back each figure reaches. A row of activity counts as long as a part of it is in the window."""
    bucket = timedelta(seconds=ACTIVITY_S)
    return {
        "now": now,
        "today": day_of(now),
        "yesterday": day_of(now - timedelta(days=1)),
        "strategy": subject_of(signal.strategy_id),
        "run": run_of(signal.strategy_version),
        "minute_since": now - timedelta(minutes=1) - bucket,
        "hour_since": now - timedelta(hours=1) - bucket,
        "ratio_since": now - timedelta(seconds=RATIO_WINDOW_S) - bucket,
        **mark_times(now),
        "stops_since": now - timedelta(days=STOPS_DAYS),
        "is_dca": signal.action is Action.DCA,
    }
