"""Whoever writes is logged, nobody but the log's owner writes the log, and nobody can make it run what is theirs."""

from collections.abc import Iterator

import asyncpg
import pytest

from service.core.types import Role
from tests.events.conftest import SCHEMA, Log
from tests.postgres import let_in
from tests.service_under_test import Service

STRANGER = "a stranger's role"


@pytest.fixture
def stranger(log: Log) -> Iterator[str]:
    """The URL of a role that knows nothing of Rowhouse, and may write this schema's tables."""
    run = log.database.execute_as_superuser
    run(f'create role "{STRANGER}" login')
    run(f'grant usage, create on schema {SCHEMA} to "{STRANGER}"')
    run(f'alter default privileges for role rowhouse_owner in schema {SCHEMA} grant all on tables to "{STRANGER}"')
    let_in(log.database.server, STRANGER)
    yield log.database.server.url("a%20stranger%27s%20role", log.database.name)
    run(f'drop owned by "{STRANGER}" cascade')
    run(f'drop role "{STRANGER}"')


def items(log: Log) -> None:
    log.run("create table items (id integer primary key, name text)")
    log.track("items")


WHO = "select actor, request, source, db_user from rowhouse.changes where seq > $1 order by seq"


def test_a_write_in_psql_is_logged_under_its_user(log: Log, stranger: str) -> None:
    items(log)
    log.run("insert into items values (1); update items set name = 'a'; delete from items", stranger)
    log.run("insert into items values (2); truncate items", stranger, application_name="psql")
    assert [c.op for c in log.changes("items")] == list("iudit")
    lines = [tuple(row) for row in log.fetch(WHO, log.begins)]
    assert {line[3] for line in lines} == {STRANGER}
    assert lines[-1] == (None, None, "psql", STRANGER)


def test_actor_request_and_source_come_from_the_statement(log: Log) -> None:
    items(log)
    log.run("set rowhouse.actor = 'job 7'; set rowhouse.request = 'r1'; set rowhouse.source = 'nightly'; "
            "insert into items values (1); reset rowhouse.actor; insert into items values (2)")  # fmt: skip
    assert [tuple(row) for row in log.fetch(WHO, log.begins)] == [
        ("job 7", "r1", "nightly", "rowhouse_owner"),
        (None, "r1", "nightly", "rowhouse_owner"),
    ]


def test_a_write_through_the_api_is_logged_under_its_principal(log: Log, service: Service) -> None:
    with service.client(Role.EDITOR) as client:
        made = client.post("/api/v1/airlines", json={"carrier": "ZZ", "name": "Logged Air"})
        gone = client.delete("/api/v1/airlines/ZZ")
        me = client.get("/api/v1/-/me")
    assert (made.status_code, gone.status_code) == (201, 200 if gone.content else 204), made.text
    first, second = (tuple(row) for row in log.fetch(WHO, log.begins))
    assert first == (first[0], made.headers["X-Request-ID"], "rowhouse", "rowhouse_service")
    assert second[1] == gone.headers["X-Request-ID"]
    assert first[0] == second[0] is not None
    assert me.status_code in (200, 404)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from rowhouse.changes",
        "insert into rowhouse.changes (xid, at, tracked, op, db_user) values ('9', now(), 1, 'i', 'me')",
        "update rowhouse.changes set actor = 'x'",
        "delete from rowhouse.changes",
        "truncate rowhouse.changes",
        "delete from rowhouse.changes_default",
        "select nextval('rowhouse.change_seq')",
        "select rowhouse.untrack('logged.items')",
        "select rowhouse.keep_log(4, '0')",
        "select rowhouse.log_truncate(1, 'logged.items')",
        "drop table rowhouse.changes",
    ],
)
@pytest.mark.parametrize("who", ["stranger", "service"])
def test_only_its_owner_changes_the_log(log: Log, stranger: str, sql: str, who: str) -> None:
    items(log)
    url = stranger if who == "stranger" else log.database.service_url
    if who == "service" and ("keep_log" in sql or sql.startswith("select *")):
        log.run(sql.replace("'0'", "'90 days'"), url)  # what the service needs for its work
        return
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        log.run(sql, url)


def test_nobody_makes_a_trigger_of_the_log_s_function(log: Log, stranger: str) -> None:
    items(log)
    log.run(f"create table {SCHEMA}.theirs (id integer)", stranger)
    function = log.fetch("select 'log_' || max(id) from rowhouse.tracked")[0][0]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        log.run(
            f"create trigger x after insert on theirs for each statement execute function rowhouse.{function}()",
            stranger,
        )


HIJACK = """
create temp table pg_class (oid oid, relkind "char", relname name, relowner oid, relispartition boolean);
create temp table pg_trigger (tgname name);
create temp table pg_attribute (attname name);
create temp table pg_proc (oid oid);
create temp table pg_index (indrelid oid);
create temp table pg_inherits (inhrelid oid);
create temp table changes (a int);
create temp table rowhouse_now (id integer, name text); create temp table rowhouse_was (id integer, name text);
create schema if not exists mine;
create function mine.row_to_json(anyelement) returns json language sql as $$ select '{"hijacked": true}'::json $$;
create function mine.session_user() returns name language sql as $$ select 'somebody'::name $$;
create function pg_temp.row_to_json(anyelement) returns json language sql as $$ select '{"hijacked": true}'::json $$;
set search_path = mine, pg_temp, pg_catalog, logged;
"""


