"""Several operations in one transaction, and requests that are done once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service
from tests.waiting import until

BATCH = "/api/v1/-/batch"
AIRLINES = "/api/v1/airlines"


@pytest.fixture
def client(service: Service, database: Database) -> Iterator[httpx2.Client]:
    with service.client(Role.EDITOR) as client:
        yield client
    database.execute("delete from airlines where carrier like '\\_%'")
    database.execute("delete from rowhouse.idempotency_keys")


def batch(client: httpx2.Client, *operations: dict[str, Any], **headers: str) -> httpx2.Response:
    return client.post(BATCH, json={"operations": operations}, headers=headers)


def test_operations_run_in_order_and_refer_to_earlier_answers(client: httpx2.Client) -> None:
    answer = batch(
        client,
        {"method": "POST", "path": "/airlines", "body": {"carrier": "_1", "name": "One"}},
        {"method": "POST", "path": "/airlines", "body": {"carrier": "_2", "name": {"$ref": "/0/body/0/name"}}},
        {"method": "PATCH", "path": "/airlines/{/1/body/0/carrier}", "body": {"name": "Uno"}},
        {"method": "GET", "path": "/airlines?carrier=like.\\_*&order=carrier&select=carrier,name"},
        {"method": "DELETE", "path": "/airlines/_1"},
    )
    assert answer.status_code == 200, answer.text
    results = answer.json()
    assert [result["status"] for result in results] == [201, 201, 200, 200, 204]
    assert results[3]["body"] == [{"carrier": "_1", "name": "One"}, {"carrier": "_2", "name": "Uno"}]
    assert results[0]["headers"]["location"].endswith("/airlines/_1")
    assert client.get(f"{AIRLINES}/_1").status_code == 404


def test_one_that_fails_undoes_all(client: httpx2.Client, database: Database) -> None:
    answer = batch(
        client,
        {"method": "POST", "path": "/airlines", "body": {"carrier": "_1", "name": "One"}},
        {"method": "POST", "path": "/airlines", "body": {"carrier": "UA", "name": "Again"}},
    )
    assert answer.status_code == 409
    assert problem_of(answer)["errors"][0]["field"] == "operations[1]"
    assert database.execute("select from airlines where carrier = '_1'") == []


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [1],
        [{"method": "TRACE", "path": "/airlines"}],
        [{"method": "GET", "path": "airlines"}],
        [{"method": "GET", "path": "/-/batch"}],
        [{"method": "GET", "path": "/airlines", "more": 1}],
        [{"method": "GET", "path": "/airlines/{/0/body/carrier}"}],
        [{"method": "POST", "path": "/airlines", "body": {"carrier": {"$ref": "/9"}, "name": "x"}}],
        [{"method": "GET", "path": "/airlines", "headers": {"accept": "text/csv"}}],
        [{"method": "GET", "path": "/airlines"}] * 101,
    ],
    ids=lambda operations: str(operations)[:40],
)
def test_a_batch_that_cannot_be_read_is_refused(client: httpx2.Client, operations: list[Any]) -> None:
    answer = client.post(BATCH, json={"operations": operations})
    assert answer.status_code == 400, answer.text
    problem_of(answer)


def test_policy_holds_in_a_batch(service: Service) -> None:
    with service.client(Role.VIEWER) as viewer:
        assert batch(viewer, {"method": "DELETE", "path": "/airlines/UA"}).status_code == 403
    with service.client(None) as anonymous:
        assert batch(anonymous, {"method": "GET", "path": "/airlines"}).status_code == 401


def test_a_stale_version_undoes_a_batch(client: httpx2.Client) -> None:
    client.put(f"{AIRLINES}/_1", json={"name": "One"})
    answer = batch(
        client,
        {"method": "POST", "path": "/airlines", "body": {"carrier": "_2", "name": "Two"}},
        {"method": "PATCH", "path": "/airlines/_1", "body": {"name": "x"}, "headers": {"If-Match": '"0.1"'}},
    )
    assert answer.status_code == 412
    assert client.get(f"{AIRLINES}/_2").status_code == 404


def test_a_repeat_gets_the_first_answer(client: httpx2.Client, database: Database) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = client.post(AIRLINES, json={"carrier": "_1", "name": "One"}, headers=headers)
    again = client.post(AIRLINES, json={"carrier": "_1", "name": "One"}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert (first.json(), first.headers["etag"]) == (again.json(), again.headers["etag"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = client.post(AIRLINES, json={"carrier": "_2", "name": "Two"}, headers=headers)
    assert (other.status_code, problem_of(other)["code"]) == (422, "idempotency_mismatch")
    assert len(database.execute("select from airlines where carrier like '\\_%'")) == 1


def test_what_was_refused_is_not_kept(client: httpx2.Client) -> None:
    headers = {"Idempotency-Key": "k2"}
    assert client.post(AIRLINES, json={"carrier": "UA", "name": "x"}, headers=headers).status_code == 409
    assert client.post(AIRLINES, json={"carrier": "_2", "name": "x"}, headers=headers).status_code == 201


def test_another_caller_has_keys_of_its_own(client: httpx2.Client, service: Service) -> None:
    headers = {"Idempotency-Key": "k3"}
    assert client.post(AIRLINES, json={"carrier": "_1", "name": "x"}, headers=headers).status_code == 201
    with service.client(Role.ADMIN) as admin:
        assert admin.post(AIRLINES, json={"carrier": "_2", "name": "x"}, headers=headers).status_code == 201


def test_of_many_at_once_one_is_done(service: Service, client: httpx2.Client, database: Database) -> None:
    def insert(_: int) -> int:
        with service.client(Role.EDITOR) as own:
            body = {"carrier": "_1", "name": "One"}
            return own.post(AIRLINES, json=body, headers={"Idempotency-Key": "k4"}).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(insert, range(8)))
    assert 201 in statuses
    assert set(statuses) <= {201, 409}
    assert len(database.execute("select from rowhouse.idempotency_keys")) == 1


def test_a_batch_is_done_once_as_well(client: httpx2.Client) -> None:
    operation = {"method": "POST", "path": "/airlines", "body": {"carrier": "_1", "name": "One"}}
    first, again = (batch(client, operation, **{"Idempotency-Key": "k5"}) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(client: httpx2.Client, key: str) -> None:
    answer = client.post(AIRLINES, json={"carrier": "_1", "name": "One"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400


@pytest.fixture
def viewers_write(client: httpx2.Client, database: Database) -> Iterator[None]:
    """Viewers may add airlines, until the test takes it from them."""

    async def grant(session: AsyncSession) -> None:
        await accounts.grant(session, Role.VIEWER, "airlines", [Action.CREATE], None)

    in_session(database.service_url, grant)
    yield
    database.execute("delete from rowhouse.grants where role = 'viewer' and action = 'create'")


def test_a_kept_answer_is_given_only_while_the_grant_stands(
    service: Service, viewers_write: None, database: Database
) -> None:
    row = {"carrier": "_1", "name": "One"}
    asked: list[tuple[str, dict[str, Any]]] = [
        (AIRLINES, row),
        (BATCH, {"operations": [{"method": "POST", "path": "/airlines", "body": row | {"carrier": "_2"}}]}),
    ]
    with service.client(Role.VIEWER, **{"Idempotency-Key": "k6"}) as viewer:
        first, again = ([viewer.post(path, json=body) for path, body in asked] for _ in range(2))
        database.execute("delete from rowhouse.grants where role = 'viewer' and action = 'create'")
        refused = [viewer.post(path, json=body) for path, body in asked]
    assert [answer.status_code for answer in first] == [answer.status_code for answer in again] == [201, 200]
    assert all("idempotency-replayed" in answer.headers for answer in again)
    assert [answer.status_code for answer in refused] == [403, 403]
    assert problem_of(refused[1])["errors"][0]["field"] == "operations[0]"
    assert all("One" not in answer.text for answer in refused)


def test_a_table_is_described_for_programs(client: httpx2.Client) -> None:
    described = client.get("/api/v1/flights/-/schema").json()
    types = {column["name"]: (column["json_type"], column["format"]) for column in described["columns"]}
    assert described["key"] == ["id"]
    assert types["id"][0] == "integer"
    assert types["time_hour"] == ("string", "date-time")
    assert client.get("/api/v1/nothing/-/schema").status_code == 404
    assert client.post("/api/v1/flights/-/schema").status_code == 405


def held_airline(database: Database, run: Callable[[], None]) -> None:
    """Run while another transaction holds the airline UA."""

    async def hold() -> None:
        connection = await asyncpg.connect(database.owner_url)
        try:
            async with connection.transaction():
                await connection.execute("select from airlines where carrier = 'UA' for update")
                await asyncio.to_thread(run)
        finally:
            await connection.close()

    asyncio.run(hold())


_WAITING = """
select pid from pg_stat_activity where datname = $1 and wait_event_type = 'Lock' and usename = 'rowhouse_service'
"""


def test_a_connection_lost_within_a_batch_is_a_503_and_nothing_is_written(
    client: httpx2.Client, database: Database
) -> None:
    """It is cut while its second operation waits for a row."""
    answers: list[httpx2.Response] = []

    def ask() -> None:
        first = {"method": "POST", "path": "/airlines", "body": {"carrier": "_1", "name": "One"}}
        answers.append(batch(client, first, {"method": "PATCH", "path": "/airlines/UA", "body": {"name": "x"}}))

    def cut() -> None:
        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: bool(database.execute_as_superuser(_WAITING, database.name)))
        database.execute_as_superuser(f"select pg_terminate_backend(pid) from ({_WAITING}) w (pid)", database.name)
        asking.join()

    held_airline(database, cut)
    assert answers[0].status_code == 503
    assert "retry-after" in answers[0].headers
    problem_of(answers[0])
    assert database.execute("select name from airlines where carrier in ('_1', 'UA')")[0][0] == "United Air Lines Inc."
    assert client.get(f"{AIRLINES}/_1").status_code == 404


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def added(number: int, body: Any) -> dict[str, Any]:
    """The operation that adds a document."""
    return {"method": "POST", "path": "/documents", "body": {"id": number, "body": body}}


@pytest.fixture
def documents(database: Database) -> Iterator[str]:
    """A table whose rows are as large and as deep as one likes, served by its own service."""
    database.execute("create table documents (id int primary key, body jsonb)")
    database.execute("grant all on documents to rowhouse_service")
    database.execute("insert into documents values (1, to_jsonb(repeat('x', 100000)))")
    database.execute("insert into documents select 2, (repeat('[', 2000) || repeat(']', 2000))::jsonb")
    yield "documents"
    database.execute("drop table documents")


def test_references_are_bounded(documents: str, database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "API_MAX_BODY_BYTES": "1000000"}
    large, reference = {"method": "GET", "path": "/documents/1"}, {"$ref": "/0/body/body"}
    too_deep = "PGRST102"
    refused: list[tuple[list[dict[str, Any]], str]] = [
        # A little body that would fill the memory.
        ([large, added(3, [reference] * 10_000)], "body_too_large"),
        ([large, {"method": "GET", "path": "/documents?id=eq." + "{/0/body/body}" * 500}], "body_too_large"),
        ([{"method": "GET", "path": "/documents/2"}, added(3, reference)], too_deep),
        ([added(3, nested(300, 1))], too_deep),
        ([added(3, nested(200, 1)), added(4, nested(200, reference))], too_deep),
    ]
    with run_service(environment, keys) as running, running.client(Role.ADMIN) as admin:
        allowed = batch(
            admin, large, {"method": "POST", "path": "/documents", "body": {"id": 3, "body": [reference] * 9}}
        )
        assert allowed.status_code == 200, allowed.text[:200]
        assert admin.delete("/api/v1/documents/3").status_code == 204
        assert problem_of(batch(admin, added(3, nested(900, 1))))["status"] in (400, 413)
        for operations, code in refused:
            answer = batch(admin, *operations)
            assert 400 <= answer.status_code < 500, answer.text[:200]
            assert problem_of(answer)["code"] == code
            assert problem_of(answer)["errors"][0]["field"] == f"operations[{len(operations) - 1}]"
    assert [row[0] for row in database.execute("select id from documents order by id")] == [1, 2]
