"""The SQL of what the account has been doing: marks, latches, the venue's health, and orders whose time is over."""

from sqlalchemy import text

APPROVED_ORDER = text(
    "SELECT client_order_id, account_id, instrument_id, side, quantity, limit_price, order_type, filled_quantity"
    " FROM book_orders WHERE client_order_id = :client_order_id"
)

HEALTH = text(
    "WITH before AS (SELECT mode, hosts, key_fingerprint FROM venue_health WHERE account_id = :account_id)"
    " INSERT INTO venue_health AS h"
    " (account_id, venue, is_answering, failing_since, recovering_since, clock_gap_ms, orders_unknown,"
    " orders_unclear, mode, hosts, key_fingerprint, as_of)"
    " VALUES (:account_id, :venue, :is_answering, :failing_since, :recovering_since, :clock_gap_ms, :orders_unknown,"
    " :orders_unclear, :mode, :hosts, :key_fingerprint, :as_of)"
    " ON CONFLICT (account_id) DO UPDATE SET venue = excluded.venue, is_answering = excluded.is_answering,"
    " failing_since = excluded.failing_since, recovering_since = excluded.recovering_since,"
    " clock_gap_ms = excluded.clock_gap_ms, orders_unknown = excluded.orders_unknown,"
    " orders_unclear = excluded.orders_unclear, mode = excluded.mode, hosts = excluded.hosts,"
    " key_fingerprint = excluded.key_fingerprint, as_of = excluded.as_of"
    " WHERE h.as_of < excluded.as_of"
    " RETURNING (SELECT (mode, hosts, key_fingerprint) FROM before)"
    " IS DISTINCT FROM (h.mode, h.hosts, h.key_fingerprint)"
)

# One latch of a kind is in force on a thing; one whose time was over begins anew.
LATCH = text(
    "INSERT INTO latches AS l (account_id, scope, scope_id, code, reason, latched_at, expires_at)"
    " VALUES (:account_id, :scope, :scope_id, :code, :reason, :now, :expires_at)"
    " ON CONFLICT (account_id, scope, scope_id, code) WHERE released_at IS NULL DO UPDATE"
    " SET reason = excluded.reason, latched_at = excluded.latched_at, expires_at = excluded.expires_at"
    " WHERE l.expires_at <= excluded.latched_at"
)
RELEASE = text(
    "UPDATE latches SET released_at = :now, released_by = :released_by"
    " WHERE scope = :scope AND scope_id = :scope_id AND released_at IS NULL"
    " RETURNING account_id, scope, scope_id, code, reason, expires_at"
)
RESET_ACCOUNT = text("UPDATE order_counts SET orders = 0 WHERE account_id = :account_id AND subject = 'account'")
RESET_STRATEGY = text("UPDATE order_counts SET orders = 0 WHERE subject = :subject")
FORGET_LOSSES = text("UPDATE accounts SET losses_from = :now WHERE account_id = :account_id")

BOOKS = text(
    """
    SELECT a.account_id, a.reconciled_at,
      (SELECT fill_amount::text FROM book_cash AS c WHERE c.account_id = a.account_id AND c.currency = a.currency)
        AS cash,
      (SELECT jsonb_agg(jsonb_build_array(instrument_id, fill_quantity::text))::text FROM book_positions AS p
        WHERE p.account_id = a.account_id AND fill_quantity <> 0) AS holdings
    FROM accounts AS a WHERE a.reconciliation_passed ORDER BY a.account_id
    """
)
MARK = text(
    """
    INSERT INTO equity_marks (account_id, minute, equity, peak)
    SELECT a.account_id, date_trunc('minute', CAST(:now AS timestamptz)), :equity, greatest(:equity,
      (SELECT peak FROM equity_marks AS m WHERE m.account_id = a.account_id
        AND m.minute >= coalesce(a.losses_from, '-infinity') ORDER BY m.minute DESC LIMIT 1))
    FROM accounts AS a WHERE a.account_id = :account_id ON CONFLICT DO NOTHING
    """
)
FORGET_ACTIVITY = text("DELETE FROM activity WHERE starts_at < :before")

# A cancel that is lost on its way is asked for again.
OVERDUE_ENTRIES = text(
    "UPDATE book_orders SET cancel_requested_at = :now WHERE client_order_id IN ("
    " SELECT client_order_id FROM book_orders WHERE working_until < :now AND final_quantity IS NULL"
    " AND (cancel_requested_at IS NULL OR cancel_requested_at < :asked_before) ORDER BY working_until LIMIT 100"
    " FOR UPDATE SKIP LOCKED) RETURNING client_order_id, account_id"
)

UNASKED = text(
    "UPDATE proposals SET is_settled = true WHERE signal_id IN ("
    " SELECT signal_id FROM proposals WHERE NOT is_settled AND signal IS NULL AND created_at < :before"
    " LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING signal_id"
)
