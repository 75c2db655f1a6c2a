"""Imports that are run by a worker: their bodies, and what a job says of itself while it runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0011"
down_revision = "r0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs",
        sa.Column("details", postgresql.JSONB(), nullable=True, comment="What it says of itself while it runs"),
        schema="rowhouse",
    )
    op.create_table(
        "import_chunks",
        sa.Column("body", sa.Uuid(), nullable=False, comment="Of the job's arguments"),
        sa.Column("number", sa.Integer(), nullable=False, comment="Place of the chunk in the body, from 0"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("body", "number", name=op.f("pk_import_chunks")),
        schema="rowhouse",
    )
    # It is read once, and compressed it would only cost time.
    op.execute("alter table rowhouse.import_chunks alter column data set storage external")
    op.execute("grant select, insert, update, delete on rowhouse.import_chunks to rowhouse_service")


def downgrade() -> None:
    op.drop_table("import_chunks", schema="rowhouse")
    op.drop_column("jobs", "details", schema="rowhouse")
