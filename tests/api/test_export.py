"""Whole tables as files: complete or visibly broken, as far as the caller may see, and never at the others' cost."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service
from tests.waiting import until

FORMATS = ("csv", "ndjson", "columns", "arrow", "parquet")
_PREPARE = (
    "create table exported (id integer primary key, owner text not null, secret text)",
    "insert into exported select n, case when n % 2 = 0 then 'even' else 'odd' end, 's' || n"
    " from generate_series(1, 10) n",
    "create view slow as select n as id, pg_sleep(0.01)::text as waited from (select generate_series(1, 100000) n) s",
    "create view breaking as select n as id, repeat('x', 200) as word, 10 / (190000 - n) as part"
    " from (select generate_series(1, 200000) n) s",
    "create view endless as select n as id, repeat('x', 1000) as word from (select generate_series(1, 100000000) n) s",
    "grant select on exported, slow, breaking, endless to rowhouse_service",
)
_UNDO = ("drop view slow, breaking, endless", "drop table exported", "notify rowhouse_reload")


@pytest.fixture(scope="module")
def prepared(database: Database) -> Iterator[None]:
    for statement in _PREPARE:
        database.execute(statement)

    async def grant(session: AsyncSession) -> None:
        await accounts.grant(session, Role.VIEWER, "exported", [Action.READ], "owner=eq.odd")

    in_session(database.service_url, grant)
    yield

    async def revoke(session: AsyncSession) -> None:
        await accounts.revoke_grant(session, Role.VIEWER, "exported", [Action.READ])

    in_session(database.service_url, revoke)
    for statement in _UNDO:
        database.execute(statement)


@pytest.fixture(scope="module")
def served(prepared: None, database: Database, keys: dict[Role, str], shared_folder: Path) -> Iterator[Service]:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "EXPORT_CONNECTIONS": "2",
        "EXPORT_IDLE_SECONDS": "3",
        "POOL_TIMEOUT": "0.5",
    }
    with run_service(environment, keys) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Service) -> Iterator[httpx2.Client]:
    with served.client(Role.ADMIN) as client:
        yield client


def _running(database: Database) -> int:
    """Exports that PostgreSQL is at."""
    found = database.execute_as_superuser(
        "select count(*) from pg_stat_activity where datname = $1 and state <> 'idle' and query ilike 'copy (%'",
        database.name,
    )
    return int(found[0][0])


@contextmanager
def _asking(served: Service, path: str) -> Iterator[socket.socket]:
    """A client that has asked, and has read nothing but the beginning."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        key = served.keys[Role.ADMIN]
        connection.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 200")
        yield connection


def test_a_whole_table_is_what_copy_writes(client: httpx2.Client, database: Database) -> None:
    columns = "id,dep_time,carrier,flight,tailnum,distance"
    answer = client.get(f"/api/v1/flights?select={columns}&order=id", headers={"accept": "text/csv"})

    async def copy() -> bytes:
        written = bytearray()

        async def take(data: bytes) -> None:
            written.extend(data)

        connection = await asyncpg.connect(database.owner_url)
        try:
            query = f"select {columns} from flights order by id"
            await connection.copy_from_query(query, output=take, format="csv", header=True)
        finally:
            await connection.close()
        return bytes(written)

    assert answer.content == asyncio.run(copy())
    assert answer.content.count(b"\n") == 336_777


@pytest.mark.parametrize("form", FORMATS)
def test_only_what_the_caller_may_see(served: Service, form: str) -> None:
    with served.client(Role.VIEWER) as viewer:
        answer = viewer.get(f"/api/v1/exported?format={form}")
        assert (answer.status_code, b"even" in answer.content, b"odd" in answer.content) == (200, False, True)
        assert viewer.get(f"/api/v1/slow?format={form}").status_code == 404
    with served.client(None) as nobody:
        assert nobody.get(f"/api/v1/exported?format={form}").status_code == 401


