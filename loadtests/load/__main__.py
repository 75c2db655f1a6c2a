"""`python -m loadtests.load`"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.bench.errors import BenchError
from loadtests.load.ground import DATA_DIR, prepared, served
from loadtests.load.run import Load, Result, run
from service.core.errors import RowhouseError

_REPORT = Path(__file__).parents[2] / "test-output" / "load.html"
_INTERRUPTED = 130
_CREDENTIALS = ("LOAD_KEY", "LOAD_EMAIL", "LOAD_PASSWORD")
_messages = Console(stderr=True)


def main(
    context: typer.Context,
    users: Annotated[int, typer.Option(min=1, help="Users at once.")] = 40,
    seconds: Annotated[int, typer.Option(min=3, help="Seconds of load.")] = 60,
    host: Annotated[
        str | None,
        typer.Option(help="A running service with nycflights13; LOAD_KEY, LOAD_EMAIL, LOAD_PASSWORD as variables."),
    ] = None,
    report: Annotated[Path, typer.Option(help="File of Locust's report (HTML).")] = _REPORT,
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = DATA_DIR,
) -> None:  # fmt: skip
    """Load a service as its users do, and judge it; exit code 1 where it is not good enough.

    Dashboards read and follow, notebooks export, operators edit in the
    back-office, services write, listeners follow by WebSocket. Further options
    are the locustfile's: weights (--dashboards 8 --notebooks 1 --operators 2
    --services 6 --listeners 3; LOAD_DASHBOARDS …), thresholds (--most-failures
    0.1 --p95 read=300,write=300 --p99 …). Rows that it adds it removes.
    """
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    try:
        result = asyncio.run(_load(users, seconds, host, report.absolute(), data_dir, tuple(context.args)))
    except (BenchError, RowhouseError, OSError) as error:
        _messages.print(f"[bold red]load:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except asyncio.CancelledError:
        _messages.print("Interrupted; everything is stopped.")
        raise typer.Exit(_INTERRUPTED) from None
    show(Console(), result)
    if report.exists():
        _messages.print(f"Report: {os.path.relpath(report)}", highlight=False)
    raise typer.Exit(1 if result.faults else 0)


async def _load(
    users: int, seconds: int, host: str | None, report: Path, data_dir: Path, options: tuple[str, ...]
) -> Result:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    columns = (TextColumn("{task.description:<30}"), BarColumn(), TimeElapsedColumn())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
        progress = stack.enter_context(Progress(*columns, console=_messages, transient=True))
        bar = progress.add_task("", total=None)

        def say(text: str) -> None:
            progress.update(bar, description=text)

        if host is None:
            ground = await stack.enter_async_context(prepared(data_dir, say))
            say("Starting the service")
            server = await stack.enter_async_context(served(ground, folder))
            load = Load(server.base, users, seconds, ground.credentials, options, report)
        else:
            given = {name: os.environ[name] for name in _CREDENTIALS if name in os.environ}
            load = Load(host.rstrip("/"), users, seconds, given, options, report)
        say(f"{users} users for {seconds} s")
        progress.update(bar, total=seconds)
        ticking = asyncio.create_task(_tick(seconds, lambda done: progress.update(bar, completed=done)))
        try:
            return await run(load, folder)
        finally:
            ticking.cancel()


async def _tick(seconds: int, show_done: Callable[[float], None]) -> None:
    begun = monotonic()
    while (passed := monotonic() - begun) < seconds:
        show_done(passed)
        await asyncio.sleep(0.5)
    show_done(seconds)


def show(console: Console, result: Result) -> None:
    """The figures by kind, what was followed, and the verdict."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("")
    for name in ("requests", "a second", "failed", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for kind in sorted(result.kinds, key=lambda one: str(one["kind"])):
        rate = kind["requests"] / result.seconds if result.seconds else 0
        figures = (f"{kind[name]:,.0f}" for name in ("p50", "p95", "p99"))
        table.add_row(kind["kind"], f"{kind['requests']:,}", f"{rate:,.1f}", f"{kind['failures']:,}", *figures)
    console.print(table)
    console.print(
        f"{result.requests:,} requests, {result.rate:,.0f} a second. {result.committed:,} changes, {result.followers} "
        f"followers: {result.lost} events lost, {result.breaks} connections broken.",
        highlight=False,
    )
    for error in result.errors[:10]:
        console.print(error, style="yellow", highlight=False, markup=False)
    for fault in result.faults:
        console.print(fault, style="bold red", highlight=False, markup=False)
    if not result.faults:
        console.print("Within all thresholds.", style="green")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(main)
    app(prog_name="python -m loadtests.load")
