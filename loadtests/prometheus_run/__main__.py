"""A real Prometheus (Debian's package) over Gunicorn with two workers, `rowhouse worker` and a standby, under Locust.

    python -m loadtests.prometheus_run
    python -m loadtests.prometheus_run --only "PostgreSQL killed"

First every expression of every dashboard must give data, and an exemplar must be found. Then each fault is done for
real: it must fire its alerts and no other, and they must clear when it is over. Windows are shortened (clock.py),
thresholds are not. Takes about ten minutes; the exit code judges.
"""

import math
import sys
import time
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from deploy.grafana.dashboards import DASHBOARDS
from loadtests.prometheus_run.faults import FAULTS, Fault
from loadtests.prometheus_run.processes import waited
from loadtests.prometheus_run.stage import Stage, staged

_console = Console(soft_wrap=True)
_WARM_SECONDS = 60
_REST_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    fault: Fault
    fired: float | None
    others: frozenset[str]
    cleared: float | None

    @property
    def is_well(self) -> bool:
        return self.fired is not None and not self.others and self.cleared is not None


def main(only: Annotated[str | None, typer.Option(help="A part of the name of the faults to do.")] = None) -> None:
    faults = [fault for fault in FAULTS if only is None or only in fault.told]
    begun = time.monotonic()
    with staged() as stage:
        empty = _until_panels_have_data(stage)
        _told_panels(empty)
        has_exemplars = _told_exemplars(stage)
        outcomes = [_done(stage, fault) for fault in track(faults, "Faults", console=_console)]
        stage.load.stop()
    _console.print(_table(outcomes))
    _console.print(f"{stage.load.sent:,} requests of Locust's in {time.monotonic() - begun:.0f} s.")
    sys.exit(bool(empty) or not has_exemplars or not all(one.is_well for one in outcomes))


def _until_panels_have_data(stage: Stage) -> list[str]:
    """The expressions that still give none after a minute."""
    with stage.load.calling("/api/v1/rpc/pause?seconds=0.05", 20):  # some must have waited for a connection
        waited(lambda: not _empty(stage), _WARM_SECONDS)
        return _empty(stage)


def _empty(stage: Stage) -> list[str]:
    found = []
    for dashboard in DASHBOARDS:
        for expression in dashboard.expressions:
            asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
            if not any(not math.isnan(float(one["value"][1])) for one in stage.prometheus.query(asked)):
                found.append(f"{dashboard.uid}: {asked}")
    return found


def _told_panels(empty: list[str]) -> None:
    number = sum(len(dashboard.expressions) for dashboard in DASHBOARDS)
    _console.print(f"{number - len(empty)} of {number} expressions of {len(DASHBOARDS)} dashboards give data.")
    for one in empty:
        _console.print(f"  no data: {one}", markup=False)


def _told_exemplars(stage: Stage) -> bool:
    found = stage.prometheus.exemplars("http_requests_total")
    _console.print(f"Exemplars: {len(found)} series of requests lead to a trace.")
    return bool(found)


def _done(stage: Stage, fault: Fault) -> Outcome:
    _at_rest(stage, 60)
    others: set[str] = set()

    def has_fired() -> bool:
        firing = stage.prometheus.firing()
        others.update(firing - fault.alerts)
        return fault.alerts <= firing

    def has_cleared() -> bool:
        firing = stage.prometheus.firing()
        others.update(firing - fault.alerts)
        return not firing

    with fault.done(stage):
        fired = waited(has_fired, fault.fires_within)
    cleared = waited(has_cleared, fault.clears_within)
    waited(lambda: has_cleared() and False, _REST_SECONDS)
    outcome = Outcome(fault, fired, frozenset(others), cleared)
    _console.print(*_cells(outcome), sep=" | ", markup=False)
    return outcome


def _at_rest(stage: Stage, seconds: float) -> None:
    waited(lambda: not stage.prometheus.firing(), seconds)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("fault", "alert", "fired after s", "others fired", "cleared after s", "", box=SIMPLE_HEAD)
    for outcome in outcomes:
        table.add_row(*_cells(outcome), "well" if outcome.is_well else "ILL")
    return table


def _cells(outcome: Outcome) -> list[str]:
    alerts = ", ".join(sorted(outcome.fault.alerts))
    return [outcome.fault.told, alerts, _seconds(outcome.fired), _names(outcome.others), _seconds(outcome.cleared)]


def _names(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "-"


def _seconds(number: float | None) -> str:
    return "never" if number is None else f"{number:.0f}"


if __name__ == "__main__":
    typer.run(main)
