"""Once a second every gauge is set, and it is measured how late that is."""

import asyncio

from service.core.background import Background
from service.observability.metrics import exemplars, multiprocess
from service.observability.metrics.application import Metrics

_EVERY_SECONDS = 1.0
_WRITTEN_EVERY = 5


class Sampler(Background):
    """Keeps the gauges of this process in step. Other processes answer scrapes with what it has left for them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def _run(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        while True:
            self._metrics.sample()
            if number % _WRITTEN_EVERY == 0:
                self._leave_exemplars()
            number += 1
            wanted = loop.time() + _EVERY_SECONDS
            await asyncio.sleep(_EVERY_SECONDS)
            self._metrics.process.observe_lag(max(0.0, loop.time() - wanted))

    def _leave_exemplars(self) -> None:
        directory = multiprocess.directory()
        if directory is not None:
            exemplars.write(directory, self._metrics.requests.traced())
