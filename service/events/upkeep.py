"""Keeps the change log in order while the service runs."""

import asyncio
import time
from datetime import timedelta
from random import SystemRandom

import structlog

from service.core.background import Background
from service.core.errors import RowhouseError
from service.core.settings import ChangeLogSettings
from service.db.pool import TablePool
from service.observability.metrics import LogFigures

_log = structlog.get_logger()
_EVERY_SECONDS = 60.0
_KEEP_EVERY_SECONDS = 3600.0
_JITTER = 0.1

_BEGIN_LIFE = "select rowhouse.begin_life()"
# One table a transaction: its lock is held until the end.
_ARRANGE = "select rowhouse.arrange_all(1)"
_KEEP = "select array_agg(k) from rowhouse.keep_log($1, $2) k"
_FORGET = "delete from rowhouse.undone where change < (select min(c.seq) from rowhouse.changes c)"
# Rows in the default partition are counted up to a bound: what matters is that there are none.
_FIGURES = """
select (select case when is_called then last_value else 0 end from rowhouse.change_seq) as changes,
       (select count(*) from (select from rowhouse.changes_default limit 10000) d) as unplaced,
       (select count(*) from rowhouse.tracked where until is null) as tables,
       (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'rowhouse.changes'::regclass and c.relname ~ '^changes_\\d{8}$'
          and right(c.relname, 8) > to_char(now() at time zone 'UTC', 'YYYYMMDD')) as ahead
"""


class Upkeep(Background):
    """Begins the log's life, follows the tables' changes of shape, makes and drops partitions: every minute or so.

    Several processes may do it at once: the database lets one at a time. Nothing that goes wrong ends it.
    """

    def __init__(self, pool: TablePool, settings: ChangeLogSettings, *, every: float = _EVERY_SECONDS) -> None:
        self._pool = pool
        self._weeks_ahead = settings.change_log_weeks_ahead
        self._retention = timedelta(days=settings.change_log_days) if settings.change_log_days else None
        self._every = every
        self._life: str | None = None
        self._kept_at: float | None = None
        self.figures: LogFigures | None = None

    async def once(self) -> None:
        """All that is due now.

        Raises:
            RowhouseError: the database cannot be reached, or refused.
        """
        await self._begin_life()
        await self._arrange()
        if self._kept_at is None or time.monotonic() - self._kept_at >= _KEEP_EVERY_SECONDS:
            await self._keep()
            self._kept_at = time.monotonic()
        row = await self._pool.read(_FIGURES, ())
        assert row is not None
        self.figures = LogFigures(row[0], row[1], row[2], row[3], seen_at=time.time())
        if self.figures.unplaced:
            _log.warning("change_log_without_partition", rows=self.figures.unplaced)
            self._kept_at = None

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except RowhouseError as error:
                _log.warning("change_log_upkeep_failed", reason=error.code, message=error.message)
            except Exception:  # whatever it is, the next time may go well
                _log.exception("change_log_upkeep_failed")
            await asyncio.sleep(self._every * SystemRandom().uniform(1 - _JITTER, 1 + _JITTER))

    async def _begin_life(self) -> None:
        row = await self._pool.write(_BEGIN_LIFE, ())
        life = str(row[0]) if row else None
        if life != self._life:
            _log.info("change_log_followed", life=life)
            self._life = life

    async def _arrange(self) -> None:
        statements = 0
        while (row := await self._pool.write(_ARRANGE, ())) and row[0]:
            statements += row[0]
        if statements:
            _log.info("change_log_arranged", statements=statements)

    async def _keep(self) -> None:
        row = await self._pool.write(_KEEP, (self._weeks_ahead, self._retention))
        if row and row[0]:
            _log.info("change_log_kept", partitions=row[0])
        await self._pool.write(_FORGET, ())
