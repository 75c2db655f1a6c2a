"""Background jobs: the record of each, which decides, and the messages that wake workers, which do not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.core.types import UNFINISHED, JobState
from service.models.base import SystemBase


def _one_of(states: tuple[JobState, ...]) -> str:
    return f"state in ({', '.join(repr(state.value) for state in states)})"


# As it stands in the indexes: PostgreSQL uses them where a statement says the same, and not with bound values.
IS_UNFINISHED = text(_one_of(UNFINISHED))


class Job(SystemBase):
    """One job. Who holds it is the `worker` that made this attempt, until `leased_until`."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of(tuple(JobState)), name="state"),
        CheckConstraint("progress between 0 and 1", name="progress"),
        CheckConstraint("(state = 'running') = (leased_until is not null)", name="lease"),
        UniqueConstraint("name", "period"),
        Index("uq_jobs_name_key", "name", "key", unique=True, postgresql_where=IS_UNFINISHED),
        Index("ix_jobs_due", "run_after", postgresql_where=IS_UNFINISHED),
        Index("ix_jobs_state_created_at", "state", "created_at", "id"),
        Index("ix_jobs_created_at", "created_at", "id"),
        Index("ix_jobs_finished_at", "finished_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(Text)
    arguments: Mapped[Mapping[str, Any]] = mapped_column(JSONB)
    key: Mapped[str | None] = mapped_column(Text, comment="No two unfinished jobs of a name have the same")
    period: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="Begin of the period that a periodic job is for"
    )
    state: Mapped[str] = mapped_column(Text, server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    most_attempts: Mapped[int]
    run_after: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    leased_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    worker: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text, comment="Who asked for it")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text, comment="Of the last attempt that failed")
    result: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    progress: Mapped[float] = mapped_column(server_default=text("0"))
    traceparent: Mapped[str | None] = mapped_column(
        Text, comment="Where it goes on with the trace of the request that it came from (W3C Trace Context)"
    )
    details: Mapped[Any | None] = mapped_column(
        JSONB(none_as_null=True), comment="What it says of itself while it runs"
    )


class JobMessage(SystemBase):
    """A message of taskiq's PostgreSQL broker, in the columns that it writes and reads."""

    __tablename__ = "job_messages"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task_id: Mapped[str] = mapped_column(Text)
    task_name: Mapped[str] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    labels: Mapped[Mapping[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(Text, server_default=text("'pending'"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
