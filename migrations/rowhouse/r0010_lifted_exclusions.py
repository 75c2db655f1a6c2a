"""Columns that enter the log again (r0010_lifted_exclusions.sql)."""

import re
from pathlib import Path

from alembic import op

from service.db.sql_script import run_script

revision = "r0010"
down_revision = "r0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    before = (Path(__file__).parent / "r0004_change_log.sql").read_text()
    (tracking,) = re.findall(r"create function (rowhouse\.track\(.*?^\$\$;)", before, re.DOTALL | re.MULTILINE)
    op.execute(f"create or replace function {tracking}")
