"""Every send, answer, cancel, fill, correction, comparison, and stage is in the audit chain.

Revision ID: 0005
"""

from alembic import op

from sigmax.runtime.audit_chain import audited, create_audit_chain, drop_audit_chain, unaudited

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OWNER = "order_worker"
_ORDER = (
    "OLD.submission IS DISTINCT FROM NEW.submission OR OLD.cancel_wanted IS DISTINCT FROM NEW.cancel_wanted"
    " OR (OLD.status <> NEW.status AND NEW.status IN ('canceled', 'rejected', 'expired', 'unplaced'))"
)
_ORDER_KIND = """
CASE WHEN OLD.submission = 'ready' AND NEW.submission = 'sending' THEN 'send'
     WHEN OLD.submission IS DISTINCT FROM NEW.submission THEN 'answer'
     WHEN OLD.cancel_wanted IS DISTINCT FROM NEW.cancel_wanted THEN 'cancel_wanted'
     ELSE 'end' END
"""
_ORDER_DATA = {
    "from": "OLD.submission",
    "to": "NEW.submission",
    "status": "NEW.status",
    "fence": "NEW.fence",
    "worker": "NEW.worker",
    "instrument_id": "NEW.instrument_id",
    "side": "NEW.side",
    "quantity": "NEW.quantity",
    "limit_price": "NEW.limit_price",
    "filled_quantity": "NEW.filled_quantity",
    "cancel_wanted": "NEW.cancel_wanted",
    "venue_order_id": "NEW.venue_order_id",
    "sent_at": "NEW.sent_at",
    "reason": "NEW.reason",
}
_FILL = (
    *("venue", "account_id", "execution_id", "client_order_id", "venue_order_id", "instrument_id", "side", "price"),
    *("quantity", "fee", "fee_currency", "tax", "liquidity", "executed_at", "source"),
)
_ENTRY = ("transaction_id", "account_id", "ledger_account", "asset", "amount", "settles_at", "reason")
_STAGE = ("scope", "scope_id", "stage", "version", "reason", "changed_by", "told_at")
_INSERTED = ("fills", "ledger_entries", "reconciliations", "cancels_wanted", "stages")
_UPDATED = ("orders", "accounts", "stages")


def upgrade() -> None:
    """Make the chain, and have it fed."""
    create_audit_chain(op, _OWNER)
    audited(
        op,
        _OWNER,
        "orders",
        _ORDER_KIND,
        on="UPDATE",
        subject="NEW.client_order_id",
        correlation="NEW.correlation_id",
        data=_ORDER_DATA,
        when=_ORDER,
    )
    audited(
        op, _OWNER, "cancels_wanted", "'cancel_wanted'", subject="NEW.client_order_id", data=("requested_by", "reason")
    )
    audited(op, _OWNER, "fills", "'fill'", subject="NEW.client_order_id", data=_FILL)
    # What a fill books follows from the fill; everything else that moves money is said by somebody.
    audited(
        op,
        _OWNER,
        "ledger_entries",
        "'ledger_' || NEW.ledger_account",
        subject="NEW.asset",
        data=_ENTRY,
        when="NEW.execution_id IS NULL",
    )
    audited(
        op,
        _OWNER,
        "reconciliations",
        "'reconciliation'",
        subject="NEW.account_id",
        data=("passed", "differences"),
    )
    audited(
        op,
        _OWNER,
        "accounts",
        "CASE WHEN NEW.blocked_reason IS NULL THEN 'account_released' ELSE 'account_blocked' END",
        on="UPDATE",
        subject="NEW.account_id",
        data=("blocked_reason", "blocked_at"),
        when="OLD.blocked_reason IS DISTINCT FROM NEW.blocked_reason",
    )
    for on, when in (
        ("INSERT", ""),
        ("UPDATE", "(OLD.stage, OLD.version) IS DISTINCT FROM (NEW.stage, NEW.version)"),
    ):
        audited(
            op, _OWNER, "stages", "'stage'", on=on, subject="NEW.scope || ' ' || NEW.scope_id", data=_STAGE, when=when
        )


def downgrade() -> None:
    """Drop the chain, and all it says."""
    for table in _INSERTED:
        unaudited(op, table)
    for table in _UPDATED:
        unaudited(op, table, on="UPDATE")
    drop_audit_chain(op)
