"""Jobs that leave traces, and take as long as they are told to."""

import asyncio
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.errors import Conflict
from service.jobs.job_type import JobType, Run, TransactionalJobType

_EFFECT = text("insert into job_tests.effects (job, attempt) values (:job, :attempt)")


async def _insert(run: Run, session: AsyncSession) -> dict[str, int]:
    await session.execute(_EFFECT, {"job": run.id, "attempt": run.attempt})
    # In pieces: a transaction that idles for long is ended by the database.
    for _ in range(int(run.arguments.get("steps", 0))):
        await session.execute(text("select pg_sleep(0.05)"))
    return {"attempt": run.attempt}


async def _sleep(run: Run) -> None:
    await run.report(0.5)
    await asyncio.sleep(run.arguments["seconds"])


async def _fail(run: Run) -> dict[str, Any]:
    """Fails so often, in a way of ours or with a secret."""
    if run.attempt > run.arguments["times"]:
        return {"attempt": run.attempt}
    if run.arguments.get("secret"):
        raise ValueError("password=hunter2")
    raise Conflict("The other side is busy.")


INSERT = TransactionalJobType(name="insert", run=_insert, most_attempts=20)
SLEEP = JobType(name="sleep", run=_sleep, most_attempts=3)
FAIL = JobType(name="fail", run=_fail, most_attempts=3)
TYPES = (INSERT, SLEEP, FAIL)
