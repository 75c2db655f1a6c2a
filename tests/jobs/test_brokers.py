"""The messages that wake workers: by PostgreSQL, Redis and RabbitMQ; lost, and lost with their broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from taskiq import InMemoryBroker

from service.core.errors import ConfigurationError
from service.jobs.broker import let_go
from service.jobs.timing import Timing
from service.worker import Worker
from tests.jobs.conftest import QUICK, Jobs
from tests.jobs.job_types import INSERT
from tests.jobs.servers import Server, rabbitmq_server, redis_server
from tests.service_under_test import settings_from
from tests.waiting import happens

# Nothing but a message can wake these workers.
DEAF = Timing(lease=30, sweep=3600)
AT_ONCE = 2.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    with rabbitmq_server(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@asynccontextmanager
async def listening(jobs: Jobs, *, timing: Timing = DEAF, broker: str = "") -> AsyncIterator[Worker]:
    async with jobs.worker(timing=timing, broker=broker) as worker:
        await asyncio.sleep(1)  # its first sweep is over, and its broker connected
        yield worker


async def enqueue(worker: Worker, steps: int = 0) -> UUID:
    async with worker.unit_of_work.begin() as session:
        job_id = await worker.queue.enqueue(session, INSERT.new({"steps": steps}))
    assert job_id is not None
    return job_id


async def is_heard(jobs: Jobs, worker: Worker, seconds: float = AT_ONCE) -> None:
    """A message wakes a worker now."""
    await jobs.settled(await enqueue(worker), seconds=seconds)


async def is_heard_again(jobs: Jobs, worker: Worker, seconds: float = 60) -> None:
    """Messages wake a worker after a while, and from then on; those of before may be lost."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await is_heard(jobs, worker)
            break
        except AssertionError:
            assert time.monotonic() < deadline, "no message is heard any more"
    for _ in range(3):
        await is_heard(jobs, worker)


async def _wake_many(jobs: Jobs, broker: str = "") -> None:
    async with listening(jobs, broker=broker) as first, listening(jobs, broker=broker):
        # Each takes so long that one worker has not the slots for all.
        ids = [await enqueue(first, steps=10) for _ in range(30)]
        await jobs.settled(*ids)


def _was_done_once(jobs: Jobs, number: int) -> bool:
    workers = jobs.database.execute("select count(distinct worker) from rowhouse.jobs where name = 'insert'")[0][0]
    return sorted(jobs.effects().values()) == [1] * number and workers == 2


def test_postgresql_wakes_workers(jobs: Jobs) -> None:
    asyncio.run(_wake_many(jobs))
    assert _was_done_once(jobs, 30)
    assert jobs.database.execute("select count(*) from rowhouse.job_messages")[0][0] == 0


def test_redis_wakes_workers(jobs: Jobs, redis: tuple[str, Server]) -> None:
    asyncio.run(_wake_many(jobs, broker=redis[0]))
    assert _was_done_once(jobs, 30)
    assert jobs.database.execute("select count(*) from rowhouse.job_messages")[0][0] == 0


def test_rabbitmq_wakes_workers(jobs: Jobs, rabbitmq: tuple[str, Server]) -> None:
    asyncio.run(_wake_many(jobs, broker=rabbitmq[0]))
    assert _was_done_once(jobs, 30)
    assert jobs.database.execute("select count(*) from rowhouse.job_messages")[0][0] == 0


def test_a_quiet_redis_is_listened_to_without_end(jobs: Jobs, redis: tuple[str, Server]) -> None:
    async def run() -> None:
        async with listening(jobs, broker=redis[0]) as worker:
            await asyncio.sleep(6)  # longer than redis-py waits by default
            await is_heard(jobs, worker, seconds=0.7)

    asyncio.run(run())


def test_a_lost_message_costs_a_moment(jobs: Jobs) -> None:
    async def run(job_id: UUID) -> None:
        async with jobs.worker():
            await jobs.settled(job_id, seconds=AT_ONCE)

    [job_id] = jobs.add(INSERT.new())  # without a message
    asyncio.run(run(job_id))


def test_jobs_go_on_without_their_broker_and_it_is_used_when_it_is_back(jobs: Jobs, redis: tuple[str, Server]) -> None:
    url, server = redis

    async def run() -> None:
        async with listening(jobs, broker=url) as hearing:
            async with jobs.worker(timing=QUICK, broker=url) as sweeping:
                server.stop()
                for _ in range(3):
                    await is_heard(jobs, sweeping)
                await asyncio.to_thread(server.start)
            await is_heard_again(jobs, hearing)

    asyncio.run(run())
    assert set(jobs.effects().values()) == {1}


def test_a_restarted_rabbitmq_is_heard_again(jobs: Jobs, rabbitmq: tuple[str, Server]) -> None:
    url, server = rabbitmq

    async def run() -> None:
        async with listening(jobs, broker=url) as worker:
            await is_heard(jobs, worker)
            server.stop()
            await asyncio.to_thread(server.start)
            await is_heard_again(jobs, worker)

    asyncio.run(run())


def test_a_cut_connection_to_postgresql_is_made_again(jobs: Jobs) -> None:
    async def run() -> None:
        async with listening(jobs) as worker:
            await asyncio.to_thread(
                jobs.database.execute_as_superuser,
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and query ilike 'listen%rowhouse_jobs%'",
            )
            await is_heard_again(jobs, worker)

    asyncio.run(run())


def test_a_broker_that_does_not_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(InMemoryBroker):
        async def shutdown(self) -> None:
            await asyncio.sleep(60)

    async def run() -> None:
        async with asyncio.timeout(5):
            await let_go(Endless())

    monkeypatch.setattr("service.jobs.broker._SHUTDOWN_SECONDS", 0.1)
    asyncio.run(run())


@pytest.mark.parametrize("url", ["http://x", "redis://", "amqp://:pass word@", "kafka://x", "redis://x:hunter2"])
def test_a_broker_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="JOBS_BROKER_URL") as refused:
        settings_from({"JOBS_BROKER_URL": url})
    assert "hunter2" not in refused.value.message


def test_a_cut_worker_leaves_its_messages_behind_for_an_hour_only(jobs: Jobs) -> None:
    for age in ("2 hours", "1 minute"):
        jobs.database.execute(
            "insert into rowhouse.job_messages (task_id, task_name, message, labels, status, created_at) "
            "values ('x', 'rowhouse.job', 'x', '{}', 'processing', now() - $1::text::interval)",
            age,
        )

    async def run() -> None:
        async with jobs.worker():
            await happens(lambda: jobs.states("delete_finished_jobs").get("done"))

    asyncio.run(run())
    assert jobs.database.execute("select count(*) from rowhouse.job_messages")[0][0] == 1