def test_what_a_session_puts_before_postgresql_s_own_is_not_used(log: Log, stranger: str) -> None:
    items(log)
    log.database.execute_as_superuser(f'grant create on database {log.database.name} to "{STRANGER}"')
    log.run(
        HIJACK + "insert into items values (1, 'a'); update items set name = 'b'; delete from items; "
        "insert into items values (2, 'c'); truncate items", stranger,
    )  # fmt: skip
    changes = log.changes("items")
    assert [(c.op, c.key) for c in changes] == [("i", "1"), ("u", "1"), ("d", "1"), ("i", "2"), ("t", "2")]
    assert changes[1].now == {"id": 1, "name": "b"}
    assert {row["db_user"] for row in log.fetch(WHO, log.begins)} == {STRANGER}


def test_the_service_cannot_use_its_temporary_tables_against_the_owner(log: Log) -> None:
    """The maintenance runs with the owner's rights: what the service's session has made must not enter it."""
    items(log)
    log.run(
        "create temp table pg_class as select * from pg_class where false; "
        "create temp table pg_inherits as select * from pg_inherits where false; "
        "create temp table pg_database as select * from pg_database where false; "
        "select rowhouse.arrange_all(); select rowhouse.keep_log(1, null); "
        "select rowhouse.begin_life(), rowhouse.life()",
        log.database.service_url,
    )
    assert log.fetch("select until from rowhouse.tracked where relation = 'logged.items'::regclass")[0][0] is None


def test_a_table_of_somebody_else_is_tracked_with_its_owner_s_leave(log: Log, stranger: str) -> None:
    log.run(f"create table {SCHEMA}.theirs (id integer primary key); insert into {SCHEMA}.theirs values (1)", stranger)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="may not read"):
        log.track("theirs")
    log.run(f"grant select, trigger on {SCHEMA}.theirs to rowhouse_owner", stranger)
    log.track("theirs")
    log.run("insert into theirs values (2); update theirs set id = 3 where id = 2; truncate theirs", stranger)
    assert log.short("theirs") == [("i", "2"), ("u", "3"), ("t", "1"), ("t", "3")]


CASTS = """
create type evil as enum ('x');
create type pair as (a evil, b integer);
create function evil_json(evil) returns json language sql as $$ select to_json(current_user) $$;
create function evil_text(evil) returns text language sql as $$ select current_user::text $$;
create cast (evil as json) with function evil_json(evil);
create cast (evil as text) with function evil_text(evil);
"""


def test_the_owner_of_a_tracked_table_cannot_run_anything_with_the_log_owner_s_rights(log: Log, stranger: str) -> None:
    log.run(f"set search_path = {SCHEMA}; create table theirs (id integer primary key, n integer); "
            "grant select, trigger on theirs to rowhouse_owner", stranger)  # fmt: skip
    log.track("theirs")
    log.run(CASTS + "alter table theirs add e evil, add p pair, add es evil[]", stranger)
    log.run("insert into theirs values (1, 1, 'x', row('x', 2), '{x}'); insert into theirs values (2)", stranger)
    log.arrange()
    log.run("update theirs set n = 2 where id = 1; truncate theirs", stranger)
    log.run("alter table theirs drop constraint theirs_pkey, add primary key (e)", stranger)
    log.run("insert into theirs values (1, 1, 'x')", stranger)
    changes = log.changes("theirs")
    assert changes[0].now == {"id": 1, "n": 1, "e": "x", "p": "(x,2)", "es": "{x}"}
    assert changes[1].now == {"id": 2, "n": None, "e": None, "p": None, "es": None}
    assert changes[-1].key == "x"
    assert "rowhouse_owner" not in str(changes)


def test_a_truncate_whose_rows_may_no_longer_be_read_does_not_fail(log: Log, stranger: str) -> None:
    log.run(
        f"create table {SCHEMA}.theirs (id integer primary key); insert into {SCHEMA}.theirs values (1); "
        f"grant select, trigger on {SCHEMA}.theirs to rowhouse_owner", stranger,
    )  # fmt: skip
    log.track("theirs")
    log.run(f"revoke select on {SCHEMA}.theirs from rowhouse_owner; truncate {SCHEMA}.theirs", stranger)
    assert [(c.op, c.key, c.was) for c in log.changes("theirs")] == [("t", None, None)]


