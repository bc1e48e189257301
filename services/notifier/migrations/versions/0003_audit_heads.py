"""The heads of the services' audit chains, as they were told.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from sigmax.runtime.migrations import make_append_only, make_changeable

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create their table: rows are added, and stay."""
    op.create_table(
        "audit_heads",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("at", _TIME, nullable=False, comment="of the entry"),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("is_told", sa.Boolean, nullable=False, comment="people's channels were given it"),
        sa.Column("received_at", _TIME, nullable=False),
    )
    op.create_index("audit_heads_told", "audit_heads", ["owner", "received_at"], postgresql_where=sa.text("is_told"))
    make_append_only(op, "notifier", "audit_heads")


def downgrade() -> None:
    """Forget them."""
    make_changeable(op, "audit_heads")
    op.drop_table("audit_heads")
