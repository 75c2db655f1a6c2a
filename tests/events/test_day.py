"""A day of several people over five tables: any moment of it can be told, and all of it taken back."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from service.events.verify import verify
from tests.conftest import Database
from tests.service_under_test import Service

_EDITS = 2000
_MOMENTS = 50
_TABLES = {
    "day_orders": "id int generated always as identity primary key, customer text, total numeric, at timestamptz",
    "day_lines": "order_no int, line int, what text, tags text[], primary key (order_no, line)",
    "day_notes": "key text primary key, body json, weight float8, done boolean",
    "day_parts": "id int primary key, what text, twice int generated always as (id * 2) stored",
    "day_loose": "a int, b text",
}


@dataclass
class Day:
    """What was done, in the order in which it was committed, and what there was at some moments."""

    done: list[dict[str, str]] = field(default_factory=list)
    moments: list[tuple[str, str, dict[str, list[Any]]]] = field(default_factory=list)


@pytest.fixture
def tables(service: Service, database: Database) -> Iterator[None]:
    for name, columns in _TABLES.items():
        cut = " partition by range (id)" if name == "day_parts" else ""
        database.execute(f"create table {name} ({columns}){cut}")
        database.execute(f"grant all on {name} to rowhouse_service")
    for number in range(3):
        bounds = f"from ({number * 40}) to ({number * 40 + 40})"
        database.execute(f"create table day_parts_{number} partition of day_parts for values {bounds}")
    database.execute("insert into day_notes select 'n' || n, '{\"n\": 1}', n / 3.0, true from generate_series(1, 9) n")
    database.execute("insert into day_loose select n % 3, 'x' from generate_series(1, 9) n")
    for name in _TABLES:
        database.execute(f"select rowhouse.track('{name}')")
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        while any(client.get(f"/api/v1/{name}").status_code != 200 for name in _TABLES):
            pass
    yield
    for name in _TABLES:
        database.execute(f"drop table {name}")
    database.execute("notify rowhouse_reload")


class Psql:
    """Somebody who writes beside the service, on a connection of their own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(url))

    def run(self, sql: str) -> Any:
        return self._runner.run(self._connection.fetchval(sql))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


def _contents(person: Psql) -> dict[str, list[Any]]:
    rows = {name: person.run(f"select coalesce(json_agg(t order by t::text), '[]') from {name} t") for name in _TABLES}
    return {name: _sorted(json.loads(text)) for name, text in rows.items()}


