"""The SQL of stages, postures, and the watch."""

from sqlalchemy import text

STAGES = text("SELECT scope, scope_id, stage, version, changed_by, reason FROM stages ORDER BY scope, scope_id")
STAGE = text(
    "SELECT scope, scope_id, stage, version, changed_by, reason FROM stages"
    " WHERE scope = :scope AND scope_id = :scope_id FOR UPDATE"
)
SET_STAGE = text(
    """
    WITH before AS (
      SELECT stage FROM stages WHERE scope = :scope AND scope_id = :scope_id
    ), after AS (
      INSERT INTO stages AS s (scope, scope_id, stage, version, reason, changed_by, changed_at)
      VALUES (:scope, :scope_id, :stage, 1, :reason, :changed_by, :changed_at)
      ON CONFLICT (scope, scope_id) DO UPDATE SET stage = excluded.stage, version = s.version + 1,
        reason = excluded.reason, changed_by = excluded.changed_by, changed_at = excluded.changed_at
      RETURNING version
    )
    INSERT INTO stage_changes (scope, scope_id, from_stage, to_stage, version, reason, changed_by, changed_at)
    SELECT :scope, :scope_id, coalesce((SELECT stage FROM before), 'normal'), :stage, version, :reason, :changed_by,
      :changed_at
    FROM after RETURNING version
    """
)

_OPEN = "SELECT client_order_id, account_id FROM book_orders WHERE leaves_quantity > 0 AND final_quantity IS NULL"
OPEN_ORDERS = {
    "global": text(_OPEN),
    "venue": text(f"{_OPEN} AND venue = :scope_id"),
    "account": text(f"{_OPEN} AND account_id = :scope_id"),
    "strategy": text(f"{_OPEN} AND strategy_id = :scope_id"),
    "instrument": text(f"{_OPEN} AND instrument_id = :scope_id"),
}
OPEN_ORDER = text(f"{_OPEN} AND client_order_id = :client_order_id")
