"""Composition of what works beside the requests: in `rowhouse worker`, or inside a serving process."""

import os
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from secrets import token_hex

import structlog

from service.core.background import Background
from service.core.settings import Settings
from service.crud.jobs import JobQueue
from service.db.engine import UnitOfWork, make_engine
from service.jobs.broker import Brokers
from service.jobs.housekeeping import Housekeeping
from service.jobs.imports import ImportJobs
from service.jobs.job_type import AnyJobType, Periodic
from service.jobs.receive import Reception
from service.jobs.runner import Runner
from service.jobs.timing import Timing
from service.jobs.waker import Waker
from service.jobs.worker import Calendar, JobWorker
from service.observability.metrics import Metrics
from service.observability.tracing import Tracing

_log = structlog.get_logger()
_RETRY_SECONDS = 1.0
# Beside the jobs that run: renewals of leases, sweeps, the calendar.
_SPARE_CONNECTIONS = 2


class Worker:
    """Everything that works beside the requests. `types` and `periodic` are jobs beside Rowhouse's own, and
    `imports` makes those that import.

    What goes on all the time belongs into `backgrounds`: they start in that order, and stop in the reverse order.
    """

    def __init__(
        self,
        settings: Settings,
        url: str,
        role: str | None,
        metrics: Metrics,
        tracing: Tracing,
        *,
        types: Sequence[AnyJobType] = (),
        periodic: Sequence[Periodic] = (),
        timing: Timing | None = None,
        imports: Callable[[UnitOfWork], ImportJobs] | None = None,
    ) -> None:
        slots = settings.jobs.jobs_at_once
        timing = timing or Timing(drain=settings.jobs.jobs_drain_seconds)
        brokers = Brokers.of(settings, url, role)
        self._engine = make_engine(url, settings.database, role=role, size=slots + _SPARE_CONNECTIONS)
        self.unit_of_work = UnitOfWork(self._engine)
        own = None if imports is None else imports(self.unit_of_work)
        calendar = (*_housekeeping(settings, self.unit_of_work).periodic(), *periodic, *(own.periodic() if own else ()))
        runner = Runner(
            self.unit_of_work,
            (*types, *(own.types() if own else ()), *(item.type for item in calendar)),
            worker=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
            slots=slots,
            timing=timing,
            metrics=metrics.jobs,
            tracing=tracing,
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


def _housekeeping(settings: Settings, unit_of_work: UnitOfWork) -> Housekeeping:
    return Housekeeping(
        unit_of_work,
        timedelta(days=settings.jobs.jobs_keep_days),
        timedelta(seconds=settings.security.access_token_seconds),
    )
