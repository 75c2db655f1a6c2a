"""Exports of the awkward tables: which format is chosen, and what each makes of names, types and embedded rows."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

MEDIA_TYPES = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "columns": "application/vnd.rowhouse.columns+json",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
ID = UUID("8d3f6a52-1c2e-4d0a-9a61-0d7c55aa0001")
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123456)
MOMENT = dt.datetime(2024, 2, 29, 12, 0, 0, 500000, dt.UTC)
# The row of `typed` that has values, as a tool finds it that knows all the types.
ROW: dict[str, Any] = {
    "id": 1,
    "flag": True,
    "tiny": -32768,
    "large": 9007199254740993,
    "half": 0.5,
    "third": 0.1,
    "price": Decimal("1234567890123456.7891"),
    "sum": Decimal("-0.00000000012345678901234567"),
    "day": dt.date(2024, 2, 29),
    "clock": dt.time(23, 59, 59, 999999),
    "local": NOON,
    "moment": MOMENT,
    "word": 'a "quoted", line\nand \\N',
    "empty": "",
    "uid": ID,
    "raw": b"\x00\xff\\.\n",
    "mood": "it's sad",
    "tree": '{"a": [1, null]}',
    "kept": '{"b":\n\t1}',
    "numbers": [1, None, 3],
    "grid": [[1, 2], [3, 4]],
    "words": ["a,b", "", None],
    "moments": [MOMENT],
    "prices": [Decimal("1.50"), Decimal("-2.25")],
    "moods": ["glad"],
    "address": "10.0.0.1",
    "home": '{"street":"Lane","house no":4}',
    "rank": 3,
    "flags": [True, False, None],
    "raws": [b"\x00\xff\\", b"", None],
}
NULLS = {name: 2 if name == "id" else None for name in ROW}
TABLE = quote('Sélect "From" where')
Rows = list[dict[str, Any]]


def _stream(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def _file(body: bytes) -> pa.Table:
    return parquet.read_table(io.BytesIO(body))


def _by_duckdb(table: pa.Table) -> Rows:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        found = connection.from_arrow(table)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def _by_pandas(table: pa.Table) -> Rows:
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return [{name: frame[name].array._pa_array[place].as_py() for name in frame} for place in range(len(frame))]


READERS: dict[tuple[str, str], Callable[[bytes], Rows]] = {
    ("arrow", "pyarrow"): lambda body: _stream(body).to_pylist(),
    ("parquet", "pyarrow"): lambda body: _file(body).to_pylist(),
    ("arrow", "polars"): lambda body: pl.read_ipc_stream(io.BytesIO(body)).rows(named=True),
    ("parquet", "polars"): lambda body: pl.read_parquet(io.BytesIO(body)).rows(named=True),
    ("arrow", "duckdb"): lambda body: _by_duckdb(_stream(body)),
    ("parquet", "duckdb"): lambda body: _by_duckdb(_file(body)),
    ("arrow", "pandas"): lambda body: _by_pandas(_stream(body)),
    ("parquet", "pandas"): lambda body: _by_pandas(_file(body)),
}


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_a_format_is_chosen_by_its_name_and_by_its_media_type(ask: Ask, form: str) -> None:
    named, accepted = ask("GET", f"people?format={form}"), ask("GET", "people", accept=MEDIA_TYPES[form])
    assert named.status_code == accepted.status_code == 200
    assert named.content == accepted.content
    assert named.headers["content-type"].partition(";")[0] == MEDIA_TYPES[form]
    assert named.headers["content-disposition"].startswith('attachment; filename="people.')


def test_a_format_goes_before_what_is_accepted_and_json_is_one(ask: Ask) -> None:
    assert ask("GET", "people?format=json", accept="text/csv").json()[0]["name"] == "Ada"


def test_a_format_that_is_not_there_is_refused_with_those_that_are(ask: Ask) -> None:
    problem = problem_of(ask("GET", "people?format=xlsx"))
    assert (problem["status"], "parquet" in problem["hint"]) == (400, True)


@pytest.mark.parametrize("path", ["people/1?format=csv", "rpc/seniors?lowest=1&format=csv"])
def test_a_format_is_of_tables_alone(ask: Ask, path: str) -> None:
    assert ask("GET", path).status_code in (400, 404)


@pytest.mark.parametrize("path", ["people/1", "rpc/seniors?lowest=1"])
def test_files_are_of_tables_alone(ask: Ask, path: str) -> None:
    assert ask("GET", path, accept=MEDIA_TYPES["parquet"]).status_code == 406


def test_a_batch_has_no_files(ask: Ask) -> None:
    operations = [{"method": "GET", "path": "/people?format=csv"}]
    assert ask("POST", "-/batch", operations).status_code == 400


@pytest.mark.parametrize(("form", "tool"), READERS)
def test_types_are_the_same_in_all_tools(ask: Ask, form: str, tool: str) -> None:
    answer = ask("GET", f"typed?order=id&format={form}")
    assert answer.status_code == 200, answer.text
    rows = READERS[form, tool](answer.content)
    # polars has no identifiers of 128 bits: it shows their bytes.
    expected = ROW | {"uid": ID.bytes} if tool == "polars" else ROW
    assert rows == [expected, NULLS]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_columns_have_their_types(ask: Ask, form: str) -> None:
    schema = {"arrow": _stream, "parquet": _file}[form](ask("GET", f"typed?format={form}").content).schema
    moment = pa.timestamp("us", tz="UTC")
    assert schema.field("large").type == pa.int64()
    assert schema.field("price").type == pa.decimal128(20, 4)
    assert schema.field("sum").type == pa.decimal128(38, 26)
    assert schema.field("moment").type == moment
    assert schema.field("mood").type == pa.dictionary(pa.int32(), pa.string())
    assert schema.field("uid").type == pa.uuid()
    assert schema.field("moments").type.value_type == moment
    assert schema.field("grid").type.value_type.value_type == pa.int64()
    assert schema.field("rank").type == pa.int32()


def test_intervals_are_kept_by_arrow_and_written_by_parquet(ask: Ask) -> None:
    kept = _stream(ask("GET", "spans?order=id&format=arrow").content)["took"].to_pylist()
    assert kept == [pa.MonthDayNano([14, -3, 14_706_000_007_000]), None, pa.MonthDayNano([0, 0, -1_500_000_000])]
    written = _file(ask("GET", "spans?order=id&format=parquet").content)["took"].to_pylist()
    assert written == ["P1Y2M-3DT4H5M6.000007S", None, "PT-1.5S"]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("column", ["moment", "price", "clock"])
def test_a_value_that_its_type_cannot_hold_is_refused_and_not_told(ask: Ask, form: str, column: str) -> None:
    problem = problem_of(ask("GET", f"unfit?select=id,{column}&format={form}"))
    assert (problem["status"], problem["code"]) == (406, "unrepresentable")
    assert problem["hint"] == f"Select it as a text: select={column}::text"
    assert not {"infinity", "NaN", "24:00"} & set(problem["message"].split())
    assert ask("GET", f"unfit?select=id,{column}::text&format={form}").status_code == 200


def test_what_has_no_common_type_is_text(ask: Ask) -> None:
    table = _stream(ask("GET", "unfit?select=sum,grid&order=id&format=arrow").content)
    assert table.to_pylist() == [{"sum": "Infinity", "grid": "[1]"}, {"sum": "1", "grid": "[[1]]"}]


def test_csv_tells_null_from_nothing_and_has_times_of_iso_8601(ask: Ask) -> None:
    columns = "id,flag,local,moment,word,empty,raw,numbers,kept"
    text = ask("GET", f"typed?select={columns}&order=id&format=csv").text
    assert text == (
        f"{columns}\n"
        '1,true,2024-02-29T12:00:00.123456,2024-02-29T12:00:00.5Z,"a ""quoted"", line\nand \\N","",'
        '\\x00ff5c2e0a,"{1,NULL,3}","{""b"":\n\t1}"\n'
        "2,,,,,,,,\n"
    )


def test_csv_of_times_that_iso_8601_does_not_have(ask: Ask) -> None:
    text = ask("GET", "unfit?select=moment&order=id&format=csv").text
    assert text == "moment\ninfinity\n0044-03-15 12:00:00+00 BC\n"


@pytest.mark.parametrize(
    "path",
    [
        "typed?order=id",
        "kinds?order=id",
        "people?select=*,team(*),skills(name),reports(id)&order=id",
        "people?select=name,...team(lead)&order=name",
        "people?select=team,count(),id.sum()&order=team",
        "people?select=initial,name&order=name.desc&limit=2&offset=1",
        "kinds?select=id,notes->a,p:price::numeric(12,4),_etag&order=id",
        f"{TABLE}?order=%22order%22",
        "keyless?order=a",
        "nothing",
        "people?id=in.(1,2)&name=like.A*&order=id",
        "people?or=(id.eq.1,name.ilike.b*)&order=id",
    ],
)
def test_lines_and_columns_are_the_rows_of_a_page(ask: Ask, path: str) -> None:
    asked = path + ("&" if "?" in path else "?")
    rows = ask("GET", path).json()
    lines = ask("GET", f"{asked}format=ndjson").text
    assert [json.loads(line) for line in lines.splitlines()] == rows
    columns = ask("GET", f"{asked}format=columns").json()
    assert columns == {name: [row[name] for row in rows] for name in rows[0]}
    names, *values = csv.reader(io.StringIO(ask("GET", f"{asked}format=csv").text))
    assert (names, len(values)) == (list(rows[0]), len(rows))
    arrow, file = (ask("GET", f"{asked}format={form}") for form in ("arrow", "parquet"))
    assert _stream(arrow.content).schema.names == _file(file.content).schema.names == list(rows[0])


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_no_rows_have_columns_all_the_same(ask: Ask, form: str) -> None:
    answer = ask("GET", f"typed?select=id,word&id=eq.9&format={form}")
    expected = {"csv": "id,word\n", "ndjson": "", "columns": '{"id":[],"word":[]}'}
    if form in expected:
        assert answer.text == expected[form]
    else:
        table = {"arrow": _stream, "parquet": _file}[form](answer.content)
        assert (table.num_rows, table.schema.names) == (0, ["id", "word"])


def test_a_file_has_the_name_of_its_table(ask: Ask) -> None:
    named = ask("GET", f"{TABLE}?format=csv").headers["content-disposition"]
    assert named == f"attachment; filename=\"S_lect _From_ where.csv\"; filename*=UTF-8''{TABLE}.csv"


def test_rows_of_a_range_are_a_file_too(ask: Ask) -> None:
    assert ask("GET", "people?select=id&format=csv", range="1-").text == "id\n2\n3\n"
    assert ask("GET", "people?select=id&format=csv", range="0-1").text == "id\n1\n2\n"


@pytest.mark.parametrize("form", MEDIA_TYPES)
@pytest.mark.parametrize("query", ["id=eq.x", "nme=eq.1", "select=unknown", "limit=x"])
def test_what_is_wrong_is_told_before_a_file_begins(ask: Ask, form: str, query: str) -> None:
    assert problem_of(ask("GET", f"people?{query}&format={form}"))["status"] == 400
