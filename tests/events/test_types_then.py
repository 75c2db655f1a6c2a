"""The past of values that JSON does not tell apart, of types that have changed, of keys that are written otherwise."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from service.events.verify import Verdict, verify
from tests.conftest import Database
from tests.service_under_test import Service, problem_of

_TABLES = {
    "then_loose": "a json, b jsonb, c integer[], d text",
    "then_nulls": "id integer primary key, body jsonb, raw json",
    "then_typed": "id integer primary key, n text, other text",
    "then_numbers": "id numeric primary key, name text",
    "then_chars": "id char(6) primary key, name text",
    "then_moments": "id timestamptz primary key, name text",
    "then_parents": "id integer primary key, name text",
    "then_children": "more text",
    "then_reserved": "id integer primary key, as_of text",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of the test's own, by the API and beside it."""

    client: httpx2.Client
    database: Database

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.database.execute(statement)

    def now(self) -> str:
        return str(self.database.execute("select to_json(clock_timestamp()) #>> '{}'")[0][0])

    def rows(self, table: str, **query: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/api/v1/{table}", params=query)
        assert answer.status_code == 200, answer.text
        return sorted(answer.json(), key=lambda row: json.dumps(row, sort_keys=True))

    def history(self, path: str, **query: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"/api/v1/{path}/-/history", params=query)
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def verify(self, table: str) -> Verdict:
        async def check() -> Verdict:
            connection = await asyncpg.connect(self.database.owner_url)
            try:
                return await verify(connection, f"public.{table}")
            finally:
                await connection.close()

        return asyncio.run(check())

    def reload(self, table: str, column: str, kind: str) -> None:
        """Wait until the service has read a column's new type."""
        self.database.execute("notify rowhouse_reload")
        for _ in range(500):
            schema = self.client.get(f"/api/v1/{table}/-/schema")
            columns = {one["name"]: json.dumps(one) for one in schema.json().get("columns", [])}
            if kind in columns.get(column, ""):
                return
        raise AssertionError(schema.text)


@pytest.fixture(scope="module")
def served(service: Service, database: Database) -> Iterator[Tables]:
    for name, columns in _TABLES.items():
        inherits = " inherits (then_parents)" if name == "then_children" else ""
        database.execute(f"create table {name} ({columns}){inherits}")
        database.execute(f"grant all on {name} to rowhouse_service")
    for name in _TABLES:
        if name != "then_children":
            database.execute(f"select rowhouse.track('{name}')")
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        while any(client.get(f"/api/v1/{name}").status_code != 200 for name in _TABLES):
            pass
        yield Tables(client, database)
    for name in reversed(_TABLES):
        database.execute(f"drop table {name}")
    database.execute("notify rowhouse_reload")


def test_rows_that_json_does_not_tell_apart_are_as_they_were(served: Tables) -> None:
    """Blanks, kinds of null and lower bounds: of rows without a key, nothing else says which row it is."""
    rows = """('  {"x" : 1} ', 'null', '[0:1]={1,2}', 'a'), ('null', null, '{}', 'b'), (null, 'null', null, 'c')"""
    moments = [(served.now(), served.rows("then_loose"))]
    for script in (
        f"insert into then_loose values {rows}",
        f"insert into then_loose values {rows}",
        "update then_loose set d = d || '!' where d = 'a'",
        "delete from then_loose where ctid = (select min(ctid) from then_loose where d = 'b')",
        "update then_loose set a = null where d = 'b'",
        "delete from then_loose where d like 'a%'",
    ):
        served.run(script)
        moments.append((served.now(), served.rows("then_loose")))
    assert len({str(rows) for _, rows in moments}) == 6
    for moment, expected in moments:
        assert served.rows("then_loose", as_of=moment) == expected
    assert served.verify("then_loose").differences == []


def test_a_null_of_json_stays_one(served: Tables) -> None:
    served.run(
        "insert into then_nulls values (1, 'null', ' null '), (2, null, null), (3, 'null', null)",
        "insert into then_nulls values (4, '{\"body\": null}', '[null]')",
    )
    then = served.now()
    served.run("update then_nulls set body = '1', raw = '1'", "delete from then_nulls where id < 3")

    def ids(**query: str) -> list[int]:
        return [row["id"] for row in served.rows("then_nulls", select="id", as_of=then, **query)]

    assert ids(body="is.null") == [2]
    assert ids(raw="is.null") == [2, 3]
    assert served.rows("then_nulls", id="eq.4", as_of=then) == [{"id": 4, "body": {"body": None}, "raw": [None]}]
    served.run("delete from then_nulls")
    assert served.verify("then_nulls").differences == []


def test_a_type_that_has_changed_hides_no_history(served: Tables) -> None:
    served.run("insert into then_typed values (1, 'old', 'x'), (2, '7', 'y')")
    before = served.now()
    served.run(
        "update then_typed set n = '8', other = 'z' where id = 2",
        "delete from then_typed where id = 1",
        "alter table then_typed alter column n type integer using n::integer",
    )
    served.reload("then_typed", "n", "integer")

    def refused() -> None:
        answer = served.client.get("/api/v1/then_typed", params={"as_of": before})
        assert (answer.status_code, problem_of(answer)["code"]) == (410, "past_unknown"), answer.text
        assert "type" in problem_of(answer)["detail"]
        assert served.client.get("/api/v1/then_typed/2", params={"as_of": before}).status_code == 410

    def told() -> None:
        deleted, updated, *inserted = served.history("then_typed")
        assert deleted["before"] == {"id": 1, "n": "old", "other": "x"}
        assert (updated["before"]["n"], updated["after"]["n"], updated["columns"]) == ("7", "8", ["n", "other"])
        assert [one["after"]["n"] for one in inserted] == ["7", "old"]
        assert [one["type"] for one in served.history("then_typed/2")] == ["update", "insert"]
        assert served.history("then_typed", n="eq.8") == []  # it cannot be told of them
        trash = served.client.get("/api/v1/then_typed/-/trash")
        assert [one["key"] for one in trash.json()] == [{"id": 1}], trash.text

    refused()  # before anything has looked at the table
    told()
    served.database.execute("select rowhouse.arrange_all()")
    refused()
    told()
    after = served.now()
    served.run("update then_typed set n = 9 where id = 2")
    assert served.rows("then_typed", as_of=after) == [{"id": 2, "n": 8, "other": "z"}]
    assert [one["after"]["n"] for one in served.history("then_typed", n="eq.8")] == [9]
    assert served.verify("then_typed").differences == []


def test_what_was_logged_need_not_obey_the_rules_of_now(served: Tables) -> None:
    """A rule that is made later, or a column that may not be null, says nothing of what was."""
    served.run("truncate then_typed", "insert into then_typed values (1, 5, 'long enough'), (2, 50, 'short')")
    then = served.now()
    served.run(
        "update then_typed set n = 50, other = 'short'",
        "create domain then_large as integer not null check (value > 10)",
        "alter table then_typed add large then_large default 11",
        "alter table then_typed alter column other type varchar(5)",
    )
    try:
        served.reload("then_typed", "large", "integer")
        assert served.rows("then_typed", as_of=then) == [
            {"id": 1, "n": 5, "other": "long enough", "large": None},
            {"id": 2, "n": 50, "other": "short", "large": None},
        ]
        assert served.rows("then_typed", as_of=then, other="eq.long enough")[0]["id"] == 1
        assert served.history("then_typed/1")[0]["before"]["other"] == "long enough"
    finally:
        served.run("alter table then_typed drop large", "drop domain then_large")


@pytest.mark.parametrize(
    ("table", "written", "asked"),
    [
        ("then_numbers", "1.50", "1.5"),
        ("then_numbers", "2", "2.000"),
        ("then_chars", "abc", "abc   "),
        ("then_chars", "abd   ", "abd"),
        ("then_moments", "2026-01-31 12:00+00", "2026-01-31T14:00:00+02:00"),
    ],
)
def test_a_key_is_found_however_it_is_written(served: Tables, table: str, written: str, asked: str) -> None:
    served.run(f"insert into {table} values ('{written}', 'a')")
    then = served.now()
    served.run(f"update {table} set name = 'b'", f"delete from {table}")
    path = f"{table}/{asked.replace('+', '%2B')}"
    assert [one["type"] for one in served.history(path)] == ["delete", "update", "insert"]
    assert served.client.get(f"/api/v1/{path}", params={"as_of": then}).json()["name"] == "a"
    restored = served.client.post(f"/api/v1/{path}/-/restore")
    assert restored.status_code == 200, restored.text
    assert [row["name"] for row in served.rows(table)] == ["b"]
    served.run(f"delete from {table}")


def test_a_key_may_stand_in_a_parent_and_in_its_child(served: Tables) -> None:
    served.run("insert into then_parents values (1, 'parent')", "insert into then_children values (1, 'child', 'x')")
    both, then = served.rows("then_parents"), served.now()
    assert [row["name"] for row in both] == ["child", "parent"]
    served.run("update then_children set name = 'later'", "delete from only then_parents")
    between, left = served.rows("then_parents"), served.now()
    assert served.rows("then_parents", as_of=then) == both
    assert served.rows("then_children", as_of=then) == [{"id": 1, "name": "child", "more": "x"}]
    assert served.verify("then_parents").differences == []
    (deleted,) = served.client.get("/api/v1/then_parents/-/trash").json()
    assert deleted["before"]["name"] == "parent"
    served.run("delete from then_children")
    assert served.rows("then_parents", as_of=left) == between
    assert served.rows("then_parents", as_of=then, id="eq.1") == both


def test_a_column_may_be_called_as_of(served: Tables) -> None:
    served.run("insert into then_reserved values (1, 'x'), (2, 'y')")
    then = served.now()
    served.run("update then_reserved set as_of = 'z'")
    for query in ({"and": "(as_of.eq.x)"}, {'"as_of"': "eq.x"}):
        assert served.rows("then_reserved", as_of=then, **query) == [{"id": 1, "as_of": "x"}]
        assert served.rows("then_reserved", **query) == []
    changed = served.client.patch("/api/v1/then_reserved", params={"and": "(id.eq.1,as_of.eq.z)"}, json={"as_of": "w"})
    assert changed.status_code in (200, 204), changed.text
    assert served.rows("then_reserved", order="as_of.desc", select="as_of") == [{"as_of": "w"}, {"as_of": "z"}]
