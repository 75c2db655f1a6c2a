"""`python -m loadtests.soak`"""

import asyncio
import json
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import asyncpg
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.bench.errors import BenchError
from loadtests.load.ground import DATA_DIR, prepared, served
from loadtests.load.run import WINDOW_SECONDS, Load, Result, run
from loadtests.soak.growth import growth_of, line_of
from loadtests.soak.samples import Measure, Samples, processes_of
from loadtests.soak.servers import GUNICORN, worker
from service.core.errors import RowhouseError

_RAMP = (40, 80, 160, 320, 640)
_LEAST_GAIN = 1.15  # more users that bring less than this are more than it can serve
_MOST_FAILED = 0.01
# Wide: what is to be seen is whether anything grows. Failures and lost events are faults as ever.
_THRESHOLDS = (
    *("--p95", "read=2000,write=2000,page=3000,export=15000,follow=8000,event=4000"),
    *("--p99", "read=4000,write=4000,page=6000,export=30000,follow=16000,event=8000"),
)
_JUDGED = (Measure.RSS, Measure.USS, Measure.DESCRIPTORS, Measure.THREADS, Measure.CONNECTIONS)
_messages = Console(stderr=True)
Window = dict[str, dict[str, float]]


@dataclass(slots=True)
class Soaked:
    """What came of it. `steps`: users and requests a second of the ramp."""

    result: Result
    samples: Samples
    users: int
    steps: list[tuple[int, float]]
    windows: list[Window] = field(default_factory=list)


def main(
    minutes: Annotated[float, typer.Option(min=1, help="Minutes of load.")] = 20,
    load: Annotated[float, typer.Option(min=0.05, max=1, help="Share of the capacity.")] = 0.7,
    users: Annotated[int, typer.Option(min=0, help="Users; 0: as many as make that share.")] = 0,
    step_seconds: Annotated[int, typer.Option(min=25, help="Seconds of a step, as the capacity is measured.")] = 25,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two samples.")] = 10,
    share: Annotated[float, typer.Option(min=0, help="Most growth of the second half, as a share.")] = 0.05,
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = DATA_DIR,
) -> None:
    """Load a service for long, and see that nothing grows.

    Gunicorn with two processes and a worker, under Locust's users; first in
    short steps, to find out how much that machine can do with all of them on
    it. Exit code 1 where memory, descriptors, threads or connections grow,
    where a process was replaced, requests failed or events were lost.
    """
    try:
        soaked = asyncio.run(_soak(round(minutes * 60), load, users, step_seconds, every, data_dir))
    except (BenchError, RowhouseError) as error:
        _messages.print(f"[bold red]soak:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if _show(Console(), soaked, share) else 1)


async def _soak(seconds: int, load: float, users: int, step_seconds: int, every: float, data_dir: Path) -> Soaked:
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        progress = stack.enter_context(Progress(*columns, console=_messages, transient=True))
        bar = progress.add_task("", total=None)

        def say(text: str) -> None:
            progress.update(bar, description=text)

        ground = await stack.enter_async_context(prepared(data_dir, say))
        say("Starting Gunicorn and a worker")
        shared = {"JWT_SECRET": secrets.token_hex(32)}
        gathered = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}
        server = await stack.enter_async_context(served(ground, folder, shared | gathered, GUNICORN))
        worker_id = await stack.enter_async_context(worker(ground, folder, shared))
        connection = await asyncpg.connect(ground.postgres.owner_url)
        stack.push_async_callback(connection.close)

        async def run_load(count: int, length: int, windows: Path) -> Result:
            return await run(Load(server.base, count, length, ground.credentials, _THRESHOLDS, windows=windows), folder)

        async def rate_of(count: int) -> float:
            say(f"Capacity: {count} users")
            path = folder / f"step-{count}"
            result = await run_load(count, step_seconds, path)
            failed = sum(kind["failures"] for kind in result.kinds) > result.requests * _MOST_FAILED
            return 0.0 if failed else _last_rate(_read(path))

        steps: list[tuple[int, float]] = []
        if not users:
            users, steps = await _users_for(load, rate_of)
        server.empty_log()
        windows, samples = folder / "windows", Samples()
        say(f"{users} users for {seconds / 60:g} min")
        progress.update(bar, total=seconds, completed=0)
        loading = asyncio.create_task(run_load(users, seconds, windows))
        processes = processes_of(server.process.pid, worker_id)
        while not loading.done():
            await samples.take(processes, connection)
            progress.update(bar, completed=samples.moments[-1] - samples.moments[0])
            server.empty_log()
            await asyncio.wait([loading], timeout=every)
        return Soaked(loading.result(), samples, users, steps, _read(windows))


