"""Background jobs, for administrators."""

import json
from datetime import UTC, datetime

from starlette.responses import Response

from service.admin.pages.system.sent import id_in, word_in
from service.admin.visit import Visit
from service.api.v1.jobs import cursor_of, place_of
from service.core.errors import InvalidQuery
from service.core.types import JobState
from service.crud import jobs

_PAGE = 50


async def show(visit: Visit) -> Response:
    """Jobs, the newest first."""
    state, name, cursor = word_in(visit, "state"), word_in(visit, "name"), word_in(visit, "cursor")
    if state and state not in tuple(JobState):
        raise InvalidQuery("There is no such state.")
    async with visit.runtime.unit_of_work.begin() as session:
        found = await jobs.listing(
            session,
            state=JobState(state) if state else None,
            name=name or None,
            after=place_of(cursor) if cursor else None,
            limit=_PAGE + 1,
        )
    return await visit.page(
        "system/jobs.html",
        title="Jobs",
        jobs=found[:_PAGE],
        more=cursor_of(found[_PAGE - 1]) if len(found) > _PAGE else None,
        state=state,
        name=name,
        states=JobState,
    )


async def show_one(visit: Visit) -> Response:
    """One job."""
    async with visit.runtime.unit_of_work.begin() as session:
        job = await jobs.get(session, id_in(visit, "job"))
    told = {
        name: json.dumps(value, indent=2, ensure_ascii=False)
        for name, value in (("Arguments", job.arguments), ("Details", job.details), ("Result", job.result))
        if value not in (None, {})
    }
    return await visit.page(
        "system/job.html",
        title=job.name,
        job=job,
        told=told,
        can_cancel=job.state in (JobState.QUEUED, JobState.WAITING),
        can_retry=job.state == JobState.DEAD,
        is_late=job.leased_until is not None and job.leased_until < datetime.now(UTC),
    )


async def retry(visit: Visit) -> Response:
    """Try a dead one again."""
    async with visit.runtime.unit_of_work.begin() as session:
        job = await visit.runtime.queue.retry(session, id_in(visit, "job"))
    return visit.go(visit.at("-", "jobs", str(job.id)), "The job is queued again.")


async def cancel(visit: Visit) -> Response:
    """Never run one that waits."""
    identity = id_in(visit, "job")
    async with visit.runtime.unit_of_work.begin() as session:
        await jobs.cancel(session, identity)
    return visit.go(visit.at("-", "jobs", str(identity)), "The job was cancelled.")
