"""The PostgreSQL that the tests run on: the embedded one, or that of TEST_POSTGRES_BIN."""

import asyncio
import getpass
import os
from pathlib import Path

import asyncpg

from service.db.embedded import EmbeddedPostgres, start_embedded

_PROGRAMS = os.environ.get("TEST_POSTGRES_BIN")


async def start_postgres(data_dir: Path) -> EmbeddedPostgres:
    """Start the server in `data_dir`, or join the one that runs there."""
    return await start_embedded(data_dir, Path(_PROGRAMS) if _PROGRAMS else None)


def let_in(server: EmbeddedPostgres, role: str) -> None:
    """Let a role of a test's own connect. Before PostgreSQL 16 the server's list must name it."""
    with (server.server.pgdata / "pg_ident.conf").open("a") as allowed:
        allowed.write(f'rowhouse {getpass.getuser()} "{role}"\n')
    asyncio.run(_reload(server.superuser_url))


async def _reload(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()
