"""What a role may not see stays hidden on every way, and what runs in the database leaves nothing behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

_SCHEMA = (Path(__file__).parent.parent / "fixture" / "hidden.sql").read_text()


@pytest.fixture(scope="module")
def hidden(database: Database, keys: dict[Role, str]) -> Iterator[Service]:
    database.execute_as_superuser("grant pg_monitor to rowhouse_service")
    asyncio.run(_execute(database.superuser_url))
    asyncio.run(open_schemas(database.superuser_url, ("hidden",), 5))

    async def prepare(session: AsyncSession) -> None:
        await accounts.grant(session, Role.VIEWER, "people", [Action.READ], "id=lt.3")
        await accounts.grant(session, Role.VIEWER, "skills", [Action.READ], None)
        await accounts.grant(session, Role.VIEWER, "people_skills", [Action.CREATE], None)
        await accounts.grant(session, Role.EDITOR, "skills", [Action.UPDATE], None)
        await accounts.grant(session, Role.VIEWER, "rpc/shown_", [Action.EXECUTE], None)

    in_session(database.service_url, prepare)
    environment = {
        "DATABASE_URL": database.service_url, "EXPOSED_SCHEMAS": "hidden", "JWT_SECRET": "x" * 40, "POOL_MAX_SIZE": "1",
    }  # fmt: skip
    try:
        with run_service(environment, keys) as running:
            yield running
    finally:
        database.execute_as_superuser("drop schema hidden cascade")
        database.execute_as_superuser("revoke pg_monitor from rowhouse_service")
        names = ["people", "skills", "people_skills", "rpc/shown_"]
        database.execute("delete from rowhouse.grants where table_name = any($1)", names)


async def _execute(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_SCHEMA)
    await connection.execute("analyze hidden.people")
    await connection.close()


@pytest.fixture
def viewer(hidden: Service) -> Iterator[httpx2.Client]:
    with hidden.client(Role.VIEWER) as client:
        yield client


@pytest.fixture
def admin(hidden: Service) -> Iterator[httpx2.Client]:
    with hidden.client(Role.ADMIN) as client:
        yield client


@pytest.mark.parametrize(
    "query",
    ["name=like.C%5C", "name=not.like.C%5C", "or=(name.like.C%5C,id.eq.9)", "name=like.C%5C&id=eq.3"],
)
def test_an_error_tells_nothing_of_a_hidden_row(viewer: httpx2.Client, query: str) -> None:
    assert viewer.get(f"/api/v1/people?select=id&{query}").status_code == 200


def test_a_junction_is_read_only_with_its_grant(viewer: httpx2.Client) -> None:
    assert viewer.get("/api/v1/people?select=id,skills(id)").status_code == 403


def test_a_function_is_called_by_its_whole_name(viewer: httpx2.Client) -> None:
    assert viewer.get("/api/v1/rpc/shown_").json() == "public one"
    assert viewer.get("/api/v1/rpc/shown").status_code == 404


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("substring?a=3", 3),
        ("opts", 7),
        ("a%25b%3A%20%22c%22%20%27d%27?x%25s%20%3Ay%20%22z%22=4", 4),
    ],
)
def test_functions_of_any_name_are_called(admin: httpx2.Client, path: str, answer: int) -> None:
    called = admin.get(f"/api/v1/rpc/{path}")
    assert (called.status_code, called.json()) == (200, answer), called.text


def test_columns_may_be_called_as_our_own_names(admin: httpx2.Client) -> None:
    assert admin.get("/api/v1/taken").json() == [{"r0": 1, "is_new": "a", "xmin_": "b"}]
    assert admin.get("/api/v1/people?select=r0:id,g0:name&id=eq.1").json() == [{"r0": 1, "g0": "Ada"}]
    assert admin.patch("/api/v1/taken/1", json={"is_new": "a"}).status_code == 200
    assert admin.patch("/api/v1/odd_view?r0=eq.1", json={"xmin": "b"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "rpc/leak", {}),
        ("POST", "rpc/change_role", {}),
        ("POST", "triggered", {"id": 1}),
        ("GET", "leaking", None),
        ("GET", "people?select=id,leaky&id=eq.1", None),
    ],
)
def test_nothing_is_left_on_the_connection(
    admin: httpx2.Client, method: str, path: str, body: dict[str, int] | None
) -> None:
    assert admin.request(method, f"/api/v1/{path}", json=body).status_code in (200, 201)
    user, left, timezone, locks = admin.get("/api/v1/rpc/state").json()
    assert (user, left or "", timezone, locks) == ("rowhouse_service", "", "UTC", 0)


def test_a_row_has_no_aggregates(admin: httpx2.Client) -> None:
    assert admin.get("/api/v1/people/1?select=count").status_code == 400


_MANY = "select=" + ",".join(f"a{number}:skills(id)" for number in range(500))


@pytest.mark.parametrize("query", ["select=x:name" + "->a" * 300, _MANY], ids=["steps", "embeds"])
def test_what_is_too_much_is_refused_in_words(admin: httpx2.Client, query: str) -> None:
    assert admin.get(f"/api/v1/people?{query}").status_code in (400, 414, 422)


@pytest.mark.parametrize("path", ["skills?label=eq.c", "skills/1?label=eq.c"])
def test_who_may_only_write_learns_nothing_by_a_filter(hidden: Service, path: str) -> None:
    with hidden.client(Role.EDITOR) as writer:
        assert writer.patch(f"/api/v1/{path}", json={"label": "c"}).status_code == 403
        assert writer.patch("/api/v1/skills/1", json={"label": "c"}).status_code in (200, 204)
        array = [{"id": 1, "label": "c"}]
        assert writer.patch("/api/v1/skills?label=eq.c", json=array).status_code == 403
