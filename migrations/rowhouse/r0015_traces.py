"""Traces go on where a request has left something to be done: in jobs, and in webhooks' deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "r0015"
down_revision = "r0014"
branch_labels = None
depends_on = None

_COMMENT = "Where it goes on with the trace of the request that it came from (W3C Trace Context)"


def upgrade() -> None:
    for table in ("jobs", "deliveries"):
        op.add_column(table, sa.Column("traceparent", sa.Text(), nullable=True, comment=_COMMENT), schema="rowhouse")
    # Unlogged: a commit does not wait for the disk, and a crash may take what is of use for seconds.
    op.create_table(
        "request_traces",
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_request_traces")),
        schema="rowhouse",
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_request_traces_at", "request_traces", ["at"], schema="rowhouse")
    op.execute("grant select, insert, update, delete on rowhouse.request_traces to rowhouse_service")


def downgrade() -> None:
    op.drop_table("request_traces", schema="rowhouse")
    for table in ("deliveries", "jobs"):
        op.drop_column(table, "traceparent", schema="rowhouse")
