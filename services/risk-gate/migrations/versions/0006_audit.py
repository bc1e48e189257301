"""Every approval, denial, stage, posture, and limit is in the audit chain.

Revision ID: 0006
"""

from alembic import op

from sigmax.runtime.audit_chain import audited, create_audit_chain, digest, drop_audit_chain, unaudited

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OWNER = "risk_gate"
_VERDICT = {
    **{
        name: f"NEW.{name}"
        for name in ("signal_id", "account_id", "strategy_id", "instrument_id", "action", "outcome", "code", "text")
    },
    # Thirty-six checks with their numbers: the row keeps them, the chain what they must hash to.
    "checks_sha256": digest("checks"),
    "approved_sha256": digest("approved"),
}
_STAGE = ("scope", "scope_id", "stage", "version", "reason", "changed_by", "changed_at")
_INSERTED = ("verdicts", "limits", "postures", "stages")
_UPDATED = ("stages",)


def upgrade() -> None:
    """Make the chain, and have it fed."""
    create_audit_chain(op, _OWNER)
    audited(
        op,
        _OWNER,
        "verdicts",
        "NEW.outcome",
        subject="coalesce(NEW.client_order_id, NEW.signal_id::text)",
        correlation="NEW.correlation_id",
        data=_VERDICT,
    )
    audited(op, _OWNER, "limits", "'limits'", subject="NEW.account_id", data=("version", "values", "changed_by"))
    audited(
        op,
        _OWNER,
        "postures",
        "'posture'",
        subject="NEW.account_id",
        data=("posture", "cause", "reason", "changed_by", "changed_at"),
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
