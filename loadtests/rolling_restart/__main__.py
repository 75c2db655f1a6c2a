"""A rolling restart and a migration under load, and then a worker that is killed.

    python -m loadtests.rolling_restart --rounds 3

Two instances (Gunicorn, two workers each) stand behind a real nginx with the configuration of `deploy/nginx/`.
Readers and writers send requests all the time; others follow the changes by WebSocket, Server-Sent Events and long
poll, and go on with their cursors when they are sent away. Meanwhile the instances are restarted, one after the other,
several times, `rowhouse migrate` runs, and a column and an index are added. No request may fail, and each change that
was answered with success must have been sent to each follower, once. A stopped instance may leave no connection in
PostgreSQL. In the end a worker is killed (-9), and what fails then is counted.
"""

import argparse
import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from time import monotonic

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.nginx import trial
from deploy.ports import free_port
from loadtests.rolling_restart.followers import Follower
from loadtests.rolling_restart.instances import ROOT, Instance, connections_of
from loadtests.rolling_restart.traffic import Tally, Traffic
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.migrations import Branch
from service.db.privileges import open_schemas

_TABLE = """
create table parcels (id bigint primary key, note text not null);
insert into parcels values (1, 'start');
select rowhouse.track('parcels');
"""
# The first half of an expansion (decision 31): what is there goes on being read and written as it was.
_EXPAND = (
    "set lock_timeout = '2s'",
    "alter table parcels add column weight numeric",
    "create index concurrently parcels_note on parcels (note)",
    "notify rowhouse_reload",
)
_SETTLE_SECONDS = 2.0
_CAUGHT_UP_SECONDS = 30.0
_KILLS = 3


@dataclass(slots=True)
class Verdict:
    """What was counted, and what the followers missed or had twice."""

    rolling: Tally = field(default_factory=Tally)
    killing: Tally = field(default_factory=Tally)
    stops: list[float] = field(default_factory=list)
    connections_left: int = 0
    changes: int = 0
    missed: int = 0
    repeated: int = 0
    refused: int = 0
    complaints: int = 0

    @property
    def holds(self) -> bool:
        failed = self.rolling.failed.total() + self.missed + self.repeated + self.refused + self.connections_left
        return self.changes > 0 and not failed


