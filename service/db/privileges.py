"""What the service's role may do in the exposed schemas: given by the owner, when it migrates."""

from collections.abc import Sequence

import asyncpg

from service.db.migration_lock import wait_for_turn
from service.db.role import SERVICE_ROLE

# Read from the catalogs and not `all tables in schema`: one table of somebody else must not stop the others.
_STATEMENTS = """
select format('grant usage on schema %I to {role}', n.nspname) from pg_namespace n where n.nspname = any($1)
union all
select format(case when c.relkind = 'S' then 'grant usage, select on sequence %I.%I to {role}'
                   else 'grant select, insert, update, delete on %I.%I to {role}' end, n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and pg_has_role(c.relowner, 'usage')
union all
select format('alter default privileges in schema %I grant %s on %s to {role}', n.nspname, rights, kind)
from pg_namespace n,
     (values ('select, insert, update, delete', 'tables'), ('usage, select', 'sequences')) v (rights, kind)
where n.nspname = any($1)
"""


async def open_schemas(owner_url: str, schemas: Sequence[str], connect_timeout: float) -> None:
    """Let the service's role work in these schemas, now and with tables that the owner makes later.

    What the owner does not own stays as it is. Nothing is created.
    """
    connection = await asyncpg.connect(owner_url, timeout=connect_timeout)
    try:
        # Grants that meet on one table fail.
        await wait_for_turn(connection.fetchval, waits=lambda _: None)
        for row in await connection.fetch(_STATEMENTS.format(role=SERVICE_ROLE), list(schemas)):
            try:
                await connection.execute(row[0])
            except asyncpg.InsufficientPrivilegeError:
                continue
    finally:
        await connection.close()
