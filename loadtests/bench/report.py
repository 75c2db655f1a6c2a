"""The results, for people and for programs."""

from collections.abc import Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.bench.apps import App, Comparison
from loadtests.bench.cases import Case
from loadtests.bench.chart import Chart, Group
from loadtests.bench.generators import Generator, Load
from loadtests.bench.machine import Machine
from loadtests.bench.run import Options, Results

_MEGABYTE = 2**20
_LOCUST = (
    "wrk is not there, or was not asked for: Locust made the load, and is itself slower than what it measures. "
    "For the rates of the applications install wrk (Debian package wrk)."
)


def show(console: Console, results: Results, options: Options, machine: Machine) -> None:
    """The table, and what it was measured on."""
    console.print(_table(results, options))
    memory = ", ".join(f"{app.title} {results.memory[app] / _MEGABYTE:.0f} MB" for app in options.comparison.apps)
    rounds = (
        f"{options.rounds} rounds of {options.seconds} s" if options.rounds > 1 else f"1 round of {options.seconds} s"
    )
    for line in (
        f"Medians of {rounds}, {options.connections} connections, one worker each.",
        f"Resident memory afterwards: {memory}.",
        *machine.lines(),
    ):
        console.print(line, highlight=False)
    if options.generator is Generator.LOCUST:
        console.print(_LOCUST, style="yellow", highlight=False)


def as_json(results: Results, options: Options, machine: Machine) -> dict[str, object]:
    """Everything, round by round."""
    return {
        "machine": machine.as_json(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": options.connections,
        "cases": {case.value: _case_as_json(results, options.comparison, case) for case in options.cases},
        "memory_bytes": {app.name: results.memory[app] for app in options.comparison.apps},
    }


def as_chart(results: Results, options: Options) -> Chart:
    """How much of the first peer's rate the subject and the other peers reach."""
    reference, *others = options.comparison.peers
    apps = (options.comparison.subject, *others)
    return Chart(
        title=f"Requests per second, one worker, {options.connections} connections",
        reference=reference.title,
        series=[app.title for app in apps],
        groups=[
            Group(case.label, [_rate(results, case, app) / _rate(results, case, reference) for app in apps])
            for case in options.cases
        ],
    )


def _table(results: Results, options: Options) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for app in options.comparison.apps:
        table.add_column(f"req/s\n{app.title}", justify="right", no_wrap=True)
    for peer in options.comparison.peers:
        table.add_column(f"ratio\n÷ {peer.title}", justify="right", no_wrap=True, style="bold")
    for app in options.comparison.apps:
        table.add_column(f"p99 ms\n{app.title}", justify="right", no_wrap=True)
    for case in options.cases:
        table.add_row(
            case.label,
            *(f"{_rate(results, case, app):,.0f}" for app in options.comparison.apps),
            *(f"{_ratio(results, options.comparison, case, peer):.2f}" for peer in options.comparison.peers),
            *(f"{_p99(results, case, app):.1f}" for app in options.comparison.apps),
        )
    return table


def _rate(results: Results, case: Case, app: App) -> float:
    return median(load.rate for load in results.loads[case, app])


def _p99(results: Results, case: Case, app: App) -> float:
    return median(load.p99_ms for load in results.loads[case, app])


def _ratio(results: Results, comparison: Comparison, case: Case, peer: App) -> float:
    return _rate(results, case, comparison.subject) / _rate(results, case, peer)


def _case_as_json(results: Results, comparison: Comparison, case: Case) -> dict[str, object]:
    apps = {
        app.name: {
            "rate": _rate(results, case, app),
            "p99_ms": _p99(results, case, app),
            "rounds": _rounds_as_json(results.loads[case, app]),
        }
        for app in comparison.apps
    }
    subject = comparison.subject.name
    ratios = {f"{subject}_to_{peer.name}": _ratio(results, comparison, case, peer) for peer in comparison.peers}
    return {**apps, **ratios}


def _rounds_as_json(loads: Sequence[Load]) -> list[dict[str, float]]:
    return [{"rate": load.rate, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms} for load in loads]
