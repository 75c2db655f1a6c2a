"""Everything that is served: what the database has, with what the code declares of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.catalog.catalog import Catalog
from service.catalog.found import read_found
from service.catalog.merge import merge

if TYPE_CHECKING:
    import asyncpg


async def read_catalog(
    connection: "asyncpg.Connection[asyncpg.Record]", declared: Catalog, schemas: Sequence[str]
) -> Catalog:
    """The catalog of these schemas, the first of which needs no name in a path."""
    found = await read_found(connection, schemas)
    return Catalog(merge(found, declared), found.functions, schemas)
