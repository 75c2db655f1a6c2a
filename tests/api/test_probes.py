"""Probes tell the truth: where there is no database yet, and where it is slow, full, gone, a standby, or behind."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx2
import pytest

from service.api import standing
from service.core.types import Role
from service.db import migrations
from service.db.connections import brief_connection
from service.db.embedded import EmbeddedPostgres
from service.db.migrations import Branch
from service.db.probe import DatabaseProbe
from tests.conftest import Database
from tests.events.client import following
from tests.postgres import start_postgres
from tests.service_under_test import Service, make_keys, problem_of, run_service
from tests.slow_line import slow_line
from tests.standby import standby_of, url_of
from tests.waiting import until

_CHANGES = "/api/v1/airlines/-/changes"
_SECRET = {"JWT_SECRET": "x" * 40, "LOG_LEVEL": "ERROR", "CREDENTIAL_CACHE_SECONDS": "0"}


def status_of(client: httpx2.Client, path: str) -> int:
    return client.get(path).status_code


def test_before_the_database_was_reached_it_lives_but_has_not_begun() -> None:
    with run_service(_SECRET | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}) as service:
        with service.client(None) as client:
            seen = {path: status_of(client, path) for path in ("/livez", "/startupz", "/readyz", "/health")}
            assert client.get("/health").json() == {"status": "unavailable", "reason": None, "detail": None}
            assert status_of(client, "/") < 400
            assert "not reached" in client.get("/startupz").json()["reason"]
    assert seen == {"/livez": 200, "/startupz": 503, "/readyz": 503, "/health": 503}


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.EDITOR])
def test_health_tells_others_than_administrators_its_status_alone(service: Service, role: Role | None) -> None:
    with service.client(role) as client:
        assert client.get("/health").json() == {"status": "ok", "reason": None, "detail": None}


def test_health_tells_administrators_how_its_parts_are(service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        detail = client.get("/health").json()["detail"]
    assert detail["database"]["milliseconds"] > 0
    assert detail["database"]["role"] == "primary"
    assert detail["database"]["revisions"] == sorted(migrations.head(branch) for branch in Branch)
    assert detail["database"]["pending"] == []
    assert detail["pool"]["most"] == 16
    assert detail["feed"]["is_following"]
    assert detail["tables"] >= 5
    assert not detail["is_draining"]


def test_an_invalid_credential_is_told_so_by_health_too(service: Service) -> None:
    with service.client(None, **{"X-API-Key": "rh_wrong"}) as client:
        assert problem_of(client.get("/health"))["status"] == 401


def test_a_database_that_answers_after_more_than_two_seconds_is_not_ready(
    database: Database, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    database.execute_as_superuser("alter role rowhouse_service password null")  # the line needs none
    with slow_line(postgres.socket_dir) as line:
        line.seconds = 0.0
        with run_service(_SECRET | {"DATABASE_URL": line.url("rowhouse_service", database.name)}) as service:
            with service.client(None) as client:
                assert status_of(client, "/readyz") == 200
                line.seconds = 15
                until(lambda: status_of(client, "/readyz") == 503)
                started = time.monotonic()
                assert status_of(client, "/livez") == status_of(client, "/startupz") == 200
                assert time.monotonic() - started < line.seconds  # they did not ask it
                assert "within 2 seconds" in client.get("/readyz").json()["reason"]
                line.seconds = 0.0
                until(lambda: status_of(client, "/readyz") == 200)


def test_many_probes_at_once_are_one_look(database: Database) -> None:
    async def run() -> tuple[set[int], bool]:
        probe = DatabaseProbe(lambda: asyncpg.connect(database.service_url))
        try:
            sights = await asyncio.gather(*(probe.look() for _ in range(100)))
            later = await probe.look()
        finally:
            await probe.close()
        return {id(sight) for sight in sights}, later is sights[0]

    looks, is_kept = asyncio.run(run())
    assert len(looks) == 1
    assert is_kept


def test_a_pool_whose_connections_are_all_busy_takes_nothing_out_of_rotation(
    database: Database, keys: dict[Role, str]
) -> None:
    environment = _SECRET | {"DATABASE_URL": database.service_url, "POOL_MAX_SIZE": "1", "POOL_TIMEOUT": "20"}

    async def hold(is_held: asyncio.Event, ends: asyncio.Event) -> None:
        connection = await asyncpg.connect(database.owner_url)
        async with connection.transaction():
            await connection.execute("lock table airlines in access exclusive mode")
            is_held.set()
            await ends.wait()
        await connection.close()

    with run_service(environment, keys) as service, service.client(Role.ADMIN) as client:
        assert status_of(client, "/api/v1/airlines/UA") == 200
        with ThreadPoolExecutor() as threads, asyncio.Runner() as runner:
            held, ends = asyncio.Event(), asyncio.Event()
            loop = runner.get_loop()
            holding = threads.submit(runner.run, hold(held, ends))
            until(held.is_set)
            waiting = [threads.submit(client.get, "/api/v1/airlines/UA") for _ in range(3)]
            try:
                until(lambda: service.state.connected().pool.waiting() == 2)
                assert status_of(client, "/readyz") == 200
                assert client.get("/health").json()["detail"]["pool"] == {
                    "open": 1, "idle": 0, "waiting": 2, "most": 1
                }  # fmt: skip
            finally:
                loop.call_soon_threadsafe(ends.set)
                holding.result()
            assert [answer.result().status_code for answer in waiting] == [200] * 3


def test_migrations_that_are_pending_later_are_found_later(database: Database, service: Service) -> None:
    at = [row[0] for row in database.execute("select version_num from rowhouse.alembic_version")]
    head = migrations.head(Branch.ROWHOUSE)
    with service.client(Role.ADMIN) as client:
        assert status_of(client, "/readyz") == 200
        database.execute("delete from rowhouse.alembic_version")
        try:
            until(lambda: status_of(client, "/readyz") == 503)
            assert "rowhouse migrate" in client.get("/readyz").json()["reason"]
            assert client.get("/health").json()["detail"]["database"]["pending"][-1] == head
            assert status_of(client, "/startupz") == status_of(client, "/livez") == 200
        finally:
            database.execute("insert into rowhouse.alembic_version select unnest($1::text[])", at)
        until(lambda: status_of(client, "/readyz") == 200)


def test_without_its_follower_it_is_not_ready(
    database: Database, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "_FOLLOWER_SECONDS", 0.4)
    database.execute("alter function rowhouse.begin_life() rename to begin_no_life")
    try:
        with service.client(None) as client:
            until(lambda: status_of(client, "/readyz") == 200)
            database.execute_as_superuser(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = $1 and application_name = 'rowhouse' and pid <> pg_backend_pid()",
                database.name,
            )
            until(lambda: status_of(client, "/readyz") == 503)
            assert "follower" in client.get("/readyz").json()["reason"]
    finally:
        database.execute("alter function rowhouse.begin_no_life() rename to begin_life")
    with service.client(None) as client:
        until(lambda: status_of(client, "/readyz") == 200)


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = asyncio.run(start_postgres(tmp_path / "data"))
    asyncio.run(migrations.migrate(server.owner_url, (Branch.ROWHOUSE, Branch.TABLES)))
    yield server
    server.release()


def _let_in(folder: Path) -> None:
    """PostgreSQL, which is another user where tests are root's."""
    if os.geteuid() == 0:
        for one in (folder, *folder.parents[:2]):
            one.chmod(0o755)


