"""A library in schemas of its own, served as PostgREST's clients expect, with keys for them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

HERE = Path(__file__).parent
TABLES = ("authors", "books", "shelves", "books_shelves", "odd, names")
FUNCTIONS = ("add", "sum_of", "keys_of", "books_by", "first_author", "restock", "nothing", "fail", "teapot")
_GRANTS = {name: list(OF_TABLES) for name in (*(f"library.{table}" for table in TABLES), "archive.notes")} | {
    f"rpc/{name}": [Action.EXECUTE] for name in (*(f"library.{function}" for function in FUNCTIONS), "archive.ping")
}
_SCHEMAS = ("public", "library", "archive")


@pytest.fixture(scope="session")
def library(database: Database, keys: dict[Role, str], shared_folder: Path) -> Iterator[Service]:
    """The application over the flights and the library, as compatible with PostgREST as its settings make it."""
    _run(database, (HERE / "library.sql").read_text())
    asyncio.run(open_schemas(database.owner_url, _SCHEMAS, connect_timeout=5))
    in_session(database.service_url, _grant)
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "EXPOSED_SCHEMAS": ",".join(_SCHEMAS),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "API_AGGREGATES": "true",
        "API_TX_OVERRIDE": "true",
        "API_DEFAULT_RETURN": "minimal",
    }
    try:
        with run_service(environment, keys) as running:
            yield running
    finally:
        in_session(database.service_url, _revoke)
        _run(database, "drop schema library, archive cascade")


@pytest.fixture
def rows(library: Service, database: Database) -> None:
    """The library's rows as they are at first."""
    _run(database, (HERE / "library_rows.sql").read_text())


async def _grant(session: AsyncSession) -> None:
    for name, actions in _GRANTS.items():
        await accounts.grant(session, Role.EDITOR, name, actions, None)


async def _revoke(session: AsyncSession) -> None:
    for name, actions in _GRANTS.items():
        await accounts.revoke_grant(session, Role.EDITOR, name, actions)


def _run(database: Database, sql: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("set client_min_messages = error;" + sql)
        finally:
            await connection.close()

    asyncio.run(run())
