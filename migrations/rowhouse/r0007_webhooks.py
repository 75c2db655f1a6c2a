"""Webhooks, their deliveries, and the order of these (r0007_webhooks.sql)."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from service.db.sql_script import run_script

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "replay_deliveries(uuid, bigint[])",
    "finish_delivery(bigint, integer, text, integer, integer, text, text)",
    "enqueue_deliveries(uuid, text[], text[], bytea[], bytea[], text[])",
    "promote_deliveries(uuid, bytea[])",
    "lock_lanes(uuid)",
)


def upgrade() -> None:
    _make_webhooks()
    _make_deliveries()
    op.create_table(
        "lanes",
        sa.Column("webhook", sa.Uuid(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("delivery", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook"], ["rowhouse.webhooks.id"], name=op.f("fk_lanes_webhook"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook", "key", "delivery", name=op.f("pk_lanes")),
        schema="rowhouse",
    )
    for table in ("webhooks", "deliveries", "lanes"):
        op.execute(f"grant select, insert, update, delete on rowhouse.{table} to rowhouse_service")
    run_script(Path(__file__).with_suffix(".sql"))


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False, comment="Query string as of the feed"),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("owner_kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("owner_name", sa.Text(), nullable=False),
        sa.Column(
            "owner_role", sa.Text(), nullable=False, comment="When it was made: with another role it is disabled"
        ),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it is disabled"),
        sa.Column("life", sa.Text(), server_default=sa.text("rowhouse.life()"), nullable=False),
        sa.Column("seen", sa.Text(), server_default=sa.text("pg_current_snapshot()::text"), nullable=False),
        sa.Column("until", sa.Text(), server_default=sa.text("pg_current_snapshot()::text"), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "generation", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="Which secret it has"
        ),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state in ('active', 'paused', 'disabled')", name=op.f("ck_webhooks_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        schema="rowhouse",
    )
    op.create_index("ix_webhooks_owner", "webhooks", ["owner_kind", "owner_id"], schema="rowhouse")


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("webhook", sa.Uuid(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False, comment="webhook-id: the same at every attempt"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "keys",
            postgresql.ARRAY(sa.LargeBinary()),
            nullable=False,
            comment="Hashes of the keys of the rows concerned",
        ),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="While a worker has it, when its lease runs out",
        ),
        sa.Column("worker", sa.Text(), nullable=True, comment="Who had it last"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True, comment="HTTP status of the last answer"),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True, comment="First part of the last answer"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'pending', 'delivered', 'dead')", name=op.f("ck_deliveries_state")),
        sa.ForeignKeyConstraint(
            ["webhook"], ["rowhouse.webhooks.id"], name=op.f("fk_deliveries_webhook"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("webhook", "message", name=op.f("uq_deliveries_webhook_message")),
        schema="rowhouse",
    )
    op.create_index("ix_deliveries_webhook_id", "deliveries", ["webhook", "id"], schema="rowhouse")
    for name, columns, where in (
        ("ix_deliveries_due", ["webhook", "due_at"], "state = 'pending'"),
        ("ix_deliveries_open", ["state", "created_at"], "state <> 'delivered'"),
        ("ix_deliveries_finished_at", ["finished_at"], "finished_at is not null"),
    ):
        op.create_index(name, "deliveries", columns, schema="rowhouse", postgresql_where=sa.text(where))


def downgrade() -> None:
    for function in _FUNCTIONS:
        op.execute(f"drop function rowhouse.{function}")
    for table in ("lanes", "deliveries", "webhooks"):
        op.drop_table(table, schema="rowhouse")
