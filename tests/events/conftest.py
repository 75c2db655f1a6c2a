"""A schema of the test's own, and what was logged of its tables."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from service.db.connections import brief_connection
from tests.conftest import Database
from tests.service_under_test import Service

SCHEMA = "logged"
_CHANGES = """
select c.op, c.key, c.old_key, c.was, c.now from rowhouse.changes c join rowhouse.tracked t on t.id = c.tracked
where ($1::text is null or t.relation = to_regclass($1)) and c.seq > $2 order by c.seq
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log."""

    op: str
    key: str | None
    old_key: str | None
    was: dict[str, Any] | None
    now: dict[str, Any] | None


class Log:
    """Runs scripts in the schema `logged`, and reads what they left in the log since the test began."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.begins = int(self.fetch("select nextval('rowhouse.change_seq')")[0][0])

    def run(self, script: str, url: str | None = None, **settings: str) -> None:
        """Run statements one after another, as the owner unless another URL is given."""
        asyncio.run(_run(url or self.database.owner_url, script, {"search_path": SCHEMA} | settings))

    def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return self.database.execute(sql, *arguments)

    def changes(self, table: str | None = None) -> list[Change]:
        """What was logged of a table of the schema, in the order of the log."""
        name = table and f"{SCHEMA}.{table}"
        rows = self.fetch(_CHANGES, name, self.begins)
        return [
            Change(row["op"].decode(), row["key"], row["old_key"], _parsed(row["was"]), _parsed(row["now"]))
            for row in rows
        ]

    def short(self, table: str | None = None) -> list[tuple[str, str | None]]:
        """What was logged, each as operation and key."""
        return [(change.op, change.key) for change in self.changes(table)]

    def track(self, table: str, *excluded: str) -> list[str]:
        """Track a table of the schema. Returns the statements that this took."""
        sql = "select rowhouse.track($1::text::regclass, $2)"
        return [row[0] for row in self.fetch(sql, f"{SCHEMA}.{table}", list(excluded))]

    def arrange(self) -> int:
        """Bring all tables in step, as the service does. Returns how many statements that took.

        It waits where a service that runs does the same.
        """
        sql = "with lock as materialized (select pg_advisory_xact_lock(7036874417767)) "
        return int(asyncio.run(_value(self.database.service_url, f"{sql}select rowhouse.arrange_all() from lock")))


@pytest.fixture
def log(database: Database) -> Iterator[Log]:
    database.execute(f"create schema {SCHEMA}")
    try:
        yield Log(database)
    finally:
        database.execute_as_superuser(f"drop schema {SCHEMA} cascade")
        database.execute("select rowhouse.arrange_all()")
        database.execute(
            "do $$ declare made text; begin for made in select p.oid::regprocedure from pg_proc p "
            "where p.pronamespace = 'rowhouse'::regnamespace and p.proname ~ '^log_\\d+$' and exists (select from "
            "rowhouse.tracked t where 'log_' || t.id = p.proname and t.until is not null) loop "
            "execute 'drop function ' || made; end loop; end $$"
        )


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    """An administrator's."""
    with service.client(Role.ADMIN) as client:
        yield client


async def _run(url: str, script: str, settings: dict[str, str]) -> None:
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def _value(url: str, sql: str) -> Any:
    async with brief_connection(url) as connection:
        return await connection.fetchval(sql)


def _parsed(image: str | None) -> dict[str, Any] | None:
    return None if image is None else json.loads(image)
