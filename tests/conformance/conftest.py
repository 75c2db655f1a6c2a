"""PostgREST's behaviour as its documentation and its own tests describe it, asked of the awkward tables over HTTP.

Writes are undone by `Prefer: tx=rollback`, as in PostgREST's own tests, so that tests do not see each other.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from service.crud import accounts
from service.db import migrations
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

SCHEMAS = ("awkward", "awkward_two")
_FIXTURES = [
    Path(__file__).parent.parent / "fixture" / name
    for name in ("awkward.sql", "asked.sql", "paged.sql", "exported.sql")
]
_ENVIRONMENT = {
    "EXPOSED_SCHEMAS": ",".join(SCHEMAS),
    "API_AGGREGATES": "true",
    "API_TX_OVERRIDE": "true",
    "API_DEFAULT_RETURN": "minimal",
    "API_UNFILTERED_WRITES": "allow",
    "RATE_LIMIT": "1000000",
}

Ask = Callable[..., httpx2.Response]


@pytest.fixture(scope="session")
def awkward(database: Database) -> Iterator[str]:
    """The name of a database with the awkward tables and Rowhouse's own."""
    name = f"{database.name}_conformance"
    asyncio.run(_execute(database.superuser_url, f"create database {name} template template0 owner rowhouse_owner"))
    asyncio.run(_prepare(database.server.url("rowhouse_owner", name), database.server.url("postgres", name)))
    yield name
    asyncio.run(_execute(database.superuser_url, f"drop database {name} with (force)"))


@pytest.fixture(scope="session")
def keys(database: Database, awkward: str) -> dict[Role, str]:
    return in_session(database.server.url("rowhouse_service", awkward), _make_keys)


@pytest.fixture(scope="session")
def environment(database: Database, awkward: str, shared_folder: Path) -> dict[str, str]:
    url = database.server.url("rowhouse_service", awkward)
    return _ENVIRONMENT | {"DATABASE_URL": url, "DATA_DIR": str(shared_folder / "data")}


@pytest.fixture(scope="session")
def served(environment: dict[str, str], keys: dict[Role, str]) -> Iterator[Service]:
    with run_service(environment, keys) as running:
        yield running


@pytest.fixture(scope="session")
def client(served: Service) -> Iterator[httpx2.Client]:
    """An administrator."""
    with served.client(Role.ADMIN) as client:
        yield client


@pytest.fixture(scope="session")
def ask(client: httpx2.Client) -> Ask:
    """Ask for a path below `/api/v1`, with headers as words and a body as JSON or, where it is text, as it is.

    What is not read is undone.
    """

    def send(method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method not in ("GET", "HEAD", "OPTIONS"):
            named["prefer"] = ",".join(filter(None, (named.get("prefer"), "tx=rollback")))
        given = {"content": body} if isinstance(body, (str, bytes)) else {"json": body} if body is not None else {}
        return client.request(method, f"/api/v1/{path}", headers=named, **given)

    return send


async def _prepare(owner_url: str, superuser_url: str) -> None:
    await migrations.migrate(owner_url, (Branch.ROWHOUSE,))
    await _execute(
        superuser_url, "".join(["set client_min_messages = error;", *(file.read_text() for file in _FIXTURES)])
    )
    await open_schemas(superuser_url, SCHEMAS, 5)


async def _make_keys(session: Any) -> dict[Role, str]:
    return {role: (await accounts.create_key(session, f"test {role}", role, None)).key for role in Role}


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
