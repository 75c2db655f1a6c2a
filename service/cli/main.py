"""Gathers the commands."""

from typing import Annotated

import typer

from service import __version__
from service.cli import backup, demo, export, grants, import_file, jobs, keys, migrate, serve, tracking, users, worker

app = typer.Typer(
    help="Puts a PostgreSQL database behind a REST API that people can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(jobs.app, name="jobs")
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("import")(import_file.import_file)
app.command("reload")(serve.reload)
app.command("migrate")(migrate.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("renew-epoch")(backup.renew_epoch)
app.command("tables")(grants.tables)
app.command("export")(export.export)
app.command("grant")(grants.grant)
app.command("revoke")(grants.revoke)
app.command("grants")(grants.listing)
app.command("track")(tracking.track)
app.command("untrack")(tracking.untrack)
app.command("tracked")(tracking.listing)
app.command("verify-log")(tracking.verify_log)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """The console script."""
    app()
