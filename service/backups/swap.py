"""A database that is made beside another, and takes its place in one moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from service.core.errors import ConfigurationError
from service.db.connections import Connection

_MAINTENANCE = "postgres"
_PROBE_SECONDS = 0.1
_MOST_TRIES = 6
# A column has been called otherwise since PostgreSQL 17.
_CREATE = """
select format('create database %I with owner %I template template0 encoding %L', $2::text, r.rolname,
              pg_encoding_to_char(d.encoding))
    || format(' lc_collate %L lc_ctype %L', d.datcollate, d.datctype)
    || case j->>'datlocprovider'
           when 'i' then format(' locale_provider icu icu_locale %L', coalesce(j->>'datlocale', j->>'daticulocale'))
           when 'b' then format(' locale_provider builtin builtin_locale %L', j->>'datlocale') else '' end
from pg_database d join pg_roles r on r.oid = d.datdba, to_jsonb(d) j where d.datname = $1
"""
# What belongs to a database and is in no dump of it: who may connect, how many, and what is set and said of it.
# Settings that are lists are kept as they are to be written (pg_dump does the same).
_BELONGINGS = """
select format('grant %s on database %I to %s%s', a.privilege_type, $2::text,
              case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
              case when a.is_grantable then ' with grant option' else '' end)
from pg_database d, aclexplode(d.datacl) a where d.datname = $1
union all
select format('alter database %I connection limit %s', $2::text, datconnlimit)
from pg_database where datname = $1 and datconnlimit >= 0
union all
select format('comment on database %I is %L', $2::text, shobj_description(oid, 'pg_database'))
from pg_database where datname = $1 and shobj_description(oid, 'pg_database') is not null
union all
select format('alter %s set %I to %s',
              case s.setrole when 0 then format('database %I', $2::text)
                   else format('role %I in database %I', pg_get_userbyid(s.setrole), $2::text) end,
              split_part(setting, '=', 1),
              case when split_part(setting, '=', 1) in ('search_path', 'session_preload_libraries',
                                                        'local_preload_libraries', 'temp_tablespaces')
                   then substr(setting, strpos(setting, '=') + 1)
                   else quote_literal(substr(setting, strpos(setting, '=') + 1)) end)
from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) setting where d.datname = $1
"""
_REVOKE = """
select format('revoke all on database %I from public', $2::text) from pg_database
where datname = $1 and datacl is not null
"""
_TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()"
_DROP = "select format('drop database if exists %I with (force)', $1::text)"
_RENAME = "select format('alter database %I rename to %I', $1::text, $2::text)"


@asynccontextmanager
async def maintenance(url: str, connect_timeout: float) -> AsyncIterator[Connection]:
    """A connection to the same server, beside the database."""
    connection = await asyncpg.connect(url, database=_MAINTENANCE, timeout=connect_timeout)
    try:
        yield connection
    finally:
        await connection.close()


async def create_like(connection: Connection, database: str, name: str) -> None:
    """Make an empty database as another is: owner, encoding, locale.

    Raises:
        ConfigurationError: this role may not.
    """
    try:
        await connection.execute(await connection.fetchval(_CREATE, database, name))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(
            f"A database beside {database} cannot be made ({error}). Set MIGRATION_DATABASE_URL to a role that may "
            "make databases, and is a member of the owner's."
        ) from None


async def drop(connection: Connection, name: str) -> None:
    """Drop a database, whoever uses it."""
    await connection.execute(await connection.fetchval(_DROP, name))


async def exchange(
    connection: Connection, url: str, database: str, new: str, kept: str, connect_timeout: float
) -> None:
    """`database` is called `kept` from now on, and `new` takes its name: both or neither. Whoever was connected is cut
    off, and finds the new one.

    Raises:
        ConfigurationError: somebody is connected who cannot be cut off.
    """
    for statement in (_REVOKE, _BELONGINGS):
        for row in await connection.fetch(statement, database, new):
            await connection.execute(row[0])
    async with maintenance(url, connect_timeout) as other:
        ending = asyncio.create_task(_end_connections(other, database, new))
        try:
            await _rename_both(connection, database, new, kept)
        finally:
            ending.cancel()
            with suppress(asyncio.CancelledError, asyncpg.PostgresError):
                await ending


async def _rename_both(connection: Connection, database: str, new: str, kept: str) -> None:
    for attempt in range(_MOST_TRIES):
        try:
            async with connection.transaction():
                for names in ((database, kept), (new, database)):
                    await connection.execute(await connection.fetchval(_RENAME, *names))
            return
        except asyncpg.ObjectInUseError:
            if attempt == _MOST_TRIES - 1:
                raise ConfigurationError(
                    f"Others stay connected to {database} and cannot be cut off by this role: stop the services, or "
                    "restore as a member of pg_signal_backend."
                ) from None


async def _end_connections(connection: Connection, *databases: str) -> None:
    while True:
        for name in databases:
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(_TERMINATE, name)
        await asyncio.sleep(_PROBE_SECONDS)
