"""Faults, each of which fires an alert of its own."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

import asyncpg

from deploy.prometheus.objectives import AVAILABILITY, BURNS, LATENCY
from loadtests.prometheus_run.stage import Stage


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong while the block runs. `alerts` are those that it must fire; seconds are the longest."""

    told: str
    alerts: frozenset[str]
    done: Callable[[Stage], AbstractContextManager[None]]
    fires_within: float = 45
    clears_within: float = 60


@contextmanager
def _going_on(act: Callable[[], None]) -> Iterator[None]:
    """Again and again, until the block ends."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)


@contextmanager
def _database_killed(stage: Stage) -> Iterator[None]:
    stage.database.kill()
    try:
        yield
    finally:
        stage.database.start()


@contextmanager
def _database_slow(stage: Stage) -> Iterator[None]:
    stage.link.delay = 0.6
    try:
        yield
    finally:
        stage.link.delay = 0.0


def _function_fails(stage: Stage) -> AbstractContextManager[None]:
    return stage.load.calling("/api/v1/rpc/fail", 1)


def _pool_exhausted(stage: Stage) -> AbstractContextManager[None]:
    return stage.load.calling("/api/v1/rpc/pause?seconds=0.8", 40)


@contextmanager
def _commits_late(stage: Stage) -> Iterator[None]:
    """Transactions that stay open for seven seconds after their change; many, one after the other."""

    async def one() -> None:
        connection = await asyncpg.connect(stage.database.embedded.service_url)
        try:
            async with connection.transaction():
                await connection.execute(
                    "insert into airlines (carrier, name) values ($1, 'late')", os.urandom(4).hex()
                )
                await asyncio.sleep(7)
        finally:
            await connection.close()

    async def many(stopped: threading.Event) -> None:
        running = set()
        while not stopped.is_set():
            running.add(asyncio.create_task(one()))
            await asyncio.sleep(0.25)
        await asyncio.gather(*running)

    stopped = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(many(stopped)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)


@contextmanager
def _receiver_refuses(stage: Stage) -> Iterator[None]:
    stage.receiver.status = 500
    try:
        yield
    finally:
        stage.receiver.status = 204


@contextmanager
def _partitions_dropped(stage: Stage) -> Iterator[None]:
    """Those of the weeks to come; they are made again as the runbook says. The upkeep looks once a minute."""
    names = stage.database.run(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid "
        "where i.inhparent = 'rowhouse.changes'::regclass and c.relname ~ '^changes_\\d{8}$' "
        "and right(c.relname, 8) > to_char(now() at time zone 'UTC', 'YYYYMMDD')"
    )
    for row in names:
        stage.database.run(f"drop table rowhouse.{row[0]}")
    try:
        yield
    finally:
        stage.database.run("select rowhouse.keep_log(4, null)")


@contextmanager
def _migration_missing(stage: Stage) -> Iterator[None]:
    kept = [row[0] for row in stage.database.run("select version_num from rowhouse.alembic_version")]
    stage.database.run("delete from rowhouse.alembic_version where version_num like 'r%'")
    try:
        yield
    finally:
        stage.database.run("delete from rowhouse.alembic_version")
        for version in kept:
            stage.database.run("insert into rowhouse.alembic_version values ($1)", version)


@contextmanager
def _replay_paused(stage: Stage) -> Iterator[None]:
    stage.standby.pause(is_paused=True)
    try:
        yield
    finally:
        stage.standby.pause(is_paused=False)


def _workers_killed(stage: Stage) -> AbstractContextManager[None]:
    """One after the other, so that there is always one that tells of it."""

    def kill_one() -> None:
        serving = stage.serving()
        if len(serving) > 1:
            with suppress(ProcessLookupError):
                os.kill(min(serving), signal.SIGKILL)
        time.sleep(0.5)

    return _going_on(kill_one)


@contextmanager
def _worker_stopped(stage: Stage) -> Iterator[None]:
    stage.worker.stop()
    try:
        yield
    finally:
        stage.worker.start()


@contextmanager
def _server_stopped(stage: Stage) -> Iterator[None]:
    stage.gunicorn.kill()
    try:
        yield
    finally:
        stage.gunicorn.start()


def _burns(name: str) -> frozenset[str]:
    return frozenset(f"Rowhouse{name}Burns{burn.name}" for burn in BURNS)


def _only(name: str) -> frozenset[str]:
    return frozenset({name})


FAULTS = (
    Fault("PostgreSQL killed", _only("RowhouseDatabaseDown"), _database_killed),
    Fault("PostgreSQL slow (0.6 s)", _burns(LATENCY.name), _database_slow, 60),
    Fault("a function fails (500)", _burns(AVAILABILITY.name), _function_fails, 60),
    Fault("pool exhausted", _only("RowhousePoolExhausted"), _pool_exhausted),
    Fault("changes commit late", _only("RowhouseFeedLag"), _commits_late),
    Fault("a receiver refuses", _only("RowhouseWebhooksDead"), _receiver_refuses),
    Fault("a migration is missing", _only("RowhouseMigrationsPending"), _migration_missing),
    Fault("replay of the standby paused", _only("RowhouseReplicationLag"), _replay_paused, 90),
    Fault("worker stopped", _only("RowhouseWorkerDown"), _worker_stopped),
    Fault("server killed", _only("RowhouseDown"), _server_stopped),
    Fault("partitions dropped", _only("RowhousePartitionsRunOut"), _partitions_dropped, 100, 100),
    Fault("workers killed again and again", _only("RowhouseCrashLoop"), _workers_killed, 90),
)
