"""Which tables enter the change log: tracked and untracked by the owner, or by the setting TRACKED_TABLES."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from service.core.errors import DatabaseRejected, TableNotFound
from service.db.connections import Connection

# Creating a trigger waits for writers, and writers wait behind it: not for long.
_LOCK_TIMEOUT = "5s"
# Fewer changes than this are counted; more are estimated from PostgreSQL's statistics.
_COUNTED = 10_000

_FIND = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and ((c.relname = $1 and n.nspname = any($2)) or n.nspname || '.' || c.relname = $1)
order by array_position($2, n.nspname::text), c.oid limit 1
"""
# What is tracked with another table is not named apart from it: partitions and children.
_OF_SCHEMA = """
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname = $1
  and not exists (select from pg_inherits i where i.inhrelid = c.oid) order by c.oid
"""
_HAS_COLUMN = """
select exists (select from pg_attribute
               where attrelid = $1::text::regclass and attname = $2 and attnum > 0 and not attisdropped)
"""
_TRACK = "select rowhouse.track($1::text::regclass, $2)"
_UNTRACK = "select rowhouse.untrack($1::text::regclass)"
_EXCLUDED = "select excluded from rowhouse.tracked where relation = $1::text::regclass and until is null"
_LISTED = f"""
select t.relation::text as name, t.since, t.key, t.excluded,
       (select count(*) from (select from rowhouse.changes c where c.tracked = t.id limit {_COUNTED} + 1) c) as counted,
       (select sum(greatest(p.reltuples, 0) * f.share)::bigint
        from pg_inherits i join pg_class p on p.oid = i.inhrelid
        join pg_stats s on s.schemaname = 'rowhouse' and s.tablename = p.relname and s.attname = 'tracked',
             unnest(s.most_common_vals::text::integer[], s.most_common_freqs) f (id, share)
        where i.inhparent = 'rowhouse.changes'::regclass and f.id = t.id) as estimated
from rowhouse.tracked t where t.until is null order by name
"""  # noqa: S608 (a constant of ours)
# What PostgreSQL says of a table that cannot be tracked, rather than of itself.
_REFUSED = (
    asyncpg.WrongObjectTypeError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.InsufficientPrivilegeError,
)


@dataclass(frozen=True, slots=True)
class Tracked:
    """A table whose changes are logged. `changes` is how many are kept; an estimate where `is_estimate`."""

    name: str
    since: datetime
    key: tuple[str, ...]
    excluded: tuple[str, ...]
    changes: int
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A word of TRACKED_TABLES as it was understood."""

    table: str
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What TRACKED_TABLES has done: the tables that are tracked now and were not, and what could not be."""

    tracked: tuple[str, ...]
    problems: tuple[str, ...]


async def find_table(connection: Connection, name: str, schemas: Sequence[str]) -> str:
    """A table's name in SQL, by its name in its path or with its schema.

    Raises:
        TableNotFound: there is none.
    """
    found: str | None = await connection.fetchval(_FIND, name, list(schemas))
    if found is None:
        raise TableNotFound(f"There is no table {name!r}.", hint="Name it as in its path, or as schema.table.")
    return found


async def track(connection: Connection, table: str, excluded: Sequence[str], *, keeps: bool = True) -> list[str]:
    """Log a table's changes from now on, without the excluded columns. Returns the statements that it took.

    `table` is as `find_table` gives it. Without `keeps` everything is undone.

    Raises:
        DatabaseRejected: it cannot be tracked, or is in use.
    """
    async with _owning(connection, keeps=keeps):
        return [row[0] for row in await connection.fetch(_TRACK, table, list(excluded))]


async def untrack(connection: Connection, table: str, *, keeps: bool = True) -> list[str]:
    """Stop logging a table's changes; those that were logged stay. Returns the statements that it took.

    Raises:
        DatabaseRejected: it is not tracked, or is in use.
    """
    async with _owning(connection, keeps=keeps):
        return [row[0] for row in await connection.fetch(_UNTRACK, table)]


async def tracked(connection: Connection) -> list[Tracked]:
    """All tables whose changes are logged."""
    return [
        Tracked(
            name=row["name"],
            since=row["since"],
            key=tuple(row["key"]),
            excluded=tuple(row["excluded"]),
            changes=row["counted"] if row["counted"] <= _COUNTED else max(row["estimated"] or 0, row["counted"]),
            is_estimate=row["counted"] > _COUNTED,
        )
        for row in await connection.fetch(_LISTED)
    ]


async def apply_setting(connection: Connection, words: Sequence[str], schemas: Sequence[str]) -> Applied:
    """Track what TRACKED_TABLES names and is not tracked yet. Nothing is untracked, and no column let in again."""
    done, problems = [], []
    wanted: dict[str, set[str]] = {}
    for word in words:
        try:
            for item in await understand(connection, word, schemas):
                wanted.setdefault(item.table, set()).update(item.excluded)
        except TableNotFound as error:
            problems.append(error.message)
    for table, excluded in wanted.items():
        present: list[str] | None = await connection.fetchval(_EXCLUDED, table)
        if present is not None and excluded <= set(present):
            continue
        try:
            await track(connection, table, sorted(excluded.union(present or ())))
        except DatabaseRejected as error:
            problems.append(f"{error.message} {error.hint or ''}".strip())
        else:
            done.append(table)
    return Applied(tuple(done), tuple(problems))


async def understand(connection: Connection, word: str, schemas: Sequence[str]) -> list[Wanted]:
    """The tables that a word of TRACKED_TABLES names: `table`, `schema.table`, `schema.*`, or `table-column`.

    Raises:
        TableNotFound: there is none.
    """
    if word.endswith(".*"):
        return [Wanted(row[0]) for row in await connection.fetch(_OF_SCHEMA, word.removesuffix(".*"))]
    try:
        return [Wanted(await find_table(connection, word, schemas))]
    except TableNotFound:
        parts = word.split("-")
        for place in range(len(parts) - 1, 0, -1):  # names may have dashes of their own
            table: str | None = await connection.fetchval(_FIND, "-".join(parts[:place]), list(schemas))
            column = "-".join(parts[place:])
            if table is not None and await connection.fetchval(_HAS_COLUMN, table, column):
                return [Wanted(table, (column,))]
        raise


@asynccontextmanager
async def _owning(connection: Connection, *, keeps: bool) -> AsyncIterator[None]:
    """A transaction that does not keep writers waiting, with what PostgreSQL refuses in its words."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
        yield
    except asyncpg.LockNotAvailableError as error:
        await transaction.rollback()
        raise DatabaseRejected("The table is in use by a transaction that does not end; try again later.") from error
    except _REFUSED as error:
        await transaction.rollback()
        raise DatabaseRejected(f"{error.args[0]}.", hint=error.hint) from error
    except BaseException:
        await transaction.rollback()
        raise
    await (transaction.commit() if keeps else transaction.rollback())
