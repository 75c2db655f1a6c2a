"""A database of its own with the awkward tables, beside the worker's."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.catalog.catalog import Catalog
from service.catalog.found import Found, read_found
from tests.conftest import Database

SCHEMAS = ("awkward", "awkward_two")
_FIXTURE = Path(__file__).parent.parent / "fixture" / "awkward.sql"


@pytest.fixture(scope="session")
def awkward_url(database: Database) -> Iterator[str]:
    """Where the awkward tables are, by their owner."""
    name = f"{database.name}_awkward"
    asyncio.run(_execute(database.server.superuser_url, f"create database {name} template template0"))
    url = database.server.url("postgres", name)
    asyncio.run(_execute(url, "set client_min_messages = error;" + _FIXTURE.read_text()))
    yield url
    asyncio.run(_execute(database.server.superuser_url, f"drop database {name} with (force)"))


@pytest.fixture(scope="session")
def found(awkward_url: str) -> Found:
    return asyncio.run(_found(awkward_url))


@pytest.fixture(scope="session")
def catalog(found: Found) -> Catalog:
    return Catalog(found.resources, found.functions, found.schemas)


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _found(url: str) -> Found:
    connection = await asyncpg.connect(url)
    try:
        return await read_found(connection, SCHEMAS)
    finally:
        await connection.close()


def statements_of_reading(url: str, before: str) -> tuple[Found, list[str]]:
    """What is found after `before` has run, all of which is undone; and the statements that it took."""

    async def read() -> tuple[Found, list[str]]:
        connection = await asyncpg.connect(url)
        statements: list[str] = []
        try:
            await connection.execute(before)
            with connection.query_logger(lambda query: statements.append(query.query)):
                return await read_found(connection, ("many",)), statements
        finally:
            await connection.execute("drop schema if exists many cascade")
            await connection.close()

    work: Coroutine[Any, Any, tuple[Found, list[str]]] = read()
    return asyncio.run(work)
