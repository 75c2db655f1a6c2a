"""Which of the declared tables a database has. One that it lacks, or has with other columns, is not served."""

from collections.abc import Iterable

import asyncpg

from service.catalog.resource import Relation, Resource

_PRESENT = """
select n.nspname, c.relname, array_agg(a.attname::text)
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
group by 1, 2
"""
DEFAULT_SCHEMA = "public"


async def present_in(
    connection: "asyncpg.Connection[asyncpg.Record]", resources: Iterable[Resource]
) -> tuple[Resource, ...]:
    """Those of the resources whose tables are there, with the ways between them."""
    found = {(row[0], row[1]): set(row[2]) for row in await connection.fetch(_PRESENT)}
    present = [
        item
        for item in resources
        if set(item.columns) <= found.get((item.table.schema or DEFAULT_SCHEMA, item.table.name), set())
    ]
    names = {item.name for item in present}

    def leads_somewhere(relation: Relation) -> bool:
        return relation.target in names

    return tuple(
        Resource.build(
            item.name, item.table, tuple(item.columns.values()), tuple(filter(leads_somewhere, item.relations))
        )
        for item in present
    )
