"""The SQL of the ledger. Each statement sees one moment: a fill's three effects are in it together or not at all."""

from sqlalchemy import text

ACCOUNT = text(
    "SELECT account_id, venue, mode, currency, reconciled_at, reconciliation_passed, worker_venue, worker_mode"
    " FROM accounts"
    " WHERE account_id = :account_id FOR UPDATE"
)
ACCOUNTS = text(
    "SELECT account_id, venue, mode, currency, reconciled_at, reconciliation_passed, worker_venue, worker_mode,"
    " (SELECT jsonb_build_object('version', version, 'values', \"values\")::text FROM limits"
    " WHERE limits.account_id = accounts.account_id ORDER BY version DESC LIMIT 1) AS limits"
    " FROM accounts ORDER BY account_id FOR UPDATE"
)
# Who moves the book holds its account first. A fill locks rows of several tables in an order that Postgres chooses:
# with the account shared, fills and reported positions would deadlock.
RECONCILED_AT = text("SELECT reconciled_at FROM accounts WHERE account_id = :account_id FOR UPDATE")

_VERDICT = (
    "INSERT INTO verdicts (verdict_id, signal_id, correlation_id, account_id, strategy_id, instrument_id, action,"
    " outcome, code, client_order_id, text, checks, approved, created_at)"
    " VALUES (:verdict_id, :signal_id, :correlation_id, :account_id, :strategy_id, :instrument_id, :action,"
    " :outcome, :code, :client_order_id, :text, CAST(:checks AS jsonb), CAST(:approved AS jsonb), :created_at)"
)
# An account that is not known cannot be locked: there the unique signal alone decides between two replicas.
DENY = text(f"{_VERDICT} ON CONFLICT (signal_id) DO NOTHING")
APPROVE = text(
    f"""
    WITH verdict AS ({_VERDICT}), counted AS (
      INSERT INTO order_counts AS c (account_id, subject, period, orders, notional, last_at)
      SELECT :account_id, subject, period, 1, :notional, :created_at
      FROM unnest(CAST(:subjects AS text[]), CAST(:periods AS text[])) AS s (subject, period)
      ON CONFLICT (account_id, subject, period) DO UPDATE
      SET orders = c.orders + 1, notional = c.notional + excluded.notional, last_at = excluded.last_at
    ), entered AS (
      INSERT INTO activity AS c (account_id, starts_at, notional)
      SELECT :account_id, date_bin('10 seconds', CAST(:created_at AS timestamptz), '2000-01-01Z'), :notional
      WHERE NOT CAST(:is_protective AS boolean)
      ON CONFLICT (account_id, starts_at) DO UPDATE SET notional = c.notional + excluded.notional
    )
    INSERT INTO book_orders (client_order_id, account_id, venue, instrument_id, strategy_id, strategy_version, action,
      side, quantity, limit_price, unit_cost, order_type, trigger_price, time_in_force, reduce_only, is_protective,
      working_until, stop_price, target_price, trailing_pct, holding_s_max, submission_at, created_at)
    VALUES (:client_order_id, :account_id, :venue, :instrument_id, :strategy_id, :strategy_version, :action,
      :side, :quantity, :limit_price, :unit_cost, :order_type, :trigger_price, :time_in_force, :reduce_only,
      :is_protective, :working_until, :stop_price, :target_price, :trailing_pct, :holding_s_max, :created_at,
      :created_at)
    """  # noqa: S608  -- a constant of this file
)

PROPOSE = text(
    "INSERT INTO proposals AS p (signal_id, request_id, signal, deadline_at)"
    " VALUES (:signal_id, :request_id, :signal, :deadline_at)"
    " ON CONFLICT (signal_id) DO UPDATE SET request_id = coalesce(p.request_id, excluded.request_id),"
    " signal = coalesce(p.signal, excluded.signal), deadline_at = coalesce(p.deadline_at, excluded.deadline_at)"
    " RETURNING signal_id, request_id, signal, decision, is_settled"
)
JUDGE = text(
    "INSERT INTO proposals AS p (signal_id, decision) VALUES (:signal_id, :decision)"
    " ON CONFLICT (signal_id) DO UPDATE SET decision = coalesce(p.decision, excluded.decision)"
    " RETURNING signal_id, request_id, signal, decision, is_settled"
)
OVERDUE = text(
    "SELECT signal_id, request_id, signal, decision, is_settled FROM proposals"
    " WHERE NOT is_settled AND decision IS NULL AND signal IS NOT NULL AND deadline_at < :before"
    " ORDER BY deadline_at LIMIT 100 FOR UPDATE SKIP LOCKED"
)
SETTLE = text("UPDATE proposals SET is_settled = true WHERE signal_id = :signal_id")

FILL = text(
    """
    WITH entered AS (
      INSERT INTO fills (venue, account_id, execution_id, client_order_id, strategy_id, instrument_id, side, price,
        quantity, position_change, cash_change, cash_currency, recorded_at)
      VALUES (:venue, :account_id, :execution_id, :client_order_id, :strategy_id, :instrument_id, :side, :price,
        :quantity, :position_change, :cash_change, :cash_currency, :recorded_at)
      ON CONFLICT DO NOTHING
      RETURNING account_id, client_order_id, strategy_id, instrument_id, quantity, position_change, cash_change,
        cash_currency
    ), released AS (
      UPDATE book_orders AS o SET filled_quantity = o.filled_quantity + entered.quantity, updated_at = now()
      FROM entered WHERE o.client_order_id = entered.client_order_id
    ), owned AS (
      INSERT INTO strategy_positions AS p (account_id, strategy_id, instrument_id, quantity)
      SELECT account_id, strategy_id, instrument_id, position_change FROM entered
      ON CONFLICT (account_id, strategy_id, instrument_id) DO UPDATE SET quantity = p.quantity + excluded.quantity
    ), held AS (
      INSERT INTO book_positions AS p (account_id, instrument_id, fill_quantity)
      SELECT account_id, instrument_id, position_change FROM entered WHERE :moves_book
      ON CONFLICT (account_id, instrument_id) DO UPDATE SET fill_quantity = p.fill_quantity + excluded.fill_quantity
    ), paid AS (
      INSERT INTO book_cash AS c (account_id, currency, fill_amount)
      SELECT account_id, cash_currency, cash_change FROM entered WHERE :moves_book
      ON CONFLICT (account_id, currency) DO UPDATE SET fill_amount = c.fill_amount + excluded.fill_amount
    )
    SELECT count(*) FROM entered
    """
)

