"""Random plans give what a slow and obvious evaluation in Python gives.

The plans are made of the language's own text, parsed, compiled and run by PostgreSQL on small tables of awkward rows.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.catalog.catalog import Catalog
from service.catalog.found import read_found
from service.query.compile.read import compile_list
from service.query.parse.request import Bounds, parse_query
from tests.conftest import Database

Row = dict[str, Any]
BOUNDS = Bounds(max_rows=1000, max_depth=6)
PEOPLE: list[Row] = [
    {"id": 1, "name": "Ada", "age": 36, "boss": None, "team": 1},
    {"id": 2, "name": "bob", "age": None, "boss": 1, "team": 1},
    {"id": 3, "name": "", "age": 0, "boss": 1, "team": 2},
    {"id": 4, "name": 'Quo"te, (x)', "age": -5, "boss": 3, "team": None},
    {"id": 5, "name": "Ådne", "age": 36, "boss": 99, "team": 2},
    {"id": 6, "name": None, "age": 7, "boss": 5, "team": 9},
]
TEAMS: list[Row] = [{"id": 1, "title": "red"}, {"id": 2, "title": "blue"}, {"id": 3, "title": "empty"}]
NAMES = [row["name"] for row in PEOPLE if row["name"] is not None]


@dataclass(frozen=True)
class Filter:
    """A filter as the language writes it, and as Python does: None where SQL knows no answer."""

    text: str
    holds: Callable[[Row], bool | None]


def compare(column: str, operator: str, value: Any, is_true: Callable[[Any, Any], bool]) -> Filter:
    def holds(row: Row) -> bool | None:
        return None if row[column] is None else is_true(row[column], value)

    return Filter(f"{column}.{operator}.{quoted(value)}", holds)


def quoted(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def negated(inner: Filter) -> Filter:
    head, _, rest = inner.text.partition(".")

    def holds(row: Row) -> bool | None:
        value = inner.holds(row)
        return None if value is None else not value

    is_group = inner.text.startswith(("and(", "or("))
    return Filter(f"not.{inner.text}" if is_group else f"{head}.not.{rest}", holds)


def all_hold(terms: list[Filter]) -> Filter:
    def holds(row: Row) -> bool | None:
        values = [term.holds(row) for term in terms]
        return False if False in values else None if None in values else True

    return Filter(f"and({','.join(term.text for term in terms)})", holds)


def one_holds(terms: list[Filter]) -> Filter:
    def holds(row: Row) -> bool | None:
        values = [term.holds(row) for term in terms]
        return True if True in values else None if None in values else False

    return Filter(f"or({','.join(term.text for term in terms)})", holds)


def is_null(column: str) -> Filter:
    return Filter(f"{column}.is.null", lambda row: row[column] is None)


def is_in(column: str, values: list[Any]) -> Filter:
    def holds(row: Row) -> bool | None:
        if not values:
            return False
        return None if row[column] is None else row[column] in values

    return Filter(f"{column}.in.({','.join(map(quoted, values))})", holds)


def is_distinct(column: str, value: Any) -> Filter:
    return Filter(f"{column}.isdistinct.{quoted(value)}", lambda row: row[column] != value)


numbers = st.sampled_from([-5, 0, 1, 2, 7, 36, 99])
texts = st.sampled_from([*NAMES, "zz"])
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: bool(left == right),
    "neq": lambda left, right: bool(left != right),
    "gt": lambda left, right: bool(left > right),
    "gte": lambda left, right: bool(left >= right),
    "lt": lambda left, right: bool(left < right),
    "lte": lambda left, right: bool(left <= right),
}
operators = st.sampled_from(sorted(COMPARISONS))
int_columns = st.sampled_from(["id", "age", "boss", "team"])
leaves = st.one_of(
    st.builds(lambda column, op, value: compare(column, op, value, COMPARISONS[op]), int_columns, operators, numbers),
    st.builds(lambda value: compare("name", "eq", value, COMPARISONS["eq"]), texts),
    st.builds(is_null, st.sampled_from(["name", "age", "boss", "team"])),
    st.builds(is_in, int_columns, st.lists(numbers, max_size=3)),
    st.builds(is_in, st.just("name"), st.lists(texts, min_size=1, max_size=3)),
    st.builds(is_distinct, int_columns, numbers),
)
filters = st.recursive(
    leaves | leaves.map(negated),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(all_hold),
        st.lists(inner, min_size=1, max_size=3).map(one_holds),
        st.lists(inner, min_size=1, max_size=2).map(all_hold).map(negated),
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Asked:
    """A query: filters, the order (column, descending, nulls first), the window, and what is embedded."""

    where: list[Filter]
    order: list[tuple[str, bool, bool]]
    limit: int | None
    offset: int
    embeds_team: bool
    is_inner: bool

    @property
    def text(self) -> str:
        select = ["id", "name", "age"]
        if self.embeds_team:
            select.append(f"squad:teams{'!inner' if self.is_inner else ''}(title)")
        parts = [f"select={','.join(select)}", *(f"and=({term.text})" for term in self.where)]
        if self.order:
            terms = (
                f"{name}{'.desc' if is_down else ''}.nulls{'first' if is_first else 'last'}"
                for name, is_down, is_first in self.order
            )
            parts.append("order=" + ",".join(terms))
        parts += [f"limit={self.limit}"] if self.limit is not None else []
        parts += [f"offset={self.offset}"] if self.offset else []
        return "&".join(quote(part, safe="=&") for part in parts)


queries = st.builds(
    Asked,
    where=st.lists(filters, max_size=2),
    order=st.lists(
        st.tuples(st.sampled_from(["age", "boss", "team"]), st.booleans(), st.booleans()),
        max_size=2, unique_by=lambda term: term[0],
    ),
    limit=st.none() | st.integers(0, 7),
    offset=st.integers(0, 3),
    embeds_team=st.booleans(),
    is_inner=st.booleans(),
)  # fmt: skip


def evaluated(asked: Asked) -> list[Row]:
    """What the query means, row by row."""
    teams = {team["id"]: team for team in TEAMS}
    rows = [row for row in PEOPLE if all(term.holds(row) is True for term in asked.where)]
    if asked.embeds_team and asked.is_inner:
        rows = [row for row in rows if row["team"] in teams]
    rows.sort(key=lambda row: int(row["id"]))
    for column, is_descending, nulls_first in reversed(asked.order):
        present = sorted((row for row in rows if row[column] is not None), key=lambda row: row[column])
        if is_descending:  # stable, as the key behind it stays ascending
            present = [row for value in dict.fromkeys(row[column] for row in reversed(present))
                       for row in present if row[column] == value]  # fmt: skip
        absent = [row for row in rows if row[column] is None]
        rows = absent + present if nulls_first else present + absent
    rows = rows[asked.offset :] if asked.limit is None else rows[asked.offset : asked.offset + asked.limit]
    shown = []
    for row in rows:
        out: Row = {name: row[name] for name in ("id", "name", "age")}
        if asked.embeds_team:
            team = teams.get(row["team"])
            out["squad"] = {"title": team["title"]} if team else None
        shown.append(out)
    return shown


@pytest.fixture(scope="module")
def oracle(database: Database) -> Iterator[tuple[asyncio.Runner, asyncpg.Connection, Catalog]]:
    runner = asyncio.Runner()

    async def prepare() -> tuple[asyncpg.Connection, Catalog]:
        connection = await asyncpg.connect(database.owner_url)
        await connection.set_type_codec("json", schema="pg_catalog", encoder=str, decoder=str)
        await connection.execute(
            """
            create schema oracle;
            create table oracle.teams (id int primary key, title text);
            create table oracle.people (id int primary key, name text, age int, boss int, team int);
            """
        )
        for table, rows in (("teams", TEAMS), ("people", PEOPLE)):
            records = [tuple(row.values()) for row in rows]
            await connection.copy_records_to_table(table, schema_name="oracle", records=records)
        # Not valid: some rows refer to nothing.
        await connection.execute("alter table oracle.people add foreign key (team) references oracle.teams not valid")
        found = await read_found(connection, ["oracle"])
        return connection, Catalog(found.resources, found.functions, found.schemas)

    connection, catalog = runner.run(prepare())
    yield runner, connection, catalog
    runner.run(connection.execute("drop schema oracle cascade"))
    runner.run(connection.close())
    runner.close()


@given(asked=queries)
@settings(max_examples=400, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_random_plan_gives_what_python_gives(
    oracle: tuple[asyncio.Runner, asyncpg.Connection, Catalog], asked: Asked
) -> None:
    runner, connection, catalog = oracle
    plan = parse_query(catalog, catalog.get("people"), asked.text.encode(), BOUNDS).plan
    statement = compile_list(plan)
    row = runner.run(connection.fetchrow(statement.sql, *statement.arguments(plan, "epoch")))
    assert row is not None
    assert json.loads(row[0]) == evaluated(asked), asked.text
    assert row[1] == len(evaluated(asked))
