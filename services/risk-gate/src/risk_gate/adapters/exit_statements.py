"""The SQL of protections, their orders, and flattenings."""

from dataclasses import fields

from sqlalchemy import text

from risk_gate.domain.protection import Protection

_COLUMNS = tuple(each.name for each in fields(Protection))
_NAMES = ", ".join(_COLUMNS)
_VALUES = ", ".join(f":{name}" for name in _COLUMNS)
_CHANGED = (name for name in _COLUMNS if name not in {"protection_id", "best_price"})
_OF_POSITION = "account_id = :account_id AND strategy_id = :strategy_id AND instrument_id = :instrument_id"
_LIVE = f"SELECT {_NAMES} FROM protections WHERE state <> 'closed'"  # noqa: S608  -- constants of this file

PROTECTIONS = text(f"{_LIVE} ORDER BY account_id, strategy_id, instrument_id")
PROTECTION = text(f"SELECT {_NAMES} FROM protections WHERE protection_id = :protection_id FOR UPDATE")  # noqa: S608
PROTECTION_OF = text(f"{_LIVE} AND {_OF_POSITION} FOR UPDATE")
ASKED_ABOUT = text(f"SELECT {_NAMES} FROM protections WHERE asked_id = :exit_id")  # noqa: S608
KEEP_PROTECTION = text(
    f"INSERT INTO protections AS p ({_NAMES}, asked_id) VALUES ({_VALUES}, :asked_id)"  # noqa: S608
    " ON CONFLICT (protection_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CHANGED)
    + ", best_price = greatest(p.best_price, excluded.best_price), asked_id = excluded.asked_id, updated_at = now()"
)
RAISE_BEST = text(
    "UPDATE protections AS p SET best_price = seen.price, updated_at = now()"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:prices AS numeric[])) AS seen (id, price)"
    " WHERE p.protection_id = seen.id AND p.best_price < seen.price AND p.protection_id IN"
    # Whoever holds a row may wait for the next one: those rows' turn comes again.
    " (SELECT protection_id FROM protections WHERE protection_id = ANY(CAST(:ids AS uuid[])) FOR UPDATE SKIP LOCKED)"
)
PROTECTIONS_IN = {
    "global": text(_LIVE),
    "venue": text(f"{_LIVE} AND account_id IN (SELECT account_id FROM accounts WHERE venue = :scope_id)"),  # noqa: S608
    "account": text(f"{_LIVE} AND account_id = :scope_id"),
    "strategy": text(f"{_LIVE} AND strategy_id = :scope_id"),
    "instrument": text(f"{_LIVE} AND instrument_id = :scope_id"),
}

LEVELS = text(
    "SELECT strategy_version, stop_price, target_price, trailing_pct, holding_s_max FROM book_orders"
    " WHERE client_order_id = :client_order_id"
)
LIMITS = text(
    "SELECT jsonb_build_object('version', version, 'values', \"values\")::text FROM limits"
    " WHERE account_id = :account_id ORDER BY version DESC LIMIT 1"
)
HELD_BY = text(f"SELECT quantity FROM strategy_positions WHERE {_OF_POSITION}")  # noqa: S608
UNGUARDED = text(
    """
    SELECT p.account_id, p.strategy_id, p.instrument_id, p.quantity, bought.price, bought.at
    FROM strategy_positions AS p CROSS JOIN LATERAL (
      SELECT sum(f.price * f.quantity) / sum(f.quantity) AS price, min(f.recorded_at) AS at FROM fills AS f
      WHERE f.account_id = p.account_id AND f.strategy_id = p.strategy_id AND f.instrument_id = p.instrument_id
        AND f.side = 'buy'
    ) AS bought
    WHERE p.quantity > 0 AND bought.price IS NOT NULL AND NOT EXISTS (
      SELECT FROM protections AS g
      WHERE (g.account_id, g.strategy_id, g.instrument_id) = (p.account_id, p.strategy_id, p.instrument_id))
    """
)
_ORDERS = (
    "SELECT o.account_id, o.strategy_id, o.instrument_id, o.client_order_id, o.side, o.leaves_quantity,"
    " o.created_at, coalesce(e.is_resting, false) AS is_resting, e.wanted_quantity, e.trigger_price,"
    " o.cancel_requested_at, o.time_in_force <> 'ioc' AS is_passive"
    " FROM book_orders AS o LEFT JOIN exit_orders AS e USING (client_order_id) WHERE o.leaves_quantity > 0"
)
ORDERS = text(_ORDERS)
ORDERS_OF = text(
    f"{_ORDERS} AND o.account_id = :account_id AND o.instrument_id = :instrument_id"
    " AND (o.strategy_id = :strategy_id OR o.side = 'buy')"
)

