"""What a migration must not do while a service runs is found in its SQL."""

from pathlib import Path

import pytest

from service.db.migration_lint import findings_in, lint, linted
from service.db.migrations import Branch, alembic_config, scripts
from tests.command import run_rowhouse

DANGEROUS = {
    "alter table flights add column a uuid default gen_random_uuid()": "adding-field-with-default",
    "alter table flights add column a timestamptz default clock_timestamp()": "adding-field-with-default",
    "alter table flights add column a text not null": "adding-required-field",
    "alter table flights add column a bigserial": "adding-serial-field",
    "alter table flights add column a integer check (a > 0)": "adding-field-with-check",
    "alter table flights add column a text references planes": "adding-foreign-key-constraint",
    "alter table flights add column a text unique": "disallowed-unique-constraint",
    "create index ix on flights (a)": "require-concurrent-index-creation",
    "create index concurrently ix on flights (a)": "ban-concurrent-index-creation-in-transaction",
    "drop index ix": "require-concurrent-index-deletion",
    "reindex table flights": "require-concurrent-reindex",
    "alter table flights alter column a type bigint": "changing-column-type",
    "alter table flights alter column a set not null": "adding-not-nullable-field",
    "alter table flights alter column a drop not null": "ban-drop-not-null",
    "alter table flights alter column a drop default": "ban-drop-default",
    "alter table flights add constraint c check (a > 0)": "constraint-missing-not-valid",
    "alter table flights add constraint c foreign key (a) references b": "constraint-missing-not-valid",
    "alter table flights add constraint c unique (a)": "disallowed-unique-constraint",
    "alter table flights drop column a": "ban-drop-column",
    "drop table flights": "ban-drop-table",
    "drop view late": "ban-drop-view",
    "drop function f(integer)": "ban-drop-function",
    "alter table flights rename column a to b": "renaming-column",
    "alter table flights rename to b": "renaming-table",
    "alter view late rename to b": "renaming-object",
    "alter table flights set schema b": "ban-set-schema",
    "alter domain d add constraint c check (value > 0)": "ban-alter-domain-with-add-constraint",
    "truncate flights": "truncating-table",
    "create table b (id bigint primary key); truncate b, flights": "truncating-table",
    "create table if not exists flights (a text); truncate flights": "truncating-table",
    "create table if not exists flights (a text); update flights set a = 1": "change-of-rows",
    "drop schema old cascade": "dropping-much",
    "drop schema if exists old, older cascade": "dropping-much",
    "drop owned by reporter": "dropping-much",
    "alter table flights disable trigger all": "disabling-trigger",
    "update flights set a = 1": "change-of-rows",
    "delete from only flights where a = 1": "change-of-rows",
    "insert into flights select * from b": "change-of-rows",
    "with gone as (select 1) update flights set a = 1": "change-of-rows",
    "lock table flights in share mode": "locking-table",
    "vacuum (full) flights": "rewriting-table",
    "alter table flights set unlogged": "rewriting-table",
    "refresh materialized view late": "refreshing-view",
    "do $$ begin drop table x; end $$": "unread-code",
}
SAFE = (
    "alter table flights add column a integer default 5 not null",
    "alter table flights add column a timestamptz default now()",
    "alter table flights add column a text",
    "alter table flights add constraint c check (a > 0) not valid",
    "alter table flights add constraint c foreign key (a) references b not valid",
    "alter table flights add constraint c unique using index ix",
    "alter table flights validate constraint c; alter table flights alter column a set not null",
    "commit; create index concurrently if not exists ix on flights (a); begin",
    "create table b (id bigint primary key, a text); create index ix on b (a); insert into b select 1, 'drop table x'",
    "create table b (id bigint primary key); truncate b; alter table b disable trigger user",
    "comment on table flights is 'update flights set a = 1; truncate flights'",
    "create function f() returns void language sql as $$ truncate flights; update flights set a = 1 $$",
    "UPDATE rowhouse.alembic_version SET version_num='r0002'",
)
# Of what is released: before the rules, and known.
OLD = {"r0001": {"unread-code"}, "r0002": {"constraint-missing-not-valid"}, "r0013": {"constraint-missing-not-valid"},
       "r0008": {"require-concurrent-index-creation"}}  # fmt: skip


def rules(sql: str) -> set[str]:
    return {finding.rule for finding in findings_in("x0001", f"BEGIN;\n{sql};\nCOMMIT;\n")}


@pytest.mark.parametrize(("sql", "rule"), DANGEROUS.items())
def test_what_is_dangerous_is_found(sql: str, rule: str) -> None:
    assert rule in rules(sql)


@pytest.mark.parametrize("sql", SAFE)
def test_what_is_safe_passes(sql: str) -> None:
    assert not rules(sql)


def test_all_migrations_can_be_read_and_what_is_released_is_known() -> None:
    everything = reversed(list(scripts().walk_revisions()))
    found: dict[str, set[str]] = {}
    for finding in lint(everything):
        found.setdefault(finding.revision, set()).add(finding.rule)
    assert found == OLD


def test_those_of_the_next_release_are_safe() -> None:
    chosen = linted()
    assert not {"r0014", "t0002"} & {item.revision for item in chosen}
    assert lint(chosen) == []


CONTRACT = '''
"""What 1.2 reads no longer goes."""
from alembic import op
revision, down_revision, branch_labels, depends_on = "x0001", None, ("extra",), None
accepted = {accepted}
def upgrade():
    op.drop_column("flights", "a")
'''


@pytest.mark.parametrize(
    ("accepted", "left"),
    [
        ({}, {"ban-drop-column"}),
        ({"ban-drop-column": "1.2 reads it no longer"}, set()),
        ({"ban-drop-column": "so", "ban-drop-table": "so"}, {"ban-drop-table"}),
    ],
    ids=["nothing", "what is done", "what is not done"],
)
def test_what_is_accepted_passes_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: dict[str, str], left: set[str]
) -> None:
    (tmp_path / "x0001_contract.py").write_text(CONTRACT.replace("{accepted}", repr(accepted)))

    def with_extra(url: str, **attributes: object) -> object:
        config = alembic_config(url, **attributes)
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(tmp_path))
        return config

    monkeypatch.setattr("service.db.migrations.alembic_config", with_extra)
    assert {finding.rule for finding in lint(scripts().walk_revisions())} == left


def test_the_command_says_what_it_read() -> None:
    run = run_rowhouse({"COLUMNS": "80"}, "migrate", "--lint")
    assert run.returncode == 0
    assert "safe to run beside a service" in run.stderr
    assert all(script.revision in run.stderr for script in linted((Branch.ROWHOUSE,)))
