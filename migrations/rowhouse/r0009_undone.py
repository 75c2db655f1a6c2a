"""Which changes were taken back: of rows without a key nothing else tells it."""

import sqlalchemy as sa
from alembic import op

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None

# One that is taken back, and then brought back by taking that back, stands: it is the length of the chain that says.
_IS_UNDONE = """
create function rowhouse.is_undone(number bigint) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive chain (by, depth) as (
        select u.by, 1 from rowhouse.undone u where u.change = number
        union all
        select u.by, c.depth + 1 from chain c join rowhouse.undone u on u.change = c.by
    )
    select coalesce(max(depth) % 2 = 1, false) from chain
$$
"""


def upgrade() -> None:
    op.create_table(
        "undone",
        sa.Column("change", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("change", name=op.f("pk_undone")),
        schema="rowhouse",
    )
    op.execute(_IS_UNDONE)
    op.execute("revoke execute on function rowhouse.is_undone(bigint) from public")
    op.execute("grant execute on function rowhouse.is_undone(bigint) to rowhouse_service")
    op.execute("grant select, insert, update, delete on rowhouse.undone to rowhouse_service")


def downgrade() -> None:
    op.execute("drop function rowhouse.is_undone(bigint)")
    op.drop_table("undone", schema="rowhouse")
