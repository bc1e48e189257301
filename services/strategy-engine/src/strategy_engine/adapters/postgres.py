"""The service's tables."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from sigmax.runtime.database import Database
from sigmax.runtime.ledgers import Ledger, opener
from sigmax.schemas.orders import Fill
from strategy_engine.domain.book import Holding
from strategy_engine.domain.signals import Draft
from strategy_engine.domain.spec import Spec, Status
from strategy_engine.ports import OpenLedger

_STRATEGIES = "SELECT * FROM strategies ORDER BY strategy_id"
_SEED = text("""
    INSERT INTO strategies
      (strategy_id, kind, version, status, account_id, timeframe_s, instruments, params, asks_judgement)
    VALUES (:strategy_id, :kind, :version, :status, :account_id, :timeframe_s, CAST(:instruments AS jsonb),
      CAST(:params AS jsonb), :asks_judgement)
    ON CONFLICT DO NOTHING RETURNING strategy_id""")
_VERSION = text("""
    INSERT INTO versions (strategy_id, version, params, changed_by)
    VALUES (:strategy_id, :version, CAST(:params AS jsonb), :changed_by) ON CONFLICT DO NOTHING""")
_SAVE = text("""
    UPDATE strategies SET version = :version, status = :status, params = CAST(:params AS jsonb), updated_at = now(),
      paused_reason = CASE WHEN CAST(:status AS text) = 'paused' THEN paused_reason END
    WHERE strategy_id = :strategy_id""")
_PAUSE = text("""
    UPDATE strategies SET status = 'paused', paused_reason = :reason, updated_at = now()
    WHERE strategy_id = :strategy_id AND version = :version AND status = 'active' RETURNING strategy_id""")

_HOLDING = "strategy_id, instrument_id, quantity, working_signal_id, working_until, sequence"
_HOLDINGS = text(f"""
    SELECT {_HOLDING} FROM holdings
    WHERE updated_at >= coalesce(CAST(:since AS timestamptz), '-infinity')""")  # noqa: S608  (column names only)
# One statement, so that a signal is stored if, and only if, its holding was free for it.
_CLAIM = text(f"""
    WITH claimed AS (
      INSERT INTO holdings AS h (strategy_id, instrument_id, working_signal_id, working_until)
      SELECT s.strategy_id, :instrument_id, CAST(:signal_id AS uuid), CAST(:working_until AS timestamptz)
      FROM strategies s
      WHERE s.strategy_id = :strategy_id AND s.status = 'active'
        AND NOT EXISTS (SELECT FROM signals WHERE signal_id = CAST(:signal_id AS uuid))
      ON CONFLICT (strategy_id, instrument_id) DO UPDATE
        SET working_signal_id = excluded.working_signal_id, working_until = excluded.working_until,
          working_filled = NULL, sequence = h.sequence + 1, updated_at = now()
        WHERE h.quantity = CAST(:seen_quantity AS numeric)
          AND (h.working_signal_id IS NULL OR h.working_until < CAST(:now AS timestamptz))
      RETURNING {_HOLDING}
    ), stored AS (
      INSERT INTO signals (signal_id, correlation_id, strategy_id, strategy_version, account_id, instrument_id, action,
        strength, reference_price, stop_pct, target_pct, reason, snapshot_id, features, market_time, tick_received_at,
        valid_until, asks_judgement, created_at)
      SELECT CAST(:signal_id AS uuid), CAST(:correlation_id AS uuid), strategy_id, CAST(:strategy_version AS integer),
        :account_id, instrument_id, :action, CAST(:strength AS numeric), CAST(:reference_price AS numeric),
        CAST(:stop_pct AS numeric), CAST(:target_pct AS numeric), :reason, CAST(:snapshot_id AS uuid),
        CAST(:features AS jsonb), CAST(:market_time AS timestamptz), CAST(:tick_received_at AS timestamptz),
        CAST(:valid_until AS timestamptz), CAST(:asks_judgement AS boolean), CAST(:now AS timestamptz)
      FROM claimed RETURNING signal_id
    )
    SELECT * FROM claimed""")  # noqa: S608  (column names only)
_FILL = text("""
    INSERT INTO fills (venue, account_id, execution_id, signal_id, strategy_id, instrument_id, side, price, quantity,
      held, executed_at)
    VALUES (:venue, :account_id, :execution_id, :signal_id, :strategy_id, :instrument_id, :side, :price, :quantity,
      :held, :executed_at)
    ON CONFLICT DO NOTHING""")
# The row lock comes first: the sums that follow, in a statement of their own, then see every fill committed before.
_LOCK = text("""
    INSERT INTO holdings (strategy_id, instrument_id) VALUES (:strategy_id, :instrument_id)
    ON CONFLICT (strategy_id, instrument_id) DO UPDATE SET updated_at = now() RETURNING working_signal_id""")
_SETTLE = text(f"""
    WITH sums AS (
      SELECT coalesce(sum(held), 0) AS held,
        coalesce(sum(quantity) FILTER (WHERE signal_id = CAST(:working AS uuid)), 0) AS filled
      FROM fills WHERE strategy_id = :strategy_id AND instrument_id = :instrument_id
    )
    UPDATE holdings SET quantity = sums.held, sequence = sequence + 1, updated_at = now(),
      working_signal_id = CASE WHEN working_filled <= sums.filled THEN NULL ELSE working_signal_id END,
      working_until = CASE WHEN working_filled <= sums.filled THEN NULL ELSE working_until END,
      working_filled = CASE WHEN working_filled <= sums.filled THEN NULL ELSE working_filled END
    FROM sums WHERE strategy_id = :strategy_id AND instrument_id = :instrument_id RETURNING {_HOLDING}""")  # noqa: S608
_OUT = text(f"""
    UPDATE holdings SET working_until = NULL, sequence = sequence + 1, updated_at = now()
    WHERE strategy_id = :strategy_id AND instrument_id = :instrument_id AND working_signal_id = :signal_id
      AND working_filled IS NULL AND working_until IS NOT NULL RETURNING {_HOLDING}""")  # noqa: S608
_ENDED = text("""
    UPDATE holdings SET working_filled = :filled, working_until = :until
    WHERE strategy_id = :strategy_id AND instrument_id = :instrument_id AND working_signal_id = :signal_id""")


class PostgresLedger(Ledger):
    """One transaction on the service's tables."""

    async def strategies(self, *, lock: bool = False) -> list[Spec]:
        """Give all strategies; `lock` keeps others from changing them until the commit."""
        rows = await self._session.execute(text(_STRATEGIES + (" FOR UPDATE" if lock else "")))
        return [_spec(dict(row)) for row in rows.mappings()]

    async def seed(self, specs: Sequence[Spec]) -> None:
        """Store the first strategies, unless there are any."""
        if await self.strategies():
            return
        for spec in specs:
            row = {
                **_spec_row(spec),
                "kind": spec.kind,
                "account_id": spec.account_id,
                "timeframe_s": spec.timeframe_s,
                "instruments": json.dumps(spec.instruments),
                "asks_judgement": spec.asks_judgement,
            }
            if (await self._session.execute(_SEED, row)).first():
                await self._session.execute(_VERSION, {**_spec_row(spec), "changed_by": "seed"})

    async def save(self, spec: Spec, changed_by: str) -> None:
        """Store a strategy's new status or parameters; a new version is also kept among its versions."""
        await self._session.execute(_SAVE, _spec_row(spec))
        await self._session.execute(_VERSION, {**_spec_row(spec), "changed_by": changed_by})

    async def pause(self, spec: Spec, reason: str) -> bool:
        """Pause this version of a strategy; False when it no longer runs anyway."""
        row = {"strategy_id": spec.strategy_id, "version": spec.version, "reason": reason}
        return (await self._session.execute(_PAUSE, row)).first() is not None

    async def holdings(self, changed_since: datetime | None) -> list[Holding]:
        """Give all holdings, or those that changed since a time."""
        rows = await self._session.execute(_HOLDINGS, {"since": changed_since})
        return [Holding(**row) for row in rows.mappings()]

    async def claim(self, draft: Draft, now: datetime, working_until: datetime) -> Holding | None:
        """Store a signal and mark its holding as working, or neither; see the port."""
        signal = draft.signal
        row = {
            **signal.model_dump(exclude={"message_id", "causation_id", "occurred_at", "producer", "schema_version"}),
            "signal_id": signal.message_id,
            "features": json.dumps(draft.features),
            "asks_judgement": draft.request is not None,
            "seen_quantity": draft.seen_quantity,
            "now": now,
            "working_until": working_until,
        }
        return await self._holding(_CLAIM, row)

    async def add_fill(self, fill: Fill, held: Decimal) -> Holding:
        """Enter a fill, once per venue, account, and execution id; give the holding as the sum of its fills."""
        key = {"strategy_id": fill.strategy_id, "instrument_id": fill.instrument_id}
        working = await self._lock(key)
        row = fill.model_dump(
            include={"venue", "account_id", "execution_id", "signal_id", "side", "price", "quantity", "executed_at"}
        )
        await self._session.execute(_FILL, {**key, **row, "held": held})
        return await self._settle(key, working)

    async def order_is_out(self, strategy_id: str, instrument_id: str, signal_id: UUID) -> Holding | None:
        """Wait for this order's end from now on, however long; None when it is not being waited for."""
        row = {"strategy_id": strategy_id, "instrument_id": instrument_id, "signal_id": signal_id}
        return await self._holding(_OUT, row)

    async def order_ended(
        self, strategy_id: str, instrument_id: str, signal_id: UUID, filled: Decimal, until: datetime
    ) -> Holding | None:
        """Stop waiting for this order as soon as all its fills are here, and at `until` in any case."""
        key = {"strategy_id": strategy_id, "instrument_id": instrument_id}
        if await self._lock(key) != signal_id:
            return None
        await self._session.execute(_ENDED, {**key, "signal_id": signal_id, "filled": filled, "until": until})
        return await self._settle(key, signal_id)

    async def _lock(self, key: Mapping[str, str]) -> UUID | None:
        return (await self._session.execute(_LOCK, key)).scalar_one()  # type: ignore[no-any-return]

    async def _settle(self, key: Mapping[str, str], working: UUID | None) -> Holding:
        holding = await self._holding(_SETTLE, {**key, "working": working})
        if holding is None:
            raise LookupError(f"the locked holding {dict(key)} is gone")
        return holding

    async def _holding(self, statement: Any, row: Mapping[str, Any]) -> Holding | None:
        found = (await self._session.execute(statement, row)).mappings().first()
        return Holding(**found) if found else None


def postgres_ledgers(database: Database) -> OpenLedger:
    """Give what opens a transaction on the service's tables."""
    return opener(database, PostgresLedger)


def _spec_row(spec: Spec) -> dict[str, Any]:
    return {
        "strategy_id": spec.strategy_id,
        "version": spec.version,
        "status": spec.status.value,
        "params": json.dumps(spec.params),
    }


def _spec(row: Mapping[str, Any]) -> Spec:
    return Spec(
        strategy_id=row["strategy_id"],
        kind=row["kind"],
        version=row["version"],
        status=Status(row["status"]),
        account_id=row["account_id"],
        timeframe_s=row["timeframe_s"],
        instruments=tuple(row["instruments"]),
        params=row["params"],
        asks_judgement=row["asks_judgement"],
    )
