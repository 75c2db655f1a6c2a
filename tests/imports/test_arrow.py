"""Arrow streams and Parquet files."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from decimal import Decimal
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from pyarrow import parquet

from service.imports.arrow_rows import open_arrow, open_parquet
from tests.conftest import Database
from tests.imports.conftest import Post, rows_of
from tests.service_under_test import problem_of

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def as_arrow(table: Any, rows: int = 1000) -> bytes:
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def as_parquet(table: Any) -> bytes:
    sink = BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


WRITERS = [pytest.param(ARROW, as_arrow, id="arrow"), pytest.param(PARQUET, as_parquet, id="parquet")]


def readings(rows: int = 3) -> Any:
    return pa.table(
        {
            "id": pa.array(range(1, rows + 1), pa.int64()),
            "at": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)] * rows, pa.timestamp("us", "Europe/Berlin")),
            "value": pa.array([Decimal("1.50"), None, *[Decimal("2.00")] * (rows - 2)], pa.decimal128(10, 2)),
            "note": pa.array(["", 'a "b",\n\\.', *[None] * (rows - 2)]).dictionary_encode(),
        }
    )


@pytest.mark.parametrize(("media", "write"), WRITERS)
def test_rows_are_imported(post: Post, database: Database, media: str, write: Any) -> None:
    answer = post("readings", write(readings(30_000)), content_type=media)
    assert answer.json()["inserted"] == 30_000, answer.text
    assert rows_of(database, "select id, at::text, value::text, note from readings where id < 4 order by id") == [
        (1, "2020-01-01 00:00:00+00", "1.50", ""),
        (2, "2020-01-01 00:00:00+00", None, 'a "b",\n\\.'),
        (3, "2020-01-01 00:00:00+00", "2.00", None),
    ]


@pytest.mark.parametrize(("media", "write"), WRITERS)
def test_the_row_at_fault_is_named_and_nothing_is_left(post: Post, database: Database, media: str, write: Any) -> None:
    notes = ["a\nb"] * 20_000
    bad = pa.table({"id": range(20_000), "value": ["1"] * 15_000 + ["x"] + ["1"] * 4_999, "note": notes})
    nul = pa.table({"id": range(20_000), "note": [*notes[:12_345], "a\0b", *notes[12_346:]]})
    refused = problem_of(post("readings", write(bad), content_type=media))
    unfit = problem_of(post("readings", write(nul), content_type=media))
    assert [(one["field"], one["row"]) for one in refused["errors"] + unfit["errors"]] == [
        ("value", 15_001),
        ("note", 12_346),
    ]
    assert rows_of(database, "select count(*) from readings") == [(0,)]
    left_out = post("readings", write(bad), content_type=media, prefer="max-rejected=1").json()
    assert (left_out["inserted"], left_out["rejected"][0]["row"]) == (19_999, 15_001)


@pytest.mark.parametrize(("media", "write"), WRITERS)
def test_a_body_that_was_cut_leaves_nothing(post: Post, database: Database, media: str, write: Any) -> None:
    whole = write(readings(5000))
    for length in (0, 1, 7, 100, len(whole) // 2, len(whole) - 9, len(whole) - 8, len(whole) - 1):
        answer = post("readings", whole[:length], content_type=media)
        assert answer.status_code == 400, (length, answer.text)
    assert post("readings", whole + b"\0", content_type=media).status_code == 400
    assert rows_of(database, "select count(*) from readings") == [(0,)]


@pytest.mark.parametrize("media", [ARROW, PARQUET])
@pytest.mark.parametrize(
    "body", [b"id\n1\n", b"PAR1", b"\xff" * 1000, b"ARROW1\0\0" * 100], ids=["csv", "magic", "ones", "file"]
)
def test_what_is_neither_is_refused(post: Post, media: str, body: bytes) -> None:
    assert problem_of(post("readings", body, content_type=media))["status"] == 400


@pytest.mark.parametrize(("media", "write"), WRITERS)
def test_names_are_checked_as_in_any_body(post: Post, media: str, write: Any) -> None:
    unknown = post("readings", write(pa.table({"id": [1], "nota": [1]})), content_type=media)
    twice = post("readings", write(pa.table([[1], [2]], names=["id", "id"])), content_type=media)
    taken = post("readings?columns=id", write(pa.table({"id": [1], "nota": [1]})), content_type=media)
    assert (unknown.status_code, twice.status_code, taken.status_code) == (400, 400, 201)


def test_a_stream_without_rows_imports_none(post: Post) -> None:
    assert post("readings", as_arrow(readings().slice(0, 0)), content_type=ARROW).json()["inserted"] == 0


_DOCUMENT = pa.struct([("a", pa.list_(pa.int8())), ("b", pa.decimal128(5, 2))])
_HOME = pa.struct([("street", pa.string()), ("number", pa.int32())])
TYPES = {
    "small": pa.array([1, None], pa.int8()),
    "large": pa.array([2**63 - 1, None], pa.int64()),
    "unsigned": pa.array([2**63, None], pa.uint64()),
    "half": pa.array([1.5, None], pa.float32()),
    "double": pa.array([1e-300, float("nan")], pa.float64()),
    "exact": pa.array([Decimal("12345678901234567890.123456789"), None], pa.decimal128(38, 9)),
    "flag": pa.array([True, None]),
    "day": pa.array([dt.date(1, 1, 1), None], pa.date32()),
    "hour": pa.array([dt.time(23, 59, 59, 999999), None], pa.time64("us")),
    "local": pa.array([dt.datetime(2020, 1, 1, 1, 2, 3, 4), None], pa.timestamp("ns")),
    "moment": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("ms", "America/New_York")),
    "took": pa.array([dt.timedelta(days=1, microseconds=5), None], pa.duration("us")),
    "bytes": pa.array([b"\x00\xff", b""], pa.large_binary()),
    "named": pa.array(["glad", None]).dictionary_encode(),
    "text": pa.array(["ï\n", ""], pa.large_string()),
    "uid": pa.array([UUID(int=7).bytes, None], pa.binary(16)),
    "numbers": pa.array([[1, None], []], pa.list_(pa.int32())),
    "words": pa.array([["a,b", '"', None, ""], None], pa.list_(pa.string())),
    "grid": pa.array([[[1, 2], [3, 4]], None], pa.list_(pa.list_(pa.int16()))),
    "sums": pa.array([[Decimal("1.10")], None], pa.list_(pa.decimal128(5, 2))),
    "floats": pa.array([[float("inf"), 1.5], None], pa.list_(pa.float64())),
    "document": pa.array([{"a": [1], "b": Decimal("1.10")}, None], _DOCUMENT),
    "pairs": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "home": pa.array([{"street": "S", "number": 2}, None], _HOME),
    "nothing": pa.nulls(2),
}  # fmt: skip
COLUMNS = (
    "small smallint, large bigint, unsigned numeric, half real, double double precision, exact numeric, flag boolean, "
    "day date, hour time, local timestamp, moment timestamptz, took interval, bytes bytea, named feeling, text text, "
    "uid uuid, numbers integer[], words text[], grid smallint[], sums numeric[], floats double precision[], "
    "document jsonb, pairs json, home dwelling, nothing text"
)
EXPECTED = [
    "1", "9223372036854775807", "9223372036854775808", "1.5", "1e-300", "12345678901234567890.123456789", "true",
    "0001-01-01", "23:59:59.999999", "2020-01-01 01:02:03.000004", "2020-01-01 00:00:00+00", "24:00:00.000005",
    "\\x00ff", "glad", "ï\n", "00000000-0000-0000-0000-000000000007", "{1,NULL}", '{"a,b","\\"",NULL,""}',
    "{{1,2},{3,4}}", "{1.10}", "{Infinity,1.5}", '{"a": [1], "b": 1.10}', '{"k":1}', "(S,2)", None,
]  # fmt: skip


@pytest.mark.parametrize(("media", "write"), WRITERS)
def test_each_type_arrives_as_it_was(
    editor: Any, database: Database, service: Any, media: str, write: Any, request: pytest.FixtureRequest
) -> None:
    served = request.getfixturevalue("typed")
    kept = {name: column for name, column in TYPES.items()}
    body = write(pa.table(kept))
    answer = served.post("/api/v1/typed", content=body, headers={"Content-Type": media})
    assert answer.status_code == 201, answer.text
    names = ", ".join(f"{name}::text" for name in TYPES)
    first, second = rows_of(database, f"select {names} from typed order by small nulls last")
    assert list(first) == EXPECTED
    rest = dict(zip(TYPES, second, strict=True))
    assert {name: value for name, value in rest.items() if value is not None} == {
        "double": "NaN",
        "bytes": "\\x",
        "text": "",
        "numbers": "{}",
    }


@pytest.fixture
def typed(service: Any, database: Database, editor: Any) -> Any:
    import time

    from service.core.types import Role

    database.execute("create type feeling as enum ('glad', 'sad')")
    database.execute("create type dwelling as (street text, number integer)")
    database.execute(f"create table typed ({COLUMNS})")
    database.execute("grant select, insert on typed to rowhouse_service")
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        deadline = time.monotonic() + 60
        while client.get("/api/v1/typed").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield client
    database.execute("drop table typed")
    database.execute("drop type feeling")
    database.execute("drop type dwelling")
    database.execute("notify rowhouse_reload")


@pytest.mark.parametrize(("open_rows", "write"), [(open_arrow, as_arrow), (open_parquet, as_parquet)])
def test_rows_that_unpack_to_much_are_worked_on_in_parts(open_rows: Any, write: Any) -> None:
    """A text of 100 kB in each of a thousand rows takes few bytes as a dictionary, and a hundred million without."""
    kinds = (pa.string(), pa.string_view(), pa.large_string())
    columns = {
        str(kind): pa.DictionaryArray.from_arrays(
            pa.array([0, None] * 500, pa.int32()), pa.array(["x" * 100_000], kind)
        )
        for kind in (kinds if write is as_arrow else kinds[:1])
    }

    async def body() -> AsyncIterator[bytes]:
        yield write(pa.table(columns))

    async def largest() -> tuple[int, int]:
        sizes = []
        async with open_rows(SimpleNamespace(stored={}), body()) as rows:
            async for chunk in rows.chunks:
                sizes.append(len(chunk))
        return max(sizes), sum(sizes)

    one, total = asyncio.run(largest())
    assert total > 50_000_000 * len(columns)
    assert one < 9 * 2**20
