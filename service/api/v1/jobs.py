"""Background jobs, for administrators."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.api.dependencies import Administrator, Connected, KnownCaller
from service.api.responses import responses
from service.core.errors import AuthenticationFailed, Conflict, Forbidden, InvalidQuery, JobNotFound
from service.core.types import JobState, Role
from service.crud import jobs
from service.crud.jobs import Place
from service.models.system import Job

router = APIRouter(prefix="/api/v1/-/jobs", tags=["Jobs"])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXAMPLE = "0b6f0c0e-6c1b-4f5e-9f0e-2f6f1f1f7a11"


def _without_null(text: str) -> str:
    """PostgreSQL's text cannot hold a null character.

    Raises:
        ValueError: there is one.
    """
    if "\0" in text:
        raise ValueError("a name has no null character")
    return text


JobId = Annotated[UUID, Path(description="The job's id.", examples=[_EXAMPLE])]


class JobInfo(BaseModel):
    """One background job."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(examples=[_EXAMPLE])
    name: str = Field(description="What kind of job it is.", examples=["delete_finished_jobs"])
    state: JobState = Field(
        description="`queued`; `running`; `waiting` for another try after a failure; `done`; `dead` after too many "
        "failures; `cancelled`."
    )
    arguments: dict[str, Any] = Field(description="What it was given.", examples=[{}])
    attempts: int = Field(description="How often it was begun.", examples=[1])
    most_attempts: int = Field(description="How often it may be begun before it is dead.", examples=[5])
    progress: float = Field(description="How far it has come, from 0 to 1.", examples=[1.0])
    details: Any = Field(
        description="What it says of itself while it runs; an import its phase, bytes and rows.",
        examples=[{"phase": "writing", "bytes": 31053850, "rows": 336776}],
    )
    result: Any = Field(description="What it had to say when it was done.", examples=[{"jobs": 12}])
    error: str | None = Field(description="Why the last attempt failed.", examples=[None])
    actor: str | None = Field(description="Who asked for it; null where Rowhouse did by itself.", examples=[None])
    worker: str | None = Field(description="The worker that ran it last.", examples=["node1-4711-0a1b2c3d"])
    created_at: datetime
    run_after: datetime = Field(description="Not begun before.")
    started_at: datetime | None = Field(description="When the last attempt began.")
    finished_at: datetime | None = Field(description="When it was done, dead or cancelled.")


class JobPage(BaseModel):
    """Some jobs, the newest first."""

    jobs: list[JobInfo]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last one.")


@router.get(
    "",
    summary="List jobs",
    description="Lists background jobs, the newest first. Finished ones are kept for `JOBS_KEEP_DAYS`.",
    responses=responses(AuthenticationFailed, Forbidden),
)
async def list_jobs(
    _: Administrator,
    runtime: Connected,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
    name: Annotated[
        str | None,
        AfterValidator(_without_null),
        Query(description="Only jobs of this name.", max_length=200, examples=["delete_finished_jobs"]),
    ] = None,
    limit: Annotated[int, Query(description="Most jobs in the answer.", ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=200)] = None,
) -> JobPage:
    after = None if cursor is None else place_of(cursor)
    async with runtime.unit_of_work.begin() as session:
        found = await jobs.listing(session, state=state, name=name, after=after, limit=limit + 1)
    page = found[:limit]
    return JobPage(
        jobs=[JobInfo.model_validate(job) for job in page],
        next_cursor=cursor_of(page[-1]) if len(found) > limit else None,
    )


@router.get(
    "/{job_id}",
    summary="One job",
    description="Shows where a background job stands: to administrators, and to whoever asked for it.",
    responses=responses(AuthenticationFailed, Forbidden, JobNotFound),
)
async def show_job(caller: KnownCaller, runtime: Connected, job_id: JobId) -> JobInfo:
    async with runtime.unit_of_work.begin() as session:
        if caller.role is Role.ADMIN:
            return JobInfo.model_validate(await jobs.get(session, job_id))
        job = await jobs.find(session, job_id)
    if job is None or job.actor != caller.actor:
        raise Forbidden("This is for administrators, and for whoever asked for the job.")
    return JobInfo.model_validate(job)


@router.post(
    "/{job_id}/retry",
    summary="Try a dead job again",
    description="Queues a dead job again, with all its attempts. 409 where it is not dead (`job_not_dead`), or where "
    "another one that does the same is not finished (`job_unfinished`).",
    responses=responses(AuthenticationFailed, Forbidden, JobNotFound, Conflict),
)
async def retry_job(_: Administrator, runtime: Connected, job_id: JobId) -> JobInfo:
    async with runtime.unit_of_work.begin() as session:
        return JobInfo.model_validate(await runtime.queue.retry(session, job_id))


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Cancel a job",
    description="Cancels a job that waits to be run. 409 where it runs or has ended (`job_not_queued`).",
    responses=responses(AuthenticationFailed, Forbidden, JobNotFound, Conflict),
)
async def cancel_job(_: Administrator, runtime: Connected, job_id: JobId) -> None:
    async with runtime.unit_of_work.begin() as session:
        await jobs.cancel(session, job_id)


def cursor_of(job: Job) -> str:
    """The cursor of what follows the job in the list."""
    moment = (job.created_at - _EPOCH) // _MICROSECOND
    return urlsafe_b64encode(f"{moment} {job.id}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Where the next page begins.

    Raises:
        InvalidQuery: no cursor of ours.
    """
    try:
        moment, job_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split()
        return Place(_EPOCH + int(moment) * _MICROSECOND, UUID(job_id))
    except (ValueError, OverflowError):
        raise InvalidQuery("The cursor cannot be read.", hint="Begin again, without one.") from None
