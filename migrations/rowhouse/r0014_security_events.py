"""The log of security events. The service adds to it and reads it, and can change nothing that is there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0014"
down_revision = "r0013"
branch_labels = None
depends_on = None

_FORGET = """
create function rowhouse.forget_security_events(at_most integer) returns integer
language sql security definer set search_path = pg_catalog, pg_temp as $$
    with old as (select e.id from rowhouse.security_events e
                 where e.at < now() - interval '400 days' order by e.at limit at_most),
         gone as (delete from rowhouse.security_events e using old where e.id = old.id returning e.id)
    select count(*)::integer from gone
$$
"""


def upgrade() -> None:
    op.create_table(
        "security_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True, comment="Who did it; null where nobody was known"),
        sa.Column("subject", sa.Text(), nullable=True, comment="Whom or what it concerns"),
        sa.Column("address", sa.Text(), nullable=True, comment="Where the request came from"),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
        schema="rowhouse",
    )
    for columns in (["at"], ["kind", "id"], ["actor", "id"], ["subject", "id"]):
        op.create_index(f"ix_security_events_{'_'.join(columns)}", "security_events", columns, schema="rowhouse")
    op.execute(_FORGET)
    op.execute("revoke execute on function rowhouse.forget_security_events(integer) from public")
    op.execute("grant execute on function rowhouse.forget_security_events(integer) to rowhouse_service")
    # Where the owner's default privileges give more (deploy/postgresql/roles.sql), it is taken back.
    op.execute("revoke all on rowhouse.security_events from rowhouse_service")
    op.execute("grant select, insert on rowhouse.security_events to rowhouse_service")


def downgrade() -> None:
    op.execute("drop function rowhouse.forget_security_events(integer)")
    op.drop_table("security_events", schema="rowhouse")
