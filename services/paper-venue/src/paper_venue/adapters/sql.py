"""The statements of the store. The schema is the search path."""

# ruff: noqa: S608 - what is put together here are constants of this file, never a value from outside

from sqlalchemy import TextClause, text

NEXT_IDS = text(
    "SELECT coalesce((SELECT max(order_id) FROM orders), 0) + 1, coalesce((SELECT max(trade_id) FROM trades), 0) + 1"
)
BALANCES = text(
    "SELECT a.account_id, b.asset, b.free, b.locked FROM accounts a LEFT JOIN balances b USING (account_id)"
)
OPEN_ORDERS = text("SELECT * FROM orders WHERE status IN ('new', 'partially_filled') ORDER BY order_id")
MARKETS = text("SELECT * FROM markets ORDER BY instrument_id")
POSITIONS = text("SELECT stream, entry_id FROM streams")
RUNNING = text(
    "SELECT k.* FROM klines k JOIN markets m"
    " ON m.instrument_id = k.instrument_id AND k.open_at = date_trunc('minute', m.market_at)"
)
_FOLDED = (
    " (array_agg(k.open ORDER BY k.open_at))[1] AS open, max(k.high) AS high, min(k.low) AS low,"
    " (array_agg(k.close ORDER BY k.open_at DESC))[1] AS close, sum(k.volume) AS volume,"
    " sum(k.quote_volume) AS quote_volume, sum(k.trades) AS trades, sum(k.taker_volume) AS taker_volume,"
    " sum(k.taker_quote_volume) AS taker_quote_volume"
)
DAY_SLOTS = text(
    "SELECT k.instrument_id, date_bin('15 minutes', k.open_at, timestamptz '2000-01-03 00:00+00') AS open_at,"
    f"{_FOLDED} FROM klines k JOIN markets m USING (instrument_id)"
    " WHERE k.open_at > m.market_at - interval '1 day' AND k.open_at < date_trunc('minute', m.market_at)"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)
CREATE_ACCOUNT = text("INSERT INTO accounts (account_id) VALUES (:account_id) ON CONFLICT DO NOTHING RETURNING 1")
OPENING_BALANCE = text(
    "INSERT INTO balances (account_id, asset, free, locked) VALUES (:account_id, :asset, :amount, 0)"
)
DEPOSIT = text(
    "INSERT INTO deposits (account_id, asset, amount, reason) VALUES (:account_id, :asset, :amount, :reason)"
)
FORGET_KLINES = text("DELETE FROM klines WHERE updated_at < now() - make_interval(days => :days)")

_ORDER_COLUMNS = (
    "order_id bigint, account_id text, client_order_id text, instrument_id text, symbol text, side text, type text,"
    " time_in_force text, price numeric, orig_qty numeric, orig_quote_order_qty numeric, executed_qty numeric,"
    " cummulative_quote_qty numeric, status text, time timestamptz, update_time timestamptz, stop_price numeric,"
    " triggered_at timestamptz"
)
_TRADE_COLUMNS = (
    "trade_id bigint, order_id bigint, client_order_id text, account_id text, instrument_id text, symbol text,"
    " side text, price numeric, qty numeric, quote_qty numeric, commission numeric, commission_asset text,"
    " is_maker boolean, time timestamptz"
)
_KLINE_COLUMNS = (
    "instrument_id text, open_at timestamptz, open numeric, high numeric, low numeric, close numeric,"
    " volume numeric, quote_volume numeric, trades bigint, taker_volume numeric, taker_quote_volume numeric"
)
_MARKET_COLUMNS = (
    "instrument_id text, symbol text, rules jsonb, last_price numeric, state jsonb, entry_id text,"
    " market_at timestamptz"
)


def _names(columns: str) -> str:
    return ", ".join(column.split()[0] for column in columns.split(","))


def _updates(columns: str, keys: int) -> str:
    names = _names(columns).split(", ")[keys:]
    return ", ".join(f"{name} = excluded.{name}" for name in names)


