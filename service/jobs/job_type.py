"""The kinds of jobs that a worker can run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from service.crud.jobs import NewJob

# What a job has to say when it is done: a small value of JSON.
Result = Any


class Report(Protocol):
    """Tells how far a job has come, from 0 to 1, and what its owner may want to know of it besides."""

    async def __call__(self, progress: float, details: Mapping[str, Any] | None = None) -> None: ...


class JobRefused(Exception):
    """What the job was given makes it fail however often it is tried. `result` is kept with the error."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.message = message
        self.result = result


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a job, the first being 1."""

    id: UUID
    arguments: Mapping[str, Any]
    attempt: int
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: str
    most_attempts: int = 5

    def new(
        self,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        delay: timedelta = timedelta(),
        actor: str | None = None,
    ) -> NewJob:
        """A job of this type, to be enqueued."""
        return NewJob(self.name, self.most_attempts, arguments or {}, key, delay, actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType(_Named):
    """Jobs of a name. `run` may be called again for what it has done already: after a failure, or a worker's end."""

    run: Callable[[Run], Awaitable[Result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionalJobType(_Named):
    """Jobs of a name whose effect is in our database: it commits together with the mark that the job is done.

    So it has its effect once, whatever happens to workers. It must not commit; and the database ends a run that lets
    its transaction idle for longer than a statement may take (STATEMENT_TIMEOUT).
    """

    run: Callable[[Run, AsyncSession], Awaitable[Result]]


AnyJobType = JobType | TransactionalJobType


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job type without arguments, due once in each period. Periods begin at multiples of `every` since 1970, UTC.

    Raises:
        ValueError: `every` is longer than a day; a finished job must be kept until its period has ended.
    """

    type: AnyJobType
    every: timedelta

    def __post_init__(self) -> None:
        if not timedelta() < self.every <= timedelta(days=1):
            raise ValueError("A period may take up to a day.")
