"""Bodies that break off, callers that leave, and imports that hold others up: nothing is left of them."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.imports.conftest import CSV, rows_of
from tests.service_under_test import Service, problem_of, run_service

HEAD = "POST /api/v1/readings HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: text/csv\r\n{length}\r\n\r\n"
_STAGING = (
    "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' "
    "and query like 'COPY %rowhouse_import%' and pid <> pg_backend_pid()"
)
_WRITING = (
    "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' "
    "and query ilike '%insert into%rowhouse_import%' and pid <> pg_backend_pid()"
)


@pytest.fixture
def connection(service: Service, editor: httpx2.Client) -> Iterator[socket.socket]:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
        yield raw


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def copying(database: Database) -> int:
    """How many imports are being copied; only a superuser sees what others do."""
    return int(database.execute_as_superuser(_STAGING)[0][0])


def busy(service: Service) -> int:
    assert service.state.runtime is not None
    size, idle = service.state.runtime.pool.sizes()
    return size - idle


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_caller_who_leaves_amid_the_body_leaves_nothing(
    service: Service, database: Database, connection: socket.socket, length: str
) -> None:
    part = b"id,note\n" + b"".join(b"%d,x\n" % number for number in range(5000))
    sent = b"%x\r\n%b\r\n" % (len(part), part) if "chunked" in length else part
    connection.sendall(HEAD.format(key=service.keys[Role.EDITOR], length=length).encode() + sent)
    until(lambda: copying(database) == 1, "nothing is copied")
    connection.close()
    until(lambda: copying(database) == 0 and busy(service) == 0, "the copy goes on")
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_a_chunk_that_breaks_off_is_refused(service: Service, database: Database, connection: socket.socket) -> None:
    head = HEAD.format(key=service.keys[Role.EDITOR], length="Transfer-Encoding: chunked")
    connection.sendall(head.encode() + b"9\r\nid\n1\n2\n3\n\r\nnot a length\r\n")
    assert connection.recv(4096)[:12] in (b"HTTP/1.1 400", b"")
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_a_caller_who_leaves_while_rows_are_written_ends_the_statement(
    service: Service, database: Database, connection: socket.socket
) -> None:
    """Another transaction holds the key, so that the insert waits."""
    body = b"id\n1\n2\n"
    head = HEAD.format(key=service.keys[Role.EDITOR], length=f"Content-Length: {len(body)}")

    def writing() -> int:
        return int(database.execute_as_superuser(_WRITING)[0][0])

    async def hold() -> None:
        other = await asyncpg.connect(database.owner_url)
        try:
            await other.execute("begin; insert into readings (id) values (2)")
            connection.sendall(head.encode() + body)
            await asyncio.to_thread(until, lambda: writing() == 1, "nothing waits")
            connection.close()
            await asyncio.to_thread(until, lambda: writing() == 0 and busy(service) == 0, "the insert goes on")
        finally:
            await other.close()

    asyncio.run(hold())
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_too_many_imports_at_once_are_told_to_come_back_and_others_are_served(
    service: Service, editor: httpx2.Client, database: Database
) -> None:
    address = urlsplit(service.url)
    head = HEAD.format(key=service.keys[Role.EDITOR], length="Content-Length: 1000").encode()
    held = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(2)]
    for one in held:
        one.sendall(head + b"id\n1\n")
    until(lambda: copying(database) == 2, "nothing is copied")
    refused = editor.post("/api/v1/readings", content="id\n9\n", headers=CSV)
    served = editor.get("/api/v1/readings")
    for one in held:
        one.close()
    assert (refused.status_code, problem_of(refused)["code"]) == (503, "imports_busy")
    assert int(refused.headers["retry-after"]) > 0
    assert served.status_code == 200
    until(lambda: busy(service) == 0, "a connection is held")


def test_a_body_over_the_limit_is_refused(service: Service, editor: httpx2.Client, connection: socket.socket) -> None:
    length = service.state.settings.imports.import_max_bytes + 1
    head = HEAD.format(key=service.keys[Role.EDITOR], length=f"Content-Length: {length}")
    connection.sendall(head.encode())
    assert connection.recv(4096)[:12] == b"HTTP/1.1 413"


def test_a_connection_that_breaks_is_told_and_leaves_nothing(
    service: Service, database: Database, connection: socket.socket
) -> None:
    head = HEAD.format(key=service.keys[Role.EDITOR], length="Content-Length: 1000")
    connection.sendall(head.encode() + b"id\n1\n")
    until(lambda: copying(database) == 1, "nothing is copied")
    database.execute_as_superuser(_STAGING.replace("count(*)", "pg_terminate_backend(pid)"))
    time.sleep(0.2)
    connection.sendall(b"2\n" * 100)
    assert connection.recv(4096)[:12] == b"HTTP/1.1 503"
    until(lambda: busy(service) == 0, "a connection is held")
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_an_import_may_take_longer_than_a_statement_of_a_request(
    service: Service, editor: httpx2.Client, database: Database, shared_folder: Path
) -> None:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "STATEMENT_TIMEOUT": "0.5",
    }
    database.execute(
        "create function linger() returns trigger language plpgsql as 'begin perform pg_sleep(6); return new; end'"
    )
    database.execute("create trigger linger before insert on readings for each row execute function linger()")
    try:
        with run_service(environment, service.keys) as hasty, hasty.client(Role.EDITOR) as client:
            answer = client.post("/api/v1/readings", content="id\n1\n", headers=CSV)
    finally:
        database.execute("drop trigger linger on readings")
        database.execute("drop function linger()")
    assert (answer.status_code, answer.json()["inserted"]) == (201, 1)


def test_an_import_that_takes_too_long_is_stopped(
    service: Service, editor: httpx2.Client, database: Database, shared_folder: Path
) -> None:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "IMPORT_TIMEOUT": "1",
        "IMPORT_MAX_BYTES": "2000",
    }
    address = None
    with run_service(environment, service.keys) as hasty:
        address = urlsplit(hasty.url)
        head = HEAD.format(key=service.keys[Role.EDITOR], length="Content-Length: 1000")
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            raw.sendall(head.encode() + b"id\n1\n")
            assert raw.recv(4096)[:12] == b"HTTP/1.1 422"
        with hasty.client(Role.EDITOR) as client:
            large = client.post("/api/v1/readings", content=iter([b"id\n"] + [b"1\n" * 500] * 4), headers=CSV)
            assert (large.status_code, problem_of(large)["code"]) == (413, "body_too_large")
    assert rows_of(database, "select count(*) from readings") == [(0,)]