# An order or a trade that is there already means that two processes believe to be the venue: the insert fails, and
# with it everything else of that transaction.
RECORD = text(
    f"""
    WITH input AS (SELECT CAST(:changes AS jsonb) AS c),
    new_orders AS (
        INSERT INTO orders ({_names(_ORDER_COLUMNS)})
        SELECT {_names(_ORDER_COLUMNS)}
        FROM input, jsonb_to_recordset(c -> 'new_orders') AS r({_ORDER_COLUMNS})
    ),
    changed_orders AS (
        UPDATE orders o SET executed_qty = r.executed_qty, cummulative_quote_qty = r.cummulative_quote_qty,
            status = r.status, update_time = r.update_time, triggered_at = r.triggered_at
        FROM input, jsonb_to_recordset(c -> 'changed_orders') AS r({_ORDER_COLUMNS})
        WHERE o.order_id = r.order_id
    ),
    trades AS (
        INSERT INTO trades ({_names(_TRADE_COLUMNS)})
        SELECT {_names(_TRADE_COLUMNS)}
        FROM input, jsonb_to_recordset(c -> 'trades') AS r({_TRADE_COLUMNS})
    ),
    balances AS (
        INSERT INTO balances (account_id, asset, free, locked)
        SELECT r.* FROM input, jsonb_to_recordset(c -> 'balances')
            AS r(account_id text, asset text, free numeric, locked numeric)
        ON CONFLICT (account_id, asset) DO UPDATE SET free = excluded.free, locked = excluded.locked, updated_at = now()
    ),
    deposits AS (
        INSERT INTO deposits (account_id, asset, amount, reason)
        SELECT r.* FROM input, jsonb_to_recordset(c -> 'deposits')
            AS r(account_id text, asset text, amount numeric, reason text)
    ),
    markets AS (
        INSERT INTO markets ({_names(_MARKET_COLUMNS)})
        SELECT {_names(_MARKET_COLUMNS)}
        FROM input, jsonb_to_recordset(c -> 'markets') AS r({_MARKET_COLUMNS})
        ON CONFLICT (instrument_id) DO UPDATE SET {_updates(_MARKET_COLUMNS, 1)}, updated_at = now()
    ),
    klines AS (
        INSERT INTO klines ({_names(_KLINE_COLUMNS)})
        SELECT {_names(_KLINE_COLUMNS)}
        FROM input, jsonb_to_recordset(c -> 'klines') AS r({_KLINE_COLUMNS})
        ON CONFLICT (instrument_id, open_at) DO UPDATE SET {_updates(_KLINE_COLUMNS, 2)}, updated_at = now()
    ),
    streams AS (
        INSERT INTO streams (stream, entry_id)
        SELECT r.* FROM input, jsonb_to_recordset(c -> 'streams') AS r(stream text, entry_id text)
        ON CONFLICT (stream) DO UPDATE SET entry_id = excluded.entry_id
    )
    SELECT 1
    """
)

ORDER_BY_ID = text(
    "SELECT * FROM orders WHERE order_id = :order_id AND account_id = :account_id AND instrument_id = :instrument_id"
)
ORDER_BY_CLIENT_ID = text(
    "SELECT * FROM orders WHERE account_id = :account_id AND instrument_id = :instrument_id"
    " AND client_order_id = :client_order_id ORDER BY order_id DESC LIMIT 1"
)


def _direction(*, is_from_start: bool) -> str:
    return "ASC" if is_from_start else "DESC"


def orders_page(*, is_from_start: bool) -> TextClause:
    """Give the query for a page of orders, from its start on or the newest first."""
    return text(
        "SELECT * FROM orders WHERE account_id = :account_id AND instrument_id = :instrument_id"
        " AND order_id >= coalesce(CAST(:from_id AS bigint), 0)"
        " AND time >= coalesce(CAST(:start_at AS timestamptz), '-infinity')"
        " AND time <= coalesce(CAST(:end_at AS timestamptz), 'infinity')"
        f" ORDER BY order_id {_direction(is_from_start=is_from_start)} LIMIT :limit"
    )


def trades_page(*, is_from_start: bool) -> TextClause:
    """Give the query for a page of fills, from its start on or the newest first."""
    return text(
        "SELECT * FROM trades WHERE account_id = :account_id AND instrument_id = :instrument_id"
        " AND trade_id >= coalesce(CAST(:from_id AS bigint), 0)"
        " AND time >= coalesce(CAST(:start_at AS timestamptz), '-infinity')"
        " AND time <= coalesce(CAST(:end_at AS timestamptz), 'infinity')"
        " AND (CAST(:order_id AS bigint) IS NULL OR order_id = :order_id)"
        f" ORDER BY trade_id {_direction(is_from_start=is_from_start)} LIMIT :limit"
    )


def klines_page(*, is_from_start: bool, is_month: bool) -> TextClause:
    """Give the query that folds stored minutes into bars of `seconds`, or of a month."""
    # Weeks start on a Monday; every other length divides the time since that one.
    bucket = (
        "date_trunc('month', k.open_at)"
        if is_month
        else "date_bin(make_interval(secs => CAST(:seconds AS double precision)), k.open_at,"
        " timestamptz '2000-01-03 00:00+00')"
    )
    length = "interval '1 month'" if is_month else "make_interval(secs => CAST(:seconds AS double precision))"
    # The newest bars lie in the last `limit` lengths: without this bound every minute ever stored would be folded.
    newest = (
        ""
        if is_from_start
        else (
            f" AND k.open_at > (SELECT coalesce(CAST(:end_at AS timestamptz), max(market_at)) FROM markets"
            f" WHERE instrument_id = :instrument_id) - {length} * CAST(:limit AS integer)"
        )
    )
    return text(
        f"SELECT {bucket} AS open_at,{_FOLDED} FROM klines k WHERE k.instrument_id = :instrument_id"
        " AND k.open_at >= coalesce(CAST(:start_at AS timestamptz), '-infinity')"
        f" AND k.open_at <= coalesce(CAST(:end_at AS timestamptz), 'infinity'){newest}"
        f" GROUP BY 1 ORDER BY 1 {_direction(is_from_start=is_from_start)} LIMIT :limit"
    )
