"""The catalog is read again on a command, a NOTIFY and SIGHUP, while requests go on."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import AbstractContextManager

import asyncpg
import httpx2
import pytest

from deploy.ports import free_port
from service import state
from service.catalog.catalog import Catalog
from service.catalog.reload import Reloader
from service.core.types import Role
from service.db.listen import Listener
from service.state import ServiceState
from tests.api.test_operations import is_up
from tests.cli.test_commands import rowhouse
from tests.conftest import Database
from tests.service_under_test import Service, problem_of, run_service
from tests.waiting import until

NOTES = "/api/v1/notes"


@pytest.fixture
def notes(database: Database) -> Iterator[None]:
    database.execute("create table notes (id int primary key, text text)")
    database.execute("grant select, insert on notes to rowhouse_service")
    yield
    database.execute("drop table notes")


def serving(database: Database, keys: dict[Role, str]) -> AbstractContextManager[Service]:
    return run_service({"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40}, keys)


@pytest.fixture
def before(database: Database, keys: dict[Role, str]) -> Iterator[Service]:
    """A service that has read the catalog before there were any notes."""
    with serving(database, keys) as running:
        yield running


def test_a_new_table_and_column_are_served_after_a_reload(before: Service, notes: None, database: Database) -> None:
    with before.client(Role.ADMIN) as client:
        assert client.get(NOTES).status_code == 404
        assert rowhouse(database, "reload").returncode == 0
        until(lambda: client.get(NOTES).status_code == 200)
        database.execute("alter table notes add colour text default 'red'")
        database.execute("notify rowhouse_reload")
        until(lambda: client.get(f"{NOTES}?select=colour").status_code == 200)


def test_a_table_that_is_made_while_a_service_starts_is_served(
    database: Database, keys: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ServiceState._read_database

    async def made_meanwhile(state: ServiceState) -> Catalog:
        catalog = await read(state)
        monkeypatch.undo()
        made = "create table notes (id int primary key, text text); grant select on notes to rowhouse_service"
        await asyncio.to_thread(database.execute_script, f"{made}; notify rowhouse_reload")
        return catalog

    monkeypatch.setattr(ServiceState, "_read_database", made_meanwhile)
    try:
        with serving(database, keys) as running, running.client(Role.ADMIN) as client:
            until(lambda: client.get(NOTES).status_code == 200)
    finally:
        database.execute("drop table if exists notes")


def test_it_reads_once_at_its_start_for_it_listens_before(
    database: Database, keys: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[tuple[Reloader, str]] = []
    read, ask = ServiceState._read_database, Reloader.ask

    def reading(state: ServiceState) -> Awaitable[Catalog]:
        did.append((state.reloader, "reads"))
        return read(state)

    def asking(reloader: Reloader) -> None:
        did.append((reloader, "is asked"))
        ask(reloader)

    monkeypatch.setattr(ServiceState, "_read_database", reading)
    monkeypatch.setattr(Reloader, "ask", asking)
    with serving(database, keys) as running:
        database.execute("notify rowhouse_reload")
        until(lambda: did.count((running.state.reloader, "reads")) >= 2)
        of_this = [what for who, what in did if who is running.state.reloader]  # others listen, too
    assert of_this == ["is asked", "reads", "is asked", "reads"]


def test_who_comes_to_listen_late_reads_again(
    database: Database, keys: dict[Role, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    listen, is_late = Listener._listen, threading.Event()

    async def late(listener: Listener) -> None:
        await asyncio.to_thread(is_late.wait, 60)
        await listen(listener)

    monkeypatch.setattr(Listener, "_listen", late)
    monkeypatch.setattr(state, "_LISTEN_SECONDS", 0.1)
    with serving(database, keys) as running, running.client(Role.ADMIN) as client:
        try:
            request.getfixturevalue("notes")
            assert client.get(NOTES).status_code == 404
        finally:
            is_late.set()
        until(lambda: client.get(NOTES).status_code == 200)


def test_a_table_that_could_not_be_read_is_read_later(
    before: Service, notes: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[ServiceState] = []
    read = ServiceState._read_database

    async def failing(state: ServiceState) -> Catalog:
        tries.append(state)
        if tries.count(state) < 3:
            raise asyncpg.TooManyConnectionsError("sorry, too many clients already")
        return await read(state)

    monkeypatch.setattr(ServiceState, "_read_database", failing)
    database.execute("notify rowhouse_reload")
    with before.client(Role.ADMIN) as client:
        until(lambda: client.get(NOTES).status_code == 200)
    assert tries.count(before.state) == 3


def test_no_request_fails_while_the_catalog_is_read_again(before: Service, database: Database) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with before.client(Role.VIEWER) as client:
            while not stop.is_set():
                statuses.append(client.get("/api/v1/flights?select=id,airline(name)&limit=1").status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = [before.state.connected().catalog]  # kept, so that no new one takes the place of an old one in memory
    for _ in range(5):
        database.execute("notify rowhouse_reload")
        until(lambda: before.state.connected().catalog is not seen[-1])
        seen.append(before.state.connected().catalog)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_a_table_that_has_just_gone_is_never_an_error_of_ours(before: Service, database: Database) -> None:
    """It is dropped and made again, with and without a column, while all kinds of requests name it."""
    answers: set[tuple[str, int, str]] = set()
    stop = threading.Event()

    def ask(method: str, path: str) -> None:
        with before.client(Role.ADMIN) as client:
            while not stop.is_set():
                body = {"id": 1, "text": "x"} if method == "POST" else None
                answer = client.request(method, f"{NOTES}{path}", json=body)
                code = problem_of(answer)["code"] if answer.status_code >= 400 else ""
                answers.add((method, answer.status_code, code))

    asked = [("GET", "?select=id,text&order=text"), ("GET", "/1"), ("POST", ""), ("DELETE", "?text=eq.x")]
    threads = [threading.Thread(target=ask, args=request) for request in asked]
    for thread in threads:
        thread.start()
    try:
        for number in range(12):
            column = "text" if number % 3 else "other"
            made = f"create table notes (id int primary key, {column} text); grant all on notes to rowhouse_service;"
            database.execute(f"do $$ begin {made} end $$")
            database.execute("notify rowhouse_reload")
            time.sleep(0.3)
            database.execute("drop table notes")
            if number % 2:
                database.execute("notify rowhouse_reload")
                time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        database.execute("drop table if exists notes")
    assert {status for _, status, _ in answers} >= {200, 404}
    # 405: it was read while it was made, before anybody had a right to it.
    assert {status for _, status, _ in answers} <= {200, 201, 204, 400, 404, 405, 409, 503}, answers


def test_a_lost_listener_comes_back_and_looks_again(before: Service, notes: None, database: Database) -> None:
    database.execute_as_superuser(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%' and datname = $1",
        database.name,
    )
    with before.client(Role.ADMIN) as client:
        until(lambda: client.get(NOTES).status_code == 200)


@pytest.mark.parametrize("listens", [True, False])
def test_sighup_reloads(database: Database, keys: dict[Role, str], listens: bool) -> None:
    """Also where nothing can be listened to, as on a standby."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database.service_url, "PORT": str(port)}
    if not listens:
        environment["LISTEN_DATABASE_URL"] = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    process = subprocess.Popen(
        [sys.executable, "-c", "from service.cli.main import run; run()", "serve"],
        env=environment | {"JWT_SECRET": "s" * 40}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    headers = {"X-API-Key": keys[Role.ADMIN]}
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            until(lambda: is_up(client))
            database.execute("create table later (id int primary key)")
            database.execute("grant select on later to rowhouse_service")
            process.send_signal(signal.SIGHUP)
            until(lambda: client.get("/api/v1/later").status_code == 200)
    finally:
        process.terminate()
        process.wait(timeout=60)
        database.execute("drop table later")
