"""Workers as processes: killed, told to stop, and several at once."""

import itertools
import random
import re
import signal
import time
import urllib.request
from datetime import timedelta

from deploy.ports import free_port
from tests.jobs.conftest import Jobs
from tests.jobs.job_types import INSERT, SLEEP
from tests.waiting import until


def test_the_job_of_a_killed_worker_is_done_by_another(jobs: Jobs) -> None:
    [effect, plain] = jobs.add(INSERT.new({"steps": 30}), SLEEP.new({"seconds": 1.5}))
    with jobs.processes(1) as [first]:
        for job in (effect, plain):
            jobs.until_state(job, "running")
        first.kill()
        assert jobs.row(effect)["state"] == "running"  # nobody knows yet
        with jobs.processes(1):
            rows = [jobs.until_state(job, "done") for job in (effect, plain)]
    assert [row["attempts"] for row in rows] == [2, 2]
    assert jobs.effects() == {effect: 1}
    assert jobs.database.execute("select attempt from job_tests.effects")[0][0] == 2


def test_each_of_many_jobs_has_its_effect_once_though_workers_are_killed(jobs: Jobs) -> None:
    chance = random.Random(7)
    ids = jobs.add(*(INSERT.new({"steps": chance.randrange(8)}) for _ in range(200)))
    kills = 0
    with jobs.processes(3, JOBS_AT_ONCE="4") as workers:
        deadline = time.monotonic() + 240
        while jobs.states("insert").get("done", 0) < 200:
            assert time.monotonic() < deadline, jobs.states("insert")
            time.sleep(chance.uniform(0.3, 1.5))
            if kills < 12 and jobs.states("insert").get("running"):
                workers.pop(chance.randrange(3)).kill()
                workers.append(jobs.process(JOBS_AT_ONCE="4"))
                kills += 1
    assert kills >= 3
    assert jobs.effects() == dict.fromkeys(ids, 1)
    cut_off = jobs.database.execute("select count(*) from rowhouse.jobs where name = 'insert' and attempts > 1")[0][0]
    assert cut_off > 0, "nobody was killed in the middle of a job"


def test_a_worker_that_stood_still_does_nothing_twice(jobs: Jobs) -> None:
    [job_id] = jobs.add(INSERT.new({"steps": 30}))
    with jobs.processes(1) as [first]:
        jobs.until_state(job_id, "running")
        first.process.send_signal(signal.SIGSTOP)
        with jobs.processes(1):
            jobs.until_state(job_id, "done")
            first.process.send_signal(signal.SIGCONT)
            time.sleep(3)
    assert jobs.effects() == {job_id: 1}
    assert jobs.row(job_id)["attempts"] == 2


def test_a_worker_that_is_told_to_stop_finishes_its_jobs(jobs: Jobs) -> None:
    [runs] = jobs.add(SLEEP.new({"seconds": 2}))
    with jobs.processes(1) as [worker]:
        jobs.until_state(runs, "running")
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        [waits] = jobs.add(INSERT.new())
        assert worker.process.wait(timeout=60) == 0
    assert jobs.row(runs)["state"] == "done"
    assert jobs.row(waits)["state"] == "queued"
    assert [line["event"] for line in worker.logged() if line["event"].startswith("worker_")] == [
        "worker_started",
        "worker_draining",
        "worker_stopped",
    ]


def test_a_job_that_takes_too_long_to_finish_is_given_back(jobs: Jobs) -> None:
    [job_id, effect] = jobs.add(SLEEP.new({"seconds": 60}), INSERT.new({"steps": 1000}))
    with jobs.processes(1, JOBS_DRAIN_SECONDS="0.5") as [worker]:
        for job in (job_id, effect):
            jobs.until_state(job, "running")
        assert worker.stop() == 0
    for job in (job_id, effect):  # at once, not only when a lease has ended; and it costs no attempt
        row = jobs.row(job)
        assert (row["state"], row["attempts"], row["leased_until"]) == ("queued", 0, None)
    assert jobs.effects() == {}


def test_a_periodic_job_runs_once_a_period_however_many_workers_there_are(jobs: Jobs) -> None:
    with jobs.processes(3, TICK="2"):
        until(lambda: jobs.states("insert").get("done", 0) >= 5)
    rows = jobs.database.execute("select period, finished_at from rowhouse.jobs where name = 'insert' order by 1")
    period = timedelta(seconds=2)
    for before, after in itertools.pairwise(rows):  # only one that is not finished yet keeps the next one away
        assert after["period"] - before["period"] == period or before["finished_at"] > after["period"] - period
    done = jobs.states("insert")["done"]
    assert sum(jobs.effects().values()) >= done
    assert set(jobs.effects().values()) == {1}


def test_a_worker_waits_for_the_database(jobs: Jobs) -> None:
    with jobs.processes(1, DATABASE_URL=f"postgresql://x@127.0.0.1:{free_port()}/x") as [worker]:
        for _ in range(2):
            until(lambda: "database_not_reached" in [line["event"] for line in worker.logged()])
            time.sleep(1)
        assert worker.process.poll() is None
        assert worker.stop() == 0


def test_a_worker_serves_its_metrics(jobs: Jobs) -> None:
    port = free_port()
    [job_id] = jobs.add(INSERT.new())
    with jobs.processes(1, WORKER_METRICS_PORT=str(port)):
        jobs.until_state(job_id, "done")

        def metrics() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())

        # It is counted a moment after its row says so.
        until(lambda: 'rowhouse_job_run_seconds_count{name="insert",outcome="done"} 1.0' in metrics())
        until(lambda: re.search(r"^rowhouse_jobs_dead 0.0$", metrics(), re.MULTILINE))
        assert "rowhouse_jobs_oldest_due_seconds" in metrics()


def test_jobs_are_done_once_though_connections_to_the_database_break(jobs: Jobs) -> None:
    ids = jobs.add(*(INSERT.new({"steps": 6}) for _ in range(40)))
    with jobs.processes(2, JOBS_AT_ONCE="4"):
        until(lambda: jobs.states("insert").get("done", 0) > 0)
        for _ in range(4):
            jobs.database.execute_as_superuser(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            time.sleep(0.4)
        until(lambda: jobs.states("insert").get("done", 0) == 40, seconds=60)
    assert jobs.effects() == dict.fromkeys(ids, 1)
    tries = jobs.database.execute("select sum(attempts) from rowhouse.jobs where name = 'insert'")[0][0]
    assert tries > 40, "no job was cut off"
