"""The change log has each change once, in the order in which rows changed, and never fails a write."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.events.conftest import SCHEMA, Change, Log

ITEMS = "create table items (id integer primary key, name text, n integer)"


def items(log: Log, rows: str = "") -> None:
    """A tracked table of items, with rows that are not logged."""
    log.run(ITEMS + (f"; insert into items values {rows}" if rows else ""))
    log.track("items")


def test_each_operation_is_logged_with_what_was_and_what_is(log: Log) -> None:
    items(log)
    log.run("insert into items values (1, 'a', 1); update items set name = 'b'; delete from items")
    first, second = {"id": 1, "name": "a", "n": 1}, {"id": 1, "name": "b", "n": 1}
    assert log.changes("items") == [
        Change("i", "1", None, None, first),
        Change("u", "1", None, first, second),
        Change("d", "1", None, second, None),
    ]


def test_a_statement_of_many_rows_logs_each(log: Log) -> None:
    items(log)
    log.run("insert into items select i, 'a', i from generate_series(1, 500) i")
    log.run("update items set n = n + 1; delete from items where id > 2")
    changes = log.changes("items")
    assert [c.key for c in changes if c.op == "i"] == [str(i) for i in range(1, 501)]
    updates = [c for c in changes if c.op == "u"]
    assert len(updates) == 500
    assert all(c.was and c.now and c.was["id"] == c.now["id"] == int(c.key or 0) for c in updates)
    assert all(c.was and c.now and c.was["n"] + 1 == c.now["n"] for c in updates)
    assert len([c for c in changes if c.op == "d"]) == 498


def test_many_rows_after_one_are_paired_in_time(log: Log) -> None:
    """A session keeps the plan that it made for few rows: it must not look at each row for each (a hundred million)."""
    items(log)
    log.run("insert into items select i, 'a', i from generate_series(1, 10000) i")
    log.run(
        "set statement_timeout = '20s'; update items set n = 0 where id < 3; update items set n = 1 where id < 3; "
        "update items set n = 2 where id < 3; update items set n = n + 1"
    )
    updates = [c for c in log.changes("items") if c.op == "u"]
    assert len(updates) == 10_006
    assert all(c.was and c.now and c.was["id"] == c.now["id"] for c in updates)


def test_a_statement_that_meets_no_row_logs_nothing(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run(
        "update items set n = 2 where id = 9; delete from items where id = 9; insert into items select 2 where false"
    )
    assert log.changes("items") == []


def test_an_upsert_is_logged_as_what_it_did(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("insert into items values (1, 'b', 1), (2, 'c', 2) on conflict (id) do update set name = excluded.name")
    log.run("insert into items values (1, 'z', 1), (3, 'd', 3) on conflict do nothing")
    assert sorted(log.short("items")) == [("i", "2"), ("i", "3"), ("u", "1")]


def test_a_merge_is_logged_as_what_it_did(log: Log) -> None:
    items(log, "(1, 'a', 1), (2, 'b', 2)")
    log.run(
        "merge into items t using (values (1, 'x'), (2, null), (3, 'new')) s (id, name) on t.id = s.id "
        "when matched and s.name is null then delete when matched then update set name = s.name "
        "when not matched then insert values (s.id, s.name, 0)"
    )
    assert sorted(log.short("items")) == [("d", "2"), ("i", "3"), ("u", "1")]


def test_a_merge_that_frees_a_key_and_uses_it_again_is_logged_in_that_order(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run(
        "merge into items t using (values (1, 'gone'), (1, 'new')) s (id, name) on t.id = s.id and s.name = 'gone' "
        "when matched then delete when not matched then insert values (s.id, s.name, 0)"
    )
    assert log.short("items") == [("d", "1"), ("i", "1")]


def test_copy_is_logged(log: Log) -> None:
    items(log)

    async def copy() -> None:
        connection = await asyncpg.connect(log.database.owner_url)
        try:
            rows = [(i, "x", i) for i in range(3)]
            await connection.copy_records_to_table("items", schema_name=SCHEMA, records=rows)
        finally:
            await connection.close()

    asyncio.run(copy())
    assert log.short("items") == [("i", "0"), ("i", "1"), ("i", "2")]


def test_what_is_rolled_back_is_not_logged(log: Log) -> None:
    items(log)
    log.run("begin; insert into items values (1); rollback")
    log.run(
        "begin; insert into items values (2); savepoint s; insert into items values (3); rollback to s; "
        "insert into items values (4); commit"
    )
    assert log.short("items") == [("i", "2"), ("i", "4")]


def test_a_changed_key_is_logged_with_the_one_before(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("update items set id = 7")
    assert [(c.op, c.key, c.old_key) for c in log.changes("items")] == [("u", "7", "1")]


def test_keys_that_move_up_are_logged_in_the_order_in_which_they_were_free(log: Log) -> None:
    """Many rows, so that PostgreSQL has reason to join what was and what is in another order."""
    log.run("create table shifted (id integer primary key, filler text)")
    log.run("insert into shifted select i, repeat('x', 100) from generate_series(1, 60000) i")
    log.track("shifted")
    log.run("set work_mem = '64kB'; update shifted set id = id - 1")
    moved = [(c.old_key, c.key) for c in log.changes("shifted")]
    assert moved == [(str(i), str(i - 1)) for i in range(1, 60001)]


def test_a_key_that_is_freed_and_used_again_in_one_query_is_logged_in_that_order(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("with gone as (delete from items returning *) insert into items select id, 'b', n from gone")
    assert log.short("items") == [("d", "1"), ("i", "1")]


def test_without_a_key_rows_are_known_by_what_they_hold(log: Log) -> None:
    log.run("create table keyless (a integer, b text)")
    log.track("keyless")
    log.run("insert into keyless values (1, 'x'), (1, 'x'), (2, null); update keyless set b = 'y' where a = 2")
    log.run("delete from keyless where a = 1")
    changes = log.changes("keyless")
    equal = [c.key for c in changes if (c.now or c.was or {}).get("a") == 1]
    assert len(equal) == 4
    assert len(set(equal)) == 1
    update = next(c for c in changes if c.op == "u")
    assert update.old_key == changes[2].key != update.key


KEYED = """
create table keyed (at timestamptz, weight float8, code text, span interval, raw bytea, price money, during tstzrange,
                    n integer, primary key (at, weight, code, span, raw, price, during))
