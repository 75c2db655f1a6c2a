"""A request has one connection at a time: else so many at once as there are connections would wait for one another."""

from collections.abc import Iterator

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import run_service

_AIRLINES = "/api/v1/airlines"


@pytest.fixture
def client(database: Database, keys: dict[Role, str]) -> Iterator[httpx2.Client]:
    environment = {
        "DATABASE_URL": database.service_url,
        "JWT_SECRET": "x" * 40,
        "POOL_MAX_SIZE": "1",
        "POOL_TIMEOUT": "1",
    }
    with run_service(environment, keys) as service, service.client(Role.ADMIN) as client:
        yield client
    database.execute("delete from airlines where carrier like '~%'")


@pytest.fixture
def change(client: httpx2.Client) -> int:
    """The number of the change that made a row."""
    client.post(_AIRLINES, json={"carrier": "~1", "name": "a"}).raise_for_status()
    return int(client.get(f"{_AIRLINES}/-/history?limit=1").json()[0]["change"])


def test_undo(client: httpx2.Client, change: int) -> None:
    assert client.post("/api/v1/-/undo", json={"change": change, "dry_run": True}).status_code == 200
    assert client.post("/api/v1/-/undo", json={"change": change}).status_code == 200


def test_restore(client: httpx2.Client, change: int) -> None:
    client.delete(f"{_AIRLINES}/~1").raise_for_status()
    assert client.post(f"{_AIRLINES}/~1/-/restore").status_code == 200
    assert client.get(f"{_AIRLINES}/~1").json()["name"] == "a"


def test_a_batch_that_reads_the_past(client: httpx2.Client, change: int) -> None:
    cursor = client.get(f"{_AIRLINES}/-/changes").json()["cursor"]
    operations = [{"method": "GET", "path": f"/airlines/~1?as_of={cursor}"}]
    answer = client.post("/api/v1/-/batch", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["body"]["name"] == "a"


def test_a_write_that_is_done_once(client: httpx2.Client) -> None:
    answer = client.post(_AIRLINES, json={"carrier": "~2", "name": "b"}, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 201, answer.text


def test_rows_first_and_then_what_happens(client: httpx2.Client) -> None:
    answer = client.get(f"{_AIRLINES}/-/changes?snapshot=true")
    assert answer.status_code == 200, answer.text
