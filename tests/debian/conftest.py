"""Debian's PostgreSQL 15 with PostGIS and contrib, which the embedded server has not, and the application over it.

The cluster is made in a folder of its own, listens on a socket there alone, and is stopped and removed in the end.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from service.db import migrations
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from tests.service_under_test import Service, in_session, run_service

_BINARIES = Path("/usr/lib/postgresql/15/bin")
_EXTENSIONS = Path("/usr/share/postgresql/15/extension")
_NEEDED = [_BINARIES / "initdb", *(_EXTENSIONS / f"{name}.control" for name in ("postgis", "postgres_fdw", "ltree"))]
_FIXTURE = Path(__file__).parent.parent / "fixture" / "debian.sql"
_USER = "postgres"
# The foreign tables lead into the same database: the service's role needs no password there.
_FOREIGN = """
create server far foreign data wrapper postgres_fdw options (host '{socket}', dbname 'rowhouse');
create user mapping for rowhouse_service server far options (user 'postgres', password_required 'false');
create user mapping for postgres server far options (user 'postgres');
grant usage on foreign server far to rowhouse_service;
create foreign table debian.stock (id integer not null, name text not null, amount integer)
    server far options (schema_name 'far', table_name 'stock');
comment on foreign table debian.stock is 'What another server has.';
"""


@dataclass(frozen=True, slots=True)
class DebianPostgres:
    """The running cluster."""

    socket_dir: Path

    def url(self, role: str, database: str = "rowhouse") -> str:
        return f"postgresql://{role}@/{database}?host={self.socket_dir}"

    def execute(self, sql: str, database: str = "rowhouse") -> None:
        """Run as the superuser, apart from the service."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url(_USER, database))
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        asyncio.run(run())


@pytest.fixture(scope="session")
def debian() -> Iterator[DebianPostgres]:
    """The cluster, with the tables of `debian.sql` and Rowhouse's own."""
    missing = [path.name for path in _NEEDED if not path.exists()]
    if missing:
        pytest.skip(f"Debian's PostgreSQL 15 is not all there: {', '.join(missing)}")
    with _cluster() as postgres:
        _prepare(postgres)
        yield postgres


@pytest.fixture(scope="session")
def keys(debian: DebianPostgres) -> dict[Role, str]:
    async def make(session: AsyncSession) -> dict[Role, str]:
        await accounts.grant(session, Role.VIEWER, "places", [Action.READ], "id=lt.3")
        return {role: (await accounts.create_key(session, f"test {role}", role, None)).key for role in Role}

    return in_session(debian.url("rowhouse_service"), make)


@pytest.fixture(scope="session")
def environment(debian: DebianPostgres) -> dict[str, str]:
    return {
        "DATABASE_URL": debian.url("rowhouse_service"),
        "EXPOSED_SCHEMAS": "debian",
        "JWT_SECRET": "x" * 40,
        "RATE_LIMIT": "1000000",
        "API_AGGREGATES": "true",
        "API_TX_OVERRIDE": "true",
    }


@pytest.fixture(scope="session")
def served(environment: dict[str, str], keys: dict[Role, str]) -> Iterator[Service]:
    with run_service(environment, keys) as running:
        yield running


@pytest.fixture
def client(served: Service) -> Iterator[httpx2.Client]:
    """An administrator."""
    with served.client(Role.ADMIN) as client:
        client.base_url = f"{served.url}/api/v1/"
        yield client


@contextmanager
def _cluster() -> Iterator[DebianPostgres]:
    """PostgreSQL does not run as root: there it runs as its own user. Whoever may enter the folder may connect."""
    folder = Path(tempfile.mkdtemp(prefix="rowhouse-debian-"))
    data = folder / "data"
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        _run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        _run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield DebianPostgres(folder)
        finally:
            _run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _run(program: str, *arguments: str | Path) -> None:
    command = [str(_BINARIES / program), *map(str, arguments)]
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", *command]
    # Not through a pipe: the server would keep it open.
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")


def _prepare(postgres: DebianPostgres) -> None:
    for statement in (
        "create role rowhouse_owner login", "create role rowhouse_service login",
        "create database rowhouse owner rowhouse_owner",
    ):  # fmt: skip
        postgres.execute(statement, "postgres")
    asyncio.run(migrations.migrate(postgres.url("rowhouse_owner"), (Branch.ROWHOUSE,)))
    postgres.execute(_FIXTURE.read_text() + _FOREIGN.format(socket=postgres.socket_dir))
    asyncio.run(open_schemas(postgres.url(_USER), ("debian",), 5))
