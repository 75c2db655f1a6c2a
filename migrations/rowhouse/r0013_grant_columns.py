"""The columns that a grant is of."""

import sqlalchemy as sa
from alembic import op

revision = "r0013"
down_revision = "r0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "grants",
        sa.Column(
            "columns",
            sa.ARRAY(sa.Text()),
            nullable=True,
            comment="Those that may be read, or set by a body; null for all",
        ),
        schema="rowhouse",
    )
    op.create_check_constraint(
        op.f("ck_grants_columns"),
        "grants",
        "columns is null or (action in ('read', 'create', 'update') and array_length(columns, 1) > 0)",
        schema="rowhouse",
    )


def downgrade() -> None:
    # What was granted of some columns is not to be granted of all.
    op.execute("delete from rowhouse.grants where columns is not null")
    op.drop_constraint(op.f("ck_grants_columns"), "grants", schema="rowhouse")
    op.drop_column("grants", "columns", schema="rowhouse")
