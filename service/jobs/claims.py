"""Who may run a job: claims with a lease, in the job's row.

A claim is taken by one update, so that of many workers, and of many messages about one job, one gets it. Whatever is
written about a claim holds only while its worker still has it: another attempt, or another worker, undoes it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import JobState
from service.models.system import IS_UNFINISHED, Job

_LOST = "The worker was lost while it ran the job."


class LeaseLost(Exception):
    """The job belongs to another by now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may run, as it was claimed."""

    id: UUID
    name: str
    arguments: Mapping[str, Any]
    worker: str
    attempt: int
    most_attempts: int
    traceparent: str | None

    @property
    def is_last(self) -> bool:
        return self.attempt >= self.most_attempts


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of one worker, for jobs of the names that it knows. `lease` is in seconds."""

    worker: str
    names: Collection[str]
    lease: float

    async def take(self, session: AsyncSession, job_id: UUID) -> Claim | None:
        """Claim one job, unless it is not due, has ended, or is another's."""
        return await self._take(session, Job.id == job_id)

    async def take_due(self, session: AsyncSession) -> Claim | None:
        """Claim the longest due of the jobs that nobody has claimed, or whose worker is lost."""
        due = select(Job.id).where(self._is_free()).order_by(Job.run_after).limit(1)
        return await self._take(session, Job.id == due.with_for_update(skip_locked=True).scalar_subquery())

    async def _take(self, session: AsyncSession, which: ColumnElement[bool]) -> Claim | None:
        taken = await session.scalar(
            update(Job)
            .where(which, self._is_free())
            .values(
                state=JobState.RUNNING,
                worker=self.worker,
                attempts=Job.attempts + 1,
                leased_until=self._until(),
                started_at=func.now(),
                progress=0,
            )
            .returning(Job)
        )
        if taken is None:
            return None
        return Claim(
            taken.id,
            taken.name,
            taken.arguments,
            self.worker,
            taken.attempts,
            taken.most_attempts,
            taken.traceparent,
        )

    async def renew(self, session: AsyncSession, claim: Claim) -> None:
        """Raises LeaseLost."""
        await _write(session, claim, leased_until=self._until())

    def _is_free(self) -> ColumnElement[bool]:
        return and_(
            IS_UNFINISHED,
            Job.name.in_(self.names),
            Job.attempts < Job.most_attempts,
            or_(
                and_(Job.state.in_((JobState.QUEUED, JobState.WAITING)), Job.run_after <= func.now()),
                _is_abandoned(),
            ),
        )

    def _until(self) -> ColumnElement[Any]:
        return func.clock_timestamp() + timedelta(seconds=self.lease)


async def report(session: AsyncSession, claim: Claim, progress: float, details: Any = None) -> None:
    """Raises LeaseLost."""
    values = {"progress": progress} if details is None else {"progress": progress, "details": details}
    await _write(session, claim, **values)


async def finish(session: AsyncSession, claim: Claim, result: Any) -> None:
    """Mark the job as done. Raises LeaseLost."""
    await _write(session, claim, **_ENDED, state=JobState.DONE, result=result, error=None, progress=1)


async def refuse(session: AsyncSession, claim: Claim, error: str, result: Any) -> None:
    """Mark the job as dead: another attempt would fail as well. Raises LeaseLost."""
    await _write(session, claim, **_ENDED, state=JobState.DEAD, error=error, result=result)


async def fail(session: AsyncSession, claim: Claim, error: str, backoff: float) -> None:
    """Mark the attempt as failed: the next one comes after so many seconds, if there is one. Raises LeaseLost."""
    if claim.is_last:
        await _write(session, claim, **_ENDED, state=JobState.DEAD, error=error)
    else:
        later = func.now() + timedelta(seconds=backoff)
        await _write(session, claim, state=JobState.WAITING, leased_until=None, run_after=later, error=error)


async def release(session: AsyncSession, claim: Claim) -> None:
    """Give the job back, as if it had never been claimed: the worker stops. Raises LeaseLost."""
    state = case((Job.error.is_(None), JobState.QUEUED.value), else_=JobState.WAITING.value)
    await _write(session, claim, state=state, leased_until=None, attempts=Job.attempts - 1)


async def bury(session: AsyncSession) -> list[UUID]:
    """Mark as dead what has ended its worker with its last attempt. Returns these jobs."""
    buried = await session.scalars(
        update(Job)
        .where(_is_abandoned(), Job.attempts >= Job.most_attempts)
        .values(**_ENDED, state=JobState.DEAD, error=_LOST)
        .returning(Job.id)
    )
    return list(buried)


_ENDED = {"leased_until": None, "finished_at": func.clock_timestamp()}


def _is_abandoned() -> ColumnElement[bool]:
    return and_(Job.state == JobState.RUNNING, Job.leased_until < func.now())


async def _write(session: AsyncSession, claim: Claim, **values: Any) -> None:
    is_ours = and_(
        Job.id == claim.id,
        Job.state == JobState.RUNNING,
        Job.worker == claim.worker,
        Job.attempts == claim.attempt,
    )
    if await session.scalar(update(Job).where(is_ours).values(**values).returning(Job.id)) is None:
        raise LeaseLost
