"""The demo's tables enter the change log."""

from alembic import op

revision = "t0002"
down_revision = "t0001"
branch_labels = None
depends_on = "r0004"

_TABLES = ("airlines", "airports", "planes", "weather", "flights")


def upgrade() -> None:
    for table in _TABLES:
        op.execute(f"select rowhouse.track('{table}')")


def downgrade() -> None:
    for table in _TABLES:
        op.execute(
            "select rowhouse.untrack(relation) from rowhouse.tracked "
            f"where until is null and relation = to_regclass('{table}')"
        )
