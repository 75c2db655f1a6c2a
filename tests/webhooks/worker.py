"""A worker that delivers, in a thread."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from service import __version__
from service.observability.metrics import Metrics
from service.state import ServiceState
from service.subscriptions.target import Resolve, Targets
from service.webhooks.worker import webhook_tasks
from tests.service_under_test import settings_from


@contextmanager
def run_worker(environment: Mapping[str, str], resolve: Resolve | None = None) -> Iterator[ServiceState]:
    """Deliver until the block ends, looking names up with `resolve`."""
    settings = settings_from({"LOG_LEVEL": "WARNING", **environment})
    state = ServiceState.build(settings, Metrics(__version__), webhook_tasks)
    state.targets = Targets(settings.webhooks, resolve)
    loop = asyncio.new_event_loop()
    started, stopped = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_run(state, started, stopped)), daemon=True)
    thread.start()
    assert started.wait(60), "the worker did not start"
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(60)
        assert not thread.is_alive(), "the worker did not stop"
        loop.close()


async def _run(state: ServiceState, started: threading.Event, stopped: asyncio.Event) -> None:
    await state.start()
    try:
        tasks = webhook_tasks(state.connected(), state.settings, state.metrics, state.targets)
        for task in tasks:
            task.start()
        started.set()
        await stopped.wait()
        for task in reversed(tasks):
            await task.stop()
    finally:
        await state.stop()
