"""The change log: every change of a tracked table (r0004_change_log.sql)."""

from pathlib import Path

from alembic import op

from service.db.sql_script import run_script

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "can_follow(pg_snapshot, integer[])",
    "drop_empty_partitions(interval)",
    "empty_partition(text)",
    "make_partition(text, timestamptz, timestamptz)",
    "ended_partitions(interval)",
    "keep_log(integer, interval)",
    "begin_life()",
    "arrange_all(integer)",
    "untrack(regclass)",
    "track(regclass, text[], integer)",
    "check_trackable(regclass, text[])",
    "as_it_is(rowhouse.tracked)",
    "arrange(integer)",
    "log_triggers_sql(rowhouse.tracked, regclass)",
    "log_function_body(rowhouse.tracked)",
    "as_made_sql(rowhouse.tracked)",
    "log_settings(regclass)",
    "log_truncate(integer, regclass)",
    "log_sql_now(integer, text, regclass, boolean)",
    "log_sql(rowhouse.tracked, text, text, text)",
    "images_sql(rowhouse.tracked, text, text, text)",
    "key_sql(regclass, text[], text)",
    "with_json_nulls(json, text[])",
    "json_nulls_sql(rowhouse.tracked, text)",
    "is_logged_whole(rowhouse.tracked)",
    "column_sql(regclass, text, text)",
    "is_trusted(regclass)",
    "logged_columns(rowhouse.tracked)",
    "known_now(regclass)",
    "base_type(oid)",
    "is_logged_by_row(regclass)",
    "life()",
)


def upgrade() -> None:
    op.execute("set local check_function_bodies = off")
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    op.execute("select rowhouse.untrack(relation) from rowhouse.tracked where until is null and parent is null")
    for function in _FUNCTIONS:
        op.execute(f"drop function rowhouse.{function}")
    for table in ("log_state", "tracked", "changes"):
        op.execute(f"drop table rowhouse.{table}")
    op.execute("drop sequence rowhouse.change_seq")
