"""The SQL of stages, postures, and the watch."""

from sqlalchemy import text

from risk_gate.adapters.situation_statements import MARKS, OUTCOMES, UNPROVEN, VENUE

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

_WATCHED_ID = "w.account_id"
# Counted figures alone, for a reported one that lags behind a fill would look like a loss.
WATCHED = text(
    f"""
    SELECT w.account_id, w.venue, w.mode, w.currency, w.reconciled_at, w.reconciliation_passed,
      w.worker_venue, w.worker_mode,
      (SELECT jsonb_build_object('version', version, 'values', "values")::text FROM limits AS l
        WHERE l.account_id = w.account_id ORDER BY version DESC LIMIT 1) AS limits,
      (SELECT fill_amount::text FROM book_cash AS c
        WHERE c.account_id = w.account_id AND c.currency = w.currency) AS cash,
      (SELECT jsonb_agg(jsonb_build_array(instrument_id, fill_quantity::text, reported_quantity::text))::text
        FROM book_positions AS p
        WHERE p.account_id = w.account_id AND (fill_quantity <> 0 OR reported_quantity <> 0)) AS holdings,
      (SELECT jsonb_agg(DISTINCT instrument_id)::text FROM book_orders AS o
        WHERE o.account_id = w.account_id AND leaves_quantity > 0 AND final_quantity IS NULL) AS working,
      (SELECT jsonb_agg(jsonb_build_array(instrument_id, price::text, recorded_at))::text
        FROM (SELECT DISTINCT ON (instrument_id) instrument_id, price, recorded_at FROM fills AS f
              WHERE f.account_id = w.account_id AND recorded_at > :fills_since
              ORDER BY instrument_id, recorded_at DESC) AS newest) AS fills,
      {MARKS.format(account_id=_WATCHED_ID)} AS marks,
      {OUTCOMES.format(account_id=_WATCHED_ID)} AS outcomes,
      {UNPROVEN.format(account_id=_WATCHED_ID)} AS unproven,
      {VENUE.format(account_id=_WATCHED_ID)} AS health
    FROM accounts AS w ORDER BY w.account_id
    """  # noqa: S608  -- constants of ours
)

LADDER_STEPS = text("SELECT fault, scope, scope_id, step FROM ladder_steps WHERE step > 0")
_SNAPSHOT = """
    jsonb_build_object(
      'positions', (SELECT jsonb_agg(to_jsonb(p)) FROM book_positions AS p
        WHERE fill_quantity <> 0 OR reported_quantity <> 0),
      'strategies', (SELECT jsonb_agg(to_jsonb(p)) FROM strategy_positions AS p WHERE quantity <> 0),
      'cash', (SELECT jsonb_agg(to_jsonb(c)) FROM book_cash AS c),
      'orders', (SELECT jsonb_agg(to_jsonb(o)) FROM book_orders AS o WHERE leaves_quantity > 0),
      'stages', (SELECT jsonb_agg(to_jsonb(s)) FROM stages AS s),
      'venues', (SELECT jsonb_agg(to_jsonb(v)) FROM venue_health AS v)
    )
"""
RECORD_RUNG = text(
    "WITH standing AS (INSERT INTO ladder_steps (fault, scope, scope_id, step)"  # noqa: S608
    " VALUES (:fault, :scope, :scope_id, :step)"
    " ON CONFLICT (fault, scope, scope_id) DO UPDATE SET step = excluded.step)"
    " INSERT INTO ladder_events (fault, scope, scope_id, step, text, snapshot, at)"
    f" SELECT :fault, :scope, :scope_id, :step, :text, CASE WHEN :is_grave THEN {_SNAPSHOT} END, :at"
)

POSTURES = text(
    """
    SELECT a.account_id, newest.posture, newest.cause, newest.reason, newest.changed_by, newest.changed_at,
      newest.evaluate_at,
      (SELECT "values" ->> 'posture' FROM limits AS l WHERE l.account_id = a.account_id
        ORDER BY version DESC LIMIT 1) AS of_limits
    FROM accounts AS a LEFT JOIN LATERAL
      (SELECT * FROM postures AS p WHERE p.account_id = a.account_id ORDER BY posture_id DESC LIMIT 1) AS newest
      ON true
    ORDER BY a.account_id
    """
)
ADD_POSTURE = text(
    "INSERT INTO postures (account_id, posture, is_manual, cause, reason, changed_by, changed_at, evaluate_at)"
    " VALUES (:account_id, :posture, :is_manual, :cause, :reason, :changed_by, :changed_at, :evaluate_at)"
)
STOPS_IN_A_ROW = text(
    """
    SELECT count(*) FROM stop_outs AS s
    WHERE s.account_id = :account_id AND (s.kind = 'stop_loss' OR s.kind = 'trailing_stop' AND s.pnl < 0)
      AND s.at > coalesce((SELECT max(changed_at) FROM postures AS p
        WHERE p.account_id = :account_id AND p.cause <> 'evaluated'), '-infinity')
      AND s.at > coalesce((SELECT max(at) FROM stop_outs AS w
        WHERE w.account_id = :account_id AND w.pnl > 0), '-infinity')
    """
)

ADD_LIMITS = text(
    'INSERT INTO limits (account_id, version, "values", changed_by, created_at)'
    " VALUES (:account_id, :version, CAST(:values AS jsonb), :changed_by, :now)"
)
