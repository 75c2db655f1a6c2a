"""`rowhouse serve`, `rowhouse reload`"""

from typing import Annotated

import asyncpg
import typer

from service.cli.session import command, database, messages, told
from service.core.settings import Settings
from service.db.listen import RELOAD_CHANNEL


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
