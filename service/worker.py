"""Composition of what works beside the requests: in `rowhouse worker`, or inside a serving process."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from secrets import token_hex

import asyncpg
import structlog

from service.core.background import Background
from service.core.errors import DatabaseUnavailable
from service.core.settings import Settings
from service.crud.jobs import JobQueue
from service.db import migrations
from service.db.engine import UnitOfWork, make_engine
from service.db.role import role_to_assume
from service.jobs.broker import Brokers
from service.jobs.housekeeping import Housekeeping
from service.jobs.job_type import AnyJobType, Periodic
from service.jobs.receive import Reception
from service.jobs.runner import Runner
from service.jobs.timing import Timing
from service.jobs.waker import Waker
from service.jobs.watch import QueueWatch
from service.jobs.worker import Calendar, JobWorker
from service.observability.metrics import Metrics

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0
# Beside the jobs that run: renewals of leases, sweeps, the calendar.
_SPARE_CONNECTIONS = 2


class Worker:
    """Everything that works beside the requests. `types` and `periodic` are jobs beside Rowhouse's own.

    What goes on all the time belongs into `backgrounds`: they start in that order, and stop in the reverse order.
    """

    def __init__(
        self,
        settings: Settings,
        url: str,
        role: str | None,
        metrics: Metrics,
        *,
        types: Sequence[AnyJobType] = (),
        periodic: Sequence[Periodic] = (),
        timing: Timing | None = None,
    ) -> None:
        slots = settings.jobs.jobs_at_once
        timing = timing or Timing(drain=settings.jobs.jobs_drain_seconds)
        brokers = Brokers.of(settings, url, role)
        self._engine = make_engine(url, settings.database, role=role, size=slots + _SPARE_CONNECTIONS)
        self.unit_of_work = UnitOfWork(self._engine)
        calendar = (*_housekeeping(settings, self.unit_of_work).periodic(), *periodic)
        runner = Runner(
            self.unit_of_work,
            (*types, *(item.type for item in calendar)),
            worker=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
            slots=slots,
            timing=timing,
            metrics=metrics.jobs,
        )
        waker = Waker(brokers)
        self.queue = JobQueue(waker.wake)
        self.backgrounds: tuple[Background, ...] = (
            waker,
            JobWorker(
                runner,
                Reception(brokers, runner, slots),
                Calendar(self.queue, self.unit_of_work, calendar),
                timing,
            ),
        )

    def start(self) -> None:
        for background in self.backgrounds:
            background.start()

    async def stop(self) -> None:
        """Drain, and let go of everything."""
        for background in reversed(self.backgrounds):
            await background.stop()
        await self._engine.dispose()


async def run_worker(
    settings: Settings, url: str, metrics: Metrics, stopped: asyncio.Event, make: Callable[..., Worker] = Worker
) -> None:
    """A worker in a process of its own, until `stopped` is set. A database that is down is waited for.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    role = await _reach(settings, url, stopped)
    if stopped.is_set():
        return
    worker = make(settings, url, role, metrics)
    watch = QueueWatch(worker.unit_of_work)
    metrics.jobs.watch(lambda: watch.figures)
    worker.start()
    watch.start()
    _log.info("worker_started", jobs_at_once=settings.jobs.jobs_at_once)
    await stopped.wait()
    _log.info("worker_draining")
    await watch.stop()
    await worker.stop()
    _log.info("worker_stopped")


async def _reach(settings: Settings, url: str, stopped: asyncio.Event) -> str | None:
    """The role to work in, as soon as the database is there and migrated; None as well if `stopped` comes before.

    Raises:
        ConfigurationError: the URL's role is too strong.
    """
    while not stopped.is_set():
        try:
            return await _probe(settings, url)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseUnavailable) as error:
            _log.warning("database_not_reached", reason=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _RETRY_SECONDS)
    return None


async def _probe(settings: Settings, url: str) -> str | None:
    """The role to work in.

    Raises:
        DatabaseUnavailable: migrations are pending.
        ConfigurationError: the URL's role is too strong.
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database cannot be reached.
    """
    timeout = settings.database.connect_timeout
    role = await role_to_assume(url, timeout, is_production=settings.is_production)
    connection = await asyncpg.connect(url, timeout=timeout)
    try:
        state = await migrations.pending(connection)
    finally:
        await connection.close()
    if not state.is_current:
        raise DatabaseUnavailable(f"Migrations are pending ({', '.join(state.pending)}): run `rowhouse migrate`.")
    return role


def _housekeeping(settings: Settings, unit_of_work: UnitOfWork) -> Housekeeping:
    return Housekeeping(
        unit_of_work,
        timedelta(days=settings.jobs.jobs_keep_days),
        timedelta(seconds=settings.security.access_token_seconds),
    )
