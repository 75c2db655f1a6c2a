"""Whoever may no longer follow is cut off, within a second."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.auth.authenticate import Authenticator
from service.auth.policy import Policy
from service.core.background import Background
from service.core.errors import DatabaseUnavailable, RowhouseError
from service.core.security import TokenSigner
from service.core.settings import ConnectSettings, SecuritySettings
from service.db.engine import UnitOfWork
from service.events.channel import End
from service.events.log import entries
from service.events.session import Session

_log = structlog.get_logger()
_STEP_SECONDS = 0.4


class Guard(Background):
    """Looks at all sessions together: whether their credentials hold, whether policy still gives them the same, and
    whether their tables are logged as they were. The connections of `engine` are its own: it must not wait for those
    whom it looks at.
    """

    def __init__(
        self,
        policy: Policy,
        engine: AsyncEngine,
        signer: TokenSigner,
        settings: SecuritySettings,
        connect: ConnectSettings,
    ) -> None:
        self._policy = policy
        self._engine = engine
        self._unit_of_work = UnitOfWork(engine)
        self._authenticator = Authenticator(self._unit_of_work, signer, settings, connect)
        self._sessions: set[Session] = set()

    async def stop(self) -> None:
        await super().stop()
        await self._engine.dispose()

    @contextmanager
    def watching(self, session: Session) -> Iterator[None]:
        self._sessions.add(session)
        try:
            yield
        finally:
            self._sessions.discard(session)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_STEP_SECONDS)
            if not self._sessions:
                continue
            try:
                await self._look()
            except DatabaseUnavailable:  # nothing can be changed, or read, where the database is not there
                continue
            except Exception:
                _log.exception("guard_failed")

    async def _look(self) -> None:
        await self._policy.read(self._unit_of_work)
        standing = await self._authenticator.standing({session.principal for session in self._sessions})
        for session in list(self._sessions):
            if session.principal not in standing:
                session.end(End.REVOKED)
            elif session.generation != self._policy.generation:
                self._check(session)
        await self._look_at_tables()

    async def _look_at_tables(self) -> None:
        """Those who follow a table that is no longer tracked as it was, or has a new child, have to begin again."""
        async with self._unit_of_work.begin() as session:
            now = await entries(session)
        for one in list(self._sessions):
            if any(now.get(entry.number) != entry for entry in one.entries):
                one.end(End.SHUTDOWN)

    def _check(self, session: Session) -> None:
        try:
            feed = session.rebuild()
        except RowhouseError:
            session.end(End.FORBIDDEN)
            return
        except Exception:  # whatever it is, the others are looked at as well
            _log.exception("feed_not_rebuilt")
            session.end(End.FORBIDDEN)
            return
        if feed == session.feed:
            session.generation = self._policy.generation
            return
        tables = zip(feed.tables, session.feed.tables, strict=True)
        is_other_table = any(new.read.resource.table is not old.read.resource.table for new, old in tables)
        # Tables that were read again are followed again from the same place; other rights need other rows.
        session.end(End.SHUTDOWN if is_other_table else End.REFETCH)
