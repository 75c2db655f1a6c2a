"""The queue of background jobs, for those who ask: enqueue, look, try again, cancel.

A job is a row, and the row decides. It is written in its caller's transaction, so that both are kept or neither; a
message to the broker, sent after that, only makes it run a little sooner.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, event, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.errors import Conflict, JobNotFound
from service.core.types import UNFINISHED, JobState
from service.models.system import Job
from service.observability.trail import recorded

Wake = Callable[[UUID], None]


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be done. `key` is one that no other unfinished job of this name may have."""

    name: str
    most_attempts: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    delay: timedelta = timedelta()
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Of a job in the list, which begins with the newest."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class JobFigures:
    """How the queue stands. `oldest_due` is the age in seconds of the job that has waited longest for a worker."""

    queued: int  # with those that are tried again
    running: int
    dead: int
    oldest_due: float


class JobQueue:
    """`wake` is told of each job that may run, once it is committed."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake

    async def enqueue(self, session: AsyncSession, new: NewJob) -> UUID | None:
        """The new job's id, or None where an unfinished one has its key. It runs once the session has committed."""
        step = recorded()
        written = await session.scalar(
            insert(Job)
            .values(
                name=new.name,
                arguments=dict(new.arguments),
                key=new.key,
                most_attempts=new.most_attempts,
                run_after=func.now() + new.delay,
                actor=new.actor,
                traceparent=None if step is None else step.header,
            )
            .on_conflict_do_nothing()
            .returning(Job.id)
        )
        if written is not None and not new.delay:
            self._wake_after_commit(session, written)
        return written

    async def enqueue_period(self, session: AsyncSession, new: NewJob, every: timedelta) -> float:
        """Enqueue what is due once in each period, unless it has been, or the last one is not finished yet.

        Returns the seconds until the next period, by the database's clock, which all workers share.
        """
        seconds = every.total_seconds()
        number = func.floor(func.extract("epoch", func.now()) / seconds)
        period = func.to_timestamp(number * seconds)
        left = await session.scalar(select((number + 1) * seconds - func.extract("epoch", func.now())))
        written = await session.scalar(
            insert(Job)
            .values(name=new.name, arguments={}, key=new.name, period=period, most_attempts=new.most_attempts)
            .on_conflict_do_nothing()
            .returning(Job.id)
        )
        if written is not None:
            self._wake_after_commit(session, written)
        return float(left or 0)

    async def retry(self, session: AsyncSession, job_id: UUID) -> Job:
        """Queue a dead job again, with all its attempts.

        Raises:
            JobNotFound: there is no such job.
            Conflict: it is not dead, or an unfinished job has its key.
        """
        again = (
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.DEAD)
            .values(state=JobState.QUEUED, attempts=0, run_after=func.now(), finished_at=None, progress=0)
            .returning(Job)
        )
        try:
            job = await session.scalar(again)
        except IntegrityError:
            raise Conflict("Another job that does the same is not finished yet.", code="job_unfinished") from None
        if job is None:
            job = await get(session, job_id)
            raise Conflict(f"The job is {job.state}: only a dead one can be tried again.", code="job_not_dead")
        self._wake_after_commit(session, job_id)
        return job

    def _wake_after_commit(self, session: AsyncSession, job_id: UUID) -> None:
        event.listen(session.sync_session, "after_commit", lambda _: self._wake(job_id))


async def find(session: AsyncSession, job_id: UUID) -> Job | None:
    """The job, if there is one."""
    return await session.get(Job, job_id)


async def get(session: AsyncSession, job_id: UUID) -> Job:
    """The job as it is now.

    Raises:
        JobNotFound: there is no such job.
    """
    job = await find(session, job_id)
    if job is None:
        raise JobNotFound("There is no such job, or it was finished so long ago that it is no longer kept.")
    return job


async def listing(
    session: AsyncSession, *, state: JobState | None, name: str | None, after: Place | None, limit: int
) -> list[Job]:
    """So many jobs, the newest first, from behind a place on."""
    conditions: list[ColumnElement[bool]] = []
    if state is not None:
        conditions.append(Job.state == state)
    if name is not None:
        conditions.append(Job.name == name)
    if after is not None:
        conditions.append(tuple_(Job.created_at, Job.id) < (after.created_at, after.id))
    newest_first = select(Job).where(*conditions).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)
    return list(await session.scalars(newest_first))


async def cancel(session: AsyncSession, job_id: UUID) -> None:
    """Never run a job that waits to be.

    Raises:
        JobNotFound: there is no such job.
        Conflict: it runs, or has ended.
    """
    cancelled = await session.scalar(
        update(Job)
        .where(Job.id == job_id, Job.state.in_((JobState.QUEUED, JobState.WAITING)))
        .values(state=JobState.CANCELLED, finished_at=func.now())
        .returning(Job.id)
    )
    if cancelled is None:
        job = await get(session, job_id)
        raise Conflict(f"The job is {job.state}: only one that waits can be cancelled.", code="job_not_queued")


async def figures(session: AsyncSession) -> JobFigures:
    """How the queue stands now."""
    waits = Job.state.in_((JobState.QUEUED, JobState.WAITING))
    due_since = func.min(Job.run_after).filter(waits, Job.run_after <= func.now())
    row = (
        await session.execute(
            select(
                func.count().filter(waits),
                func.count().filter(Job.state == JobState.RUNNING),
                func.count().filter(Job.state == JobState.DEAD),
                func.coalesce(func.extract("epoch", func.now() - due_since), 0),
            ).where(Job.state.in_((*UNFINISHED, JobState.DEAD)))
        )
    ).one()
    return JobFigures(row[0], row[1], row[2], float(row[3]))