"""
ROW = (
    "'2020-06-01 12:00+00', 0.1::float8 + 0.2::float8, 'it''s, \"odd\"', '1 day 2 hours', '\\x00ff', '12.5', "
    "'[2020-01-01 00:00+00, 2020-02-01 00:00+00)'"
)


def test_a_key_reads_the_same_whatever_the_session_has_set(log: Log) -> None:
    log.run(KEYED)
    log.track("keyed")
    log.run(f"insert into keyed values ({ROW}, 1)")
    log.run(
        "update keyed set n = 2", timezone="Asia/Tokyo", datestyle="German", extra_float_digits="0",
        intervalstyle="iso_8601", bytea_output="escape", lc_monetary="C.UTF-8",
    )  # fmt: skip
    log.run("update keyed set n = 3", timezone="America/New_York", datestyle="SQL, DMY", extra_float_digits="-5")
    keys = {c.key for c in log.changes("keyed")}
    images = [{**(c.now or {}), "n": 0} for c in log.changes("keyed")]
    assert len(keys) == 1
    assert "0.30000000000000004" in str(keys)
    assert images[0] == images[1] == images[2]
    assert images[0]["at"] == "2020-06-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        ("integer", "7", "7"), ("bigint", "9007199254740993", "9007199254740993"), ("text", "'ü \"x\"'", 'ü "x"'),
        ("boolean", "true", "true"), ("numeric", "1.50", "1.5"), ("date", "'2020-02-03'", "2020-02-03"),
        ("float4", "0.1", "0.1"), ("char(3)", "'a'", "a"), ("timestamp", "'2020-02-03 04:05'", "2020-02-03T04:05:00"),
        ("uuid", "'6ecd8c99-4036-403d-bf84-cf8400f67836'", "6ecd8c99-4036-403d-bf84-cf8400f67836"),
        ("integer[]", "'{1,2}'", "[1,2]"), ("inet", "'10.0.0.1'", "10.0.0.1"),
    ],
)  # fmt: skip
def test_a_key_reads_as_json_has_it_but_for_what_equality_overlooks(log: Log, kind: str, value: str, key: str) -> None:
    log.run(f"create table typed (id {kind} primary key)")
    log.track("typed")
    log.run(f"insert into typed values ({value})")
    assert [c.key for c in log.changes("typed")] == [key]


def test_columns_may_come_and_go_without_a_write_failing(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("alter table items add column added text default 'new'; update items set n = 2")
    log.run("alter table items drop column name; update items set n = 3; insert into items values (2, 2, 'x')")
    log.run("alter table items rename column n to number; update items set number = 4 where id = 1")
    changes = log.changes("items")
    assert changes[0].now == {"id": 1, "name": "a", "n": 2, "added": "new"}
    assert changes[1].now == {"id": 1, "n": 3, "added": "new"}
    assert changes[3].now == {"id": 1, "number": 4, "added": "new"}
    assert log.arrange() == 0  # it needs nothing: a whole row is logged as it is
    log.run("delete from items")
    assert sorted(log.short("items")[4:]) == [("d", "1"), ("d", "2")]


def test_a_renamed_key_is_read_by_its_new_name_at_once(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("alter table items rename column id to number; update items set n = 2; insert into items values (2)")
    assert log.short("items") == [("u", "1"), ("i", "2")]
    log.arrange()
    assert log.arrange() == 0
    log.run("delete from items where number = 1; truncate items")
    assert log.short("items")[2:] == [("d", "1"), ("t", "2")]


def test_a_key_of_names_exchanged_is_still_the_key(log: Log) -> None:
    log.run("create table pair (a integer, b integer, c text, primary key (a, b)); insert into pair values (1, 2, 'x')")
    log.track("pair")
    log.run(
        "alter table pair rename a to t; alter table pair rename b to a; alter table pair rename t to b; "
        "update pair set c = 'y'"
    )
    assert log.short("pair") == [("u", "(1,2)")]


def test_a_key_made_dropped_or_of_another_type_is_taken_up(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("alter table items alter column id type text using 'x' || id; update items set n = 2")
    log.run("alter table items drop constraint items_pkey; update items set n = 3")
    log.arrange()
    log.run("update items set n = 4; alter table items add primary key (n)")
    log.arrange()
    log.run("update items set name = 'z'")
    keys = [c.key for c in log.changes("items")]
    assert keys[0] == "x1"
    assert len(keys[1] or "") == len(keys[2] or "") == 32
    assert keys[3] == "4"


def secret_rows(log: Log) -> str:
    return str(log.fetch("select coalesce(json_agg(c), '[]') from rowhouse.changes c where seq > $1", log.begins)[0][0])


def test_an_excluded_column_never_enters_the_log(log: Log) -> None:
    log.run("create table people (id integer primary key, secret text, name text)")
    log.track("people", "secret")
    log.run("insert into people values (1, 'hush', 'a'); update people set secret = 'hush 2', name = 'b'")
    log.run("alter table people rename column secret to other; update people set name = 'c'")
    log.run("alter table people add column later text default 'seen'; update people set name = 'd'")
    log.arrange()
    log.run("update people set name = 'e'; truncate people")
    assert "hush" not in secret_rows(log)
    changes = log.changes("people")
    assert [c.op for c in changes] == list("iuuuut")
    assert changes[2].now == {"id": 1, "name": "c"}
    assert changes[3].now == changes[4].was == {"id": 1, "name": "d", "later": "seen"}
    assert changes[5].was == {"id": 1, "name": "e", "later": "seen"}


def test_an_excluded_column_stays_out_when_names_are_exchanged_or_made_again(log: Log) -> None:
    log.run("create table people (id integer primary key, secret text, name text)")
    log.track("people", "secret")
    log.run(
        "alter table people rename secret to t; alter table people rename name to secret; "
        "alter table people rename t to name; insert into people values (1, 'hush', 'public')"
    )
    log.arrange()
    log.run("update people set name = 'hush'")
    log.run("alter table people drop column name")
    log.arrange()
    log.run("alter table people add column name text; update people set name = 'hush'")
    log.arrange()
    log.run("update people set name = 'hush 2'")
    assert "hush" not in secret_rows(log)
    assert log.short("people") == [("i", "1"), ("u", "1"), ("u", "1"), ("u", "1")]


def test_an_excluded_column_that_becomes_the_key_stays_out(log: Log) -> None:
    log.run("create table people (id integer primary key, secret text, name text)")
    log.track("people", "secret")
    log.run("alter table people drop constraint people_pkey, add primary key (secret)")
    log.run("insert into people values (1, 'hush', 'a')")
    log.arrange()
    log.run("update people set name = 'b'; truncate people")
    assert "hush" not in secret_rows(log)
    assert [c.op for c in log.changes("people")] == list("iut")


def test_values_that_only_json_without_an_escape_can_hold_do_not_fail_a_write(log: Log) -> None:
    log.run("create table documents (id integer primary key, secret text, body json)")
    log.track("documents", "secret")
    log.run("""insert into documents values (1, 'x', '{"a": "\\u0000", "n": 1e100000}')""")
    log.run("alter table documents rename body to document; update documents set secret = 'y'")
    assert log.short("documents") == [("i", "1"), ("u", "1")]


@pytest.mark.parametrize("excluded", [[], ["%s $log$"]])
def test_odd_names_are_logged(log: Log, excluded: list[str]) -> None:
    log.run(
        'create table "odd ""table"" %s" ("odd ""key"" %" integer primary key, n text, x text, r text, w text, c text, '
        "i text, rowhouse text, rowhouse_now text, rowhouse_was text, new text, old text, place bigint, image text, "
        '"%s $log$" text, "$1" text, key text)'
    )
    log.track('"odd ""table"" %s"', *excluded)
    log.run(
        'insert into "odd ""table"" %s" values (1, \'a\', \'b\'); update "odd ""table"" %s" set n = \'c\', place = 7'
    )
    log.run('delete from "odd ""table"" %s"; insert into "odd ""table"" %s" values (2); truncate "odd ""table"" %s"')
    changes = log.changes('"odd ""table"" %s"')
    assert [(c.op, c.key) for c in changes] == [("i", "1"), ("u", "1"), ("d", "1"), ("i", "2"), ("t", "2")]
    assert changes[1].was
    assert changes[1].now
    assert (changes[1].was["n"], changes[1].now["n"], changes[1].now["place"]) == ("a", "c", 7)
    assert ("%s $log$" in changes[1].now) is (not excluded)


PARTS = """
create table parts (id integer, at date, note text, primary key (id, at)) partition by range (at);
create table parts_1 partition of parts for values from ('2020-01-01') to ('2021-01-01');
create table parts_2 partition of parts for values from ('2021-01-01') to ('2022-01-01') partition by list (id);
create table parts_2_odd (note text, at date not null, id integer not null);
alter table parts_2 attach partition parts_2_odd for values in (1, 3);
create table parts_2_rest partition of parts_2 default;
"""


@pytest.fixture
def parts(log: Log) -> Log:
    log.run(PARTS)
    log.track("parts")
    return log


def test_partitions_are_logged_as_the_whole_table(parts: Log) -> None:
    parts.run("insert into parts values (1, '2020-05-05', 'a'), (1, '2021-05-05', 'b'), (2, '2021-05-05', 'c')")
    parts.run(
        "insert into parts_1 values (5, '2020-06-06', 'direct'); insert into parts_2 values (3, '2021-06-06', 'sub')"
    )
    parts.run("update parts_2_odd set note = 'changed' where id = 1; delete from parts_2_rest")
    changes = parts.changes("parts")
    assert [(c.op, c.key) for c in changes] == [
        ("i", "(1,2020-05-05)"), ("i", "(1,2021-05-05)"), ("i", "(2,2021-05-05)"), ("i", "(5,2020-06-06)"),
        ("i", "(3,2021-06-06)"), ("u", "(1,2021-05-05)"), ("d", "(2,2021-05-05)"),
    ]  # fmt: skip
    assert changes[5].now == {"id": 1, "at": "2021-05-05", "note": "changed"}
    assert len(parts.changes()) == 7


def test_a_row_that_moves_to_another_partition_is_logged_once(parts: Log) -> None:
    parts.run("insert into parts values (1, '2020-05-05', 'a'), (2, '2020-06-06', 'b')")
    parts.run("update parts set at = at + 366, note = note || '!'")
    moved = parts.changes("parts")[2:]
    assert [(c.op, c.key, c.old_key) for c in moved] == [
        ("u", "(1,2021-05-06)", "(1,2020-05-05)"),
        ("u", "(2,2021-06-07)", "(2,2020-06-06)"),
    ]
    assert [c.now and c.now["note"] for c in moved] == ["a!", "b!"]


def test_rows_pair_where_a_trigger_stops_one_on_its_way_to_another_partition(parts: Log) -> None:
    parts.run(
        "create function stop() returns trigger language plpgsql as "
        "$$ begin if new.note = 'stop' then return null; end if; return new; end $$; "
        "create trigger stop before insert on parts_2_odd for each row execute function logged.stop()"
    )
    parts.arrange()
    parts.run("insert into parts values (1, '2020-05-05', 'stop'), (3, '2020-06-06', 'go')")
    parts.run("update parts set at = at + 366")
    assert sorted(parts.short("parts")[2:]) == [
        ("d", "(1,2020-05-05)"), ("d", "(3,2020-06-06)"), ("i", "(3,2021-06-07)"),
    ]  # fmt: skip


def test_a_partition_made_later_is_arranged(parts: Log) -> None:
    parts.run("create table parts_3 partition of parts for values from ('2022-01-01') to ('2023-01-01')")
    parts.run("insert into parts values (1, '2022-05-05', 'through the table')")
    parts.arrange()
    parts.run("insert into parts_3 values (2, '2022-05-05', 'direct'); truncate parts_3")
    assert [c.op for c in parts.changes("parts")] == ["i", "i", "t", "t"]


def test_a_partition_that_is_taken_out_is_no_longer_logged(parts: Log) -> None:
    parts.run("alter table parts detach partition parts_1")
    parts.arrange()
    parts.run("insert into parts_1 values (1, '2020-05-05')")
    assert parts.changes() == []


def test_a_tracked_table_that_becomes_a_partition_is_logged_with_the_whole(parts: Log) -> None:
    parts.run("create table alone (id integer not null, at date not null, note text, primary key (id, at))")
    parts.track("alone")
    parts.run("alter table parts attach partition alone for values from ('2030-01-01') to ('2031-01-01')")
    parts.arrange()
    parts.run("insert into alone values (1, '2030-05-05'); insert into parts values (2, '2030-05-05')")
    assert parts.short("parts") == [("i", "(1,2030-05-05)"), ("i", "(2,2030-05-05)")]
    assert parts.short("alone") == []


def test_truncate_logs_every_row_of_what_it_empties(parts: Log) -> None:
    parts.run("insert into parts values (1, '2020-05-05'), (1, '2021-05-05'), (2, '2021-05-05')")
    parts.run("truncate parts_2_odd")
    assert parts.short("parts")[3:] == [("t", "(1,2021-05-05)")]
    parts.run("truncate parts")
    assert sorted(parts.short("parts")[4:]) == [("t", "(1,2020-05-05)"), ("t", "(2,2021-05-05)")]


def test_truncate_cascade_logs_the_tables_that_go_with_it(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("create table uses (id integer primary key, item integer references items); insert into uses values (5, 1)")
    log.track("uses")
    log.run("truncate items cascade")
    assert log.short("items") == [("t", "1")]
    assert log.short("uses") == [("t", "5")]


def test_a_truncate_that_is_rolled_back_logs_nothing(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run("begin; truncate items; rollback")
    assert log.changes() == []


def test_children_by_inheritance_keep_their_own_columns(log: Log) -> None:
    log.run(ITEMS + "; create table special (extra text) inherits (items)")
    log.track("items")
    log.run("insert into items values (1, 'a', 1); insert into special values (2, 'b', 2, 'own')")
    log.run("update items set n = 9; delete from items")
    assert log.short("items") == [("i", "1"), ("u", "1"), ("d", "1")]
    assert log.short("special") == [("i", "2"), ("u", "2"), ("d", "2")]
    assert log.changes("special")[2].was == {"id": 2, "name": "b", "n": 9, "extra": "own"}


def test_a_child_made_later_is_arranged(log: Log) -> None:
    items(log)
    log.run("create table special (extra text) inherits (items)")
    log.run("insert into special values (1, 'a', 1, 'before'); update items set n = 2")
    log.arrange()
    log.run("update items set n = 3; truncate special; alter table special no inherit items")
    log.arrange()
    assert [c.now and c.now.get("extra") for c in log.changes("special") if c.op == "u"] == ["before"]
    assert log.short("special")[-1] == ("t", "1")
    log.run("insert into items values (4, 'still', 1)")
    assert log.short("items")[-1] == ("i", "4")


AGAIN = """
create function again() returns trigger language plpgsql as $$
begin update logged.items set n = n + 1 where id = new.id; return null; end $$;
create trigger "!" after insert or update on items for each row when (new.n < 3) execute function again();
create trigger zz after update on items for each row when (new.n < 6) execute function again();
"""


def chained(changes: list[Change]) -> bool:
    """Whether each change of a row begins with what the one before has left."""
    rows: dict[str | None, Any] = {}
    for change in changes:
        if rows.get(change.old_key or change.key) != change.was:
            return False
        rows.pop(change.old_key, None)
        rows[change.key] = change.now
    return True


@pytest.mark.parametrize("is_tracked_first", [False, True])
def test_rows_that_a_trigger_changes_again_are_logged_in_order(log: Log, is_tracked_first: bool) -> None:
    log.run(ITEMS)
    if is_tracked_first:
        log.track("items")
    log.run(AGAIN)
    if is_tracked_first:
        log.arrange()
    else:
        log.track("items")
    log.run("insert into items values (1, 'a', 1), (2, 'b', 2)")
    changes = log.changes("items")
    assert chained(changes)
    final = {c.key: c.now for c in changes}
    assert final == {str(r["id"]): dict(r) for r in log.fetch("select * from logged.items")}
    log.run('drop trigger "!" on items; drop trigger zz on items')
    log.arrange()
    assert " rowhouse_insert" in {r[0] for r in log.fetch(TRIGGERS, "logged.items")}


TRIGGERS = "select tgname from pg_trigger where tgrelid = $1::text::regclass"


def test_a_trigger_before_each_row_that_makes_room_is_logged_in_order(log: Log) -> None:
    items(log, "(1, 'a', 1)")
    log.run(
        "create function room() returns trigger language plpgsql as "
        "$$ begin delete from logged.items where id = new.id; return new; end $$; "
        "create trigger room before insert on items for each row execute function room()"
    )
    log.arrange()
    log.run("insert into items values (1, 'b', 2)")
    assert log.short("items") == [("d", "1"), ("i", "1")]


def test_cascades_within_a_table_are_logged_once_each(log: Log) -> None:
    log.run(
        "create table tree (id integer primary key, up integer references tree on delete cascade, "
        "friend integer references tree on delete set null); "
        "insert into tree values (1, null, null), (2, 1, 1), (3, 2, 1), (4, 3, 3), (5, null, 4)"
    )
    log.track("tree")
    log.run("delete from tree where id = 1")
    changes = log.changes("tree")
    assert sorted(c.key or "" for c in changes if c.op == "d") == ["1", "2", "3", "4"]
    rows: dict[str | None, Any] = {c.key: c.was for c in reversed(changes)}
    for change in changes:
        assert rows[change.key] == change.was
        rows[change.key] = change.now
    assert rows == dict.fromkeys("1234") | {"5": {"id": 5, "up": None, "friend": None}}


def test_cascades_between_tables_are_logged(log: Log) -> None:
    items(log, "(1, 'a', 1), (2, 'b', 2)")
    log.run(
        "create table uses (id integer primary key, item integer references items on update cascade on delete cascade, "
        "other integer references items on delete set null); insert into uses values (5, 1, null), (6, 2, 1)"
    )
    log.track("uses")
    log.run("update items set id = 3 where id = 2; delete from items where id = 1")
    assert log.short("items") == [("u", "3"), ("d", "1")]
    assert sorted(log.short("uses")) == [("d", "5"), ("u", "6"), ("u", "6")]


def test_generated_columns_are_logged_if_they_are_kept(log: Log) -> None:
    log.run(
        "create table computed (id integer primary key, n integer, twice integer generated always as (n * 2) stored, "
        "thrice integer generated always as (n * 3) virtual)"
    )
    log.track("computed")
    log.run("insert into computed values (1, 5); update computed set n = 6; truncate computed")
    changes = log.changes("computed")
    assert changes[0].now == {"id": 1, "n": 5, "twice": 10}
    assert changes[2].was == {"id": 1, "n": 6, "twice": 12}
