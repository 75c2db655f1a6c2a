"""The example for nginx, with a real nginx: feeds, files and WebSockets pass."""

import json
import ssl
from collections.abc import Iterator

import httpx2
import pytest
from websockets.sync.client import connect

from deploy.nginx import trial
from deploy.nginx.trial import Trial
from deploy.ports import free_port
from service.core.types import Role
from tests.conftest import Database
from tests.events.client import Stream
from tests.service_under_test import Service, run_service
from tests.serving.conftest import require

_PREFIX = "/rowhouse"
_FEED = f"{_PREFIX}/api/v1/notes/-/changes"


@pytest.fixture(scope="module")
def notes(database: Database) -> Iterator[str]:
    database.execute("create table public.notes (id bigint primary key, note text not null)")
    database.execute("grant select, insert, update, delete on public.notes to rowhouse_service")
    database.execute("select rowhouse.track('notes')")
    yield "notes"
    database.execute("drop table public.notes")


@pytest.fixture(scope="module")
def published(
    database: Database, keys: dict[Role, str], notes: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Trial]]:
    """The service behind nginx, under a prefix."""
    require("nginx")
    environment = {
        "DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "ROOT_PATH": _PREFIX, "RATE_LIMIT": "100000",
    }  # fmt: skip
    with run_service(environment, keys) as service:
        port = int(service.url.rpartition(":")[2])
        written = trial.write(tmp_path_factory.mktemp("nginx"), free_port(), free_port(), [free_port(), port], _PREFIX)
        with trial.running(written):
            yield service, written


@pytest.fixture
def client(published: tuple[Service, Trial]) -> Iterator[httpx2.Client]:
    service, nginx = published
    trust = ssl.create_default_context(cafile=str(nginx.authority))
    with httpx2.Client(
        base_url=f"{nginx.url}{_PREFIX}", verify=trust, headers={"X-API-Key": service.keys[Role.ADMIN]}, timeout=20
    ) as made:
        yield made


def test_the_configuration_is_one_that_nginx_takes_without_a_warning() -> None:
    require("nginx")
    assert trial.check() == 0


def test_requests_go_to_the_server_that_is_there_under_the_prefix_with_their_id(client: httpx2.Client) -> None:
    for number in range(4):  # the first server of the upstream does not listen
        answer = client.get("/api/v1/airlines?limit=1", headers={"X-Request-ID": f"find-{number}"})
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] == f"find-{number}"
        assert answer.links["next"]["url"].startswith(f"{_PREFIX}/api/v1/airlines")
    assert client.post("/api/v1/notes", json={"id": 1, "note": "written"}).status_code == 201
    assert client.delete("/api/v1/notes/1").status_code == 204
    assert len(client.get("/livez").headers["x-request-id"]) == 32


def test_plain_http_is_led_to_https_and_metrics_stay_inside(
    published: tuple[Service, Trial], client: httpx2.Client
) -> None:
    _, nginx = published
    answer = httpx2.get(f"http://localhost:{nginx.plain_port}{_PREFIX}/docs?x=1")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://localhost{_PREFIX}/docs?x=1"
    assert client.get("/docs").status_code == 200
    assert client.get("/metrics").status_code == 404


def test_an_import_and_an_export_stream_through(client: httpx2.Client) -> None:
    rows = 50_000

    def lines() -> Iterator[bytes]:
        yield b"id,note\n"
        for start in range(0, rows, 1000):
            yield b"".join(b"%d,%s\n" % (number, b"x" * 40) for number in range(start, start + 1000))

    imported = client.post(
        "/api/v1/notes", content=lines(), headers={"Content-Type": "text/csv", "Prefer": "return=minimal"}
    )
    assert imported.status_code == 201, imported.text
    with client.stream("GET", "/api/v1/notes?format=csv&select=id") as export:
        assert export.status_code == 200
        assert sum(chunk.count(b"\n") for chunk in export.iter_raw()) == rows + 1
    assert client.request("DELETE", "/api/v1/notes?id=gte.0", headers={"Prefer": "return=minimal"}).status_code == 204


def test_events_and_messages_come_at_once(published: tuple[Service, Trial], client: httpx2.Client) -> None:
    service, nginx = published
    trust = ssl.create_default_context(cafile=str(nginx.authority))
    key = {"X-API-Key": service.keys[Role.ADMIN]}
    following = httpx2.Client(base_url=nginx.url, verify=trust, headers=key, timeout=20)
    stream = Stream(following, _FEED, {})
    try:
        stream.next("up-to-date")
        with connect(f"wss://localhost:{nginx.port}{_FEED}", ssl=trust, additional_headers=key) as socket:
            while json.loads(socket.recv(60))["type"] != "up-to-date":
                pass
            assert client.post("/api/v1/notes", json={"id": -1, "note": "now"}).status_code == 201
            assert stream.next("insert")["row"]["note"] == "now"
            assert json.loads(socket.recv(60))["row"]["note"] == "now"
    finally:
        stream.stop()
        client.delete("/api/v1/notes/-1")
