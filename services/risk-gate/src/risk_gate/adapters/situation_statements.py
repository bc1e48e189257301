"""The SQL of a decision: all that it looks at, in one statement that sees one moment."""

from sqlalchemy import text

MARKS = """
    (SELECT jsonb_build_array(
        (SELECT equity::text FROM equity_marks
          WHERE account_id = a.account_id AND minute <= :minute_ago AND minute > :minutes_ago
            AND minute >= coalesce(a.losses_from, '-infinity') ORDER BY minute DESC LIMIT 1),
        coalesce(
          (SELECT equity::text FROM equity_marks WHERE account_id = a.account_id AND minute >= :day_start
            AND minute >= coalesce(a.losses_from, '-infinity') ORDER BY minute LIMIT 1),
          (SELECT equity::text FROM equity_marks WHERE account_id = a.account_id
            AND minute >= coalesce(a.losses_from, '-infinity') ORDER BY minute DESC LIMIT 1)),
        (SELECT peak::text FROM equity_marks WHERE account_id = a.account_id
          AND minute >= coalesce(a.losses_from, '-infinity') ORDER BY minute DESC LIMIT 1))::text
      FROM accounts AS a WHERE a.account_id = {account_id})
"""
"""Equity a minute ago, when the day began, and at its highest. What a person released is forgotten."""

OUTCOMES = """
    (SELECT jsonb_build_array(coalesce(sum(ended), 0), coalesce(sum(unfilled), 0))::text FROM activity
      WHERE account_id = {account_id} AND starts_at > :ratio_since)
"""

UNPROVEN = """
    (SELECT jsonb_agg(jsonb_build_array(instrument_id, submission, submission_at))::text FROM book_orders
      WHERE account_id = {account_id} AND leaves_quantity > 0 AND final_quantity IS NULL
        AND submission IN ('unknown', 'sending'))
"""

VENUE = """
    (SELECT jsonb_build_array(venue, is_answering, failing_since, clock_gap_ms::text, orders_unknown, as_of,
        recovering_since, mode, hosts, key_fingerprint, orders_unclear)::text
      FROM venue_health WHERE account_id = {account_id})
"""

_ACCOUNT_ID = "CAST(:account_id AS text)"

SITUATION = text(
    f"""
    SELECT
      EXISTS (SELECT 1 FROM verdicts WHERE signal_id = :signal_id) AS is_decided,
      (SELECT jsonb_build_object('version', version, 'values', "values")::text FROM limits
        WHERE account_id = :account_id ORDER BY version DESC LIMIT 1) AS limits,
      (SELECT jsonb_agg(jsonb_build_array(scope, scope_id, stage))::text FROM stages) AS stages,
      (SELECT posture FROM postures WHERE account_id = :account_id ORDER BY posture_id DESC LIMIT 1) AS posture,
      (SELECT jsonb_build_array(coalesce(least(fill_amount, reported_amount), 0)::text, fill_amount::text)::text
        FROM book_cash WHERE account_id = :account_id AND currency = :currency) AS cash,
      (SELECT jsonb_agg(jsonb_build_array(instrument_id, fill_quantity::text, reported_quantity::text))::text
        FROM book_positions
        WHERE account_id = :account_id AND (fill_quantity <> 0 OR reported_quantity <> 0)) AS holdings,
      (SELECT jsonb_agg(jsonb_build_array(instrument_id, quantity::text))::text FROM strategy_positions
        WHERE account_id = :account_id AND strategy_id = :strategy_id AND quantity <> 0) AS own,
      (SELECT jsonb_agg(jsonb_build_array(strategy_id, instrument_id, side, leaves::text, cost::text, orders))::text
        FROM (SELECT strategy_id, instrument_id, side, sum(leaves_quantity) AS leaves,
                sum(leaves_quantity * unit_cost) AS cost,
                count(*) FILTER (WHERE final_quantity IS NULL AND NOT is_protective) AS orders
              FROM book_orders WHERE account_id = :account_id AND leaves_quantity > 0
              GROUP BY strategy_id, instrument_id, side) AS open) AS reserved,
      (SELECT jsonb_agg(jsonb_build_array(strategy_id, created_at))::text FROM book_orders
        WHERE account_id = :account_id AND created_at > :rate_since AND NOT is_protective) AS paced,
      (SELECT jsonb_agg(jsonb_build_array(quantity::text, limit_price::text, approved_at))::text
        FROM (SELECT quantity, limit_price, max(created_at) AS approved_at FROM book_orders
              WHERE account_id = :account_id AND created_at > :duplicate_since
                AND instrument_id = :instrument_id AND side = :side
              GROUP BY quantity, limit_price) AS alike) AS similar,
      (SELECT jsonb_agg(jsonb_build_array(client_order_id, limit_price::text))::text
        FROM (SELECT client_order_id, limit_price FROM book_orders
              WHERE account_id = :account_id AND leaves_quantity > 0 AND final_quantity IS NULL
                AND instrument_id = :instrument_id AND side <> :side
                AND time_in_force <> 'ioc' AND trigger_price IS NULL) AS resting) AS opposing,
      (SELECT jsonb_agg(jsonb_build_array(subject, period, orders, notional::text, last_at))::text FROM order_counts
        WHERE account_id = :account_id AND (subject, period) IN (('account', :today), ('judged', :today),
          ('judged', :yesterday), (:strategy, :today), (:strategy, :run))) AS counts,
      (SELECT jsonb_build_array(
          coalesce(sum(notional) FILTER (WHERE starts_at > :minute_since), 0)::text,
          coalesce(sum(notional), 0)::text)::text
        FROM activity WHERE account_id = :account_id AND starts_at > :hour_since) AS turnover,
      {OUTCOMES.format(account_id=_ACCOUNT_ID)} AS outcomes,
      {MARKS.format(account_id=_ACCOUNT_ID)} AS marks,
      {UNPROVEN.format(account_id=_ACCOUNT_ID)} AS unproven,
      {VENUE.format(account_id=_ACCOUNT_ID)} AS venue,
      (SELECT jsonb_agg(jsonb_build_array(scope, scope_id, code, reason, expires_at))::text FROM latches
        WHERE account_id = :account_id AND released_at IS NULL
          AND (expires_at IS NULL OR expires_at > :now)) AS latches,
      (SELECT jsonb_agg(at)::text FROM stop_outs
        WHERE account_id = :account_id AND instrument_id = :instrument_id AND at > :stops_since
          AND (kind = 'stop_loss' OR kind = 'trailing_stop' AND pnl < 0)
          AND at > coalesce((SELECT max(released_at) FROM latches
            WHERE account_id = :account_id AND scope = 'instrument' AND scope_id = :instrument_id
              AND code = 'losing_streak'), '-infinity')) AS stops,
      (SELECT jsonb_build_array(count(*) FILTER (WHERE action = 'dca'),
          (array_agg(limit_price ORDER BY created_at DESC))[1]::text)::text
        FROM book_orders
        WHERE CAST(:is_dca AS boolean) AND account_id = :account_id AND strategy_id = :strategy_id
          AND instrument_id = :instrument_id AND side = 'buy' AND final_quantity IS DISTINCT FROM 0
          AND created_at >= coalesce((SELECT max(created_at) FROM book_orders
            WHERE account_id = :account_id AND strategy_id = :strategy_id AND instrument_id = :instrument_id
              AND action IN ('buy', 'close') AND final_quantity IS DISTINCT FROM 0), '-infinity')) AS adds
    """  # noqa: S608  -- constants of this file
)