_EXIT_ORDER = "client_order_id, protection_id, kind, is_resting, wanted_quantity, trigger_price, created_at"
KEEP_EXIT_ORDER = text(
    f"INSERT INTO exit_orders ({_EXIT_ORDER})"  # noqa: S608
    " VALUES (:client_order_id, :protection_id, :kind, :is_resting, :wanted_quantity, :trigger_price, :created_at)"
)
EXIT_ORDER = text(f"SELECT {_EXIT_ORDER}, ended_at FROM exit_orders WHERE client_order_id = :client_order_id")  # noqa: S608
CANCEL_ASKED = text(
    "WITH noted AS (UPDATE exit_orders SET cancel_asked_at = :now WHERE client_order_id = :client_order_id)"
    " UPDATE book_orders SET cancel_requested_at = :now WHERE client_order_id = :client_order_id"
)
ENDED = text(
    "UPDATE exit_orders SET ended_at = :now WHERE client_order_id = :client_order_id AND ended_at IS NULL"
    " RETURNING client_order_id"
)

KEEP_WAITING = text(
    "INSERT INTO waiting_sales (signal_id, account_id, strategy_id, instrument_id, signal, size_factor, since)"
    " VALUES (:signal_id, :account_id, :strategy_id, :instrument_id, :signal, :size_factor, :since)"
    " ON CONFLICT DO NOTHING"
)
_WAITING = "SELECT signal, size_factor, since FROM waiting_sales"
WAITING = text(f"{_WAITING} ORDER BY since")
WAITING_OF = text(f"{_WAITING} WHERE {_OF_POSITION} ORDER BY since")
WAITS_NO_MORE = text("DELETE FROM waiting_sales WHERE signal_id = :signal_id")

STOP_OUT = text(
    "INSERT INTO stop_outs (account_id, strategy_id, instrument_id, kind, at, pnl)"
    " VALUES (:account_id, :strategy_id, :instrument_id, :kind, :at, :pnl)"
)

_FLATTENING = (
    "flattening_id, scope, scope_id, requested_by, reason, everything, started_at, ended_at, is_flat, remaining"
)
START_FLATTENING = text(
    f"INSERT INTO flattenings ({_FLATTENING})"  # noqa: S608
    " VALUES (:flattening_id, :scope, :scope_id, :requested_by, :reason, :everything, :started_at, NULL, NULL,"
    " CAST(:remaining AS jsonb)) ON CONFLICT DO NOTHING"
)
FLATTENINGS = text(
    f"SELECT {_FLATTENING.replace('remaining', 'remaining::text AS remaining')} FROM flattenings"  # noqa: S608
    " WHERE ended_at IS NULL ORDER BY started_at FOR UPDATE SKIP LOCKED"
)
KEEP_FLATTENING = text(
    "UPDATE flattenings SET ended_at = :ended_at, is_flat = :is_flat, remaining = CAST(:remaining AS jsonb)"
    " WHERE flattening_id = :flattening_id"
)
_UNOWNED = """
    INSERT INTO strategy_positions AS p (account_id, strategy_id, instrument_id, quantity)
    SELECT b.account_id, :strategy_id, b.instrument_id, b.fill_quantity - coalesce(ours.quantity, 0)
    FROM book_positions AS b JOIN accounts AS a USING (account_id) LEFT JOIN (
      SELECT account_id, instrument_id, sum(greatest(quantity, 0)) AS quantity FROM strategy_positions
      WHERE strategy_id <> :strategy_id GROUP BY account_id, instrument_id
    ) AS ours USING (account_id, instrument_id)
    WHERE b.fill_quantity > coalesce(ours.quantity, 0) AND {concerned}
    ON CONFLICT (account_id, strategy_id, instrument_id) DO UPDATE SET quantity = excluded.quantity
    RETURNING p.account_id, p.instrument_id, p.quantity
"""
_HOLDINGS = """
    SELECT p.account_id, p.strategy_id, p.instrument_id, p.quantity, g.refusal, g.protection_id IS NOT NULL AS is_live
    FROM strategy_positions AS p JOIN accounts AS a USING (account_id) LEFT JOIN protections AS g
      ON (g.account_id, g.strategy_id, g.instrument_id) = (p.account_id, p.strategy_id, p.instrument_id)
      AND g.state <> 'closed'
    WHERE p.quantity > 0 AND {concerned} ORDER BY p.account_id, p.strategy_id, p.instrument_id
"""
HOLDINGS_IN = {
    "global": text(_HOLDINGS.format(concerned="true")),
    "venue": text(_HOLDINGS.format(concerned="a.venue = :scope_id")),
    "account": text(_HOLDINGS.format(concerned="p.account_id = :scope_id")),
    "strategy": text(_HOLDINGS.format(concerned="p.strategy_id = :scope_id")),
    "instrument": text(_HOLDINGS.format(concerned="p.instrument_id = :scope_id")),
}
GIVE_UNOWNED = {
    "global": text(_UNOWNED.format(concerned="true")),
    "venue": text(_UNOWNED.format(concerned="a.venue = :scope_id")),
    "account": text(_UNOWNED.format(concerned="b.account_id = :scope_id")),
    "instrument": text(_UNOWNED.format(concerned="b.instrument_id = :scope_id")),
}
