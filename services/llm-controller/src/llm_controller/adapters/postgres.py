"""Decisions, the tape, and the budget in Postgres."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from llm_controller.adapters.metrics import ANALYSIS_S, CALL_S, CALLS, COST_USD, DECISIONS, REFUSED, TOKENS, show_budget
from llm_controller.adapters.tables import budgets, calls, decisions
from llm_controller.domain.budget import Budget, Reservation, Spent, refusal
from llm_controller.domain.calls import Call
from llm_controller.domain.opinion import tape_id_of
from llm_controller.domain.prompt import Prompt
from sigmax.runtime.database import Database
from sigmax.runtime.ledgers import Ledger, opener
from sigmax.schemas.signals import Decision, JudgementRequested

_FAILURES_LOCK = 4_712_001
"""An advisory lock of our own."""


class PostgresRecord(Ledger):
    """One transaction over decisions, calls, and budgets."""

    async def is_decided(self, request: JudgementRequested) -> bool:
        """Look for the decision on the request."""
        found = await self._session.scalar(
            sa.select(decisions.c.decision_id).where(decisions.c.request_id == request.message_id)
        )
        return found is not None

    async def reserve(self, wanted: Reservation, budget: Budget) -> str | None:
        """Charge the reservation to its day under a lock on the day's row."""
        await self._session.execute(
            insert(budgets).values(day=wanted.day, tokens=0, cost_usd=0).on_conflict_do_nothing()
        )
        row = (
            await self._session.execute(
                sa.select(budgets.c.tokens, budgets.c.cost_usd).where(budgets.c.day == wanted.day).with_for_update()
            )
        ).one()
        refused = refusal(Spent(row.tokens, row.cost_usd), wanted, budget)
        if refused is not None:
            REFUSED.inc()
            return refused
        await self._charge(wanted.day, wanted.tokens, wanted.cost_usd)
        return None

    async def settle(self, reserved: Reservation, charged: Reservation) -> None:
        """Correct the day's sum by the difference."""
        await self._charge(reserved.day, charged.tokens - reserved.tokens, charged.cost_usd - reserved.cost_usd)

    async def keep_call(
        self, request: JudgementRequested, prompt: Prompt, call: Call, charged: Reservation, fault: str | None
    ) -> None:
        """Append the call to the tape."""
        await self._session.execute(
            sa.insert(calls).values(
                tape_id=tape_id_of(request),
                request_id=request.message_id,
                endpoint=call.endpoint,
                model=call.model,
                prompt=prompt.messages,
                parameters=dict(call.parameters),
                reply=_storable(call.reply),
                error=_storable(fault),
                latency_ms=call.latency_ms,
                input_tokens=call.usage.input_tokens if call.usage else None,
                output_tokens=call.usage.output_tokens if call.usage else None,
                cost_usd=charged.cost_usd,
            )
        )
        CALLS.labels(call.model, "used" if fault is None else "failed").inc()
        CALL_S.labels(call.model).observe(float(call.latency_ms) / 1000)
        ANALYSIS_S.observe(float(call.latency_ms) / 1000)
        TOKENS.labels(call.model).inc(charged.tokens)
        COST_USD.labels(call.model).inc(float(charged.cost_usd))

    async def failures_in_a_row(self) -> int:
        """Count the calls after the last one without an error, one transaction at a time, so that none is missed."""
        await self._session.execute(sa.select(sa.func.pg_advisory_xact_lock(_FAILURES_LOCK)))
        last_used = sa.select(sa.func.coalesce(sa.func.max(calls.c.call_number), 0)).where(calls.c.error.is_(None))
        counted = sa.select(sa.func.count()).where(calls.c.call_number > last_used.scalar_subquery())
        return await self._session.scalar(counted) or 0

    async def keep_decision(self, decision: Decision) -> None:
        """Insert the decision."""
        await self._session.execute(
            sa.insert(decisions).values(
                decision_id=decision.message_id,
                request_id=decision.request_id,
                signal_id=decision.signal_id,
                correlation_id=decision.correlation_id,
                strategy_id=decision.strategy_id,
                instrument_id=decision.instrument_id,
                policy=decision.policy,
                verdict=decision.verdict.value,
                size_factor=decision.size_factor,
                confidence=decision.confidence,
                reasons=list(decision.reasons),
                answers=[answer.model_dump(mode="json") for answer in decision.answers],
                cost_usd=decision.cost_usd,
                latency_ms=decision.latency_ms,
                tape_id=decision.tape_id,
                created_at=decision.occurred_at,
            )
        )
        DECISIONS.labels(decision.policy, decision.verdict.value).inc()

    async def _charge(self, day: date, tokens: int, cost_usd: Decimal) -> None:
        await self._session.execute(
            sa.update(budgets)
            .where(budgets.c.day == day)
            .values(tokens=budgets.c.tokens + tokens, cost_usd=budgets.c.cost_usd + cost_usd)
        )


def records(database: Database) -> Callable[[], AbstractAsyncContextManager[PostgresRecord]]:
    """Give what opens one transaction after another."""
    return opener(database, PostgresRecord)


async def show_spent(database: Database, budget: Budget | None, day: date) -> None:
    """Show to Prometheus what the day has taken."""
    taken = sa.select(budgets.c.tokens, budgets.c.cost_usd).where(budgets.c.day == day)
    async with database.reading() as session:
        row = (await session.execute(taken)).first()
    show_budget(Spent(row.tokens, row.cost_usd) if row else Spent(0, Decimal(0)), budget)


def _storable(text: str | None) -> str | None:
    """Replace what Postgres cannot hold: NUL, and halves of characters that a reply may bring as JSON escapes."""
    return None if text is None else text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
