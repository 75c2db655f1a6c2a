"""`rowhouse grant`, `rowhouse revoke`, `rowhouse grants`"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from service.auth.policy import FUNCTIONS
from service.catalog.catalog import Catalog
from service.catalog.declared import declared_catalog
from service.catalog.served import read_catalog
from service.cli.session import by, command, database, messages, unit_of_work
from service.core.errors import InvalidQuery
from service.core.settings import Settings
from service.core.types import OF_COLUMNS, OF_TABLES, Action, Role
from service.crud import accounts
from service.crud.grant_check import check_rows, columns_of, find_function
from service.db.connections import Connection
from service.db.session import session_settings
from service.db.sqlstate import to_domain
from service.models import TableBase
from service.models.system import Grant
from service.query.parse.request import parse_filter
from service.query.plan import ReadPlan

RoleArgument = Annotated[Role, typer.Argument(help="To whom.", show_default=False)]
TableArgument = Annotated[
    str, typer.Argument(help="Name of the table as in its path, or rpc/NAME for a function.", show_default=False)
]
ActionArguments = Annotated[
    list[Action] | None,
    typer.Argument(help="What: read, create, update, delete; execute for functions.", show_default="all"),
]


@command
async def grant(
    role: RoleArgument,
    table: TableArgument,
    actions: ActionArguments = None,
    where: Annotated[
        str | None, typer.Option(help="Only rows that meet this filter, such as 'origin=eq.JFK'.", show_default="all")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Read, or set, only these columns, such as 'id,name'. Rows are deleted whole.", show_default="all"
        ),
    ] = None,
) -> None:
    """Let a role do something with the rows of a table.

    Nothing is granted by default; administrators may do everything. What was granted before of the same actions is
    granted anew, not added to.
    """
    settings = Settings.load()
    chosen = actions or _all_of(table, columns)
    if columns is not None and not set(chosen) <= set(OF_COLUMNS):
        raise InvalidQuery("Columns are granted to read, create and update.", hint="Grant the rest without --columns.")
    async with connected(settings) as connection:
        catalog = await read_catalog(connection, declared_catalog(TableBase), settings.database.exposed_schemas)
        if table.startswith(FUNCTIONS):
            _check_function(catalog, table, where)
        elif where is None:
            catalog.get(table)
        else:
            resource = catalog.get(table)
            await _try(connection, ReadPlan(resource, where=parse_filter(resource, where, settings.api.api_max_depth)))
        names = None if columns is None else columns_of(catalog.get(table), columns)
    async with unit_of_work(settings) as work, work.begin() as session:
        await accounts.grant(session, role, table, chosen, where, names, by())
    rows = f"the rows where {where}" if where else "all rows"
    of_rows = f"{', '.join(names)} in {rows}" if names else rows
    messages.print(f"{role.value} may {_words(chosen)} {of_rows} of {table}.", highlight=False)


@command
async def revoke(role: RoleArgument, table: TableArgument, actions: ActionArguments = None) -> None:
    """Take grants back."""
    chosen = actions or _all_of(table, None)
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        count = await accounts.revoke_grant(session, role, table, chosen, by())
    messages.print(f"Took {count} grants on {table} back from {role.value}.", highlight=False)


@command
async def listing() -> None:
    """List what is granted."""
    async with unit_of_work(Settings.load()) as work, work.begin() as session:
        grants = (await session.scalars(select(Grant).order_by(Grant.role, Grant.table_name, Grant.action))).all()
    table = Table("Role", "Table", "Action", "Rows", "Columns")
    for item in grants:
        columns = "all" if item.columns is None else ", ".join(item.columns)
        table.add_row(item.role, item.table_name, item.action, item.row_filter or "all", columns)
    Console().print(table)


@command
async def tables() -> None:
    """List the tables that are served."""
    table = Table("Table", "Key", "Columns", "Embeds", "What it holds")
    settings = Settings.load()
    async with connected(settings) as connection:
        catalog = await read_catalog(connection, declared_catalog(TableBase), settings.database.exposed_schemas)
    for resource in catalog:
        embeds = ", ".join(way.name for way in resource.relations if not way.is_many)
        table.add_row(
            resource.name, ", ".join(resource.key), str(len(resource.columns)), embeds, resource.comment or ""
        )
    Console().print(table)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    async with database(settings) as urls:
        connection = await asyncpg.connect(
            urls.service,
            timeout=settings.database.connect_timeout,
            server_settings=session_settings(settings.database, role=None),
        )
        try:
            yield connection
        finally:
            await connection.close()


async def _try(connection: Connection, plan: ReadPlan) -> None:
    """Let PostgreSQL read the values of a filter. Raises: as `check_rows`."""

    async def run(sql: str, arguments: Sequence[object]) -> None:
        try:
            await connection.fetch(sql, *arguments)
        except asyncpg.PostgresError as error:
            raise to_domain(error) from error

    await check_rows(run, plan)


def _check_function(catalog: Catalog, name: str, where: str | None) -> None:
    if where is not None:
        raise InvalidQuery("A grant of a function has no rows to filter.")
    find_function(catalog, name.removeprefix(FUNCTIONS))


def _all_of(name: str, columns: str | None) -> list[Action]:
    if name.startswith(FUNCTIONS):
        return [Action.EXECUTE]
    return list(OF_TABLES if columns is None else OF_COLUMNS)


def _words(actions: list[Action]) -> str:
    words = [action.value for action in actions]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
