"""`rowhouse track`, `rowhouse untrack`, `rowhouse tracked`"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from service.cli.session import command, database, messages
from service.core.settings import Settings
from service.db.connections import Connection
from service.events import tracking
from service.events.verify import verify

TableArgument = Annotated[
    str, typer.Argument(help="Name of the table as in its path, or schema.table.", show_default=False)
]
SqlOption = Annotated[bool, typer.Option("--sql", help="Only show the statements that it would take.")]


@command
async def track(
    table: TableArgument,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="Column that never enters the log; may be given again.", show_default="none"),
    ] = None,
    sql: SqlOption = False,
) -> None:
    """Log every change of a table from now on, whoever makes it, as its owner (MIGRATION_DATABASE_URL).

    Partitions and children by inheritance are tracked with it. What it creates
    is one function in the schema `rowhouse` and triggers on the table; `untrack`
    removes them.
    """
    settings = Settings.load()
    async with as_owner(settings) as connection:
        name = await tracking.find_table(connection, table, settings.database.exposed_schemas)
        statements = await tracking.track(connection, name, without or [], keeps=not sql)
    if sql:
        _print_all(statements)
    elif statements:
        _print_short(statements)
        messages.print(f"Changes of {name} are logged from now on.", highlight=False)
    else:
        messages.print(f"Changes of {name} are logged already.", highlight=False)


@command
async def untrack(table: TableArgument, sql: SqlOption = False) -> None:
    """Log a table's changes no longer. What was logged is kept as long as the log's retention."""
    settings = Settings.load()
    async with as_owner(settings) as connection:
        name = await tracking.find_table(connection, table, settings.database.exposed_schemas)
        statements = await tracking.untrack(connection, name, keeps=not sql)
    if sql:
        _print_all(statements)
    else:
        _print_short(statements)
        messages.print(f"Changes of {name} are no longer logged.", highlight=False)


@command
async def listing() -> None:
    """List the tables whose changes are logged."""
    async with as_owner(Settings.load()) as connection:
        found = await tracking.tracked(connection)
    table = Table("Table", "Since", "Key", "Left out")
    table.add_column("Changes", justify="right")
    for item in found:
        table.add_row(
            item.name,
            f"{item.since:%Y-%m-%d %H:%M}",
            ", ".join(item.key) or "whole row",
            ", ".join(item.excluded) or "-",
            f"{'~' if item.is_estimate else ''}{item.changes:,}",
        )
    Console().print(table)


@command
async def verify_log(table: TableArgument) -> None:
    """Replay a table's log and compare what it leads to with the table.

    Every row that the log knows must be as the log left it. Columns that were
    added later are not compared. Exits with 1 where something differs: changes
    were made while triggers were off, or the log was written to.
    """
    settings = Settings.load()
    async with as_owner(settings) as connection:
        name = await tracking.find_table(connection, table, settings.database.exposed_schemas)
        with messages.status(f"Replaying the log of {name} …"):
            verdict = await verify(connection, name)
    told = f"{verdict.changes:,} changes of {name}, compared in {', '.join(verdict.compared)}"
    if not verdict.differences:
        messages.print(f"The table is what its log leads to: {told}.", highlight=False)
        return
    shown = Table("Row", "Left by the log, and nowhere", "There, and not in the log")
    for one in verdict.differences:
        key = "whole row" if one.key is None else ", ".join(f"{column}={value}" for column, value in one.key.items())
        shown.add_row(key, str(one.missing), str(one.unknown))
    Console().print(shown)
    messages.print(f"[red]The table is not what its log leads to:[/] {told}.", highlight=False)
    raise typer.Exit(1)


@asynccontextmanager
async def as_owner(settings: Settings) -> AsyncIterator[Connection]:
    async with database(settings) as urls:
        connection = await asyncpg.connect(urls.owner, timeout=settings.database.connect_timeout)
        try:
            yield connection
        finally:
            await connection.close()


def _print_all(statements: list[str]) -> None:
    """Ready to be read, or run."""
    for statement in statements:
        typer.echo(f"{statement};")


def _print_short(statements: list[str]) -> None:
    """The first line of each: a function's body is long."""
    for statement in statements:
        messages.print(f"  {statement.splitlines()[0]}", highlight=False, markup=False, soft_wrap=True)