class Run:
    """One run, on a PostgreSQL, instances and an nginx of its own."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, choice: argparse.Namespace) -> None:
        self.postgres = postgres
        self.folder = folder
        self.choice = choice
        self.verdict = Verdict()
        self.instances = [
            Instance(role, postgres.url(role), folder, drain_delay=choice.drain_delay)
            for role in ("instance_1", "instance_2")
        ]
        self.nginx = trial.write(folder, free_port(), free_port(), [one.port for one in self.instances])
        trust = ssl.create_default_context(cafile=str(self.nginx.authority))
        self.traffic = Traffic(self.nginx.url, trust, choice.readers, choice.writers)
        ways = islice(cycle(("WebSocket", "SSE", "WebSocket", "poll")), choice.followers)
        self.followers = [Follower(way, self.nginx.url, trust) for way in ways]

    async def run(self, progress: Progress) -> Verdict:
        bar = progress.add_task("Instances start", total=2 + 2 * self.choice.rounds + 2)
        with ExitStack() as stack:
            for instance in self.instances:
                stack.callback(instance.kill)
                instance.start()
            for instance in self.instances:
                await instance.is_ready()
                progress.advance(bar)
            stack.enter_context(trial.running(self.nginx))
            following = [asyncio.create_task(one.run()) for one in self.followers]
            await asyncio.gather(*(one.is_up_to_date.wait() for one in self.followers))
            load = asyncio.create_task(self.traffic.run())
            await asyncio.sleep(_SETTLE_SECONDS)
            for number in range(self.choice.rounds):
                migration = asyncio.create_task(self._migrate()) if number == self.choice.rounds // 2 else None
                for instance in self.instances:
                    progress.update(bar, description=f"Round {number + 1}: {instance.role} restarts")
                    await self._restart(instance)
                    progress.advance(bar)
                if migration is not None:
                    await migration
            self.verdict.rolling = await self.traffic.begin_phase()
            progress.update(bar, description="A worker is killed")
            await self._kill_workers()
            self.verdict.killing = await self.traffic.begin_phase()
            progress.advance(bar)
            self.traffic.is_over = True
            await load
            progress.update(bar, description="Followers catch up")
            await self._compare()
            for task in following:
                task.cancel()
            progress.advance(bar)
        self.verdict.complaints = len(self.nginx.errors)
        return self.verdict

    async def _restart(self, instance: Instance) -> None:
        self.verdict.stops.append(await instance.stop())
        self.verdict.connections_left += await connections_of(instance.role, self.postgres.superuser_url)
        since = instance.log.stat().st_size
        instance.start()
        await instance.is_ready(since)
        await asyncio.sleep(_SETTLE_SECONDS)

    async def _migrate(self) -> None:
        """As a release does it: `rowhouse migrate` first, then what the tables need."""
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.postgres.service_url,
            "MIGRATION_DATABASE_URL": self.postgres.owner_url,
        }
        command = [sys.executable, "-c", "from service.cli.main import run; run()", "migrate"]
        await asyncio.to_thread(subprocess.run, command, env=environment, check=True, capture_output=True)
        connection = await asyncpg.connect(self.postgres.owner_url)
        try:
            for statement in _EXPAND:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _kill_workers(self) -> None:
        for turn in range(_KILLS):
            instance = self.instances[turn % len(self.instances)]
            since = instance.log.stat().st_size
            os.kill(instance.worker_ids()[0], signal.SIGKILL)
            instance.workers, all_of_them = 1, instance.workers  # one begins anew
            await instance.is_ready(since)
            instance.workers = all_of_them
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _compare(self) -> None:
        """Each follower with what was committed; a request that failed may have been committed or not."""
        committed, allowed = self.traffic.committed, self.traffic.committed | self.traffic.doubtful
        deadline = monotonic() + _CAUGHT_UP_SECONDS
        while any(committed - one.seen.keys() for one in self.followers) and monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        verdict = self.verdict
        verdict.changes = len(committed)
        for one in self.followers:
            verdict.missed += len(committed - one.seen.keys())
            verdict.repeated += sum(times - 1 for times in one.seen.values()) + len(one.seen.keys() - allowed)
            verdict.refused += one.refused.total()


def _show(run: Run, console: Console) -> None:
    verdict = run.verdict
    table = Table(title="Rolling restart under load")
    for heading, justify in (("", "left"), ("asked", "right"), ("failed", "right"), ("slowest", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for title, tally in (("restarts and a migration", verdict.rolling), (f"kill -9, {_KILLS} times", verdict.killing)):
        for method in sorted(tally.asked):
            table.add_row(f"{title}: {method}", str(tally.asked[method]), str(tally.failed[method]), "")
        table.add_row(
            f"[bold]{title}[/]",
            str(tally.asked.total()),
            str(tally.failed.total()),
            f"{tally.slowest:.2f} s",
            end_section=True,
        )
    console.print(table)
    followers = Table(title=f"Followers of {verdict.changes} changes")
    for heading in ("", "connections", "seen", "missed", "endings", "refused"):
        followers.add_column(heading)
    for number, one in enumerate(run.followers, 1):
        missed = len(run.traffic.committed - one.seen.keys())
        endings = ", ".join(f"{name} x{times}" for name, times in one.endings.most_common())
        refused = ", ".join(f"{name} x{times}" for name, times in one.refused.most_common())
        followers.add_row(
            f"{one.way} {number}", str(one.connections), str(one.seen.total()), str(missed), endings, refused
        )
    console.print(followers)
    for title, tally in (("Restarts", verdict.rolling), ("Kills", verdict.killing)):
        for reason, times in tally.reasons.most_common(10):
            console.print(f"{title}: {times} x {reason}", markup=False, highlight=False)
    stops = ", ".join(f"{seconds:.1f}" for seconds in verdict.stops)
    console.print(f"Seconds to stop: {stops}. Connections left in PostgreSQL: {verdict.connections_left}.")
    console.print(f"Sent twice: {verdict.repeated}. Lines of nginx's error log: {verdict.complaints}.")
    console.print("[green]It holds.[/]" if verdict.holds else "[red]It does not hold.[/]")


async def _prepare(postgres: EmbeddedPostgres) -> None:
    await migrations.migrate(postgres.owner_url, (Branch.ROWHOUSE,))
    connection = await asyncpg.connect(postgres.owner_url)
    try:
        await connection.execute(_TABLE)
    finally:
        await connection.close()
    connection = await asyncpg.connect(postgres.superuser_url)
    try:
        for role in ("instance_1", "instance_2"):
            await connection.execute(f"create role {role} login in role rowhouse_service")
    finally:
        await connection.close()
    await open_schemas(postgres.owner_url, ("public",), 5)


async def _main(choice: argparse.Namespace) -> int:
    console = Console()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="rowhouse-rolling-"))
        if not choice.keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = await start_embedded(folder / "data")
        try:
            await _prepare(postgres)
            run = Run(postgres, folder, choice)
            with Progress(console=console, transient=True) as progress:
                await run.run(progress)
            _show(run, console)
            if choice.keep:
                console.print(f"Logs are in {folder}.")
        finally:
            postgres.release()
    return 0 if run.verdict.holds else 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each instance is restarted")
    parser.add_argument("--readers", type=int, default=6, help="requests that read, at once")
    parser.add_argument("--writers", type=int, default=6, help="requests that write, at once")
    parser.add_argument("--followers", type=int, default=8, help="clients of the feed")
    parser.add_argument("--drain-delay", type=float, default=5.0, help="DRAIN_DELAY_SECONDS of the instances")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    sys.exit(asyncio.run(_main(parser.parse_args())))


if __name__ == "__main__":
    main()
