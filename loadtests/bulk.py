"""What an import costs beside COPY: all 336,776 flights, in one run, and the memory of the server that takes them.

    python -m loadtests.bulk
    python -m loadtests.bulk --times 10        also with bodies ten times as large

COPY and imports go into the same table: the demo's with its indexes and foreign keys but without the change log, one
with the primary key alone, and the demo's with the log. COPY comes from asyncpg over the same socket; an import goes
through HTTP, authentication, policy and staging. Both take turns; medians are shown.
"""

import asyncio
import csv
import io
import secrets
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import asyncpg
import httpx2
import orjson
import psutil
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.bench.apps import ROWHOUSE
from loadtests.bench.errors import BenchError
from loadtests.bench.process import Running, running
from service.core.settings import DatabaseSettings
from service.core.types import OF_TABLES, Role
from service.crud import accounts
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.migrations import Branch
from service.demo import nycflights

_DATA_DIR = Path(__file__).parents[1] / "build" / "bulk"
_ROWS = 336_776
_CHUNK = 1 << 18
_TABLES = ("bulk_bare", "bulk_plain", "bulk_logged")
_PREPARE = """
drop table if exists bulk_bare, bulk_plain, bulk_logged;
create table bulk_bare (like flights including all);
alter table bulk_bare add foreign key (carrier) references airlines, add foreign key (origin) references airports;
create table bulk_logged (like bulk_bare including all);
alter table bulk_logged add foreign key (carrier) references airlines, add foreign key (origin) references airports;
create table bulk_plain (like flights including defaults including identity, primary key (id));
grant select, insert, update, delete on bulk_bare, bulk_plain, bulk_logged to rowhouse_service;
select rowhouse.track('bulk_logged');
"""
_TITLES = {
    "bulk_bare": "as in the demo, without the log",
    "bulk_plain": "primary key alone, without the log",
    "bulk_logged": "as in the demo, with the log",
}
_MOST_GROWTH = {"csv": 120, "ndjson": 120, "arrow": 300, "parquet": 300}  # MB
_MIB = 1 << 20
_MEDIA = {
    "csv": "text/csv; null=NA",
    "ndjson": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class Body:
    """A file of flights, and what it is sent as."""

    name: str
    path: Path
    media: str


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians of them are shown.")] = 3,
    times: Annotated[int, typer.Option(min=1, help="Also send bodies so many times as large, once.")] = 1,
    tables: Annotated[str, typer.Option(help="Tables, parted by commas.")] = ",".join(_TABLES),
) -> None:
    """Compare imports with COPY."""
    asyncio.run(_run(rounds, times, tables.split(",")))


async def _run(rounds: int, times: int, tables: list[str]) -> None:
    console = Console(width=120)
    embedded = await start_embedded(_DATA_DIR / "data")
    try:
        key = await _prepare(embedded)
        environment = {
            "DATABASE_URL": embedded.service_url,
            "DATA_DIR": str(_DATA_DIR / "data"),
            "JWT_SECRET": secrets.token_hex(32),
            "ACCESS_LOG": "false",
        }
        with tempfile.TemporaryDirectory() as folder:
            bodies = await asyncio.to_thread(_write, Path(folder), 1)
            async with running(ROWHOUSE, Path(folder), environment, {"X-API-Key": key}) as server:
                await _compare(console, embedded, server, bodies, rounds, tables)
                if times > 1:
                    larger = await asyncio.to_thread(_write, Path(folder), times)
                    await _grow(console, embedded, server, larger, times)
    finally:
        await asyncio.to_thread(embedded.release)


