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
_POSTURE = ("posture", "is_manual", "cause", "reason", "changed_by", "changed_at")
_LADDER = {
    **{name: f"NEW.{name}" for name in ("fault", "scope", "scope_id", "step", "text")},
    "snapshot_sha256": digest("snapshot"),
}
_LATCH = ("account_id", "code", "reason", "latched_at", "expires_at", "released_at", "released_by")
_FLATTENING = ("scope", "scope_id", "requested_by", "reason", "everything", "ended_at", "is_flat", "remaining")
_SCOPE = "NEW.scope || ' ' || NEW.scope_id"
_INSERTED = ("verdicts", "limits", "stages", "postures", "ladder_events", "latches", "flattenings")
_UPDATED = ("stages", "latches", "flattenings")


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
    audited(op, _OWNER, "postures", "'posture'", subject="NEW.account_id", data=_POSTURE)
    audited(op, _OWNER, "ladder_events", "'ladder'", subject=_SCOPE, data=_LADDER)
    _audit_both(
        "stages", "'stage'", _SCOPE, _STAGE, "(OLD.stage, OLD.version) IS DISTINCT FROM (NEW.stage, NEW.version)"
    )
    _audit_both(
        "latches",
        "CASE WHEN NEW.released_at IS NULL THEN 'latched' ELSE 'latch_released' END",
        _SCOPE,
        _LATCH,
        "OLD IS DISTINCT FROM NEW",
    )
    _audit_both(
        "flattenings",
        "CASE WHEN NEW.ended_at IS NULL THEN 'flatten' ELSE 'flatten_ended' END",
        "NEW.flattening_id::text",
        _FLATTENING,
        "OLD.ended_at IS DISTINCT FROM NEW.ended_at",
    )


def _audit_both(table: str, kind: str, subject: str, data: tuple[str, ...], changed: str) -> None:
    """Audit rows that are added, and those that change in something that matters."""
    for on, when in (("INSERT", ""), ("UPDATE", changed)):
        audited(op, _OWNER, table, kind, on=on, subject=subject, data=data, when=when)


def downgrade() -> None:
    """Drop the chain, and all it says."""
    for table in _INSERTED:
        unaudited(op, table)
    for table in _UPDATED:
        unaudited(op, table, on="UPDATE")
    drop_audit_chain(op)
