"""A table of the tests' own, an API, a receiver, and a worker that delivers quickly."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.core.types import Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from service.state import ServiceState
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service
from tests.waiting import until
from tests.webhooks.receiver import Receiver, run_receiver
from tests.webhooks.worker import run_worker

WEBHOOKS = "/api/v1/-/webhooks"


@pytest.fixture(scope="package")
def parcels(database: Database) -> Iterator[None]:
    """A tracked table, that viewers and editors may read."""
    database.execute("create table parcels (id int primary key, carrier text not null, note text)")
    database.execute("select rowhouse.track('parcels')")
    asyncio.run(open_schemas(database.owner_url, ("public",), 5))
    for action in (Action.READ, Action.CREATE):
        grant(database, Role.EDITOR, None, action)
    yield
    database.execute("drop table parcels")
    database.execute("delete from rowhouse.grants where table_name = 'parcels'")
    database.execute("select rowhouse.arrange_all()")


@pytest.fixture(scope="package")
def shared_receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(shared_receiver: Receiver) -> Receiver:
    shared_receiver.requests.clear()
    shared_receiver.answers.clear()
    return shared_receiver


@pytest.fixture(scope="package")
def environment(database: Database, shared_folder: Path, shared_receiver: Receiver) -> Mapping[str, str]:
    """Of the API and the workers."""
    return {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOWED_HOSTS": f"127.0.0.1:{shared_receiver.port},hooks.test:{shared_receiver.port}",
        "WEBHOOK_POLL_SECONDS": "0.02",
        "WEBHOOK_RETRY_SECONDS": "0.05,0.05",
        "WEBHOOK_TIMEOUT": "1",
        "WEBHOOK_CONNECT_TIMEOUT": "1",
    }


@pytest.fixture(scope="package")
def api(parcels: None, environment: Mapping[str, str], keys: dict[Role, str]) -> Iterator[Service]:
    with run_service(environment, keys) as running:
        yield running


@pytest.fixture
def worker(api: Service, environment: Mapping[str, str]) -> Iterator[ServiceState]:
    with run_worker(environment) as running:
        yield running


@pytest.fixture
def tidy(parcels: None, database: Database) -> Iterator[None]:
    """No rows but a test's own."""
    yield
    database.execute("delete from rowhouse.webhooks")
    database.execute("delete from parcels")


class Webhook:
    """A webhook of a test, through the API."""

    def __init__(self, service: Service, role: Role, key: str | None = None, **members: Any) -> None:
        headers = {} if key is None else {"X-API-Key": key}
        self.client = service.client(role if key is None else None, **headers)
        answer = self.client.post(WEBHOOKS, json={"table": "parcels"} | members)
        assert answer.status_code == 201, answer.text
        self.made: dict[str, Any] = answer.json()
        self.path = f"{WEBHOOKS}/{self.made['id']}"
        self.secret: str = self.made["secret"]

    def state(self) -> tuple[str, str | None]:
        shown = self.client.get(self.path).json()
        return shown["state"], shown["reason"]

    def deliveries(self, **parameters: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"{self.path}/deliveries", params=parameters).json()["deliveries"]
        return found

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(f"{self.path}/{path}", json=body or None)
        assert answer.is_success, answer.text
        return answer.json()

    def patch(self, **changes: Any) -> None:
        answer = self.client.patch(self.path, json=changes)
        assert answer.status_code == 200, answer.text

    def wait_until(self, holds: Callable[["Webhook"], bool], seconds: float = 60) -> None:
        until(lambda: holds(self), seconds, lambda: (self.state(), self.deliveries()))


@pytest.fixture
def make(tidy: None, api: Service, receiver: Receiver) -> Iterator[Callable[..., Webhook]]:
    """Makes webhooks that go to the receiver."""
    made: list[Webhook] = []

    def make_one(role: Role = Role.EDITOR, key: str | None = None, **members: Any) -> Webhook:
        made.append(Webhook(api, role, key, **({"url": receiver.url()} | members)))
        return made[-1]

    yield make_one
    for one in made:
        one.client.close()


Make = Callable[..., Webhook]


def add_parcels(database: Database, *ids: int, carrier: str = "UA") -> None:
    for number in ids:
        database.execute("insert into parcels values ($1, $2, 'new')", number, carrier)


def grant(database: Database, role: Role, where: str | None, action: Action = Action.READ) -> None:
    in_session(database.service_url, lambda session: accounts.grant(session, role, "parcels", [action], where))