def test_head_has_no_body(client: httpx2.Client) -> None:
    answer = client.head("/api/v1/airlines?format=csv")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-disposition"] == 'attachment; filename="airlines.csv"'


def test_the_past_is_a_file_too(client: httpx2.Client) -> None:
    now = client.get("/api/v1/airlines?select=carrier&order=carrier&format=csv")
    past = client.get("/api/v1/airlines?select=carrier&order=carrier&format=csv&as_of=2099-01-01T00:00:00Z")
    assert (past.status_code, past.text) == (200, now.text)


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow", "parquet"])
def test_an_error_half_way_breaks_the_file_off(
    client: httpx2.Client, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    with client.stream("GET", f"/api/v1/breaking?format={form}") as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            deque(answer.iter_raw(), maxlen=0)
        assert answer.num_bytes_downloaded > 0
    logged = capfd.readouterr().out
    assert '"event":"export_broken"' in logged.replace('": "', '":"')
    assert "22012" in logged


def test_an_error_before_the_first_byte_is_an_answer(client: httpx2.Client) -> None:
    problem = problem_of(client.get("/api/v1/breaking?format=columns"))
    assert (problem["status"], problem["code"]) == (400, "22012")


@pytest.mark.parametrize(("path", "form"), [("slow", "columns"), ("endless", "csv"), ("endless", "arrow")])
def test_a_client_that_leaves_stops_the_statement(served: Service, database: Database, path: str, form: str) -> None:
    host, _, port = served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        key = served.keys[Role.ADMIN]
        connection.sendall(f"GET /api/v1/{path}?format={form} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        until(lambda: _running(database) == 1)
    until(lambda: _running(database) == 0)


def test_a_client_that_does_not_read_is_let_go(served: Service, database: Database) -> None:
    with _asking(served, "endless?format=csv"):
        assert _running(database) == 1
        until(lambda: _running(database) == 0)


def test_a_lost_connection_breaks_the_file_off(client: httpx2.Client, database: Database) -> None:
    with client.stream("GET", "/api/v1/endless?format=ndjson") as answer:
        pieces = answer.iter_raw()
        next(pieces)
        database.execute_as_superuser(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = $1 and query ilike 'copy (%' and pid <> pg_backend_pid()",
            database.name,
        )
        with pytest.raises(httpx2.RemoteProtocolError):
            deque(pieces, maxlen=0)
    assert client.get("/api/v1/airlines?format=csv").status_code == 200


def test_exports_take_no_connection_of_the_others(served: Service, client: httpx2.Client, database: Database) -> None:
    host, _, port = served.url.removeprefix("http://").partition(":")
    key = served.keys[Role.ADMIN]
    asked = f"GET /api/v1/slow?format=columns HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as one, socket.create_connection((host, int(port))) as other:
        one.sendall(asked)
        other.sendall(asked)
        until(lambda: _running(database) == 2)
        problem = problem_of(client.get("/api/v1/airlines?format=csv"))
        assert (problem["status"], problem["code"]) == (503, "pool_exhausted")
        assert client.get("/api/v1/airlines").status_code == 200
    until(lambda: _running(database) == 0)
    assert client.get("/api/v1/airlines?format=csv").status_code == 200


def test_exports_are_counted(client: httpx2.Client) -> None:
    answer = client.get("/api/v1/airlines?format=csv")
    # The client may have read the last byte before the server has counted it.
    until(lambda: 'rowhouse_export_rows_total{format="csv"}' in client.get("/metrics").text)
    metrics = client.get("/metrics").text
    assert 'rowhouse_export_seconds_count{format="csv",outcome="sent"}' in metrics
    assert 'rowhouse_export_seconds_count{format="csv",outcome="broken"}' in metrics
    sent = next(line for line in metrics.splitlines() if line.startswith('rowhouse_export_bytes_total{format="csv"}'))
    assert float(sent.split()[1]) >= len(answer.content)
