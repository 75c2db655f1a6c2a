"""Which of the declared tables a database has. One that it lacks, or has with other columns, is not served."""

import asyncpg

from service.catalog.catalog import Catalog

_PRESENT = """
select n.nspname, c.relname, array_agg(a.attname::text)
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
group by 1, 2
"""
DEFAULT_SCHEMA = "public"


async def present_in(connection: "asyncpg.Connection[asyncpg.Record]", declared: Catalog) -> Catalog:
    """Those of the declared resources whose tables are there, with the ways between them."""
    found = {(row[0], row[1]): set(row[2]) for row in await connection.fetch(_PRESENT)}
    return declared.only(
        {
            item.name
            for item in declared
            if set(item.columns) <= found.get((item.table.schema or DEFAULT_SCHEMA, item.table.name), set())
        }
    )
