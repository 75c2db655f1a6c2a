"""The table that `rowhouse import --create` makes: shown, made, tracked, granted, served."""

from collections.abc import Sequence

import asyncpg
import typer

from service.cli.session import Urls, by, messages, unit_of_work
from service.core.errors import Conflict, InvalidBody
from service.core.settings import Settings
from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db.listen import RELOAD_CHANNEL
from service.db.privileges import open_schemas
from service.db.sqlstate import to_domain
from service.events import tracking
from service.imports.infer import NewColumn
from service.query.compile.columns import qualified, quoted

_LONGEST_NAME = 63


def ddl(schema: str, name: str, columns: Sequence[NewColumn], key: Sequence[str]) -> str:
    """The statement that makes the table.

    Raises:
        InvalidBody: the key names what is no column, or the name is none for a table.
    """
    if not name or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise InvalidBody(f"{name!r} cannot be the name of a table.")
    if missing := [one for one in key if one not in {column.name for column in columns}]:
        raise InvalidBody(f"The file has no column {missing[0]!r} that could be the key.")
    lines = [f"    {quoted(column.name)} {column.type}" for column in columns]
    if key:
        lines.append(f"    primary key ({', '.join(map(quoted, key))})")
    return f"create table {qualified(schema, name)} (\n" + ",\n".join(lines) + "\n)"


async def create(settings: Settings, urls: Urls, name: str, statement: str, *, is_agreed: bool) -> None:
    """Show the statement, and run it as the owner; then track the table, grant it as the demo's are, and serve it.

    Raises:
        Conflict: there is such a table.
    """
    typer.echo(f"{statement};")
    if not is_agreed:
        typer.confirm("Make this table?", abort=True, err=True)
    schema = settings.database.exposed_schemas[0]
    connection = await asyncpg.connect(urls.owner, timeout=settings.database.connect_timeout)
    try:
        await connection.execute(statement)
        table = qualified(schema, name)
        await tracking.track(connection, table, [])
    except asyncpg.DuplicateTableError:
        raise Conflict(f"There is a table {name!r} already: leave out --create.") from None
    except asyncpg.PostgresError as error:
        raise to_domain(error) from error
    finally:
        await connection.close()
    await open_schemas(urls.owner, settings.database.exposed_schemas, settings.database.connect_timeout)
    async with unit_of_work(settings) as work, work.begin() as session:
        await accounts.grant(session, Role.VIEWER, name, [Action.READ], None, by=by())
        await accounts.grant(session, Role.EDITOR, name, list(OF_TABLES), None, by=by())
    messages.print(f"Made {name}: its changes are logged, viewers read it, editors change it.", highlight=False)


async def drop(settings: Settings, urls: Urls, name: str) -> None:
    """Take back what `create` did: nothing came of it."""
    connection = await asyncpg.connect(urls.owner, timeout=settings.database.connect_timeout)
    try:
        table = qualified(settings.database.exposed_schemas[0], name)
        await tracking.untrack(connection, table)
        await connection.execute(f"drop table {table}")
    finally:
        await connection.close()
    async with unit_of_work(settings) as work, work.begin() as session:
        for role in (Role.VIEWER, Role.EDITOR):
            await accounts.revoke_grant(session, role, name, list(OF_TABLES), by())


async def serve(settings: Settings, urls: Urls) -> None:
    """Let running services see the table."""
    connection = await asyncpg.connect(urls.service, timeout=settings.database.connect_timeout)
    try:
        await connection.execute(f"notify {RELOAD_CHANNEL}")
    finally:
        await connection.close()