def _sorted(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


class Editors:
    """Random edits, by the API and beside it."""

    def __init__(self, clients: list[httpx2.Client], person: Psql, dice: random.Random, day: Day) -> None:
        self._clients = clients
        self._person = person
        self._dice = dice
        self._day = day
        self._edits: list[Callable[[], None]] = [
            *[self._insert] * 8, *[self._update] * 8, *[self._delete] * 3, self._bulk, self._move, self._many
        ]  # fmt: skip

    def edit(self) -> None:
        if self._dice.random() < 0.005:
            self._by_psql(f"truncate {self._dice.choice(list(_TABLES))}")
        else:
            self._dice.choice(self._edits)()

    def _by_api(self, method: str, path: str, body: Any = None) -> None:
        request = f"day-{self._dice.getrandbits(60):x}"
        client = self._dice.choice(self._clients)
        answer = client.request(method, f"/api/v1/{path}", json=body, headers={"X-Request-ID": request})
        assert answer.status_code < 300 or answer.status_code in (404, 409), answer.text
        if answer.status_code < 300:
            self._day.done.append({"request": request})

    def _by_psql(self, *statements: str) -> None:
        self._person.run("begin")
        try:
            for statement in statements:
                self._person.run(statement)
            number = self._person.run("select pg_current_xact_id()::text")
        except asyncpg.UniqueViolationError:
            self._person.run("rollback")
            return
        self._person.run("commit")
        self._day.done.append({"transaction": number})

    def _insert(self) -> None:
        n = self._dice.randrange(120)
        rows: dict[str, dict[str, Any]] = {
            "day_orders": {"customer": f"c{n}", "total": f"{n}.50", "at": "2026-01-31T12:00:00+01:00"},
            "day_lines": {"order_no": n % 7, "line": n, "what": None, "tags": ["a", f"{n}"]},
            "day_notes": {"key": f'n{n}, "x"', "body": {"n": [n, None]}, "weight": n / 7, "done": None},
            "day_parts": {"id": n, "what": "part"},
            "day_loose": {"a": n % 3, "b": None},
        }
        table = self._dice.choice(list(rows))
        self._by_api("POST", table, rows[table])

    def _update(self) -> None:
        n = self._dice.randrange(120)
        table, where, change = self._dice.choice([
            ("day_orders", f"id=lt.{n}&id=gte.{n - 3}", {"total": n, "customer": "someone"}),
            ("day_lines", f"line=eq.{n}", {"what": f"w{n}", "tags": None}),
            ("day_notes", f"key=like.n{n}*", {"body": {"again": n}, "done": bool(n % 2)}),
            ("day_parts", f"id=in.({n},{n + 1})", {"what": f"p{n}"}),
            ("day_loose", f"a=eq.{n % 4}&b=is.null", {"b": f"b{n}"}),
        ])  # fmt: skip
        self._by_api("PATCH", f"{table}?{where}", change)

    def _delete(self) -> None:
        n = self._dice.randrange(120)
        self._by_api("DELETE", self._dice.choice(
            [f"day_orders?id=eq.{n}", f"day_lines?line=eq.{n}", f"day_notes?key=like.n{n}*", f"day_parts?id=eq.{n}"]
        ))  # fmt: skip

    def _bulk(self) -> None:
        self._by_psql("update day_orders set total = total + 1 where id % 2 = 0", "delete from day_loose where a = 2")

    def _move(self) -> None:
        """Keys that change, some to another partition, and back within one transaction."""
        n = self._dice.randrange(60)
        self._by_psql(
            f"update day_parts set id = id + 40 where id = {n}", f"update day_lines set line = -line where line = {n}"
        )

    def _many(self) -> None:
        self._by_psql(
            "insert into day_loose select n % 3, 'bulk' from generate_series(1, 5) n",
            "update day_notes set weight = weight * 1.1 where done",
        )


def test_any_moment_of_a_day_can_be_told_and_all_of_it_undone(
    service: Service, database: Database, tables: None
) -> None:
    dice = random.Random(20260131)
    day = Day()
    person, reader = Psql(database.owner_url), Psql(database.owner_url)
    with service.client(Role.ADMIN) as client, service.client(Role.ADMIN) as other:
        try:
            first = _contents(reader)
            editors = Editors([client, other], person, dice, day)
            at = set(dice.sample(range(_EDITS), _MOMENTS))
            for number in range(_EDITS):
                editors.edit()
                if number in at:
                    cursor = client.get("/api/v1/day_orders/-/changes").json()["cursor"]
                    now = str(reader.run("select to_json(clock_timestamp()) #>> '{}'"))
                    day.moments.append((now, cursor, _contents(reader)))
            assert len(day.done) > _EDITS / 2
            _verify_all(database)
            for time, cursor, contents in day.moments:
                followed = dice.choice(list(contents))
                for table, rows in contents.items():
                    for moment in (time, cursor) if table == followed else (time,):
                        answer = client.get(f"/api/v1/{table}", params={"as_of": moment})
                        assert _sorted(answer.json()) == rows, (table, moment)
            for one in reversed(day.done):
                answer = client.post("/api/v1/-/undo", json=one)
                assert answer.status_code in (200, 404), answer.text  # 404: it had changed nothing
            assert _contents(reader) == first
            _verify_all(database)
        finally:
            person.close()
            reader.close()


def _verify_all(database: Database) -> None:
    async def check() -> None:
        connection = await asyncpg.connect(database.owner_url)
        try:
            for table in _TABLES:
                verdict = await verify(connection, f"public.{table}")
                assert verdict.differences == [], table
        finally:
            await connection.close()

    asyncio.run(check())
