"""What becomes of a job: claims, retries, leases."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import generate_latest
from sqlalchemy.ext.asyncio import AsyncSession

from service.crud.jobs import JobQueue
from service.jobs.broker import Brokers, send
from service.jobs.job_type import AnyJobType, JobType, Periodic, Run, TransactionalJobType
from service.jobs.timing import Timing
from service.observability.metrics import Metrics
from tests.jobs.conftest import Jobs
from tests.jobs.job_types import FAIL, INSERT, SLEEP
from tests.service_under_test import in_session

SLOW_SWEEP = Timing(lease=10, sweep=60, drain=10)


def ended(jobs: Jobs, *job_ids: UUID, types: Sequence[AnyJobType] = (), **options: Any) -> list[dict[str, object]]:
    """Let a worker run until these jobs have ended. Returns their rows."""

    async def run() -> list[dict[str, object]]:
        async with jobs.worker(*types, **options):
            return [dict(row) for row in await jobs.settled(*job_ids)]

    return asyncio.run(run())


def test_a_job_is_run_once_and_its_result_kept(jobs: Jobs) -> None:
    [job_id] = jobs.add(INSERT.new(actor="user:ada"))
    [row] = ended(jobs, job_id)
    assert row["state"] == "done"
    assert row["result"] == '{"attempt": 1}'
    assert (row["progress"], row["attempts"], row["actor"], row["error"]) == (1, 1, "user:ada", None)
    assert row["leased_until"] is None
    assert jobs.effects() == {job_id: 1}


def test_a_job_is_there_only_if_its_caller_commits(jobs: Jobs) -> None:
    woken: list[UUID] = []

    async def enqueue_and_break(session: AsyncSession) -> None:
        assert await JobQueue(woken.append).enqueue(session, INSERT.new())
        raise LookupError

    async def enqueue(session: AsyncSession) -> None:
        await JobQueue(woken.append).enqueue(session, INSERT.new())
        assert not woken  # nobody hears of it before it is there

    with pytest.raises(LookupError):
        in_session(jobs.database.service_url, enqueue_and_break)
    assert jobs.states("insert") == {}
    assert not woken
    in_session(jobs.database.service_url, enqueue)
    assert jobs.states("insert") == {"queued": 1}
    assert len(woken) == 1


def test_a_key_is_taken_until_its_job_has_ended(jobs: Jobs) -> None:
    [first] = jobs.add(INSERT.new(key="a"), INSERT.new(key="a"))
    [_] = jobs.add(SLEEP.new({"seconds": 0}, key="a"))  # of another name
    ended(jobs, first)
    assert len(jobs.add(INSERT.new(key="a"))) == 1


def test_a_failed_job_is_tried_again(jobs: Jobs) -> None:
    [job_id] = jobs.add(FAIL.new({"times": 2}))
    [row] = ended(jobs, job_id)
    assert (row["state"], row["attempts"], row["result"], row["error"]) == ("done", 3, '{"attempt": 3}', None)


def test_a_job_that_fails_too_often_is_dead(jobs: Jobs) -> None:
    [told, hidden] = jobs.add(FAIL.new({"times": 9}), FAIL.new({"times": 9, "secret": True}))
    rows = ended(jobs, told, hidden)
    assert [row["state"] for row in rows] == ["dead", "dead"]
    assert [row["attempts"] for row in rows] == [3, 3]
    # The words of other people's errors may repeat what they were given.
    assert [row["error"] for row in rows] == ["Conflict: The other side is busy.", "ValueError"]


def test_retries_wait_longer_each_time_and_not_in_step() -> None:
    timing = Timing(first_backoff=2, most_backoff=900)
    for attempt, bound in ((1, 2), (2, 4), (5, 32), (10, 900), (1000, 900)):
        waits = [timing.backoff(attempt) for _ in range(500)]
        assert 0 <= min(waits) < bound * 0.1
        assert bound * 0.9 < max(waits) <= bound


def test_a_retry_waits_in_the_database(jobs: Jobs) -> None:
    [job_id] = jobs.add(FAIL.new({"times": 9}))

    async def run() -> None:
        async with jobs.worker(timing=Timing(sweep=0.05, first_backoff=3600, most_backoff=3600)):
            await jobs.reached(job_id, lambda row: row["state"] == "waiting")

    asyncio.run(run())
    row = jobs.row(job_id)
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["run_after"] > row["started_at"]


def test_a_job_that_is_not_due_waits(jobs: Jobs) -> None:
    [later, now] = jobs.add(INSERT.new(delay=timedelta(hours=1)), INSERT.new())
    ended(jobs, now)
    assert jobs.row(later)["state"] == "queued"


def test_messages_that_come_twice_run_a_job_once(jobs: Jobs) -> None:
    async def run() -> UUID:
        broker = Brokers.of(jobs.settings(), jobs.database.service_url, None).make(asyncio.Event())
        await broker.startup()
        async with jobs.worker(timing=SLOW_SWEEP), jobs.worker(timing=SLOW_SWEEP):
            await asyncio.sleep(1)
            [job_id] = await asyncio.to_thread(jobs.add, INSERT.new({"steps": 5}))
            for _ in range(20):
                await send(broker, job_id)
            await jobs.settled(job_id)
            for _ in range(20):
                await send(broker, job_id)
            await asyncio.sleep(0.5)
        await broker.shutdown()
        return job_id

    job_id = asyncio.run(run())
    assert jobs.row(job_id)["attempts"] == 1
    assert jobs.effects() == {job_id: 1}


def test_a_job_of_another_release_is_left_to_it(jobs: Jobs) -> None:
    unknown = JobType(name="of tomorrow", run=SLEEP.run)
    [strange, known] = jobs.add(unknown.new(), INSERT.new())
    ended(jobs, known)
    assert jobs.row(strange)["state"] == "queued"


def test_a_worker_that_lost_its_lease_leaves_no_effect(jobs: Jobs) -> None:
    [job_id] = jobs.add(INSERT.new({"steps": 20}))

    async def run() -> None:
        async with jobs.worker():
            await jobs.reached(job_id, lambda row: row["state"] == "running")
            # As if the worker had stood still for longer than its lease, and another one had taken the job over.
            await asyncio.to_thread(
                jobs.database.execute,
                "update rowhouse.jobs set worker = 'other', leased_until = now() + interval '1 hour' where id = $1",
                job_id,
            )
            await asyncio.sleep(2)

    asyncio.run(run())
    assert jobs.effects() == {}
    row = jobs.row(job_id)
    assert (row["state"], row["worker"]) == ("running", "other")


def test_an_effect_is_undone_where_its_job_cannot_be_marked_as_done(jobs: Jobs) -> None:
    async def take_over(run: Run, session: AsyncSession) -> None:
        await INSERT.run(run, session)
        steal = "update rowhouse.jobs set worker = 'other', leased_until = now() + interval '1 hour' where id = $1"
        await asyncio.to_thread(jobs.database.execute, steal, run.id)

    robbed = TransactionalJobType(name="robbed", run=take_over)
    [job_id] = jobs.add(robbed.new())

    async def run() -> None:
        async with jobs.worker(robbed):
            await jobs.reached(job_id, lambda row: row["worker"] == "other")

    asyncio.run(run())
    assert jobs.effects() == {}
    assert jobs.row(job_id)["state"] == "running"


def test_a_lease_is_renewed_as_long_as_the_job_runs(jobs: Jobs) -> None:
    [job_id] = jobs.add(SLEEP.new({"seconds": 4}))  # the lease is 1.5

    async def run() -> None:
        async with jobs.worker(), jobs.worker():
            await jobs.settled(job_id)

    asyncio.run(run())
    assert (jobs.row(job_id)["state"], jobs.row(job_id)["attempts"]) == ("done", 1)


def test_a_job_is_cut_off_when_its_lease_ends_though_the_database_does_not_answer(jobs: Jobs) -> None:
    cut_off: list[float] = []

    async def note_the_end(_: Run) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cut_off.append(time.monotonic())

    endless = JobType(name="endless", run=note_the_end)
    [job_id] = jobs.add(endless.new())

    async def run() -> float:
        async with jobs.worker(endless):
            await jobs.reached(job_id, lambda row: row["state"] == "running")
            connection = await asyncpg.connect(jobs.database.owner_url)
            try:
                async with connection.transaction():  # no renewal comes past this
                    await connection.execute("select from rowhouse.jobs where id = $1 for update", job_id)
                    begun = time.monotonic()
                    await asyncio.sleep(4)
            finally:
                await connection.close()
            return begun

    begun = asyncio.run(run())
    assert cut_off[0] - begun < 2.5  # the lease is 1.5


def test_a_job_that_ends_every_worker_is_given_up(jobs: Jobs) -> None:
    [job_id] = jobs.add(SLEEP.new({"seconds": 0}))
    jobs.database.execute(
        "update rowhouse.jobs set state = 'running', attempts = 3, worker = 'gone', leased_until = now() where id = $1",
        job_id,
    )
    [row] = ended(jobs, job_id)
    assert (row["state"], row["attempts"]) == ("dead", 3)
    assert row["error"] == "The worker was lost while it ran the job."


def test_progress_is_told_while_a_job_runs(jobs: Jobs) -> None:
    [job_id] = jobs.add(SLEEP.new({"seconds": 1}))

    async def run() -> None:
        async with jobs.worker():
            await jobs.reached(job_id, lambda row: row["progress"] == 0.5)

    asyncio.run(run())
    assert jobs.row(job_id)["progress"] == 1


@pytest.mark.parametrize("result", [{"when": object()}, "x" * 1_100_000])
def test_a_result_that_cannot_be_kept_is_a_failure(jobs: Jobs, result: object) -> None:
    async def give(_: Run) -> object:
        return result

    giver = JobType(name="give", run=give, most_attempts=1)
    [job_id] = jobs.add(giver.new())
    [row] = ended(jobs, job_id, types=[giver])
    assert row["state"] == "dead"


def test_no_more_jobs_run_at_once_than_there_are_slots(jobs: Jobs) -> None:
    most = running = 0

    async def count(_: Run) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1

    counted = JobType(name="count", run=count)
    ended(jobs, *jobs.add(*(counted.new() for _ in range(12))), types=[counted], slots=3)
    assert most == 3


def test_a_run_is_measured(jobs: Jobs) -> None:
    metrics = Metrics("1")
    ended(jobs, *jobs.add(INSERT.new(), FAIL.new({"times": 9})), metrics=metrics)
    text = generate_latest(metrics.registry).decode()
    assert 'rowhouse_job_run_seconds_count{name="insert",outcome="done"} 1.0' in text
    assert 'rowhouse_job_run_seconds_count{name="fail",outcome="failed"} 2.0' in text
    assert 'rowhouse_job_run_seconds_count{name="fail",outcome="dead"} 1.0' in text


@pytest.mark.parametrize("every", [timedelta(), timedelta(days=2)])
def test_a_period_takes_up_to_a_day(every: timedelta) -> None:
    with pytest.raises(ValueError, match="up to a day"):
        Periodic(INSERT, every)
