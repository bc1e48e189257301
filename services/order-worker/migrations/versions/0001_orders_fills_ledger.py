"""Orders, fills, the ledger, positions, and what risk-gate said about stages.

Revision ID: 0001
"""

from alembic import op

from sigmax.runtime.migrations import create_messaging_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ORDERS = """
CREATE TABLE orders (
    order_id bigserial PRIMARY KEY,
    client_order_id text NOT NULL UNIQUE,
    signal_id uuid NOT NULL UNIQUE,
    correlation_id uuid NOT NULL,
    account_id text NOT NULL,
    venue text NOT NULL,
    mode text NOT NULL,
    strategy_id text NOT NULL,
    instrument_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    order_type text NOT NULL,
    time_in_force text NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > 0),
    limit_price numeric CHECK (limit_price > 0),
    reduce_only boolean NOT NULL,
    valid_until timestamptz NOT NULL,
    approved jsonb NOT NULL,
    approved_at timestamptz NOT NULL,
    tick_received_at timestamptz NOT NULL,
    status text NOT NULL,
    submission text NOT NULL,
    sequence integer NOT NULL,
    fence integer NOT NULL,
    worker text,
    attempts integer NOT NULL,
    cancel_wanted boolean NOT NULL,
    venue_order_id text,
    venue_status text NOT NULL,
    venue_filled_quantity numeric NOT NULL,
    filled_quantity numeric NOT NULL,
    average_price numeric,
    reason text NOT NULL,
    not_before timestamptz,
    claimed_at timestamptz,
    send_deadline timestamptz,
    lease_until timestamptz,
    sent_at timestamptz,
    acked_at timestamptz,
    looks integer NOT NULL,
    absences integer NOT NULL,
    absent_since timestamptz,
    look_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
)
"""

_FILLS = """
CREATE TABLE fills (
    fill_id bigserial PRIMARY KEY,
    venue text NOT NULL,
    account_id text NOT NULL,
    execution_id text NOT NULL,
    client_order_id text NOT NULL REFERENCES orders (client_order_id),
    venue_order_id text NOT NULL,
    signal_id uuid NOT NULL,
    strategy_id text NOT NULL,
    instrument_id text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL CHECK (price > 0),
    quantity numeric NOT NULL CHECK (quantity > 0),
    fee numeric NOT NULL,
    fee_currency text NOT NULL,
    liquidity text NOT NULL,
    executed_at timestamptz NOT NULL,
    source text NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (venue, account_id, execution_id)
)
"""

_ORPHANS = """
CREATE TABLE orphan_fills (
    account_id text NOT NULL,
    execution_id text NOT NULL,
    venue_order_id text NOT NULL,
    client_order_id text,
    symbol text NOT NULL,
    side text NOT NULL,
    price numeric NOT NULL,
    quantity numeric NOT NULL,
    fee numeric NOT NULL,
    fee_currency text NOT NULL,
    liquidity text NOT NULL,
    executed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, execution_id)
)
"""

_LEDGER = """
CREATE TABLE ledger_entries (
    entry_id bigserial PRIMARY KEY,
    transaction_id uuid NOT NULL,
    account_id text NOT NULL,
    ledger_account text NOT NULL
        CHECK (ledger_account IN ('cash', 'holding', 'trading', 'fees', 'opening', 'adjustment')),
    asset text NOT NULL,
    amount numeric NOT NULL,
    settles_at timestamptz NOT NULL,
    reason text NOT NULL,
    execution_id text,
    created_at timestamptz NOT NULL
)
"""

_CHECKPOINTS = """
CREATE TABLE ledger_checkpoints (
    account_id text NOT NULL,
    ledger_account text NOT NULL,
    asset text NOT NULL,
    amount numeric NOT NULL,
    up_to_entry_id bigint NOT NULL,
    PRIMARY KEY (account_id, ledger_account, asset)
)
"""

_REST = (
    """
    CREATE TABLE accounts (
        account_id text PRIMARY KEY,
        sequence bigint NOT NULL DEFAULT 0,
        is_reconciled boolean NOT NULL DEFAULT false,
        reconciled_at timestamptz,
        blocked_reason text,
        blocked_at timestamptz
    )
    """,
    """
    CREATE TABLE positions (
        account_id text NOT NULL,
        instrument_id text NOT NULL,
        quantity numeric NOT NULL,
        average_price numeric NOT NULL,
        realized_pnl numeric NOT NULL,
        last_executed_at timestamptz NOT NULL,
        last_execution_id text NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (account_id, instrument_id)
    )
    """,
    """
    CREATE TABLE reconciliations (
        reconciliation_id bigserial PRIMARY KEY,
        account_id text NOT NULL,
        passed boolean NOT NULL,
        differences jsonb NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE stages (
        scope text NOT NULL,
        scope_id text NOT NULL,
        stage text NOT NULL,
        version integer NOT NULL,
        reason text NOT NULL,
        changed_by text NOT NULL,
        told_at timestamptz NOT NULL,
        PRIMARY KEY (scope, scope_id)
    )
    """,
    """
    CREATE TABLE cancels_wanted (
        client_order_id text PRIMARY KEY,
        requested_by text NOT NULL,
        reason text NOT NULL,
        requested_at timestamptz NOT NULL
    )
    """,
    # One request in flight per account and instrument, whatever the number of workers.
    "CREATE UNIQUE INDEX orders_one_sending ON orders (account_id, instrument_id) WHERE submission = 'sending'",
    """
    CREATE INDEX orders_waiting ON orders (account_id, instrument_id, order_id)
    WHERE submission IN ('ready', 'sending', 'unknown')
    """,
    """
    CREATE INDEX orders_open ON orders (account_id, order_id)
    WHERE status IN ('pending_new', 'new', 'partially_filled', 'pending_cancel')
    """,
    "CREATE INDEX orders_venue_order_id ON orders (account_id, venue_order_id)",
    "CREATE INDEX orders_instrument ON orders (account_id, instrument_id)",
    "CREATE INDEX fills_order ON fills (client_order_id)",
    "CREATE INDEX fills_instrument ON fills (account_id, instrument_id, executed_at)",
    "CREATE INDEX orphan_fills_order ON orphan_fills (account_id, venue_order_id)",
    "CREATE INDEX ledger_entries_account ON ledger_entries (account_id, entry_id)",
    "CREATE INDEX ledger_entries_opening ON ledger_entries (account_id, asset) WHERE ledger_account = 'opening'",
    "CREATE INDEX ledger_entries_execution ON ledger_entries (execution_id)",
    "REVOKE UPDATE, DELETE ON fills FROM order_worker",
    "REVOKE UPDATE, DELETE ON ledger_entries FROM order_worker",
    "REVOKE UPDATE, DELETE ON reconciliations FROM order_worker",
)


def upgrade() -> None:
    """Create what an order's life is kept in."""
    create_messaging_tables(op)
    for statement in (_ORDERS, _FILLS, _ORPHANS, _LEDGER, _CHECKPOINTS, *_REST):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything: only for a database that holds nothing of worth."""
    for table in (
        "cancels_wanted",
        "stages",
        "reconciliations",
        "positions",
        "accounts",
        "ledger_checkpoints",
        "ledger_entries",
        "orphan_fills",
        "fills",
        "orders",
        "inbox",
        "outbox",
    ):
        op.drop_table(table)
