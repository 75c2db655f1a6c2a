"""The worker: hears messages, sweeps, and keeps the calendar."""

import asyncio
from collections.abc import Sequence

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.crud.jobs import JobQueue
from service.db.engine import UnitOfWork
from service.jobs.job_type import Periodic
from service.jobs.receive import Reception
from service.jobs.runner import Runner
from service.jobs.timing import Timing, jittered

_log = structlog.get_logger()
_RETRY_SECONDS = 5.0
_LEAST_SECONDS = 0.05


class JobWorker(Background):
    """Runs jobs until it is stopped: then it drains."""

    def __init__(self, runner: Runner, reception: Reception, calendar: "Calendar", timing: Timing) -> None:
        self._runner = runner
        self._reception = reception
        self._calendar = calendar
        self._timing = timing

    async def stop(self) -> None:
        self._runner.stop_taking()
        await super().stop()
        await self._runner.drain()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reception.run())
            group.create_task(self._sweep())
            group.create_task(self._calendar.run())

    async def _sweep(self) -> None:
        """Run what no message came for: what is tried again, what a lost worker has left, whose message was lost."""
        while True:
            try:
                await self._runner.run_due()
            except RowhouseError as error:
                _log.warning("job_sweep_failed", reason=error.stable_code)
            except Exception:  # whatever it is, the next time may go well
                _log.exception("job_sweep_failed")
            await asyncio.sleep(jittered(self._timing.sweep))


class Calendar:
    """Enqueues periodic jobs. Every worker keeps it: the jobs' table takes one job a period."""

    def __init__(self, queue: JobQueue, unit_of_work: UnitOfWork, periodic: Sequence[Periodic]) -> None:
        self._queue = queue
        self._unit_of_work = unit_of_work
        self._periodic = periodic

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for periodic in self._periodic:
                group.create_task(self._keep(periodic))

    async def _keep(self, periodic: Periodic) -> None:
        while True:
            try:
                async with self._unit_of_work.begin() as session:
                    left = await self._queue.enqueue_period(session, periodic.type.new(), periodic.every)
            except RowhouseError as error:
                _log.warning("periodic_job_not_enqueued", name=periodic.type.name, reason=error.stable_code)
                left = jittered(_RETRY_SECONDS)
            await asyncio.sleep(max(left, _LEAST_SECONDS))
