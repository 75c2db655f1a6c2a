"""A database with the awkward tables beside those of Rowhouse, as the service finds it where somebody else made it."""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from service.db.embedded import DATABASE, EmbeddedPostgres
from service.db.privileges import open_schemas
from tests.conftest import Database

SCHEMAS = ("awkward", "awkward_two")
_FIXTURE = Path(__file__).parent / "fixture" / "awkward.sql"


@contextmanager
def awkward_database(server: EmbeddedPostgres, name: str, shared_folder: Path) -> Iterator[Database]:
    """The database, in which the service's role has its rights, until the block ends."""
    database = Database(f"awkward_{name}", server)
    with (shared_folder / "postgres.lock").open("w") as lock:  # a template may have no other user
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_execute(server.superuser_url, f"create database {database.name} template {DATABASE}"))
    asyncio.run(_execute(database.superuser_url, "set client_min_messages = error;" + _FIXTURE.read_text()))
    asyncio.run(open_schemas(database.superuser_url, SCHEMAS, 5.0))
    try:
        yield database
    finally:
        asyncio.run(_execute(server.superuser_url, f"drop database {database.name} with (force)"))


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
