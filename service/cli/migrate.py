"""`rowhouse migrate`"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import asyncpg
import typer
from rich.padding import Padding
from rich.status import Status

from service.cli.session import command, database, messages
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.db import migration_lint, migrations
from service.db.migration_lock import DEFAULT_PATIENCE, Patience
from service.db.migration_progress import doing
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from service.db.runner import LOST
from service.events.tracking import apply_setting

_LOOK_SECONDS = 0.5


@command
async def migrate(
    tables: Annotated[bool, typer.Option("--tables", help="Also create the declared tables.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what is missing: exits with 1 if anything is. Changes nothing.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL that would run.")] = False,
    lint: Annotated[
        bool, typer.Option("--lint", help="Only read new migrations for what must not be done while a service runs.")
    ] = False,
    lock_timeout: Annotated[
        float, typer.Option(min=0.01, help="Seconds that a statement may wait for a table, with others behind it.")
    ] = DEFAULT_PATIENCE.lock_timeout,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to try again for, where a table is in use.")
    ] = DEFAULT_PATIENCE.seconds,
) -> None:
    """Bring the database to this release, as its owner (MIGRATION_DATABASE_URL).

    Changes the schema `rowhouse` alone, unless --tables is given. A service may
    run meanwhile, of this release or of the one before. Any number of these may
    be started at once: one migrates and the others wait for it. Ended half way,
    it is run again and goes on.
    """
    if sum((check, sql, lint)) > 1:
        raise ConfigurationError("Choose one of --check, --sql and --lint.")
    if lint:
        return _lint()
    branches = (Branch.ROWHOUSE, Branch.TABLES) if tables else (Branch.ROWHOUSE,)
    settings = Settings.load()
    async with database(settings) as urls:
        if check:
            return await _check(settings, urls.owner, branches)
        if sql:
            return await _print_sql(settings, urls.owner, branches)
        async with _shown(urls.owner, settings.database.connect_timeout) as status:
            await migrations.migrate(urls.owner, branches, Patience(lock_timeout, patience, _waits), _applied)
            status.update("Granting …")
            await open_schemas(urls.owner, settings.database.exposed_schemas, settings.database.connect_timeout)
        await _track(settings, urls.owner)
    messages.print(f"Up to date: {', '.join(branches)}.", highlight=False)


def _applied(revision: str, title: str) -> None:
    messages.print(f"  {revision}  {title}", highlight=False, markup=False)


def _waits(reason: str) -> None:
    messages.print(f"  {reason}", highlight=False)


@asynccontextmanager
async def _shown(url: str, connect_timeout: float) -> AsyncIterator[Status]:
    """A line that says what is done just now."""
    with messages.status("Migrating …") as status:
        watching = asyncio.create_task(_watch(url, connect_timeout, status))
        try:
            yield status
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def _watch(url: str, connect_timeout: float, status: Status) -> None:
    await asyncio.sleep(_LOOK_SECONDS)  # most migrations are over by then
    with suppress(*LOST, asyncpg.PostgresError):  # it is only a show
        connection = await asyncpg.connect(url, timeout=connect_timeout)
        try:
            while True:
                status.update(str(await doing(connection) or "Migrating …"))
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            connection.terminate()


async def _check(settings: Settings, url: str, wanted: tuple[Branch, ...]) -> None:
    connection = await asyncpg.connect(
        url, timeout=settings.database.connect_timeout, server_settings={"default_transaction_read_only": "on"}
    )
    try:
        present = await migrations.revisions(connection)
    finally:
        await connection.close()
    state = migrations.behind(present, wanted)
    if state.pending:
        count = len(state.pending)
        messages.print(f"{count} migration{'s are' if count > 1 else ' is'} pending:", highlight=False)
        for revision in state.pending:
            _applied(revision, migrations.title(revision))
        messages.print("Run `rowhouse migrate`.", highlight=False)
        raise typer.Exit(1)
    if state.is_ahead:
        messages.print("The database is ahead: a newer release has migrated it. This one may go on.", highlight=False)
        return
    await migrations.check(url, migrations.begun(present))
    messages.print("No migration is pending, and the models and the database agree.", highlight=False)


async def _print_sql(settings: Settings, url: str, branches: tuple[Branch, ...]) -> None:
    connection = await asyncpg.connect(url, timeout=settings.database.connect_timeout)
    try:
        present = await migrations.revisions(connection)
    finally:
        await connection.close()
    state = migrations.behind(present, branches)
    if not state.pending:
        messages.print("Nothing would run: no migration is pending.", highlight=False)
        return
    known = present - await asyncio.to_thread(migrations.unknown, present)
    typer.echo(await asyncio.to_thread(migrations.sql, known, branches))


def _lint() -> None:
    chosen = migration_lint.linted()
    found = migration_lint.lint(chosen)
    for finding in found:
        title = f"[bold]{finding.revision}[/]  [red]{finding.rule}[/]"
        messages.print(title, highlight=False)
        for text in (finding.statement[:200], f"{finding.message} {finding.help}"):
            if text:
                messages.print(Padding(text.replace("[", r"\["), (0, 0, 0, 7)), highlight=False)
    if found:
        raise ConfigurationError(
            f"{len(found)} of these must not be done while a service runs.",
            hint="migrations/README.md says what to do instead, and how to accept one.",
        )
    names = ", ".join(item.revision for item in chosen) or "none is newer than the release that is out"
    messages.print(f"Migrations are safe to run beside a service: {names}.", highlight=False)


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
