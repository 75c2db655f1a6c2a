"""`rowhouse serve`, `rowhouse migrate`"""

from typing import Annotated

import asyncpg
import typer

from service.cli.session import command, database, messages, told
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.db import migrations
from service.db.listen import RELOAD_CHANNEL
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from service.events.tracking import apply_setting


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: PORT, or 8000.")] = None,
) -> None:
    """Serve the database in one process. Without DATABASE_URL an embedded PostgreSQL is started."""
    told(lambda: run_server(Settings.load(), host, port))


def run_server(settings: Settings, host: str | None = None, port: int | None = None) -> None:
    """Run until a signal comes.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    # Here, since the commands that serve nothing need not wait for a second while it is read.
    import uvicorn

    from service.application import create_app
    from service.serving.server import Server, options

    app = create_app(settings)
    host, port = host or settings.server.host, port or settings.server.port
    server = Server(app, uvicorn.Config(app, host=host, port=port, **options(settings)))
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn raises the signal again when it has shut down
        pass
    if not server.started:
        raise typer.Exit(1)


@command
async def reload() -> None:
    """Let running services read the tables, views and functions of the database again."""
    settings = Settings.load()
    async with database(settings) as urls:
        connection = await asyncpg.connect(urls.service, timeout=settings.database.connect_timeout)
        try:
            await connection.execute(f"notify {RELOAD_CHANNEL}")
        finally:
            await connection.close()
    messages.print("Running services read the catalog again.")


@command
async def migrate(
    tables: Annotated[bool, typer.Option("--tables", help="Also create the declared tables.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only compare the models with the database.")] = False,
) -> None:
    """Bring the database to this release, as its owner (MIGRATION_DATABASE_URL).

    Changes the schema `rowhouse` alone, unless --tables is given.
    """
    branches = (Branch.ROWHOUSE, Branch.TABLES) if tables else (Branch.ROWHOUSE,)
    settings = Settings.load()
    async with database(settings) as urls:
        if check:
            await migrations.check(urls.owner)
            messages.print("The models and the database agree.")
            return
        await migrations.migrate(urls.owner, branches)
        await open_schemas(urls.owner, settings.database.exposed_schemas, settings.database.connect_timeout)
        await _track(settings, urls.owner)
    messages.print(f"Up to date: {', '.join(branches)}.", highlight=False)


async def _track(settings: Settings, owner_url: str) -> None:
    """See to TRACKED_TABLES.

    Raises:
        ConfigurationError: a table of it is not there, or cannot be tracked. The others are.
    """
    if not settings.change_log.tracked_tables:
        return
    connection = await asyncpg.connect(owner_url, timeout=settings.database.connect_timeout)
    try:
        applied = await apply_setting(connection, settings.change_log.tracked_tables, settings.database.exposed_schemas)
    finally:
        await connection.close()
    if applied.tracked:
        messages.print(f"Changes are logged from now on: {', '.join(applied.tracked)}.", highlight=False)
    if applied.problems:
        raise ConfigurationError(f"TRACKED_TABLES: {' '.join(applied.problems)}")
