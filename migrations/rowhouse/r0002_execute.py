"""Grants of functions."""

from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_grants_action"), "grants", schema="rowhouse")
    op.create_check_constraint(
        op.f("ck_grants_action"),
        "grants",
        "action in ('read', 'create', 'update', 'delete', 'execute')",
        schema="rowhouse",
    )


def downgrade() -> None:
    op.execute("delete from rowhouse.grants where action = 'execute'")
    op.drop_constraint(op.f("ck_grants_action"), "grants", schema="rowhouse")
    op.create_check_constraint(
        op.f("ck_grants_action"), "grants", "action in ('read', 'create', 'update', 'delete')", schema="rowhouse"
    )
