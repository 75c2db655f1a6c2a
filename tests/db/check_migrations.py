"""Migrates a database of its own to the heads, and compares it with the models (`alembic check`)."""

import asyncio
import tempfile
from pathlib import Path

from service.cli.session import told
from service.db import migrations
from service.db.migrations import Branch
from tests.postgres import start_postgres


async def check(data_dir: Path) -> None:
    server = await start_postgres(data_dir)
    try:
        await migrations.migrate(server.owner_url, (Branch.ROWHOUSE, Branch.TABLES))
        await migrations.check(server.owner_url)
    finally:
        server.release()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        told(lambda: asyncio.run(check(Path(folder))))
