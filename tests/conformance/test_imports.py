"""Every type of the awkward tables, out as JSON or as COPY writes it, and in again."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from tests.conformance.conftest import Ask
from tests.conftest import Database
from tests.service_under_test import problem_of

FULL = """
insert into awkward.kinds (mood, moods, rank, word, colour, home, homes, span, days, took, bytes, words, uid, net, host,
    mac, price, code, flags, notes, grid)
values ('it''s sad', '{glad,"it''s sad"}', 7, E'a\\nb"c\\\\', 255, row('Lane, "1"', 4),
    array[row('a,b', 1), row(null, null)]::awkward.address[], '[1.5,2)', '{[2020-01-01,2020-02-01)}',
    '1 year 2 mons 3 days 04:05:06.000007', '\\x00ff5c', 'a:1A b:2', gen_random_uuid(), '10.0.0.0/8', '::1',
    '08:00:2b:01:02:03', 12345678.90, 'ab', B'1010', '{"a": [1, null, "x\\"y"]}', '{{1,2},{3,null}}'),
    (null, '{}', 1, '', null, row('', null), '{}', 'empty', '{}', '-00:00:01', '', '', null, null, null,
    null, 0, '   ', B'', 'null', '{}')
returning id
"""
COLUMNS = (
    "serial mood moods rank word colour home homes span days took bytes words uid net host mac price code flags notes grid"
).split()


def run(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def copied(url: str, sql: str) -> bytes:
    """What a query finds, as COPY writes it: empty is NULL, and an empty text is quoted."""
    parts: list[bytes] = []

    async def copy() -> None:
        connection = await asyncpg.connect(url)
        try:

            async def take(data: bytes) -> None:
                parts.append(data)

            await connection.copy_from_query(sql, output=take, format="csv", header=True)
        finally:
            await connection.close()

    asyncio.run(copy())
    return b"".join(parts)


@pytest.fixture
def url(database: Database, awkward: str) -> Any:
    """The database with one full row of `kinds`, and one of empty values."""
    url = database.server.url("postgres", awkward)
    ids = [row["id"] for row in run(url, FULL)]
    yield url
    run(url, "delete from awkward.kinds where id = any($1::int[])", ids)


def test_rows_come_back_from_ndjson_as_they_went(ask: Ask, url: str) -> None:
    names = ",".join(COLUMNS)
    rows = ask("GET", f"kinds?select={names}&order=id").json()
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    answer = ask(
        "POST", f"kinds?select={names}", lines, content_type="application/x-ndjson", prefer="return=representation"
    )
    assert answer.status_code == 201, answer.text
    assert answer.json() == rows


def test_rows_come_back_from_csv_as_they_went(ask: Ask, url: str) -> None:
    names = ",".join(COLUMNS)
    rows = ask("GET", f"kinds?select={names}&order=id").json()
    shown = [f"awkward.colour_to_json({name}) #>> '{{}}' as {name}" if name == "colour" else name for name in COLUMNS]
    body = copied(url, f"select {', '.join(shown)} from awkward.kinds order by id")
    answer = ask(
        "POST", f"kinds?select={names}", body, content_type='text/csv; null=""', prefer="return=representation"
    )
    assert answer.status_code == 201, answer.text
    assert answer.json() == rows


def test_odd_names_are_columns_like_others(ask: Ask) -> None:
    body = 'order,Mixed Case,it\'s,naïve,100%,a.b,"a,b",_etag\n7,1,2,3,4,5,6,7\n'.encode()
    answer = ask("POST", 'Sélect "From" where?select=*', body, content_type="text/csv", prefer="return=representation")
    assert answer.status_code == 201, answer.text
    assert list(answer.json()[0].values()) == [7, "1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("events", "id,at,person\n1,2020-07-07,1\n2,2030-01-01,\n", 201),
        ("written", "id,name\n1,x\n", 201),
        ("staff", "number,full {name}\n9,Di\n", 201),
        ("counts", "team\n1\n", 405),
        ("snapshot", "id\n1\n", 405),
        ("crew", "id\n1\n", 405),
        ("kinds", "id,price\n1,2\n", 400),
        ("kinds", "price,doubled\n1,2\n", 400),
        ("awkward_two.parts", "id,b,a\n9,1,x\n", 201),
        ("keyless", "a,b\n1,x\n", 201),
    ],
)
def test_views_partitions_and_computed_columns_are_as_for_any_insert(
    ask: Ask, path: str, body: str, status: int
) -> None:
    answer = ask("POST", path, body, content_type="text/csv")
    assert answer.status_code == status, answer.text


def test_a_domain_judges_what_is_imported(ask: Ask) -> None:
    answer = ask("POST", "kinds", "price,rank\n1,1\n2,-1\n", content_type="text/csv")
    document = problem_of(answer)
    assert [(one["field"], one["row"]) for one in document["errors"]] == [("rank", 3)]
