"""Rowhouse's own schema: identity, grants, epoch."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = ("rowhouse",)
depends_on = None

# The role that the service works as. It is made where the owner may make roles; elsewhere a database administrator
# makes it first (deploy/postgresql/roles.sql).
_SERVICE_ROLE = """
do $$
begin
    if not exists (select from pg_roles where rolname = 'rowhouse_service') then
        create role rowhouse_service;
        execute format('grant rowhouse_service to %I', current_user);
    end if;
end $$
"""

# A statement that finds out while it runs that it must not be kept ends itself here.
_REFUSE = """
create function rowhouse.refuse(state text, reason text) returns boolean
language plpgsql set search_path = pg_catalog as $$
begin
    raise exception using errcode = state, message = reason;
end $$
"""

_TABLES = ("api_keys", "grants", "users", "refresh_tokens")


def upgrade() -> None:
    op.execute(_SERVICE_ROLE)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role in ('viewer', 'editor', 'admin')", name=op.f("ck_api_keys_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        schema="rowhouse",
    )
    op.create_table(
        "cluster",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_cluster_is_only")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_cluster")),
        schema="rowhouse",
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("row_filter", sa.Text(), nullable=True, comment="Query string whose filters a row must meet"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("action in ('read', 'create', 'update', 'delete')", name=op.f("ck_grants_action")),
        sa.CheckConstraint("role in ('viewer', 'editor', 'admin')", name=op.f("ck_grants_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("role", "table_name", "action", name=op.f("uq_grants_role_table_name_action")),
        schema="rowhouse",
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role in ('viewer', 'editor', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        schema="rowhouse",
    )
    op.create_index("ix_users_email", "users", [sa.literal_column("lower(email)")], unique=True, schema="rowhouse")
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["rowhouse.users.id"], name=op.f("fk_refresh_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
        schema="rowhouse",
    )
    op.create_index(op.f("ix_refresh_tokens_family"), "refresh_tokens", ["family"], unique=False, schema="rowhouse")
    op.create_index(op.f("ix_refresh_tokens_user_id"), "refresh_tokens", ["user_id"], unique=False, schema="rowhouse")
    op.execute("insert into rowhouse.cluster (epoch) values (md5(gen_random_uuid()::text))")
    op.execute(_REFUSE)
    op.execute("grant usage on schema rowhouse to rowhouse_service")
    op.execute("grant select on rowhouse.cluster, rowhouse.alembic_version to rowhouse_service")
    for table in _TABLES:
        op.execute(f"grant select, insert, update, delete on rowhouse.{table} to rowhouse_service")


def downgrade() -> None:
    op.execute("drop function rowhouse.refuse(text, text)")
    op.drop_index(op.f("ix_refresh_tokens_user_id"), table_name="refresh_tokens", schema="rowhouse")
    op.drop_index(op.f("ix_refresh_tokens_family"), table_name="refresh_tokens", schema="rowhouse")
    op.drop_table("refresh_tokens", schema="rowhouse")
    op.drop_index("ix_users_email", table_name="users", schema="rowhouse")
    op.drop_table("users", schema="rowhouse")
    op.drop_table("grants", schema="rowhouse")
    op.drop_table("cluster", schema="rowhouse")
    op.drop_table("api_keys", schema="rowhouse")
