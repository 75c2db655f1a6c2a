"""A PostgreSQL of the tests' own with the real data, and the production application on top of it.

The embedded server is started once for all workers; the data are loaded once; each worker works in a copy
(`CREATE DATABASE … TEMPLATE`).
"""

import asyncio
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from service.core.types import Role
from service.db import migrations
from service.db.embedded import DATABASE, EmbeddedPostgres
from service.db.migrations import Branch
from service.demo import nycflights
from tests.postgres import start_postgres
from tests.service_under_test import Service, make_keys, run_service


@dataclass(frozen=True, slots=True)
class Database:
    """A database with the real data, by each of its roles."""

    name: str
    server: EmbeddedPostgres

    @property
    def owner_url(self) -> str:
        return self.server.url("rowhouse_owner", self.name)

    @property
    def service_url(self) -> str:
        return self.server.url("rowhouse_service", self.name)

    @property
    def superuser_url(self) -> str:
        return self.server.url("postgres", self.name)

    def execute(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a statement as the owner, apart from the service."""
        return asyncio.run(_fetch(self.owner_url, sql, *arguments))

    def execute_script(self, sql: str) -> None:
        """Run several statements as the owner."""
        asyncio.run(_execute(self.owner_url, sql))

    def execute_as_superuser(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return asyncio.run(_fetch(self.superuser_url, sql, *arguments))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Leave word of how it ended: make tells a failed test from a run that was broken off by nothing."""
    cache = session.config.cache
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("ended/with", int(exitstatus))


async def _fetch(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


async def _hurry(server: EmbeddedPostgres) -> None:
    """Its data need not outlive the machine: without waiting for the disk a process that is killed loses nothing."""
    connection = await asyncpg.connect(server.url("postgres", DATABASE))
    try:
        for name in ("fsync", "full_page_writes"):
            await connection.execute(f"alter system set {name} = off")
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _prepare(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.owner_url)
    try:
        if await connection.fetchval("select to_regclass('public.flights')") is None:
            await migrations.migrate(server.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
            await nycflights.load(connection, lambda table, done, total: None)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres(shared_folder: Path) -> Iterator[EmbeddedPostgres]:
    """The server, with the real data in its first database."""
    with (shared_folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = asyncio.run(start_postgres(shared_folder / "data"))
        asyncio.run(_hurry(server))
        asyncio.run(_prepare(server))
    yield server
    server.release()


@pytest.fixture(scope="session")
def database(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Database:
    """This worker's copy of the data."""
    return copy_database(postgres, f"test_{worker_id}", shared_folder)


def copy_database(server: EmbeddedPostgres, name: str, shared_folder: Path) -> Database:
    """The data once more, under that name."""
    with (shared_folder / "postgres.lock").open("w") as lock:  # a template may have no other user
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_fetch(server.superuser_url, f"create database {name} template {DATABASE} owner rowhouse_owner"))
    return Database(name, server)


@pytest.fixture(scope="session")
def keys(database: Database) -> dict[Role, str]:
    return make_keys(database.service_url)


@pytest.fixture(scope="session")
def service(database: Database, keys: dict[Role, str], shared_folder: Path) -> Iterator[Service]:
    """The application over this worker's database. Anonymous callers have no role."""
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "LOGIN_RATE_LIMIT": "10000",
        "ALLOWED_ORIGINS": "https://shiny.example.org",
    }
    with run_service(environment, keys) as running:
        yield running
