"""`rowhouse import`, as a process of its own."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from service.core.types import Role
from tests.command import run_rowhouse
from tests.conftest import Database
from tests.service_under_test import Service

LINES = 'day,station,value,note,at,ok\n2020-01-01,007,1.5,,2020-01-01T10:00:00Z,true\n2020-01-02,008,2,"a,b",,false\n'


def rowhouse(database: Database, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.service_url,
        "MIGRATION_DATABASE_URL": database.owner_url,
        "COLUMNS": "120",
    }
    return run_rowhouse(environment, "import", *arguments, stdin=stdin)


@pytest.fixture
def table(database: Database) -> Iterator[str]:
    yield "measurements"
    if database.execute("select to_regclass('measurements')")[0][0] is not None:
        database.execute("select rowhouse.untrack('measurements')")
        database.execute("drop table measurements")
    database.execute("delete from rowhouse.grants where table_name = 'measurements'")
    database.execute("notify rowhouse_reload")


def test_a_table_is_made_of_a_file_and_served_at_once(
    database: Database, service: Service, table: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(LINES)
    made = rowhouse(database, str(file), table, "--create", "--key", "day", "--yes")
    assert made.returncode == 0, made.stderr
    assert '"value" double precision' in made.stdout
    assert '"station" text' in made.stdout
    assert "2 inserted" in made.stderr
    with service.client(Role.VIEWER) as client:
        deadline = time.monotonic() + 60
        while (answer := client.get(f"/api/v1/{table}?order=day")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)
    assert answer.json()[0] == {
        "day": "2020-01-01",
        "station": "007",
        "value": 1.5,
        "note": "",
        "at": "2020-01-01T10:00:00+00:00",
        "ok": True,
    }
    logged = database.execute(
        "select actor, count(*) from rowhouse.changes c join rowhouse.tracked t on t.id = c.tracked "
        "where t.relation = 'measurements'::regclass group by 1"
    )
    assert [(str(row[0])[:4], row[1]) for row in logged] == [("cli:", 2)]
    again = rowhouse(database, str(file), table, "--create", "--yes")
    assert (again.returncode, "already" in again.stderr) == (1, True)
    merged = rowhouse(database, str(file), table, "--upsert")
    assert "2 updated" in merged.stderr
    replaced = rowhouse(database, str(file), table, "--replace", "--dry-run")
    assert "kept nothing" in replaced.stderr
    assert "2 deleted before" in replaced.stderr


def test_types_are_those_that_keep_the_values(database: Database, table: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("long,code,dash,half\n12345678901234567890,E10,-,.5\n-1,e2,+,-1e3\n")
    made = rowhouse(database, str(file), table, "--create", "--yes")
    assert made.returncode == 0, made.stderr
    types = ('"long" numeric', '"code" text', '"dash" text', '"half" double precision')
    assert [kind in made.stdout for kind in types] == [True] * 4
    rows = database.execute("select long::text, code, dash, half from measurements order by code desc")
    assert [tuple(row) for row in rows] == [("-1", "e2", "+", -1000.0), ("12345678901234567890", "E10", "-", 0.5)]


def test_nothing_is_made_where_nobody_agrees_or_the_file_does_not_fit(
    database: Database, table: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(LINES)
    declined = rowhouse(database, str(file), table, "--create", stdin="n\n")
    assert (declined.returncode, "create table" in declined.stdout) == (1, True)
    file.write_text("id,note\n1,a\n1,b\n")
    broken = rowhouse(database, str(file), table, "--create", "--key", "id", "--yes")
    assert (broken.returncode, "Row 3" in broken.stderr) == (1, True)
    keyless = rowhouse(database, str(file), table, "--create", "--key", "nope", "--yes")
    assert (keyless.returncode, "'nope'" in keyless.stderr) == (1, True)
    assert database.execute("select to_regclass('measurements') is null")[0][0]


def test_no_table_is_left_where_its_maker_gives_up(database: Database, table: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(LINES)
    gone = asyncio.run(_interrupted(database, str(file), table))
    assert gone == 130
    assert database.execute("select to_regclass('measurements') is null")[0][0]


async def _interrupted(database: Database, file: str, table: str) -> int | None:
    """Ctrl-C while the rows wait for somebody who holds the log of changes."""
    connection = await asyncpg.connect(database.superuser_url)
    environment = {**os.environ, "DATABASE_URL": database.service_url, "MIGRATION_DATABASE_URL": database.owner_url}
    try:
        async with connection.transaction():
            await connection.execute("lock table rowhouse.changes in share mode")
            code = "from service.cli.main import run; run()"
            importing = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, "import", file, table, "--create", "--yes", env=environment
            )
            waiting = (
                "select exists(select from pg_locks where relation = 'rowhouse.changes'::regclass and not granted)"
            )
            async with asyncio.timeout(30):
                while not await connection.fetchval(waiting):  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.05)
            importing.send_signal(signal.SIGINT)
            await asyncio.sleep(0.5)
        return await asyncio.wait_for(importing.wait(), 30)
    finally:
        await connection.close()


def test_rows_that_are_left_out_are_listed(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "carriers.jsonl.gz"
    lines = '{"carrier": "_1", "name": "One"}\n{"carrier": "_2", "name": null}\n'
    file.write_bytes(gzip.compress(lines.encode()))
    try:
        refused = rowhouse(database, str(file), "airlines")
        taken = rowhouse(database, str(file), "airlines", "--max-rejected", "1")
        (row,) = database.execute("select name from airlines where carrier like '\\_%'")
        assert row["name"] == "One"
    finally:
        database.execute("delete from airlines where carrier like '\\_%'")
    assert (refused.returncode, "Row 2, column 'name'" in refused.stderr) == (1, True)
    assert (taken.returncode, "1 inserted, 1 left out" in taken.stderr) == (0, True), taken.stderr
    assert "name" in taken.stdout


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.txt", b"carrier,name\n", "ends in nothing that is known"),
        ("rows.csv", b"carrier,nema\n_1,x\n", "'name'"),
        ("rows.csv", b"", "names no columns"),
        ("rows.csv.gz", b"no gzip", "cannot be unpacked"),
        ("rows.parquet", b"PAR1", "cannot be read"),
        ("rows.arrow", b"ARROW1\0\0", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_in_a_sentence(
    database: Database, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    answer = rowhouse(database, str(file), "airlines")
    assert answer.returncode == 1
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_table_is_made_of_a_parquet_file(database: Database, table: str, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    file = tmp_path / "rows.parquet"
    columns = {
        "id": pa.array([1], pa.int32()),
        "tags": [["a"]],
        "document": [{"a": 1}],
        "at": pa.array([0], pa.timestamp("us", "UTC")),
    }
    parquet.write_table(pa.table(columns), file)
    made = rowhouse(database, str(file), table, "--create", "--yes")
    assert made.returncode == 0, made.stderr
    row = database.execute("select id, tags, document::text, at::text from measurements")
    assert tuple(row[0]) == (1, ["a"], '{"a": 1}', "1970-01-01 00:00:00+00")
