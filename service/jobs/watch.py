"""Looks at the queue, for the metrics."""

import asyncio

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.crud import jobs
from service.crud.jobs import JobFigures
from service.db.engine import UnitOfWork
from service.jobs.timing import jittered

_log = structlog.get_logger()
_EVERY_SECONDS = 15.0


class QueueWatch(Background):
    """`figures` is the queue as it was last seen; None before that, and where it cannot be."""

    def __init__(self, unit_of_work: UnitOfWork, *, every: float = _EVERY_SECONDS) -> None:
        self._unit_of_work = unit_of_work
        self._every = every
        self.figures: JobFigures | None = None

    async def _run(self) -> None:
        while True:
            try:
                async with self._unit_of_work.begin() as session:
                    self.figures = await jobs.figures(session)
            except RowhouseError as error:
                self.figures = None
                _log.warning("job_figures_not_read", reason=error.stable_code)
            await asyncio.sleep(jittered(self._every))
