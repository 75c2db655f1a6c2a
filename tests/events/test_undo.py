"""Taking changes back: what stands in the way, and what does not."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service, problem_of

_AIRLINES = "/api/v1/airlines"
_UNDO = "/api/v1/-/undo"


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%'")


def _latest(client: httpx2.Client, path: str = "airlines") -> dict[str, Any]:
    return dict(client.get(f"/api/v1/{path}/-/history", params={"limit": "1"}).json()[0])


def _undo(client: httpx2.Client, **what: Any) -> httpx2.Response:
    return client.post(_UNDO, json=what)


def _names(database: Database) -> dict[str, str]:
    rows = database.execute("select carrier, name from airlines where carrier like '~%' order by 1")
    return {row["carrier"]: row["name"] for row in rows}


def test_each_kind_of_change_is_taken_back_and_back_again(client: httpx2.Client, database: Database) -> None:
    for script, before in (
        ("insert into airlines values ('~1', 'a')", {}),
        ("update airlines set name = 'b' where carrier = '~1'", {"~1": "a"}),
        ("update airlines set carrier = '~2' where carrier = '~1'", {"~1": "a"}),
        ("delete from airlines where carrier = '~1'", {"~1": "a"}),
    ):
        database.execute("delete from airlines where carrier like '~%'")
        for carrier, name in before.items():
            database.execute("insert into airlines values ($1, $2)", carrier, name)
        database.execute(script)
        after = _names(database)
        answer = _undo(client, change=_latest(client)["change"])
        assert answer.status_code == 200, answer.text
        assert _names(database) == before
        assert _undo(client, change=_latest(client)["change"]).status_code == 200
        assert _names(database) == after


def test_undo_is_logged_as_a_write_of_its_caller(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'a')")
    answer = client.post(_UNDO, json={"change": _latest(client)["change"]}, headers={"X-Request-ID": "the-undo"})
    assert answer.json()["undone"][0] | {"change": 0} == {
        "change": 0, "table": "airlines", "key": {"carrier": "~1"}, "did": "delete",
    }  # fmt: skip
    undone = _latest(client)
    assert (undone["type"], undone["request"]) == ("delete", "the-undo")
    assert undone["actor"].startswith("key:")


def test_a_request_and_a_transaction_are_taken_back_whole(client: httpx2.Client, database: Database) -> None:
    rows = [{"carrier": f"~{number}", "name": "a"} for number in range(5)]
    client.post(_AIRLINES, json=rows, headers={"X-Request-ID": "bulk-insert"})
    database.execute("update airlines set name = carrier || name where carrier like '~%'")
    transaction = _latest(client)["transaction"]
    assert _undo(client, request="bulk-insert").status_code == 409
    assert len(_names(database)) == 5
    assert len(_undo(client, transaction=transaction).json()["undone"]) == 5
    assert set(_names(database).values()) == {"a"}
    assert len(_undo(client, request="bulk-insert").json()["undone"]) == 5
    assert _names(database) == {}


def test_a_dry_run_changes_nothing(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'a')")
    answer = _undo(client, change=_latest(client)["change"], dry_run=True)
    assert answer.json()["dry_run"] is True
    assert len(answer.json()["undone"]) == 1
    assert _names(database) == {"~1": "a"}


def test_one_persons_change_goes_and_the_others_stays(client: httpx2.Client, database: Database) -> None:
    """Columns that the other has changed are theirs; what both have changed stands in the way, and is named."""
    plane = client.get("/api/v1/planes", params={"limit": "1"}).json()[0]
    path = f"/api/v1/planes/{plane['tailnum']}"
    try:
        client.patch(path, json={"seats": 111, "model": "mine"}, headers={"X-Request-ID": "mine-1"})
        database.execute("update planes set engine = 'theirs' where tailnum = $1", plane["tailnum"])
        assert _undo(client, request="mine-1").status_code == 200
        assert client.get(path).json() == plane | {"engine": "theirs"}
        client.patch(path, json={"seats": 111, "model": "mine"}, headers={"X-Request-ID": "mine-2"})
        database.execute("update planes set seats = 222 where tailnum = $1", plane["tailnum"])
        answer = _undo(client, request="mine-2")
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "undo_conflict")
        (reason,) = problem_of(answer)["errors"]
        assert "seats changed since by rowhouse_owner" in reason["message"]
        assert plane["tailnum"] in reason["field"]
        assert client.get(path).json() == plane | {"engine": "theirs", "seats": 222, "model": "mine"}
    finally:
        columns = ", ".join(f"{name} = r.{name}" for name in plane if name != "tailnum")
        database.execute(
            f"update planes p set {columns} from json_populate_record(null::planes, $1::json) r "
            "where p.tailnum = r.tailnum",
            json.dumps(plane),
        )


def test_a_row_comes_back_from_the_trash(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'a')")
    database.execute("delete from airlines where carrier = '~1'")
    assert client.post(f"{_AIRLINES}/~1/-/restore").json()["undone"][0]["did"] == "insert"
    assert _names(database) == {"~1": "a"}
    again = client.post(f"{_AIRLINES}/~1/-/restore")
    assert (again.status_code, problem_of(again)["code"]) == (404, "row_not_found")


def test_what_refers_to_a_row_stands_in_the_way(client: httpx2.Client, database: Database) -> None:
    """PostgreSQL says so."""
    database.execute("insert into airlines values ('~1', 'a')")
    change = _latest(client)["change"]
    database.execute("update flights set carrier = '~1' where id = (select min(id) from flights)")
    flight = _latest(client, "flights")["change"]
    answer = _undo(client, change=change)
    assert answer.status_code == 409
    assert "~1" in problem_of(answer)["errors"][0]["field"]
    assert _undo(client, change=flight).status_code == 200
    assert _undo(client, change=change).status_code == 200


def test_tables_of_all_kinds(client: httpx2.Client, database: Database) -> None:
    """Numbers that PostgreSQL gives by itself, computed columns, arrays, JSON, partitions, no key."""
    database.execute(
        "create table u_numbered (id int generated always as identity primary key, n numeric, "
        "twice numeric generated always as (n * 2) stored, list int[], doc json, at timestamptz)"
    )
    database.execute("create table u_keyless (a int, b json)")
    database.execute("create table u_parts (id int primary key, what text) partition by range (id)")
    database.execute("create table u_parts_1 partition of u_parts for values from (0) to (10)")
    database.execute("create table u_parts_2 partition of u_parts for values from (10) to (20)")
    tables = ("u_numbered", "u_keyless", "u_parts")
    try:
        for table in tables:
            database.execute(f"grant all on {table} to rowhouse_service")
            database.execute(f"select rowhouse.track('{table}')")
        database.execute("notify rowhouse_reload")
        _wait_for(client, tables)
        numbered = "insert into u_numbered (n, list, doc, at) values (1.50, '{1,2}', '{\"b\": 1,  \"a\": 2}', now())"
        for table, scripts in {
            "u_numbered": (numbered, "update u_numbered set n = n + 1, list = list || 3", "truncate u_numbered"),
            "u_keyless": (
                "insert into u_keyless values (1, '[1]')", "update u_keyless set a = 2", "delete from u_keyless"
            ),
            "u_parts": (
                "insert into u_parts values (1, 'x'), (12, 'y')", "update u_parts set id = id + 5 where id = 12",
                "update u_parts set id = 3 where id = 17", "truncate u_parts"
            ),
        }.items():  # fmt: skip
            states = [_rows(database, table)]
            for script in scripts:
                database.execute(script)
                states.append(_rows(database, table))
            while len(states) > 1:
                assert states.pop() == _rows(database, table)
                answer = _undo(client, transaction=_undoable(client, table))
                assert answer.status_code == 200, answer.text
                assert _rows(database, table) == states[-1]
    finally:
        for table in tables:
            database.execute(f"drop table {table}")
        database.execute("notify rowhouse_reload")


def _wait_for(client: httpx2.Client, tables: tuple[str, ...]) -> None:
    for _ in range(200):
        if all(client.get(f"/api/v1/{table}").status_code == 200 for table in tables):
            return
    raise AssertionError("the tables are not served")


def _rows(database: Database, table: str) -> list[Any]:
    return [row[0] for row in database.execute(f"select t::text from {table} t order by 1")]


def _undoable(client: httpx2.Client, table: str) -> str:
    """The last transaction that was no undo, nor undone."""
    undone: list[str] = []
    for change in client.get(f"/api/v1/{table}/-/history").json():
        if change["actor"] is not None:
            if change["transaction"] not in undone:
                undone.append(change["transaction"])
        elif change["transaction"] not in undone:
            return _nth_outside(client, table, len(undone))
    raise AssertionError("nothing to undo")


def _nth_outside(client: httpx2.Client, table: str, number: int) -> str:
    outside: list[str] = []
    for change in client.get(f"/api/v1/{table}/-/history").json():
        if change["actor"] is None and change["transaction"] not in outside:
            outside.append(change["transaction"])
    return outside[number]


def test_undo_needs_the_rights_of_the_write(service: Service, client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'a')")
    change = _latest(client)["change"]
    with service.client(Role.VIEWER) as viewer:
        assert _undo(viewer, change=change).status_code in (403, 404)
    with service.client(None) as nobody:
        assert _undo(nobody, change=change).status_code in (401, 404)
    assert _names(database) == {"~1": "a"}


@pytest.fixture(scope="module")
def tables(service: Service, database: Database) -> Iterator[None]:
    database.execute("create table f_parent (id int primary key, owner text)")
    database.execute("create table f_child (id int primary key, parent int references f_parent on delete cascade)")
    database.execute("create table f_tree (id int primary key, above int references f_tree, card text)")
    database.execute("create table f_alike (a int)")
    database.execute("create table f_shaped (id int primary key)")
    tables = ("f_parent", "f_child", "f_tree", "f_alike", "f_shaped")
    for table in tables:
        database.execute(f"grant all on {table} to rowhouse_service")
        database.execute(f"select rowhouse.track('{table}')")
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        _wait_for(client, tables)
    yield
    for table in reversed(tables):
        database.execute(f"drop table {table} cascade")
    database.execute("notify rowhouse_reload")


@pytest.fixture
def family(tables: None, database: Database) -> Iterator[None]:
    """Tables that refer to one another, and to themselves."""
    yield
    for table in ("f_child", "f_parent", "f_tree", "f_alike", "f_shaped"):
        database.execute(f"delete from {table}")
    database.execute("select rowhouse.track('f_tree')")


def test_rows_come_back_before_those_that_refer_to_them(
    client: httpx2.Client, database: Database, family: None
) -> None:
    database.execute("insert into f_parent select n from generate_series(1, 5) n")
    database.execute("insert into f_child select n, n from generate_series(1, 5) n")
    database.execute("insert into f_tree select n, nullif(n - 1, 0) from generate_series(1, 700) n")
    for script, table, count in (
        ("truncate f_parent cascade", "f_child", 5),
        ("delete from f_tree", "f_tree", 700),
        ("delete from f_parent where id = 2", "f_child", 5),
    ):
        database.execute(script)
        answer = _undo(client, transaction=_latest(client, table)["transaction"])
        assert answer.status_code == 200, answer.text
        assert len(_rows(database, table)) == count


def test_what_others_have_added_since_does_not_go_with_a_row(
    client: httpx2.Client, database: Database, family: None
) -> None:
    database.execute("insert into f_parent values (1)")
    change = _latest(client, "f_parent")["change"]
    database.execute("insert into f_child values (1, 1)")
    answer = _undo(client, change=change)
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "23503")
    assert len(_rows(database, "f_child")) == 1


def test_what_cannot_be_brought_back_whole_is_not(client: httpx2.Client, database: Database, family: None) -> None:
    database.execute("select rowhouse.track('f_tree', '{card}')")
    database.execute("insert into f_tree values (1, null, 'secret')")
    database.execute("delete from f_tree")
    answer = client.post("/api/v1/f_tree/1/-/restore")
    assert answer.status_code == 409
    assert "card" in problem_of(answer)["detail"]


def test_a_change_is_taken_back_once(client: httpx2.Client, database: Database, family: None) -> None:
    """Of rows without a key, which are alike, nothing else would tell; and what was undone and redone can be again."""
    for script, before, after in (
        ("insert into f_alike values (1), (1)", 1, 3),
        ("update f_alike set a = 2", 1, 0),
        ("delete from f_alike", 1, 0),
    ):
        database.execute("delete from f_alike")
        database.execute("insert into f_alike values (1)")
        database.execute(script)
        assert _ones(database) == after
        transaction = _latest(client, "f_alike")["transaction"]
        assert _undo(client, transaction=transaction).status_code == 200
        assert _ones(database) == before
        answer = _undo(client, transaction=transaction)
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "undo_conflict"), script
        assert _ones(database) == before
        assert _undo(client, transaction=_latest(client, "f_alike")["transaction"]).status_code == 200
        assert _ones(database) == after
        assert _undo(client, transaction=transaction).status_code == 200
        assert _ones(database) == before


def _ones(database: Database) -> int:
    return int(database.execute("select count(*) from f_alike where a = 1")[0][0])


def test_rows_of_two_shapes_come_back_each_as_it_was(client: httpx2.Client, database: Database, family: None) -> None:
    """A row that went before a column was added takes its default; one that went later has its own value."""
    together = {"X-Request-ID": "two-shapes"}
    database.execute("insert into f_shaped values (1), (2)")
    client.delete("/api/v1/f_shaped/1", headers=together)
    database.execute("alter table f_shaped add since text default 'new'")
    database.execute("update f_shaped set since = 'own'")
    database.execute("notify rowhouse_reload")
    while "since" not in client.get("/api/v1/f_shaped/2").json():
        pass
    client.delete("/api/v1/f_shaped/2", headers=together)
    answer = _undo(client, request="two-shapes")
    assert answer.status_code == 200, answer.text
    assert _rows(database, "f_shaped") == ["(1,new)", "(2,own)"]


def test_rows_that_are_not_served_do_not_go_along(client: httpx2.Client, database: Database, family: None) -> None:
    database.execute("create schema unserved")
    try:
        database.execute("create table unserved.child (parent int references public.f_parent on delete cascade)")
        database.execute("insert into f_parent values (1)")
        database.execute("insert into unserved.child values (1)")
        answer = _undo(client, change=_latest(client, "f_parent")["change"])
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "undo_conflict")
        assert "unserved" not in answer.text
        assert database.execute("select count(*) from unserved.child")[0][0] == 1
    finally:
        database.execute("drop schema unserved cascade")


def test_a_deletion_stays_in_the_trash_though_its_key_was_used_again(
    client: httpx2.Client, database: Database, family: None
) -> None:
    database.execute("insert into f_parent values (8, 'first')")
    database.execute("delete from f_parent")
    database.execute("insert into f_parent values (8, 'second')")
    of_row = {"id": "eq.8"}
    assert client.get("/api/v1/f_parent/-/trash", params=of_row).json() == []
    database.execute("update f_parent set id = 9")
    (gone,) = client.get("/api/v1/f_parent/-/trash", params=of_row).json()
    assert gone["before"]["owner"] == "first"
    assert client.post("/api/v1/f_parent/8/-/restore").status_code == 200
    assert _rows(database, "f_parent") == ["(8,first)", "(9,second)"]


def test_all_that_stands_in_the_way_is_told(client: httpx2.Client, database: Database) -> None:
    rows = [{"carrier": "~1", "name": "a"}, {"carrier": "~2", "name": "b"}]
    client.post(_AIRLINES, json=rows, headers={"X-Request-ID": "two-rows"})
    database.execute("update airlines set name = 'changed' where carrier = '~2'")
    database.execute("update flights set carrier = '~1' where id = (select min(id) from flights)")
    flight = _latest(client, "flights")["change"]
    errors = problem_of(_undo(client, request="two-rows"))["errors"]
    assert ["~2" in errors[0]["field"], "~1" in errors[1]["field"]] == [True, True]
    assert _undo(client, change=flight).status_code == 200


def test_undo_tells_nothing_of_rows_that_are_hidden(
    service: Service, client: httpx2.Client, database: Database, family: None
) -> None:
    """What may not be read is as if it were not there, whatever else the caller may do."""
    for action in ("read", "create", "update", "delete"):
        database.execute(
            "insert into rowhouse.grants (role, table_name, action, row_filter) values ('viewer', 'f_parent', $1, $2)",
            action,
            "owner=eq.me",
        )
    try:
        changes = []
        for script in (
            "insert into f_parent values (4711, 'them')",
            "update f_parent set owner = 'those' where id = 4711",
            "delete from f_parent where id = 4711",
        ):
            database.execute(script)
            changes.append(_latest(client, "f_parent")["change"])
        database.execute("insert into f_parent values (1, 'me')")
        mine = _latest(client, "f_parent")["change"]
        with service.client(Role.VIEWER) as viewer:
            for change in changes:
                answer = _undo(viewer, change=change)
                assert (answer.status_code, "4711" in answer.text) == (404, False), answer.text
            database.execute("delete from rowhouse.grants where table_name = 'f_parent' and action = 'read'")
            assert _undo(viewer, change=mine).status_code == 403
            database.execute(
                "insert into rowhouse.grants (role, table_name, action, row_filter) "
                "values ('viewer', 'f_parent', 'read', 'owner=eq.me')"
            )
            assert _undo(viewer, change=mine).status_code == 200
    finally:
        database.execute("delete from rowhouse.grants where table_name = 'f_parent'")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"change": 1, "request": "x"}, 400),
        ({"change": "x"}, 400),
        ({"change": True}, 400),
        ({"change": -1}, 400),
        ({"change": 10**30}, 400),
        ({"request": ""}, 400),
        ({"request": "a\x00b"}, 400),
        ({"transaction": 1.5}, 400),
        ({"what": 1}, 400),
        ([1], 400),
        ({"change": 1, "dry_run": "yes"}, 400),
        ({"change": 2**62}, 404),
        ({"request": "there is none"}, 404),
    ],
)
def test_what_cannot_be_meant_is_refused(client: httpx2.Client, body: Any, status: int) -> None:
    answer = client.post(_UNDO, json=body)
    assert answer.status_code == status, answer.text
    assert problem_of(answer)["detail"]
