"""Probes: `/livez` (the process turns), `/readyz` (it can serve), `/health` (it serves, and the database answers)."""

import asyncio
from enum import StrEnum
from time import perf_counter

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from service import __version__
from service.api.dependencies import State
from service.core.errors import RowhouseError
from service.state import ServiceState

router = APIRouter(tags=["Probes"])
_UNAVAILABLE = 503
# Who asks gives up sooner than a statement may take.
_PATIENCE_SECONDS = 2


class Verdict(StrEnum):
    OK = "ok"
    UNAVAILABLE = "unavailable"


class Live(BaseModel):
    status: Verdict = Verdict.OK


class Ready(BaseModel):
    """Whether requests should be sent here, and if not, why."""

    status: Verdict
    reason: str | None = Field(None, description="Why not.")


class Health(Ready):
    """The same, with the time that the database took to answer."""

    version: str = __version__
    database_ms: float | None = Field(None, description="Milliseconds that the database took to answer.")


@router.head("/livez", include_in_schema=False)
@router.get("/livez", summary="Is the process alive?", description="200 as long as the process answers at all.")
async def live() -> Live:
    return Live()


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can it serve?",
    description="503 while the database is not reached, migrations are pending, or the service is shutting down.",
    responses={_UNAVAILABLE: {"model": Ready, "description": "Not now."}},
)
async def ready(state: State, response: Response) -> Ready:
    reason, _ = await _check(state)
    response.status_code = _UNAVAILABLE if reason else 200
    return Ready(status=Verdict.UNAVAILABLE if reason else Verdict.OK, reason=reason)


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="Is it well?",
    description="Asks the database, and tells how long it took.",
    responses={_UNAVAILABLE: {"model": Health, "description": "The database does not answer."}},
)
async def health(state: State, response: Response) -> Health:
    reason, seconds = await _check(state)
    response.status_code = _UNAVAILABLE if reason else 200
    return Health(
        status=Verdict.UNAVAILABLE if reason else Verdict.OK, reason=reason, database_ms=round(seconds * 1000, 3)
    )


async def _check(state: ServiceState) -> tuple[str | None, float]:
    """Why the service is not ready (None: it is), and the seconds that the database took."""
    started = perf_counter()
    if state.is_draining:
        return "The service is shutting down.", 0.0
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await state.connected().pool.read("select 1", ())
    except RowhouseError as error:
        return error.message, perf_counter() - started
    except TimeoutError:
        return "The database does not answer.", perf_counter() - started
    return None, perf_counter() - started