def test_row_security_does_not_hide_rows_from_the_log(log: Log, stranger: str) -> None:
    items(log)
    log.run("insert into items values (1, 'a'), (2, 'b'); alter table items enable row level security; "
            f'create policy some_rows on items to "{STRANGER}" using (id = 1)')  # fmt: skip
    log.run("update items set name = 'c'; delete from items", stranger)
    assert log.short("items")[2:] == [("u", "1"), ("d", "1")]
    log.run("alter table items force row level security; truncate items")
    assert [(c.op, c.key) for c in log.changes("items")][4:] == [("t", None)]


@pytest.mark.parametrize(
    ("made", "table", "excluded", "said"),
    [
        ("create view v as select 1 as a", "v", [], "v is no table"),
        ("create materialized view v as select 1 as a", "v", [], "v is no table"),
        (
            "create table p (a integer) partition by list (a); create table p1 partition of p default",
            "p1",
            [],
            "partition",
        ),
        ("create table t (id integer primary key, a text)", "t", ["id"], "id is of the key"),
        ("create table t (id integer primary key, a text)", "t", ["a", "no"], "has no column no"),
        ("create table t (id integer primary key, a text)", "t", ["ctid"], "has no column ctid"),
    ],
)
def test_what_cannot_be_tracked_is_said(log: Log, made: str, table: str, excluded: list[str], said: str) -> None:
    log.run(made)
    with pytest.raises(asyncpg.PostgresError, match=said):
        log.track(table, *excluded)
    assert log.fetch("select count(*) from rowhouse.tracked where name like 'logged.%' and until is null")[0][0] == 0


@pytest.mark.parametrize(
    "table", ["rowhouse.changes", "rowhouse.tracked", "pg_catalog.pg_class", "information_schema.sql_features"]
)
def test_tables_of_rowhouse_and_postgresql_are_not_tracked(log: Log, table: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="own"):
        log.fetch("select rowhouse.track($1::text::regclass)", table)


def test_tracking_twice_changes_nothing(log: Log) -> None:
    items(log)
    before = log.fetch("select * from rowhouse.tracked where relation = 'logged.items'::regclass")
    assert log.track("items") == []
    assert log.fetch("select * from rowhouse.tracked where relation = 'logged.items'::regclass") == before
    log.run("insert into items values (1)")
    assert log.short("items") == [("i", "1")]


def test_tracking_again_with_other_columns_takes_effect(log: Log) -> None:
    items(log)
    assert log.track("items", "name") != []
    log.run("insert into items values (1, 'x')")
    assert log.changes("items")[0].now == {"id": 1}


LEFT = """
with relations as (
    select relid::oid from pg_partition_tree($1::text::regclass)
    union select $1::text::regclass::oid
    union select inhrelid from pg_inherits where inhparent = $1::text::regclass
)
select (select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        where p.pronamespace = 'rowhouse'::regnamespace and t.tgrelid in (select relid from relations))
     + (select count(*) from pg_proc p join rowhouse.tracked t on p.proname = 'log_' || t.id
        where t.relation in (select relid from relations) and p.pronamespace = 'rowhouse'::regnamespace)
"""


@pytest.mark.parametrize(
    "made",
    [
        "create table t (id integer primary key)",
        "create table t (id integer primary key) partition by list (id); create table t1 partition of t default",
        "create table t (id integer primary key); create table child (a text) inherits (t)",
    ],
)
def test_untrack_leaves_nothing_behind_but_what_was_logged(log: Log, made: str) -> None:
    log.run(made)
    log.track("t")
    log.run("insert into t values (1)")
    log.fetch("select rowhouse.untrack('logged.t')")
    assert log.fetch(LEFT, "logged.t")[0][0] == 0
    log.run("insert into t values (2); truncate t")
    assert log.short("t") == [("i", "1")]
    with pytest.raises(asyncpg.PostgresError, match="is not tracked"):
        log.fetch("select rowhouse.untrack('logged.t')")
    log.track("t")
    log.run("insert into t values (3)")
    assert log.short("t") == [("i", "1"), ("i", "3")]


def test_a_user_s_trigger_of_a_like_name_is_left_alone(log: Log) -> None:
    items(log)
    log.run(
        "create function f() returns trigger language plpgsql as $$ begin return null; end $$; "
        'create trigger " rowhouse_mine" after insert on items for each statement execute function f()'
    )
    log.arrange()
    log.fetch("select rowhouse.untrack('logged.items')")
    names = log.fetch("select tgname from pg_trigger where tgrelid = 'logged.items'::regclass")
    assert [row[0] for row in names] == [" rowhouse_mine"]


def test_one_table_that_cannot_be_arranged_does_not_stop_the_others(log: Log, stranger: str) -> None:
    log.run(f"create table {SCHEMA}.theirs (id integer primary key)", stranger)
    log.run(f"grant select, trigger on {SCHEMA}.theirs to rowhouse_owner", stranger)
    log.track("theirs")
    items(log)
    log.run(
        f'revoke trigger on {SCHEMA}.theirs from rowhouse_owner; drop trigger " rowhouse_insert" on {SCHEMA}.theirs',
        stranger,
    )
    log.run("alter table items rename id to number")
    log.arrange()
    log.run("insert into items values (1)")
    assert log.short("items") == [("i", "1")]
