"""Composition: what delivers webhooks, from a running application."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from datetime import timedelta

from service import __version__
from service.core.background import Background
from service.core.settings import Settings
from service.observability.logging import configure_logging
from service.observability.metrics import Metrics
from service.state import Runtime, ServiceState
from service.subscriptions.target import Targets
from service.webhooks.collector import Collector
from service.webhooks.deliverer import Deliverer
from service.webhooks.queue import Queue
from service.webhooks.sender import Sender
from service.webhooks.upkeep import WebhookUpkeep

# Beyond the time that an attempt may take, for writing its outcome down.
_LEASE_MARGIN_SECONDS = 5.0
_RETRY_SECONDS = 0.1


def webhook_tasks(runtime: Runtime, settings: Settings, metrics: Metrics, targets: Targets) -> list[Background]:
    """What delivers webhooks, to be started.

    Raises:
        ConfigurationError: WEBHOOK_CA_FILE cannot be read.
    """
    webhooks = settings.webhooks
    subscriptions = runtime.subscriptions
    queue = Queue(
        runtime.pool,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        lease=timedelta(seconds=webhooks.webhook_timeout + _LEASE_MARGIN_SECONDS),
        overlap=subscriptions.overlap,
        patience=timedelta(days=webhooks.webhook_disable_after_days),
    )
    deliverer = Deliverer(queue, Sender(targets, webhooks), subscriptions.secrets, webhooks, metrics.webhooks)
    collector = Collector(
        runtime.pool, runtime.hub.log, subscriptions.feeds, runtime.authenticator, webhooks, deliverer.wake
    )
    runtime.hub.watchers.append(collector.wake)
    upkeep = WebhookUpkeep(runtime.pool, timedelta(days=webhooks.webhook_retention_days))
    metrics.webhooks.watch(lambda: upkeep.figures)
    return [deliverer, collector, upkeep]


async def webhook_worker(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    configure_logging(settings.log)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    state = ServiceState.build(settings, Metrics(__version__))
    await state.start()
    try:
        while state.runtime is None and not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), _RETRY_SECONDS)
        if state.runtime is not None:
            await _deliver(state.runtime, state, stopped)
    finally:
        await state.stop()


async def _deliver(runtime: Runtime, state: ServiceState, stopped: asyncio.Event) -> None:
    tasks = webhook_tasks(runtime, state.settings, state.metrics, state.targets)
    for task in tasks:
        task.start()
    await stopped.wait()
    for task in reversed(tasks):
        await task.stop()
