"""Probes: `/startupz` (it has begun), `/livez` (the process turns), `/readyz` (it can serve), `/health` (how it is)."""

from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from service import __version__
from service.api.dependencies import State, identify
from service.api.standing import Now, Standing
from service.core.errors import DatabaseUnavailable
from service.core.types import Role
from service.runtime import Runtime
from service.state import ServiceState

router = APIRouter(tags=["Probes"])
_UNAVAILABLE = 503


class Verdict(StrEnum):
    OK = "ok"
    UNAVAILABLE = "unavailable"


class Live(BaseModel):
    status: Verdict = Verdict.OK


class Ready(BaseModel):
    """Whether requests should be sent here, and if not, why."""

    status: Verdict
    reason: str | None = Field(None, description="Why not.")


class PoolDetail(BaseModel):
    """Connections of the table plane."""

    open: int
    idle: int
    waiting: int = Field(description="Requests that wait for one.")
    most: int = Field(description="POOL_MAX_SIZE, or as many as PostgreSQL has for each process.")


class DatabaseDetail(BaseModel):
    milliseconds: float = Field(description="Time that it took to answer.")
    role: str = Field(description="`primary`, or `standby`: then nothing can be written.")
    replayed_seconds_ago: float | None = Field(None, description="Age of what a standby has replayed last.")
    revisions: list[str] = Field(description="Migrations that it is at.")
    pending: list[str] = Field(description="Migrations that it lacks.")


class FeedDetail(BaseModel):
    is_following: bool = Field(description="Whether changes are looked for.")
    subscribers: int


class JobDetail(BaseModel):
    """The queue as it was last seen."""

    queued: int
    running: int
    dead: int
    oldest_due_seconds: float


class Detail(BaseModel):
    """For administrators."""

    version: str = __version__
    is_draining: bool
    tables: int
    database: DatabaseDetail | None = None
    pool: PoolDetail
    export_connections: int
    feed: FeedDetail
    jobs: JobDetail | None = None


class Health(BaseModel):
    """Whether it is well. Administrators are told how."""

    status: Verdict
    reason: str | None = Field(None, description="Why not; for administrators.")
    detail: Detail | None = Field(None, description="For administrators, once the database has been reached.")


_NOT_NOW: dict[int | str, dict[str, Any]] = {_UNAVAILABLE: {"model": Ready, "description": "Not now."}}


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?", description="200 as long as the process answers at all.")
async def live() -> Live:
    return Live()


@router.head("/startupz", include_in_schema=False)
@router.get(
    "/startupz",
    summary="Has it begun?",
    description="503 until the database has been reached and its tables have been read; 200 from then on.",
    responses=_NOT_NOW,
)
async def startup(state: State, response: Response) -> Ready:
    return _told(None if state.runtime is not None else state.waiting_for, response)


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can it serve?",
    description="503 while the database does not answer within two seconds, migrations are pending, changes are not "
    "followed, or the service is shutting down. It is looked at once a second at most.",
    responses=_NOT_NOW,
)
async def ready(now: Now, response: Response) -> Ready:
    return _told(now.reason, response)


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="How is it?",
    description="As `/readyz`; administrators are told how its parts are.",
    responses={_UNAVAILABLE: {"model": Health, "description": "Not well."}},
)
async def health(request: Request, state: State, now: Now, response: Response) -> Health:
    told = _told(now.reason, response)
    if state.runtime is None or not await _is_for_administrator(request, state, state.runtime):
        return Health(status=told.status)
    return Health(status=told.status, reason=told.reason, detail=_detail(state, state.runtime, now))


def _told(reason: str | None, response: Response) -> Ready:
    response.status_code = _UNAVAILABLE if reason else 200
    return Ready(status=Verdict.UNAVAILABLE if reason else Verdict.OK, reason=reason)


async def _is_for_administrator(request: Request, state: ServiceState, runtime: Runtime) -> bool:
    try:
        return (await identify(request, state, runtime)).role is Role.ADMIN
    except DatabaseUnavailable:  # who it is cannot be found out now
        return False


def _detail(state: ServiceState, runtime: Runtime, now: Standing) -> Detail:
    open_, idle = runtime.pool.sizes()
    jobs, sight = runtime.queue_watch.figures, now.sight
    return Detail(
        is_draining=state.is_draining,
        tables=len(list(runtime.catalog)),
        database=None
        if sight is None
        else DatabaseDetail(
            milliseconds=round(sight.seconds * 1000, 3),
            role="standby" if sight.is_standby else "primary",
            replayed_seconds_ago=sight.replayed_ago,
            revisions=sorted(sight.revisions),
            pending=list(sight.pending),
        ),
        pool=PoolDetail(open=open_, idle=idle, waiting=runtime.pool.waiting(), most=runtime.pool.most),
        export_connections=runtime.copies.sizes()[0],
        feed=FeedDetail(
            is_following=runtime.follower.is_connected and not runtime.follower.is_on_standby,
            subscribers=len(runtime.hub.subscribers()),
        ),
        jobs=None
        if jobs is None
        else JobDetail(
            queued=jobs.queued, running=jobs.running, dead=jobs.dead, oldest_due_seconds=round(jobs.oldest_due, 3)
        ),
    )
