"""A frame out of a table and into it again, by each tool: every type that the format can hold comes back as it was."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import httpx2
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from tests.conformance.test_exports import MEDIA_TYPES
from tests.conformance.test_imports import run
from tests.conftest import Database

# `sum` is a numeric of any precision: see decision 19 for what its forms can hold.
_CONTENTS = "select t::text as row from awkward.typed t order by id"
# The readers of CSV of these tools do not tell an empty text from none.
_TEXTS = "update awkward.typed set word = nullif(word, ''), empty = nullif(empty, '')"


def _stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _file(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    return sink.getvalue()


def _frame(body: bytes) -> pd.DataFrame:
    return pa.ipc.open_stream(body).read_all().to_pandas(types_mapper=pd.ArrowDtype)


def _pandas_parquet(body: bytes) -> bytes:
    frame = pd.read_parquet(io.BytesIO(body), dtype_backend="pyarrow")
    return _written(lambda sink: frame.to_parquet(sink, index=False))


def _pandas_csv(body: bytes) -> bytes:
    frame = pd.read_csv(io.BytesIO(body), dtype=str, keep_default_na=False, na_values=[""])
    return str(frame.to_csv(index=False)).encode()


def _written(write: Callable[[io.BytesIO], Any]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def _duckdb_arrow(body: bytes) -> bytes:
    with duckdb.connect() as connection:
        return _stream(connection.from_arrow(pa.ipc.open_stream(body).read_all()).to_arrow_table())


def _duckdb_files(read: str, write: str, body: bytes) -> bytes:
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(body)
        connection.execute(f"copy (select * from {read.format(source)}) to '{target}' ({write})")
        return target.read_bytes()


TRIPS: dict[tuple[str, str], Callable[[bytes], bytes]] = {
    ("arrow", "pyarrow"): lambda body: _stream(pa.ipc.open_stream(body).read_all()),
    ("parquet", "pyarrow"): lambda body: _file(parquet.read_table(io.BytesIO(body))),
    ("arrow", "polars"): lambda body: _written(pl.read_ipc_stream(io.BytesIO(body)).write_ipc_stream),
    ("parquet", "polars"): lambda body: _written(pl.read_parquet(io.BytesIO(body)).write_parquet),
    ("arrow", "pandas"): lambda body: _stream(pa.Table.from_pandas(_frame(body), preserve_index=False)),
    ("parquet", "pandas"): _pandas_parquet,
    ("arrow", "duckdb"): _duckdb_arrow,
    ("parquet", "duckdb"): lambda body: _duckdb_files("read_parquet('{}')", "format parquet", body),
    ("csv", "pyarrow"): lambda body: _written(
        lambda sink: csv.write_csv(
            csv.read_csv(
                io.BytesIO(body),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(body.partition(b"\n")[0].decode().split(","), pa.string()),
                    strings_can_be_null=True, quoted_strings_can_be_null=False,
                ),
            ),
            sink,
        )
    ),
    ("csv", "polars"): lambda body: pl.read_csv(io.BytesIO(body), infer_schema=False).write_csv().encode(),
    ("csv", "pandas"): _pandas_csv,
    ("csv", "duckdb"): lambda body: _duckdb_files("read_csv('{}', all_varchar = true)", "format csv, header", body),
}  # fmt: skip


@pytest.fixture
def url(database: Database, awkward: str) -> Iterator[str]:
    """The database, whose table is what it was in the end."""
    url = database.server.url("postgres", awkward)
    run(url, "create table awkward.kept as table awkward.typed")
    yield url
    run(url, "delete from awkward.typed")
    run(url, "insert into awkward.typed table awkward.kept")
    run(url, "drop table awkward.kept")


@pytest.mark.parametrize(("form", "tool"), TRIPS)
def test_a_frame_comes_back_as_it_went(client: httpx2.Client, url: str, form: str, tool: str) -> None:
    if form == "csv":
        run(url, _TEXTS)
    before = [row["row"] for row in run(url, _CONTENTS)]
    body = client.get(f"/api/v1/typed?order=id&format={form}").content
    sent = TRIPS[form, tool](body)
    run(url, "delete from awkward.typed")
    media_type = 'text/csv; null=""' if form == "csv" else MEDIA_TYPES[form]
    answer = client.post("/api/v1/typed", content=sent, headers={"content-type": media_type})
    assert answer.status_code == 201, answer.text
    assert [row["row"] for row in run(url, _CONTENTS)] == before