async def _users_for(load: float, rate_of: Callable[[int], Awaitable[float]]) -> tuple[int, list[tuple[int, float]]]:
    """How many users make that share of the most requests a second that the steps reach."""
    steps: list[tuple[int, float]] = []
    for users in _RAMP:
        steps.append((users, await rate_of(users)))
        if len(steps) > 1 and steps[-1][1] < steps[-2][1] * _LEAST_GAIN:
            break
    first_users, first_rate = steps[0]
    if not first_rate:
        raise BenchError(f"The service does not carry {first_users} users.")
    most = max(rate for _, rate in steps)
    return max(1, round(load * most * first_users / first_rate)), steps


def _read(path: Path) -> list[Window]:
    return [json.loads(line)["kinds"] for line in path.read_text().splitlines()]


def _last_rate(windows: list[Window]) -> float:
    """Requests a second of the last whole window: in the first one, users are still coming."""
    return sum(figures["requests"] for kind, figures in windows[-1].items() if kind != "event") / WINDOW_SECONDS


def _show(console: Console, soaked: Soaked, share: float) -> bool:
    """Every series with its growth, p99 at the start and at the end, and the verdict."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", "measure", "start", "end", "2nd half", "over time"):
        table.add_column(name, justify="right" if name in ("start", "end", "2nd half") else "left")
    faults = [f"{name} has ended." for name in soaked.samples.lost]
    moments = soaked.samples.moments
    for (name, measure), values in sorted(soaked.samples.series.items()):
        if len(values) != len(moments):
            continue
        grown = growth_of(moments, values)
        is_fault = measure in _JUDGED and grown.is_more_than(share, measure.least)
        if is_fault:
            faults.append(f"{measure} of {name} grew by {grown.by:.1f} ({grown.percent:.1f} %) in the second half.")
        style = "bold red" if is_fault else None
        figures = (f"{values[0]:.0f}", f"{values[-1]:.0f}", f"{grown.percent:+.1f} %", line_of(values, 24))
        table.add_row(name, measure, *figures, style=style)
    console.print(table)
    ramp = ", ".join(f"{users}: {rate:.0f}/s" for users, rate in soaked.steps)
    console.print(f"Capacity by users: {ramp or 'not measured'}. Soaked with {soaked.users} users.", highlight=False)
    result = soaked.result
    console.print(
        f"{result.requests:,} requests, {result.rate:,.0f} a second; {result.committed:,} changes, {result.followers} "
        f"followers, {result.lost} events lost, {result.breaks} connections broken.",
        highlight=False,
    )
    for kind in ("read", "write", "page", "event"):
        start, end = _p99(soaked.windows, kind)
        console.print(f"p99 of {kind}: {start:.0f} ms at the start, {end:.0f} ms at the end.", highlight=False)
    for fault in (faults := [*faults, *result.faults]):
        console.print(fault, style="bold red", highlight=False, markup=False)
    for error in result.errors[:10]:
        console.print(error, style="yellow", highlight=False, markup=False)
    if not faults:
        console.print(f"Nothing grew by more than {share:.0%} and its own scatter.", style="green", highlight=False)
    return not faults


def _p99(windows: list[Window], kind: str) -> tuple[float, float]:
    """The median p99 of the windows of the first fifth, without the one in which users log in, and of the last."""
    figures = [window[kind]["p99"] for window in windows[1:] if kind in window]
    if not figures:
        return 0.0, 0.0
    fifth = max(1, len(figures) // 5)
    return median(figures[:fifth]), median(figures[-fifth:])


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtests.soak")
