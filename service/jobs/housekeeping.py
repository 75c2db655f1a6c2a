"""Jobs of Rowhouse itself: deleting what is no longer needed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from service.db.engine import UnitOfWork
from service.jobs.job_type import JobType, Periodic, Run
from service.models import SystemBase
from service.models.system import Job, JobMessage, RefreshToken, RequestTrace, Session

_BATCH = 1000
_EVERY = timedelta(hours=1)
# taskiq's broker leaves messages that nobody heard, or whose listener was killed.
_MESSAGES_KEPT = timedelta(hours=1)
_TRACES_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """Deletes in batches, so that nothing is locked for long. `access_tokens` is how long an access token lives."""

    unit_of_work: UnitOfWork
    finished_jobs: timedelta
    access_tokens: timedelta

    def periodic(self) -> tuple[Periodic, ...]:
        """What is due every hour."""
        return (
            Periodic(JobType(name="delete_finished_jobs", run=self._delete_finished_jobs), _EVERY),
            Periodic(JobType(name="delete_expired_logins", run=self._delete_expired_logins), _EVERY),
            Periodic(JobType(name="delete_security_events", run=self._delete_security_events), _EVERY),
            Periodic(JobType(name="delete_request_traces", run=self._delete_request_traces), _EVERY),
        )

    async def _delete_finished_jobs(self, _: Run) -> dict[str, int]:
        return {
            "jobs": await self._delete(Job, Job.finished_at < func.now() - self.finished_jobs),
            "messages": await self._delete(JobMessage, JobMessage.created_at < func.now() - _MESSAGES_KEPT),
        }

    async def _delete_expired_logins(self, _: Run) -> dict[str, int]:
        """A revoked login is remembered as long as access tokens of it could be used."""
        expired = RefreshToken.expires_at < func.now() - self.access_tokens
        return {
            "refresh_tokens": await self._delete(RefreshToken, expired),
            "sessions": await self._delete(Session, Session.expires_at < func.now()),
        }

    async def _delete_security_events(self, _: Run) -> dict[str, int]:
        """Those that are 400 days old: the service itself cannot delete others."""
        deleted, last = 0, _BATCH
        while last == _BATCH:
            async with self.unit_of_work.begin() as session:
                last = await session.scalar(select(func.rowhouse.forget_security_events(_BATCH))) or 0
            deleted += last
        return {"security_events": deleted}

    async def _delete_request_traces(self, _: Run) -> dict[str, int]:
        old = RequestTrace.at < func.now() - _TRACES_KEPT
        return {"request_traces": await self._delete(RequestTrace, old)}

    async def _delete(self, table: type[SystemBase], condition: ColumnElement[bool]) -> int:
        deleted, last = 0, _BATCH
        while last == _BATCH:
            async with self.unit_of_work.begin() as session:
                last = await _delete_batch(session, table, condition)
            deleted += last
        return deleted


async def _delete_batch(session: AsyncSession, table: type[SystemBase], condition: ColumnElement[bool]) -> int:
    key = tuple_(*table.__table__.primary_key)
    batch = select(*table.__table__.primary_key).where(condition).limit(_BATCH)
    result: CursorResult[Any] = await session.execute(  # type: ignore[assignment]
        delete(table).where(key.in_(batch)).execution_options(synchronize_session=False)
    )
    return result.rowcount
