"""Background jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state in ('queued', 'running', 'waiting')")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True, comment="No two unfinished jobs of a name have the same"),
        sa.Column(
            "period",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Begin of the period that a periodic job is for",
        ),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("most_attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True, comment="Who asked for it"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="Of the last attempt that failed"),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("progress", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "state in ('queued', 'running', 'waiting', 'done', 'dead', 'cancelled')", name=op.f("ck_jobs_state")
        ),
        sa.CheckConstraint("progress between 0 and 1", name=op.f("ck_jobs_progress")),
        sa.CheckConstraint("(state = 'running') = (leased_until is not null)", name=op.f("ck_jobs_lease")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("name", "period", name=op.f("uq_jobs_name_period")),
        schema="rowhouse",
    )
    for name, columns, is_unique, where in (
        ("uq_jobs_name_key", ["name", "key"], True, _UNFINISHED),
        ("ix_jobs_due", ["run_after"], False, _UNFINISHED),
        ("ix_jobs_state_created_at", ["state", "created_at", "id"], False, None),
        ("ix_jobs_created_at", ["created_at", "id"], False, None),
        ("ix_jobs_finished_at", ["finished_at"], False, None),
    ):
        op.create_index(name, "jobs", columns, unique=is_unique, schema="rowhouse", postgresql_where=where)
    # The columns that taskiq's PostgreSQL broker writes and reads; it would make the table itself, as its owner.
    op.create_table(
        "job_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("task_name", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_messages")),
        schema="rowhouse",
    )
    op.create_index(op.f("ix_job_messages_created_at"), "job_messages", ["created_at"], schema="rowhouse")
    for table in ("jobs", "job_messages"):
        op.execute(f"grant select, insert, update, delete on rowhouse.{table} to rowhouse_service")


def downgrade() -> None:
    op.drop_table("job_messages", schema="rowhouse")
    op.drop_table("jobs", schema="rowhouse")
