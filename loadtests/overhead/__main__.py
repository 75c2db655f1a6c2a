"""`python -m loadtests.overhead`"""

import asyncio
import itertools
import secrets
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.bench.cases import Case, write_calls
from loadtests.bench.database import FLIGHTS, Database, prepared
from loadtests.bench.errors import BenchError
from loadtests.bench.generators import Generator, Job, run_job
from loadtests.bench.process import Running, running
from loadtests.overhead.modes import modes
from loadtests.overhead.sink import Sink, listening

_DATA_DIR = Path(__file__).parents[2] / "build" / "bench"
_CASES = (Case.GET_ONE, Case.LIST_100, Case.PATCH)
_TARGET = 0.85
_WARM_UP_SECONDS = 2
_STRIDE = 10_007_919
Rates = dict[Case, dict[str, list[float]]]
_messages = Console(stderr=True)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians of them are shown.")] = 7,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of a case, a mode and a round.")] = 4,
    connections: Annotated[int, typer.Option(min=1, help="Connections that send one request after another.")] = 32,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that is traced.")] = 0.1,
    data_dir: Annotated[Path, typer.Option(help="Folder of the bench's own PostgreSQL; kept.")] = _DATA_DIR,
) -> None:
    """Measure what metrics, access log, traces, Sentry and Server-Timing cost.

    The same requests, in turns, to a service with everything on and to one with
    everything off. Traces and errors go to a sink on loopback. Exit code 1 where
    the first does less than 0.85 of the second's requests a second.
    """
    try:
        rates, sink = asyncio.run(_measure(rounds, seconds, connections, share, data_dir))
    except BenchError as error:
        _messages.print(f"[bold red]overhead:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if _show(rates, sink, rounds, seconds, share) else 1)


async def _measure(rounds: int, seconds: int, connections: int, share: float, data_dir: Path) -> tuple[Rates, Sink]:
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        progress = stack.enter_context(Progress(*columns, console=_messages, transient=True))
        sink = await stack.enter_async_context(listening())
        apps = modes(sink.address, share)
        bar = progress.add_task("", total=(rounds + 1) * len(_CASES) * len(apps))
        database = await stack.enter_async_context(
            prepared(data_dir, lambda text: progress.update(bar, description=text))
        )
        servers = []
        for app in apps:
            environment = {"DATABASE_URL": database.url, "JWT_SECRET": secrets.token_hex(32)}
            headers = {"X-API-Key": database.key, "Content-Type": "application/json"}
            servers.append(await stack.enter_async_context(running(app, folder, environment, headers)))
        for case in _CASES:
            write_calls(case, apps[0], FLIGHTS, folder / f"{case}.calls")
        rates: Rates = {case: {app.name: [] for app in apps} for case in _CASES}
        starts = itertools.count(0, _STRIDE)
        for number, case, position in itertools.product(range(rounds + 1), _CASES, range(len(apps))):
            server = servers[(number + position) % len(servers)]
            progress.update(bar, description=f"round {number}/{rounds}  {case.label}  {server.app.title}")
            job = _job(case, server, folder, next(starts), seconds if number else _WARM_UP_SECONDS, connections)
            rate = await _rate(job, case, server, database)
            if number:
                rates[case][server.app.name].append(rate)
            progress.advance(bar)
    return rates, sink


def _job(case: Case, server: Running, folder: Path, first: int, seconds: int, connections: int) -> Job:
    return Job(
        server.base, case.method, folder / f"{case}.calls", first, case.numbers, server.headers, seconds, connections
    )


async def _rate(job: Job, case: Case, server: Running, database: Database) -> float:
    load = await run_job(Generator.installed(), job)
    if load.refused or load.broken or not load.requests:
        raise BenchError(f"{server.app.title}, {case.label}: {load}. Its last words:\n{server.last_words}")
    if case.is_write:
        await database.tidy()
    server.empty_log()
    return load.rate


def _show(rates: Rates, sink: Sink, rounds: int, seconds: int, share: float) -> bool:
    """The rates, the ratios of one round's neighbours, and whether the target is met."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", "off /s", "metrics, log /s", "ratio", "all on /s", "ratio", "lowest", "highest"):
        table.add_column(name, justify="right" if name else "left", style="bold" if name == "ratio" else None)
    whole = []
    for case, by_mode in rates.items():
        some, on = (_ratios(by_mode[name], by_mode["off"]) for name in ("some", "on"))
        whole.append(median(on))
        figures = {name: f"{median(found):,.0f}" for name, found in by_mode.items()}
        table.add_row(
            case.label, figures["off"], figures["some"], f"{median(some):.2f}", figures["on"],
            f"{median(on):.2f}", f"{min(on):.2f}", f"{max(on):.2f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        f"Medians of {rounds} rounds of {seconds} s, one worker each; a ratio compares the two of one round. "
        f"{share:.0%} of the requests traced. To the sink: "
        + (", ".join(f"{count:,} to {path} ({sink.octets[path]:,} bytes)" for path, count in sink.messages.items())
           or "nothing") + ".",
        highlight=False,
    )  # fmt: skip
    faults = []
    if share and not sink.messages["/v1/traces"]:
        faults.append("No trace has reached the sink: not everything was on.")
    if min(whole) < _TARGET:
        faults.append(f"The lowest ratio is {min(whole):.2f}; at least {_TARGET} was promised.")
    for fault in faults:
        console.print(fault, style="bold red", highlight=False)
    if not faults:
        console.print(f"At least {_TARGET} everywhere.", style="green", highlight=False)
    return not faults


def _ratios(these: list[float], those: list[float]) -> list[float]:
    return [this / that for this, that in zip(these, those, strict=True)]


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtests.overhead")
