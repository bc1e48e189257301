"""The exchange: accounts, orders, fills, markets, and how far prices were read."""

from alembic import op

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the venue's tables."""
    create_messaging_tables(op)
    for statement in _TABLES:
        op.execute(statement)
    for table in ("trades", "deposits"):
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM paper_venue")


def downgrade() -> None:
    """Drop the venue's tables."""
    for table in ("streams", "klines", "markets", "trades", "orders", "deposits", "balances", "accounts"):
        op.execute(f"DROP TABLE {table}")
    for table in ("inbox", "outbox"):
        op.drop_table(table)


_TABLES = (
    """
    CREATE TABLE accounts (
        account_id text PRIMARY KEY,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE balances (
        account_id text NOT NULL REFERENCES accounts,
        asset text NOT NULL,
        free numeric NOT NULL CHECK (free >= 0),
        locked numeric NOT NULL CHECK (locked >= 0),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (account_id, asset)
    )
    """,
    """
    CREATE TABLE deposits (
        deposit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id text NOT NULL REFERENCES accounts,
        asset text NOT NULL,
        amount numeric NOT NULL,
        reason text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE orders (
        order_id bigint PRIMARY KEY,
        account_id text NOT NULL REFERENCES accounts,
        client_order_id text NOT NULL,
        instrument_id text NOT NULL,
        symbol text NOT NULL,
        side text NOT NULL CHECK (side IN ('buy', 'sell')),
        type text NOT NULL,
        time_in_force text NOT NULL,
        price numeric,
        orig_qty numeric NOT NULL,
        orig_quote_order_qty numeric,
        executed_qty numeric NOT NULL CHECK (executed_qty BETWEEN 0 AND orig_qty),
        cummulative_quote_qty numeric NOT NULL,
        status text NOT NULL,
        time timestamptz NOT NULL,
        update_time timestamptz NOT NULL
    )
    """,
    # The venue's own rule, kept by the database too: a client's id names one open order.
    """
    CREATE UNIQUE INDEX orders_open ON orders (account_id, client_order_id)
        WHERE status IN ('new', 'partially_filled')
    """,
    "CREATE INDEX orders_by_client_id ON orders (account_id, instrument_id, client_order_id, order_id)",
    "CREATE INDEX orders_by_id ON orders (account_id, instrument_id, order_id)",
    """
    CREATE TABLE trades (
        trade_id bigint PRIMARY KEY,
        order_id bigint NOT NULL REFERENCES orders,
        client_order_id text NOT NULL,
        account_id text NOT NULL REFERENCES accounts,
        instrument_id text NOT NULL,
        symbol text NOT NULL,
        side text NOT NULL CHECK (side IN ('buy', 'sell')),
        price numeric NOT NULL CHECK (price > 0),
        qty numeric NOT NULL CHECK (qty > 0),
        quote_qty numeric NOT NULL,
        commission numeric NOT NULL,
        commission_asset text NOT NULL,
        is_maker boolean NOT NULL,
        time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX trades_by_instrument ON trades (account_id, instrument_id, trade_id)",
    "CREATE INDEX trades_by_order ON trades (order_id)",
    """
    CREATE TABLE markets (
        instrument_id text PRIMARY KEY,
        symbol text NOT NULL UNIQUE,
        rules jsonb NOT NULL,
        last_price numeric,
        state jsonb NOT NULL,
        entry_id text NOT NULL,
        market_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE klines (
        instrument_id text NOT NULL,
        open_at timestamptz NOT NULL,
        open numeric NOT NULL,
        high numeric NOT NULL,
        low numeric NOT NULL,
        close numeric NOT NULL,
        volume numeric NOT NULL,
        quote_volume numeric NOT NULL,
        trades bigint NOT NULL,
        taker_volume numeric NOT NULL,
        taker_quote_volume numeric NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (instrument_id, open_at)
    )
    """,
    """
    CREATE TABLE streams (
        stream text PRIMARY KEY,
        entry_id text NOT NULL
    )
    """,
)
