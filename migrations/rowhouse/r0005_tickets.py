"""Tickets of the live feed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("principal", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_tickets")),
        schema="rowhouse",
    )
    op.create_index(op.f("ix_tickets_expires_at"), "tickets", ["expires_at"], unique=False, schema="rowhouse")
    op.execute("grant select, insert, update, delete on rowhouse.tickets to rowhouse_service")


def downgrade() -> None:
    op.drop_index(op.f("ix_tickets_expires_at"), table_name="tickets", schema="rowhouse")
    op.drop_table("tickets", schema="rowhouse")