async def _prepare(embedded: EmbeddedPostgres) -> str:
    """The tables, and an editor's key."""
    await migrations.migrate(embedded.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
    connection = await asyncpg.connect(embedded.owner_url)
    try:
        if not await nycflights.is_loaded(connection):
            await nycflights.load(connection, lambda table, done, total: None)
        await connection.execute(_PREPARE)
    finally:
        await connection.close()
    engine = make_engine(embedded.owner_url, DatabaseSettings(_env_file=None), role=None)
    try:
        async with UnitOfWork(engine).begin() as session:
            for table in ("flights", *_TABLES):
                await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
            return (await accounts.create_key(session, "bulk", Role.EDITOR, days=1)).key
    finally:
        await engine.dispose()


def _flights() -> tuple[list[str], bytes]:
    """The names of the columns, and the lines behind them."""
    with zipfile.ZipFile(nycflights.data_folder() / "flights.csv.zip") as archive:
        head, _, lines = archive.read("flights.csv").partition(b"\n")
    return next(csv.reader([head.decode()])), lines


def _write(folder: Path, times: int) -> list[Body]:
    """The flights in each format, so many times: the years move on, for the table knows a flight by its hour."""
    import pyarrow
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    names, lines = _flights()
    paths = {name: folder / f"{times}.{name}" for name in ("csv", "ndjson", "arrow", "parquet")}
    types = {
        name: pyarrow.int32() for name in names if name not in ("carrier", "tailnum", "origin", "dest", "time_hour")
    }
    options = arrow_csv.ConvertOptions(column_types=types, null_values=["NA"], strings_can_be_null=True)
    stream = None
    with paths["csv"].open("wb") as text, paths["ndjson"].open("wb") as objects, paths["arrow"].open("wb") as arrow:
        text.write(",".join(names).encode() + b"\n")
        for place in range(times):
            moved = lines.replace(b",2013-", b",%d-" % (2013 + place)).replace(b",2014-", b",%d-" % (2014 + place))
            text.write(moved)
            whole = ",".join(names).encode() + b"\n" + moved
            table = arrow_csv.read_csv(io.BytesIO(whole), convert_options=options)
            if stream is None:
                stream = pyarrow.ipc.new_stream(arrow, table.schema)
                columns = parquet.ParquetWriter(paths["parquet"], table.schema)
            stream.write_table(table, max_chunksize=65_536)
            columns.write_table(table)
            for batch in table.to_batches(8192):
                objects.write(b"".join(orjson.dumps(row, option=orjson.OPT_UTC_Z) + b"\n" for row in batch.to_pylist()))
        assert stream is not None
        stream.close()
        columns.close()
    return [Body(name, path, _MEDIA[name]) for name, path in paths.items()]


async def _compare(
    console: Console, embedded: EmbeddedPostgres, server: Running, bodies: list[Body], rounds: int, tables: list[str]
) -> None:
    names, _ = _flights()
    connection = await asyncpg.connect(embedded.owner_url)
    try:
        for table in tables:
            copied: list[float] = []
            took: dict[str, list[float]] = {body.name: [] for body in bodies}
            grown: dict[str, float] = {}
            for _ in range(rounds):
                await connection.execute(f"truncate {table}")
                begun = time.perf_counter()
                await connection.copy_to_table(
                    table, source=bodies[0].path, columns=names, format="csv", header=True, null="NA"
                )
                copied.append(time.perf_counter() - begun)
                for body in bodies:
                    await connection.execute(f"truncate {table}")
                    seconds, growth = await asyncio.to_thread(_import, server, body, table, _ROWS)
                    took[body.name].append(seconds)
                    grown[body.name] = max(growth, grown.get(body.name, 0))
            _show(console, f"{_ROWS:,} flights, {_TITLES[table]}", median(copied), took, grown)
    finally:
        await connection.close()


async def _grow(console: Console, embedded: EmbeddedPostgres, server: Running, bodies: list[Body], times: int) -> None:
    """Bodies so many times as large: the memory of the server must not be."""
    connection = await asyncpg.connect(embedded.owner_url)
    try:
        took, grown = {}, {}
        for body in bodies:
            await connection.execute("truncate bulk_plain")
            seconds, growth = await asyncio.to_thread(_import, server, body, "bulk_plain", _ROWS * times)
            took[body.name], grown[body.name] = [seconds], growth
    finally:
        await connection.close()
    _show(console, f"{_ROWS * times:,} flights, {_TITLES['bulk_plain']}", None, took, grown)


def _import(server: Running, body: Body, table: str, rows: int) -> tuple[float, float]:
    """Seconds, and by how many MB the server's memory grew meanwhile."""
    before, stop, most = server.memory, threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], psutil.Process(server.process.pid).memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    begun = time.perf_counter()
    try:
        with body.path.open("rb") as file:
            answer = httpx2.post(
                f"{server.base}/api/v1/{table}",
                content=iter(lambda: file.read(_CHUNK), b""),
                headers={**server.headers, "Content-Type": body.media},
                timeout=900,
            )
    finally:
        seconds = time.perf_counter() - begun
        stop.set()
        watching.join()
    if answer.status_code != 201 or answer.json()["inserted"] != rows:
        raise BenchError(f"{body.name}: {answer.status_code} {answer.text[:500]}")
    return seconds, (most[0] - before) / _MIB


def _show(
    console: Console, title: str, copied: float | None, took: dict[str, list[float]], grown: dict[str, float]
) -> None:
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for header in ("", "seconds", "of COPY", "memory +MB", "allowed"):
        shown.add_column(header, justify="left" if not header else "right")
    if copied is not None:
        shown.add_row("COPY", f"{copied:.2f}", "1.00", "", "")
    for name, seconds in took.items():
        ratio = "" if copied is None else f"{median(seconds) / copied:.2f}"
        shown.add_row(name, f"{median(seconds):.2f}", ratio, f"{grown[name]:.0f}", str(_MOST_GROWTH[name]))
    console.print(shown)


if __name__ == "__main__":
    typer.run(main)