async def _ask(url: str, query: str) -> object:
    async with brief_connection(url) as connection:
        return await connection.fetchval(query)


def test_a_standby_is_read_and_says_clearly_that_it_takes_no_writes(
    primary: EmbeddedPostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _let_in(tmp_path)
    keys = make_keys(primary.service_url)
    with standby_of(primary, tmp_path) as standby:
        environment = _SECRET | {"DATABASE_URL": url_of(standby), "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json"}
        with run_service(environment, keys) as service:
            with service.client(Role.ADMIN) as client:
                assert status_of(client, "/readyz") == 200
                assert client.get("/health").json()["detail"]["database"]["role"] == "standby"
                assert client.get("/api/v1/airlines").json() == []
                refused = [
                    client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x"}),
                    client.patch("/api/v1/airlines/UA", json={"name": "x"}),
                    client.delete("/api/v1/airlines/UA"),
                    client.post(
                        "/api/v1/-/batch",
                        json={
                            "operations": [
                                {"method": "POST", "path": "/airlines", "body": {"carrier": "_1", "name": "x"}}
                            ]
                        },
                    ),
                    client.post("/api/v1/-/tickets"),
                ]
            with service.client(None) as client:
                refused.append(client.post("/api/v1/-/auth/token", data={"username": "a", "password": "b"}))
    assert [problem_of(answer)["code"] for answer in refused] == ["read_only_database"] * len(refused)
    assert {answer.status_code for answer in refused} == {503}
    assert all("retry-after" in answer.headers for answer in refused)
    said = [line for line in capsys.readouterr().out.splitlines() if "not_listening" in line]
    assert len(said) == 1, "PostgreSQL refuses LISTEN there, which is told once"
    assert json.loads(said[0])["reason"] == "ReadOnlySQLTransactionError"


def test_a_standby_has_no_feed_until_it_is_promoted(
    primary: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written while a standby is looked at would be missing."""
    _let_in(tmp_path)
    keys = make_keys(primary.service_url)
    asyncio.run(_ask(primary.owner_url, "select rowhouse.begin_life()"))  # so that a follower there would find one
    with standby_of(primary, tmp_path) as standby:
        environment = _SECRET | {"DATABASE_URL": url_of(standby), "FEED_POLL_SECONDS": "0.1"}
        with run_service(environment, keys) as service, service.client(Role.ADMIN) as client:
            until(lambda: not client.get("/health").json()["detail"]["feed"]["is_following"])
            for query in ("", "?snapshot=true"):
                refused = client.get(f"{_CHANGES}{query}", headers={"Accept": "text/event-stream"})
                assert (refused.status_code, problem_of(refused)["code"]) == (503, "standby")
            monkeypatch.setattr(standing, "_FOLLOWER_SECONDS", 0.1)
            time.sleep(1)
            assert status_of(client, "/readyz") == 200
            assert asyncio.run(_ask(url_of(standby, "postgres"), "select pg_promote()"))
            until(lambda: client.get(_CHANGES).status_code == 200)
            with following(service, _CHANGES) as feed:
                feed.next("up-to-date")
                client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x"}).raise_for_status()
                assert feed.change()["key"] == {"carrier": "_1"}
