"""Old deliveries are deleted, and what there is of them is counted."""

import asyncio
from datetime import timedelta
from time import monotonic

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.db.pool import TablePool
from service.observability.metrics import WebhookFigures

_log = structlog.get_logger()
_EVERY_SECONDS = 15.0
_DELETE_EVERY_SECONDS = 86400.0
_DELETE = """
with old as (select id from rowhouse.deliveries where finished_at < now() - $1::interval limit 5000),
     deleted as (delete from rowhouse.deliveries d using old where d.id = old.id returning 1)
select count(*) from deleted
"""
_FIGURES = """
select count(*) filter (where state <> 'dead'), count(*) filter (where state = 'dead'),
       coalesce(extract(epoch from now() - min(created_at) filter (where state <> 'dead')), 0)::float8
from rowhouse.deliveries where state <> 'delivered'
"""


class WebhookUpkeep(Background):
    """Looks every quarter of a minute, and deletes once a day. Several processes may do it at once."""

    def __init__(self, pool: TablePool, retention: timedelta) -> None:
        self._pool = pool
        self._retention = retention
        self._deleted_at: float | None = None
        self.figures: WebhookFigures | None = None

    async def once(self) -> None:
        """All that is due now.

        Raises:
            RowhouseError: the database cannot be reached.
        """
        row = await self._pool.read(_FIGURES, ())
        assert row is not None
        self.figures = WebhookFigures(row[0], row[1], row[2])
        if self._deleted_at is None or monotonic() - self._deleted_at >= _DELETE_EVERY_SECONDS:
            while (row := await self._pool.write(_DELETE, (self._retention,))) and row[0]:
                _log.info("deliveries_deleted", deliveries=row[0])
            self._deleted_at = monotonic()

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except RowhouseError as error:
                _log.warning("webhook_upkeep_failed", reason=error.code, message=error.message)
            except Exception:  # whatever it is, the next time may go well
                _log.exception("webhook_upkeep_failed")
            await asyncio.sleep(_EVERY_SECONDS)