# What the gate itself took back, an entry that had waited or a stop that moved, says nothing of how orders fare.
# The activity comes last, as it does in an approval, so that no two transactions wait for one another.
EVENT = text(
    """
    WITH before AS (
      SELECT client_order_id, final_quantity FROM book_orders WHERE client_order_id = :client_order_id FOR UPDATE
    ), after AS (
      UPDATE book_orders AS o SET sequence = :sequence, status = :status, submission = :submission,
        submission_at = CASE WHEN o.submission = :submission THEN o.submission_at ELSE :occurred_at END,
        final_quantity = :final_quantity, updated_at = now()
      FROM before WHERE o.client_order_id = before.client_order_id AND o.sequence < :sequence
      RETURNING o.account_id, o.final_quantity = 0 AND o.cancel_requested_at IS NULL AS is_unfilled,
        NOT o.is_protective AND before.final_quantity IS NULL AND o.final_quantity IS NOT NULL AS ends
    )
    INSERT INTO activity AS c (account_id, starts_at, ended, unfilled)
    SELECT account_id, date_bin('10 seconds', CAST(:occurred_at AS timestamptz), '2000-01-01Z'), 1,
      CASE WHEN is_unfilled THEN 1 ELSE 0 END
    FROM after WHERE ends
    ON CONFLICT (account_id, starts_at) DO UPDATE
    SET ended = c.ended + excluded.ended, unfilled = c.unfilled + excluded.unfilled
    """
)

REPORTED_POSITION = text(
    "INSERT INTO book_positions AS p (account_id, instrument_id, fill_quantity, reported_quantity, sequence)"
    " VALUES (:account_id, :instrument_id, 0, :quantity, :sequence)"
    " ON CONFLICT (account_id, instrument_id) DO UPDATE"
    " SET reported_quantity = excluded.reported_quantity, sequence = excluded.sequence"
    " WHERE p.sequence < excluded.sequence"
)
REPORTED_CASH = text(
    "INSERT INTO book_cash AS c (account_id, currency, fill_amount, reported_amount, sequence)"
    " SELECT :account_id, key, 0, value::numeric, :sequence FROM jsonb_each_text(CAST(:cash AS jsonb))"
    " ON CONFLICT (account_id, currency) DO UPDATE"
    " SET reported_amount = excluded.reported_amount, sequence = excluded.sequence"
    " WHERE c.sequence < excluded.sequence"
)

RECONCILED = text(
    "UPDATE accounts SET reconciled_at = :as_of, reconciliation_passed = :passed, worker_venue = :worker_venue,"
    " worker_mode = :worker_mode WHERE account_id = :account_id"
)
REBASE_POSITIONS = text(
    """
    WITH told AS (
      SELECT key AS instrument_id, value::numeric AS quantity FROM jsonb_each_text(CAST(:positions AS jsonb))
      UNION ALL
      SELECT instrument_id, 0 FROM book_positions
      WHERE account_id = :account_id AND NOT jsonb_exists(CAST(:positions AS jsonb), instrument_id)
    ), later AS (
      SELECT instrument_id, sum(position_change) AS change FROM fills
      WHERE account_id = :account_id AND recorded_at > :as_of GROUP BY instrument_id
    )
    INSERT INTO book_positions AS p (account_id, instrument_id, fill_quantity, reported_quantity, sequence)
    SELECT :account_id, told.instrument_id, told.quantity + coalesce(later.change, 0), told.quantity, :sequence
    FROM told LEFT JOIN later USING (instrument_id)
    ON CONFLICT (account_id, instrument_id) DO UPDATE SET fill_quantity = excluded.fill_quantity,
      reported_quantity = CASE WHEN p.sequence <= excluded.sequence
        THEN excluded.reported_quantity ELSE p.reported_quantity END,
      sequence = greatest(p.sequence, excluded.sequence)
    """
)
REBASE_CASH = text(
    """
    WITH told AS (
      SELECT key AS currency, value::numeric AS amount FROM jsonb_each_text(CAST(:cash AS jsonb))
      UNION ALL
      SELECT currency, 0 FROM book_cash
      WHERE account_id = :account_id AND NOT jsonb_exists(CAST(:cash AS jsonb), currency)
    ), later AS (
      SELECT cash_currency AS currency, sum(cash_change) AS change FROM fills
      WHERE account_id = :account_id AND recorded_at > :as_of GROUP BY cash_currency
    )
    INSERT INTO book_cash AS c (account_id, currency, fill_amount, reported_amount, sequence)
    SELECT :account_id, told.currency, told.amount + coalesce(later.change, 0), told.amount, :sequence
    FROM told LEFT JOIN later USING (currency)
    ON CONFLICT (account_id, currency) DO UPDATE SET fill_amount = excluded.fill_amount,
      reported_amount = CASE WHEN c.sequence <= excluded.sequence
        THEN excluded.reported_amount ELSE c.reported_amount END,
      sequence = greatest(c.sequence, excluded.sequence)
    """
)
