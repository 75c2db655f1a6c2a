"""History of tables: what it needs besides the log (r0008_history.sql)."""

import re
from pathlib import Path

from alembic import op

from service.db.sql_script import run_script

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("set local check_function_bodies = off")
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    op.execute("drop index rowhouse.changes_unlogged")
    op.execute("drop function rowhouse.key_text(regclass, text[], text[])")
    op.execute("drop function rowhouse.past_is_unknown(integer[], pg_snapshot, timestamptz)")
    op.execute("drop index rowhouse.changes_request")
    op.execute("drop index rowhouse.changes_at")
    op.execute("drop function rowhouse.committed_at(xid8, bigint, timestamptz)")
    op.execute(
        "revoke execute on function rowhouse.known_now(regclass), rowhouse.base_type(oid), "
        "rowhouse.key_sql(regclass, text[], text), rowhouse.column_sql(regclass, text, text), "
        "rowhouse.is_trusted(regclass) from rowhouse_service"
    )
    op.execute("alter table rowhouse.log_state drop column floor_at")
    before = (Path(__file__).parent / "r0004_change_log.sql").read_text()
    (emptying,) = re.findall(r"create function (rowhouse\.empty_partition.*?^\$\$;)", before, re.DOTALL | re.MULTILINE)
    op.execute(f"create or replace function {emptying}")
