"""Imports that a worker runs: `Prefer: respond-async`."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.imports.conftest import CSV, rows_of
from tests.service_under_test import Service, problem_of, run_service

ASYNC = CSV | {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def working(database: Database, tables: None, service: Service, shared_folder: Path) -> Iterator[Service]:
    """The service with a worker inside, which finds none of the imports that others asked for."""
    database.execute("delete from rowhouse.jobs where name = 'import_rows'")
    database.execute("delete from rowhouse.import_chunks")
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "JOBS_INSIDE": "true",
    }
    with run_service(environment, service.keys) as running:
        yield running


@pytest.fixture
def client(working: Service, editor: httpx2.Client) -> Iterator[httpx2.Client]:
    with working.client(Role.EDITOR) as client:
        yield client


def ended(client: httpx2.Client, answer: httpx2.Response) -> dict[str, Any]:
    """The job of an answer, once it has ended."""
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + 60
    while True:
        job: dict[str, Any] = client.get(answer.headers["location"]).json()
        if job["state"] in ("done", "dead"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def test_a_job_imports_once_and_tells_its_owner(client: httpx2.Client, database: Database) -> None:
    body = "id,note\n" + "".join(f"{number},x\n" for number in range(300_000))
    answer = client.post("/api/v1/readings", content=body, headers=ASYNC)
    assert answer.headers["preference-applied"] == "respond-async"
    job = ended(client, answer)
    assert job["state"] == "done", job
    assert (job["result"]["inserted"], job["progress"], job["attempts"]) == (300_000, 1.0, 1)
    assert job["details"]["phase"] in ("reading", "writing")
    assert rows_of(database, "select count(*) from readings") == [(300_000,)]
    assert rows_of(database, "select count(*) from rowhouse.import_chunks") == [(0,)]
    ((actor,),) = rows_of(
        database, f"select distinct actor from rowhouse.changes where request = '{answer.headers['x-request-id']}'"
    )
    assert str(actor).startswith("key:test editor#")


def test_what_cannot_be_imported_is_told_and_not_tried_again(client: httpx2.Client, database: Database) -> None:
    job = ended(client, client.post("/api/v1/readings", content="id\n1\nx\n", headers=ASYNC))
    assert (job["state"], job["attempts"], job["result"]["code"]) == ("dead", 1, "22P02")
    assert job["result"]["errors"] == [
        {"field": "id", "message": 'invalid input syntax for type integer: "x"', "row": 3}
    ]
    many = ended(
        client,
        client.post(
            "/api/v1/readings", content="id\n1\nx\ny\n", headers=CSV | {"Prefer": "respond-async, max-rejected=1"}
        ),
    )
    assert [one["row"] for one in many["result"]["rejected"]] == [3, 4]
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_all_that_an_import_can_do_a_job_can(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into readings (id, note) values (1, 'a'), (2, 'b')")
    prefer = "respond-async, resolution=merge-duplicates, max-rejected=3"
    merged = ended(
        client, client.post("/api/v1/readings", content="id,note\n1,A\nx,\n3,c\n", headers=CSV | {"Prefer": prefer})
    )
    tried = ended(
        client,
        client.post(
            "/api/v1/readings",
            content="id\n9\n",
            headers=CSV | {"Prefer": "respond-async, tx=rollback, resolution=replace"},
        ),
    )
    assert (merged["result"]["inserted"], merged["result"]["updated"], merged["result"]["rejected"][0]["row"]) == (
        1,
        1,
        3,
    )
    assert (tried["result"]["kept"], tried["result"]["deleted"]) == (False, 3)
    assert rows_of(database, "select id, note from readings order by id") == [(1, "A"), (2, "b"), (3, "c")]


def test_nobody_else_sees_the_job(working: Service, client: httpx2.Client) -> None:
    answer = client.post("/api/v1/readings", content="id\n1\n", headers=ASYNC)
    with working.client(Role.VIEWER) as viewer, working.client(Role.ADMIN) as admin, working.client(None) as anonymous:
        statuses = [one.get(answer.headers["location"]).status_code for one in (viewer, admin, anonymous)]
        absent = viewer.get("/api/v1/-/jobs/00000000-0000-0000-0000-000000000000")
    ended(client, answer)
    assert statuses == [403, 200, 401]
    assert absent.status_code == 403


def test_bodies_that_nobody_will_import_are_deleted(
    working: Service, client: httpx2.Client, database: Database
) -> None:
    database.execute("insert into rowhouse.import_chunks (body, number, data) values (gen_random_uuid(), 0, '\\x00')")
    database.execute("delete from rowhouse.jobs where name = 'delete_import_bodies'")
    database.execute(
        "insert into rowhouse.jobs (name, arguments, most_attempts) values ('delete_import_bodies', '{}', 5)"
    )
    deadline = time.monotonic() + 60
    while rows_of(database, "select count(*) from rowhouse.import_chunks") != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_body_that_breaks_off_leaves_no_job(working: Service, client: httpx2.Client, database: Database) -> None:
    before = rows_of(database, "select count(*) from rowhouse.jobs where name = 'import_rows'")

    def broken() -> Iterator[bytes]:
        yield b"id\n1\n"
        raise RuntimeError("the caller's disk")

    with pytest.raises(RuntimeError):
        client.post("/api/v1/readings", content=broken(), headers=ASYNC)
    time.sleep(0.3)
    assert rows_of(database, "select count(*) from rowhouse.jobs where name = 'import_rows'") == before
    assert rows_of(database, "select count(*) from rowhouse.import_chunks") == [(0,)]


def test_one_caller_has_only_so_many_at_once(service: Service, editor: httpx2.Client, database: Database) -> None:
    database.execute(
        "insert into rowhouse.jobs (name, arguments, most_attempts, actor, run_after) "
        "select 'import_rows', '{\"body\": \"none\"}', 5, $1, now() + interval '1 hour' from generate_series(1, 4)",
        _actor(database, service),
    )
    try:
        refused = editor.post("/api/v1/readings", content="id\n1\n", headers=ASYNC)
    finally:
        database.execute("delete from rowhouse.jobs where arguments ->> 'body' = 'none'")
    assert (refused.status_code, problem_of(refused)["code"]) == (429, "too_many_requests")
    assert "retry-after" in refused.headers


def _actor(database: Database, service: Service) -> str:
    key = service.keys[Role.EDITOR]
    (row,) = database.execute(
        "select 'key:' || name || '#' || prefix as actor from rowhouse.api_keys where starts_with($1, prefix || '_')",
        key,
    )
    return str(row["actor"])


def test_a_job_whose_owner_is_gone_writes_nothing(working: Service, client: httpx2.Client, database: Database) -> None:
    async def revoke_first() -> dict[str, Any]:
        holding = await asyncpg.connect(database.owner_url)
        try:
            # The job cannot be claimed as long as its row is locked.
            await holding.execute("begin; lock table rowhouse.jobs in exclusive mode")
            posting = asyncio.create_task(
                asyncio.to_thread(client.post, "/api/v1/readings", content="id\n1\n", headers=ASYNC)
            )
            await asyncio.sleep(0.3)
            await holding.execute("update rowhouse.api_keys set role = 'viewer' where name = 'test editor'")
            await holding.execute("commit")
            answer = await posting
            deadline = time.monotonic() + 60
            while True:
                row = await holding.fetchrow(
                    "select state, error from rowhouse.jobs where id = $1::text::uuid", answer.json()["id"]
                )
                assert row is not None
                if row["state"] in ("done", "dead"):
                    return dict(row)
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        finally:
            await holding.execute("update rowhouse.api_keys set role = 'editor' where name = 'test editor'")
            await holding.close()

    job = asyncio.run(revoke_first())
    assert job["state"] == "dead"
    assert "no longer" in job["error"]
    assert rows_of(database, "select count(*) from readings") == [(0,)]
