"""What the people who run the service see: probes, metrics, logs, headers, and PostgreSQL going away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from service.core.types import Role
from service.db import migrations
from service.db.embedded import EmbeddedPostgres
from service.db.migrations import Branch
from tests.conftest import Database
from tests.postgres import start_postgres
from tests.service_under_test import Service, make_keys, problem_of, run_service
from tests.waiting import until


def test_the_probes_answer(service: Service) -> None:
    with service.client(None) as client:
        assert client.get("/livez").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ok", "reason": None}


def test_requests_are_counted_by_route(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        client.get("/api/v1/airlines/UA")
        client.get("/api/v1/airlines/AA")
        client.get("/nowhere/at/all")
        client.get("/api/v1/no_such_table")
        text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("http_requests_total")]
    assert any('handler="/api/v1/airlines/{key}",method="GET",status="200"' in line for line in lines)
    assert any('handler="none",method="GET",status="404"' in line for line in lines)
    assert not any("no_such_table" in line for line in lines)
    assert "rowhouse_pool_connections_open" in text
    assert 'http_request_duration_seconds_bucket{handler="/api/v1/airlines/{key}"' in text


@pytest.mark.parametrize(("sent", "is_kept"), [("abc-123", True), ("x" * 129, False), ("a b", False), ('"', False)])
def test_a_request_id_is_taken_in_and_given_out(service: Service, sent: str, is_kept: bool) -> None:
    with service.client(None) as client:
        answer = client.get("/api/v1/airlines", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == sent) is is_kept
    assert problem_of(answer)["request_id"] == answer.headers["x-request-id"]


def test_every_answer_has_security_headers(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        answers = [client.get(path) for path in ("/api/v1/airlines", "/api/v1/nothing", "/docs", "/metrics", "/x")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        script_sources = answer.headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
        assert "unsafe" not in script_sources
        assert "server" not in answer.headers or answer.headers["server"] == "uvicorn"


def test_browsers_may_call_from_the_configured_origins_only(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        ours = client.get("/api/v1/airlines", headers={"Origin": "https://shiny.example.org"})
        other = client.get("/api/v1/airlines", headers={"Origin": "https://evil.example.org"})
        preflight = client.options(
            "/api/v1/airlines",
            headers={
                "Origin": "https://shiny.example.org",
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "X-API-Key",
            },
        )
        refused = client.get("/api/v1/airlines", headers={"Origin": "https://shiny.example.org", "X-API-Key": "rh_x"})
    assert ours.headers["access-control-allow-origin"] == "https://shiny.example.org"
    assert "ETag" in ours.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert preflight.status_code == 200
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shiny.example.org"


def test_requests_are_limited_by_principal(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "RATE_LIMIT": "3", "JWT_SECRET": "x" * 40}
    with run_service(environment, keys) as limited, limited.client(Role.VIEWER) as client:
        statuses = [client.get("/api/v1/airlines/UA").status_code for _ in range(3)]
        refused = client.get("/api/v1/airlines/UA")
        with limited.client(Role.EDITOR) as other:
            assert other.get("/api/v1/airlines/UA").status_code == 200
    assert statuses == [200, 200, 200]
    assert problem_of(refused)["code"] == "too_many_requests"
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_a_path_prefix_is_respected(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "ROOT_PATH": "/content/42", "JWT_SECRET": "x" * 40}
    with run_service(environment, keys) as published, published.client(Role.EDITOR) as client:
        for prefix in ("", "/content/42"):  # proxies that strip the prefix, and such that do not
            answer = client.get(f"{prefix}/api/v1/airlines?limit=1")
            assert answer.status_code == 200
            assert answer.links["next"]["url"].startswith("/content/42/api/v1/airlines?")
            assert client.get(f"{prefix}/readyz").status_code == 200


def test_bodies_and_urls_are_bounded(database: Database, keys: dict[Role, str]) -> None:
    environment = {
        "DATABASE_URL": database.service_url, "API_MAX_BODY_BYTES": "2000", "API_MAX_URL_BYTES": "1000",
        "API_MAX_ROWS": "7", "JWT_SECRET": "x" * 40,
    }  # fmt: skip
    with run_service(environment, keys) as bounded, bounded.client(Role.EDITOR) as client:
        large = client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x" * 3000})
        streamed = client.post("/api/v1/airlines", content=iter([b" " * 500] * 10))
        long = client.get("/api/v1/airlines?carrier=eq." + "x" * 2000)
        cut = client.get("/api/v1/airlines?limit=10")
        form = client.post("/api/v1/-/auth/token", data={"username": "x" * 3000, "password": "x"})
        embedded = client.get("/api/v1/airlines?select=name,flights(id)&carrier=eq.UA")
        fewer = client.get("/api/v1/airlines?select=name,flights(id)&carrier=eq.UA&flights.limit=2")
    assert large.status_code == streamed.status_code == form.status_code == 413
    assert long.status_code == 414
    assert problem_of(embedded)["code"] == "limit_exceeded"
    assert len(fewer.json()[0]["flights"]) == 2
    assert len(cut.json()) == 7
    assert cut.headers["content-range"] == "0-6/*"
    assert "next" in cut.links


def test_a_read_is_one_statement_whatever_it_embeds(
    service: Service, database: Database, postgres: EmbeddedPostgres
) -> None:
    """Seen in PostgreSQL's own log, with two levels of embedding."""
    log = Path(postgres.server.log)
    database_run(
        postgres.superuser_url, f"alter role rowhouse_service in database {database.name} set log_statement = 'all'"
    )
    try:
        with run_service({"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40}, service.keys) as logged:
            with logged.client(Role.VIEWER) as client:
                client.get("/api/v1/airlines?limit=1")  # connects, reads the grants and the key
                begin = log.stat().st_size
                answer = client.get("/api/v1/airlines?select=name,flights(flight,plane(model))&limit=3&flights.limit=2")
                item = client.get(
                    "/api/v1/flights/1?select=*,airline(name),origin_airport(name,weather_by_airport(temp))"
                )
    finally:
        database_run(
            postgres.superuser_url, f"alter role rowhouse_service in database {database.name} reset log_statement"
        )
    assert answer.status_code == item.status_code == 200, item.text
    statements = [
        line
        for line in log.read_bytes()[begin:].decode().splitlines()
        if "LOG:  execute" in line or "statement:" in line
    ]
    reads = [line for line in statements if "FROM public.airlines" in line or "json" in line]
    assert len(reads) == 2, statements


def database_run(url: str, sql: str) -> None:
    import asyncpg

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server that a test may kill."""
    server = asyncio.run(start_postgres(tmp_path / "data"))
    asyncio.run(migrations.migrate(server.owner_url, (Branch.ROWHOUSE, Branch.TABLES)))
    yield server
    server.release()


def test_postgresql_killed_and_back(own_postgres: EmbeddedPostgres) -> None:
    keys = make_keys(own_postgres.service_url)
    environment = {"DATABASE_URL": own_postgres.service_url, "JWT_SECRET": "x" * 40, "LOG_LEVEL": "ERROR"}
    with run_service(environment, keys) as service, service.client(Role.EDITOR) as client:
        assert client.get("/api/v1/airlines").status_code == 200
        kill_server(own_postgres)
        for method, body in (("GET", None), ("POST", {"carrier": "_1", "name": "x"})):
            answer = client.request(method, "/api/v1/airlines", json=body)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "sql" not in problem_of(answer)["detail"].lower().replace("postgresql", "")
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert client.get("/health").status_code == 503
        assert client.post("/api/v1/-/auth/token", data={"username": "a", "password": "b"}).status_code == 503
        own_postgres.server.ensure_postgres_running()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x"}).status_code == 201


def test_a_server_that_hangs_is_a_503(own_postgres: EmbeddedPostgres) -> None:
    keys = make_keys(own_postgres.service_url)
    environment = {"DATABASE_URL": own_postgres.service_url, "JWT_SECRET": "x" * 40, "LOG_LEVEL": "ERROR"}
    limits = {"STATEMENT_TIMEOUT": "0.5", "CONNECT_TIMEOUT": "1", "CREDENTIAL_CACHE_SECONDS": "60"}
    with run_service(environment | limits, keys) as service, service.client(Role.EDITOR) as client:
        assert client.get("/api/v1/airlines").status_code == 200
        postmaster = psutil.Process(own_postgres.server.get_postmaster_info().pid)
        stopped = [postmaster, *postmaster.children()]
        for process in stopped:
            process.suspend()
        try:
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 503
            read = client.get("/api/v1/airlines")
            write = client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x"})
        finally:
            for process in stopped:
                process.resume()
        assert read.status_code == write.status_code == 503
        assert "retry-after" in read.headers
        until(lambda: client.get("/api/v1/airlines").status_code == 200)


def test_the_service_starts_without_its_database(own_postgres: EmbeddedPostgres) -> None:
    keys = make_keys(own_postgres.service_url)
    kill_server(own_postgres)
    environment = {"DATABASE_URL": own_postgres.service_url, "JWT_SECRET": "x" * 40, "LOG_LEVEL": "ERROR"}
    with run_service(environment, keys) as service, service.client(Role.VIEWER) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == client.get("/api/v1/airlines").status_code == 503
        assert client.get("/", follow_redirects=True).status_code == 200
        own_postgres.server.ensure_postgres_running()
        until(lambda: client.get("/api/v1/airlines").status_code == 200)


def kill_server(server: EmbeddedPostgres) -> None:
    process = psutil.Process(server.server.get_postmaster_info().pid)
    children = process.children()
    process.kill()
    psutil.wait_procs([process, *children], timeout=10)


def test_a_statement_that_takes_too_long_is_stopped(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "STATEMENT_TIMEOUT": "0.2", "JWT_SECRET": "x" * 40}
    slow = "/api/v1/flights?select=id,weather!inner(temp)&tailnum=match.((a*)*)*b&limit=1&order=dest"
    with run_service(environment, keys) as bounded, bounded.client(Role.VIEWER) as client:
        answer = client.get(slow, headers={"Prefer": "count=exact"})
        assert client.get("/api/v1/airlines/UA").status_code == 200
    assert answer.status_code == 422
    assert problem_of(answer)["code"] == "57014"


def is_up(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
