"""Verifying the log: whether a table is what it leads to."""

from dataclasses import dataclass, replace

import asyncpg
import orjson

from service.catalog.declared import declared_catalog
from service.catalog.resource import Resource
from service.catalog.served import read_catalog
from service.core.errors import Conflict
from service.db.connections import Connection
from service.models import TableBase
from service.query.compile.statement import Statement
from service.query.compile.verify import compile_log_columns, compile_verify
from service.query.plan import Bind, BindKind, VerifyPlan

_MOST_SHOWN = 20
_TRACKED = """
with recursive family as (
    select id from rowhouse.tracked where until is null and relation = to_regclass($1)
    union
    select t.id from rowhouse.tracked t join family f on t.parent = f.id where t.until is null
)
select array_agg(t.id::text), to_json(max(t.since)) #>> '{}', (select array_agg(distinct e) from family f
    join rowhouse.tracked x using (id), unnest(x.excluded) e),
    (select nspname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)),
    (select relname::text from pg_class c where c.oid = to_regclass($1))
from family join rowhouse.tracked t using (id)
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not what its log leads to: how many images the log leaves that are nowhere, and how many stand that
    it does not know of.
    """

    key: dict[str, object] | None
    missing: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: at most so many differences are kept. `compared` are the columns that every image has."""

    table: str
    changes: int
    compared: tuple[str, ...]
    differences: list[Difference]


async def verify(connection: Connection, table: str) -> Verdict:
    """Compare a table, by its qualified name, with what its log leads to. PostgreSQL sorts; nothing is held here.

    Raises:
        Conflict: it is not tracked, or rows went by a TRUNCATE that could not be logged.
    """
    row = await connection.fetchrow(_TRACKED, table)
    if row is None or row[0] is None:
        raise Conflict(f"The changes of {table} are not logged.", hint="rowhouse track TABLE", code="not_tracked")
    numbers, since, excluded, schema, name = row
    resource = (await read_catalog(connection, declared_catalog(TableBase), [schema])).get(name, schema)
    tracked = Bind(numbers, BindKind.LIST)
    plan = VerifyPlan(
        resource, _columns(resource, excluded or []), tracked, Bind(since), Bind(""), is_family=len(numbers) > 1
    )
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        (counted,) = await _fetch(connection, compile_log_columns(plan), plan)
        if counted[1]:
            raise Conflict(f"Rows of {table} went by a TRUNCATE that could not be logged.", code="past_unknown")
        compared = tuple(column for column, lacking in zip(plan.columns, counted[2:], strict=True) if not lacking)
        plan = replace(plan, columns=compared, limit=Bind(str(_MOST_SHOWN)))
        found = await _fetch(connection, compile_verify(plan), plan)
    return Verdict(table, counted[0], compared, [_difference(one) for one in found])


def _columns(resource: Resource, excluded: list[str]) -> tuple[str, ...]:
    return tuple(name for name in resource.columns if name not in excluded)


async def _fetch(connection: Connection, statement: Statement, plan: VerifyPlan) -> list[asyncpg.Record]:
    return list(await connection.fetch(statement.sql, *statement.arguments(plan, "")))


def _difference(row: asyncpg.Record) -> Difference:
    return Difference(None if row[0] is None else orjson.loads(row[0]), row[1], row[2])
