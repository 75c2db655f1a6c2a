"""`rowhouse worker`"""

import asyncio
import signal
from collections.abc import Callable

from prometheus_client import start_http_server

from service import __version__
from service.cli.session import command, database
from service.core.settings import Settings
from service.observability.logging import configure_logging
from service.observability.metrics import Metrics
from service.worker import Worker, run_worker


@command
async def worker() -> None:
    """Run background jobs, until it is told to stop (SIGTERM, Ctrl-C).

    Start as many as you like, on as many machines: a job is run by one. Told to
    stop, a worker lets its jobs finish for JOBS_DRAIN_SECONDS and gives back
    what it had to cut off. The jobs of one that was killed go to others after
    half a minute. A database that is down is waited for.
    """
    await work(Settings.load())


async def work(settings: Settings, make: Callable[..., Worker] = Worker) -> None:
    """Work until a signal comes.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    configure_logging(settings.log)
    metrics = Metrics(__version__)
    port = settings.jobs.worker_metrics_port
    if port is not None:
        start_http_server(port, settings.server.host, registry=metrics.registry)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with database(settings) as urls:
        await run_worker(settings, urls.service, metrics, stopped, make)
