"""Administrators look after jobs: by the API, and by the command."""

import os
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path
from uuid import UUID

import pytest

from service.core.types import Role
from tests.command import run_rowhouse
from tests.jobs.conftest import Jobs
from tests.jobs.job_types import FAIL, INSERT, SLEEP
from tests.service_under_test import Service, make_keys, problem_of, run_service
from tests.waiting import until

PATH = "/api/v1/-/jobs"
ANY = UUID(int=7, version=4)


def cursor_of(text: str) -> str:
    return f"cursor={urlsafe_b64encode(text.encode()).decode()}"


def die(jobs: Jobs, *ids: object) -> None:
    for job_id in ids:
        jobs.database.execute(
            "update rowhouse.jobs set state = 'dead', attempts = 3, error = 'ValueError', finished_at = now() "
            "where id = $1",
            job_id,
        )


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", f"/{ANY}"), ("POST", f"/{ANY}/retry"), ("DELETE", f"/{ANY}")]
)
def test_jobs_are_for_administrators(service: Service, method: str, path: str) -> None:
    for role, status in ((None, 401), (Role.VIEWER, 403), (Role.EDITOR, 403)):
        with service.client(role) as client:
            assert problem_of(client.request(method, f"{PATH}{path}"))["status"] == status
    if path:
        with service.client(Role.ADMIN) as client:
            unknown = problem_of(client.request(method, f"{PATH}{path}"))
            assert (unknown["status"], unknown["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    "query",
    [
        "state=lost",
        "limit=0",
        "limit=1001",
        "limit=x",
        "name=%00",
        "cursor=x",
        "cursor=%C3%A9",
        cursor_of("1"),
        cursor_of("1 x"),
        cursor_of(f"x {ANY}"),
        cursor_of(f"2026-01-01 {ANY}"),
        cursor_of(f"{10**30} {ANY}"),
        cursor_of(f"{10**18} {ANY}"),
        cursor_of(f"-{10**17} {ANY}"),
    ],
)
def test_bad_input_is_400(service: Service, jobs: Jobs, query: str) -> None:
    with service.client(Role.ADMIN) as client:
        assert problem_of(client.get(f"{PATH}?{query}"))["status"] == 400


def test_a_bad_id_is_400(service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        for answer in (client.get(f"{PATH}/x"), client.post(f"{PATH}/x/retry"), client.delete(f"{PATH}/x")):
            assert problem_of(answer)["status"] == 400


def test_jobs_are_listed_page_by_page_the_newest_first(service: Service, jobs: Jobs) -> None:
    ids = [str(job_id) for _ in range(4) for job_id in jobs.add(*(INSERT.new() for _ in range(5)))]
    jobs.add(*(SLEEP.new({"seconds": 0}) for _ in range(3)))
    seen: list[str] = []
    created: list[str] = []
    cursor = None
    with service.client(Role.ADMIN) as client:
        while cursor != "end":
            query = {"limit": "7", "name": "insert"} | ({"cursor": cursor} if cursor else {})
            page = client.get(PATH, params=query).raise_for_status().json()
            assert len(page["jobs"]) <= 7
            seen += [job["id"] for job in page["jobs"]]
            created += [job["created_at"] for job in page["jobs"]]
            cursor = page["next_cursor"] or "end"
        everything = client.get(PATH).json()
        nothing = client.get(PATH, params={"state": "dead"}).json()
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 20
    assert created == sorted(created, reverse=True)
    assert len(everything["jobs"]) == 23
    assert everything["next_cursor"] is None
    assert nothing == {"jobs": [], "next_cursor": None}


def test_a_job_is_shown_as_it_stands(service: Service, jobs: Jobs) -> None:
    [job_id] = jobs.add(INSERT.new({"steps": 1}, actor="user:ada"))
    die(jobs, job_id)
    with service.client(Role.ADMIN) as client:
        shown = client.get(f"{PATH}/{job_id}").raise_for_status().json()
        assert client.get(PATH, params={"state": "dead"}).json()["jobs"] == [shown]
    assert shown["id"] == str(job_id)
    assert shown["arguments"] == {"steps": 1}
    assert (shown["name"], shown["state"], shown["error"]) == ("insert", "dead", "ValueError")
    assert (shown["attempts"], shown["most_attempts"], shown["actor"]) == (3, 20, "user:ada")


def test_a_dead_job_is_tried_again(service: Service, jobs: Jobs) -> None:
    [job_id] = jobs.add(INSERT.new())
    with service.client(Role.ADMIN) as client:
        early = problem_of(client.post(f"{PATH}/{job_id}/retry"))
        assert (early["status"], early["code"]) == (409, "job_not_dead")
        die(jobs, job_id)
        again = client.post(f"{PATH}/{job_id}/retry").raise_for_status().json()
        assert (again["state"], again["attempts"], again["finished_at"]) == ("queued", 0, None)
        with jobs.processes(1):
            jobs.until_state(job_id, "done")
        assert problem_of(client.post(f"{PATH}/{job_id}/retry"))["status"] == 409
    assert jobs.effects() == {job_id: 1}


def test_a_dead_job_is_not_tried_again_beside_one_that_does_the_same(service: Service, jobs: Jobs) -> None:
    [dead] = jobs.add(INSERT.new(key="a"))
    die(jobs, dead)
    jobs.add(INSERT.new(key="a"))
    with service.client(Role.ADMIN) as client:
        refused = problem_of(client.post(f"{PATH}/{dead}/retry"))
    assert (refused["status"], refused["code"]) == (409, "job_unfinished")
    assert jobs.row(dead)["state"] == "dead"


def test_a_job_that_waits_is_cancelled_and_another_is_not(service: Service, jobs: Jobs) -> None:
    [waits, runs] = jobs.add(INSERT.new(), INSERT.new())
    jobs.database.execute(
        "update rowhouse.jobs set state = 'running', attempts = 1, leased_until = now() + interval '1 hour' "
        "where id = $1",
        runs,
    )
    with service.client(Role.ADMIN) as client:
        assert client.delete(f"{PATH}/{waits}").status_code == 204
        for job_id in (waits, runs):
            refused = problem_of(client.delete(f"{PATH}/{job_id}"))
            assert (refused["status"], refused["code"]) == (409, "job_not_queued")
    [other] = jobs.add(INSERT.new())
    with jobs.processes(1):
        jobs.until_state(other, "done")
    assert jobs.effects() == {other: 1}
    assert jobs.row(waits)["state"] == "cancelled"


def test_the_service_runs_jobs_inside_if_it_is_told_so_and_measures_the_queue(jobs: Jobs, tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": jobs.database.service_url,
        "DATA_DIR": str(tmp_path),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "JOBS_INSIDE": "true",
    }
    [dead] = jobs.add(FAIL.new({"times": 1}))
    die(jobs, dead)
    with run_service(environment, make_keys(jobs.database.service_url)) as service:
        until(lambda: jobs.states("delete_finished_jobs") == {"done": 1})
        until(lambda: jobs.states("delete_expired_logins") == {"done": 1})
        with service.client(Role.ADMIN) as client:
            until(lambda: "rowhouse_jobs_dead" in client.get("/metrics").text)
            text = client.get("/metrics").text
    assert "rowhouse_jobs_dead 1.0" in text
    assert 'rowhouse_job_run_seconds_count{name="delete_finished_jobs",outcome="done"} 1.0' in text


def test_what_is_no_longer_needed_is_deleted(jobs: Jobs) -> None:
    [old, new, waits] = jobs.add(INSERT.new(), INSERT.new(), INSERT.new())
    jobs.database.execute(
        "update rowhouse.jobs set state = 'done', finished_at = now() - case id when $1 then interval '8 days' "
        "else interval '6 days' end where id <> $2",
        old,
        waits,
    )
    jobs.database.execute("update rowhouse.jobs set created_at = now() - interval '1 year' where id = $1", waits)
    user = jobs.database.execute(
        "insert into rowhouse.users (email, password_hash, role) values ('login@example.com', 'x', 'viewer') "
        "returning id"
    )[0][0]
    for hours in (1, -1):
        jobs.database.execute(
            "insert into rowhouse.refresh_tokens (token_hash, family, user_id, expires_at) "
            "values ($1, gen_random_uuid(), $2, now() + $3 * interval '1 hour')",
            str(hours).encode(), user, hours,
        )  # fmt: skip
    with jobs.processes(1):
        until(lambda: jobs.states("delete_finished_jobs") == {"done": 1})
        until(lambda: jobs.states("delete_expired_logins") == {"done": 1})
    left = {row["id"] for row in jobs.database.execute("select id from rowhouse.jobs where name = 'insert'")}
    tokens = [
        row[0]
        for row in jobs.database.execute("select token_hash from rowhouse.refresh_tokens where user_id = $1", user)
    ]
    jobs.database.execute("delete from rowhouse.users where id = $1", user)
    assert left == {new, waits}
    assert tokens == [b"1"]


def rowhouse(jobs: Jobs, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": jobs.database.service_url, "COLUMNS": "80"}
    return run_rowhouse(environment, *arguments)


def test_the_command_lists_jobs_in_80_columns(jobs: Jobs) -> None:
    [dead, queued] = jobs.add(INSERT.new(), SLEEP.new({"seconds": 0}))
    die(jobs, dead)
    jobs.database.execute(
        "update rowhouse.jobs set name = 'delete_what_is_no_longer_needed', error = $2 where id = $1",
        dead,
        "DatabaseUnavailable: " + "The database cannot be reached. " * 4,
    )
    shown = rowhouse(jobs, "jobs")
    assert shown.returncode == 0, shown.stderr
    assert max(len(line.rstrip()) for line in shown.stdout.splitlines()) <= 80
    assert str(dead) in shown.stdout
    assert "delete_what_is_no_longer_needed" in shown.stdout
    assert str(queued) in shown.stdout
    assert str(queued) not in rowhouse(jobs, "jobs", "--state", "dead").stdout
    assert "is not one of" in rowhouse(jobs, "jobs", "--state", "lost").stderr


def test_the_command_tries_dead_jobs_again(jobs: Jobs) -> None:
    [first, second, waits] = jobs.add(INSERT.new(), INSERT.new(), INSERT.new())
    die(jobs, first, second)
    again = rowhouse(jobs, "jobs", "retry", str(first), str(second))
    assert again.returncode == 0, again.stderr
    assert again.stderr.splitlines() == [f"Queued insert {first}.", f"Queued insert {second}."]
    assert [(jobs.row(one)["state"], jobs.row(one)["attempts"]) for one in (first, second)] == [("queued", 0)] * 2
    refused = rowhouse(jobs, "jobs", "retry", str(waits))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "rowhouse: The job is queued: only a dead one can be tried again.\n"
    assert "There is no such job" in rowhouse(jobs, "jobs", "retry", str(ANY)).stderr
    assert rowhouse(jobs, "jobs", "retry", "x").returncode == 2


def test_the_command_cancels_jobs_that_wait(jobs: Jobs) -> None:
    [waits, dead] = jobs.add(INSERT.new(), INSERT.new())
    die(jobs, dead)
    assert rowhouse(jobs, "jobs", "cancel", str(waits)).stderr == f"Cancelled {waits}.\n"
    assert jobs.row(waits)["state"] == "cancelled"
    assert "only one that waits can be cancelled" in rowhouse(jobs, "jobs", "cancel", str(dead)).stderr


def test_the_commands_explain_themselves(jobs: Jobs) -> None:
    assert "JOBS_DRAIN_SECONDS" in rowhouse(jobs, "worker", "--help").stdout
    assert "dead" in rowhouse(jobs, "jobs", "--help").stdout
