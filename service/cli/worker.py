"""`rowhouse worker`"""

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from service import __version__
from service.cli.session import command
from service.core.settings import Settings
from service.observability.logging import configure_logging
from service.observability.metrics import Metrics, MetricsServer
from service.observability.sentry import Sentry

if TYPE_CHECKING:
    from service.worker import Worker

_log = structlog.get_logger()


@command
async def worker() -> None:
    """Run background jobs and deliver webhooks, until told to stop (SIGTERM, Ctrl-C).

    Start as many as you like, on as many machines: a job is run by one. Told to
    stop, a worker lets its jobs finish for JOBS_DRAIN_SECONDS and gives back
    what it had to cut off. The jobs of one that was killed go to others after
    half a minute. A database that is down is waited for.
    """
    await work(Settings.load())


async def work(settings: Settings, make: "Callable[..., Worker] | None" = None) -> None:
    """Work until a signal comes.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    # Here, since other commands need not wait while it is read.
    from service.state import ServiceState
    from service.webhooks.worker import webhook_tasks
    from service.worker import Worker

    sentry = Sentry(settings)
    configure_logging(settings, sentry.report if sentry.is_wanted else None)
    sentry.start()
    metrics = Metrics(__version__)
    port = settings.jobs.worker_metrics_port
    if port is not None:
        MetricsServer(metrics, settings.server.host, port).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    inside = settings.jobs.model_copy(update={"jobs_inside": True})
    state = ServiceState.build(settings.model_copy(update={"jobs": inside}), metrics, webhook_tasks, make or Worker)
    try:
        await state.start()
        _log.info("worker_started", jobs_at_once=settings.jobs.jobs_at_once)
        await stopped.wait()
        _log.info("worker_draining")
    finally:
        await state.stop()
        await sentry.stop()
    _log.info("worker_stopped")
