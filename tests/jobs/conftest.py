"""Workers on the real database, and what their jobs left there."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.settings import Settings
from service.crud.jobs import JobQueue, NewJob
from service.jobs.job_type import AnyJobType, Periodic
from service.jobs.timing import Timing
from service.observability.metrics import Metrics
from service.observability.tracing import Tracing
from service.worker import Worker
from tests.conftest import Database
from tests.jobs.job_types import TYPES
from tests.service_under_test import in_session, settings_from
from tests.waiting import happens, until

ROOT = Path(__file__).parents[2]
# Short, so that nobody waits; the lease is longer than a busy machine may make a renewal wait.
QUICK = Timing(lease=1.5, sweep=0.05, drain=10, first_backoff=0.02, most_backoff=0.1)
_PREPARE = """
drop schema if exists job_tests cascade;
create schema job_tests;
create table job_tests.effects (id bigint generated always as identity, job uuid not null, attempt integer not null);
create table job_tests.begun (job uuid not null, attempt integer not null);
grant usage on schema job_tests to rowhouse_service;
grant select, insert on all tables in schema job_tests to rowhouse_service;
delete from rowhouse.jobs;
delete from rowhouse.job_messages;
"""


@dataclass(frozen=True, slots=True)
class Jobs:
    """The queue, its rows, and the effects of the jobs of the tests."""

    database: Database
    folder: Path

    def settings(self, **environment: str) -> Settings:
        return settings_from({"DATABASE_URL": self.database.service_url, **environment})

    def add(self, *new: NewJob) -> list[UUID]:
        """Enqueue jobs, without a message."""

        async def write(session: AsyncSession) -> list[UUID]:
            queue = JobQueue(lambda _: None)
            return [job_id for item in new if (job_id := await queue.enqueue(session, item)) is not None]

        return in_session(self.database.service_url, write)

    def row(self, job_id: UUID) -> asyncpg.Record:
        return self.database.execute("select * from rowhouse.jobs where id = $1", job_id)[0]

    def states(self, name: str) -> dict[str, int]:
        rows = self.database.execute("select state, count(*) from rowhouse.jobs where name = $1 group by 1", name)
        return {state: number for state, number in rows}

    def effects(self) -> dict[UUID, int]:
        """How often each job had its effect."""
        rows = self.database.execute("select job, count(*) from job_tests.effects group by 1")
        return {job: number for job, number in rows}

    def begun(self) -> int:
        return int(self.database.execute("select count(*) from job_tests.begun")[0][0])

    def until_state(self, job_id: UUID, state: str) -> asyncpg.Record:
        until(lambda: self.row(job_id)["state"] == state)
        return self.row(job_id)

    @asynccontextmanager
    async def worker(
        self,
        *types: AnyJobType,
        periodic: Sequence[Periodic] = (),
        timing: Timing = QUICK,
        metrics: Metrics | None = None,
        broker: str = "",
        slots: int = 8,
    ) -> AsyncIterator[Worker]:
        """A worker inside this process."""
        settings, url = self.settings(JOBS_BROKER_URL=broker, JOBS_AT_ONCE=str(slots)), self.database.service_url
        worker = Worker(
            settings,
            url,
            None,
            metrics or Metrics("1"),
            Tracing(settings),
            types=types or TYPES,
            periodic=periodic,
            timing=timing,
        )
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop()

    async def settled(self, *job_ids: UUID, seconds: float = 60) -> list[asyncpg.Record]:
        """The rows, when all these jobs have ended."""
        for job_id in job_ids:
            await self.reached(job_id, lambda row: row["finished_at"] is not None, seconds)
        return [await asyncio.to_thread(self.row, job_id) for job_id in job_ids]

    async def reached(
        self, job_id: UUID, condition: Callable[[asyncpg.Record], bool], seconds: float = 60
    ) -> asyncpg.Record:
        """The row, when it is as wanted."""

        def row() -> asyncpg.Record | None:
            return found if condition(found := self.row(job_id)) else None

        found = await happens(row, seconds)
        assert found is not None
        return found

    def process(self, **environment: str) -> "WorkerProcess":
        """A worker as a process of its own, as `rowhouse worker` runs it, with the jobs of the tests."""
        log = self.folder / f"{uuid4()}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.worker_process"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "DATABASE_URL": self.database.service_url, "LOG_FORMAT": "json"}
                | environment,
                stdout=output,
            )
        return WorkerProcess(process, log)

    @contextmanager
    def processes(self, number: int, **environment: str) -> Iterator[list["WorkerProcess"]]:
        """So many workers; those that are left are killed at the end. The list may be changed."""
        running = [self.process(**environment) for _ in range(number)]
        try:
            yield running
        finally:
            for process in running:
                process.kill()


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that can be signalled, and what it logs."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def kill(self) -> None:
        """End it with -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Tell it to stop, and wait. Returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def jobs(database: Database, tmp_path: Path) -> Iterator[Jobs]:
    asyncio.run(_script(database.owner_url, _PREPARE))
    yield Jobs(database, tmp_path)
    asyncio.run(_script(database.owner_url, f"{_PREPARE} drop schema job_tests cascade"))


async def _script(url: str, script: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
