"""`rowhouse export`"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import asyncpg
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from service.auth.policy import Policy
from service.auth.principal import Principal, PrincipalKind
from service.catalog.declared import declared_catalog
from service.catalog.served import read_catalog
from service.cli.session import command, database, messages
from service.core.errors import InvalidQuery
from service.core.settings import Settings
from service.core.types import Role
from service.crud.export import Exporter
from service.crud.statements import StatementCache
from service.db.copy import CopyPool
from service.db.engine import UnitOfWork, make_engine
from service.db.role import role_to_assume
from service.formats.format import Format
from service.models import TableBase
from service.query.parse.parameters import Bounds
from service.query.parse.request import parse_export, plan_of_export

# Whoever runs the command has the database's URL.
_OPERATOR = Principal(PrincipalKind.USER, "", "rowhouse export", Role.ADMIN)
_BELIEVE_SECONDS = 60
_ENDINGS = ", ".join(dict.fromkeys(form.suffix for form in Format))


@command
async def export(
    table: Annotated[str, typer.Argument(help="Name of the table as in its path.", show_default=False)],
    file: Annotated[Path, typer.Argument(help=f"File to write: {_ENDINGS}.", show_default=False)],
    select: Annotated[str | None, typer.Option(help="Columns, as in the query string.", show_default="all")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Such as 'month=eq.1'; may be given again.", show_default="all rows"),
    ] = None,
    order: Annotated[str | None, typer.Option(help="Such as 'id.desc'.", show_default="none")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Most rows.", show_default="none")] = None,
) -> None:
    """Write a table to a file: CSV, NDJSON, columns of JSON, Arrow or Parquet, by its ending.

    The file is there once it is whole.
    """
    form = next((form for form in Format if file.name.endswith(form.suffix)), None)
    if form is None:
        raise InvalidQuery(f"The file's name must end with one of {_ENDINGS}.")
    query = _query(select, where or (), order, limit)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        rows = await _write(Settings.load(), table, query, form, unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    messages.print(f"{rows:,} rows of {table} are in {file}.", highlight=False, markup=False, soft_wrap=True)


def _query(select: str | None, filters: Sequence[str], order: str | None, limit: int | None) -> bytes:
    parameters = [("select", select), ("order", order), ("limit", None if limit is None else str(limit))]
    for one in filters:
        name, separator, value = one.partition("=")
        if not separator:
            raise InvalidQuery(f"{one!r} is no filter; write column=operator.value.")
        parameters.append((name, value))
    return urlencode([(name, value) for name, value in parameters if value is not None]).encode()


async def _write(settings: Settings, table: str, query: bytes, form: Format, path: Path) -> int:
    async with _exporter(settings) as (exporter, policy):
        resource = policy.resource(_OPERATOR, table)
        bounds = Bounds(settings.api.api_max_rows, settings.api.api_max_depth)
        plan = plan_of_export(parse_export(policy.catalog, resource, query, bounds))
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, TimeElapsedColumn(), console=messages, transient=True) as progress:
            task = progress.add_task(f"{table} → {path.stem}", total=None)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except OSError as error:
                raise InvalidQuery(f"{path} cannot be written: {error.strerror}.") from None
            with os.fdopen(descriptor, "wb") as file:

                async def take(data: bytes) -> None:
                    file.write(data)
                    progress.advance(task, len(data))

                return await exporter.run(plan, _OPERATOR, form, take)


@asynccontextmanager
async def _exporter(settings: Settings) -> AsyncIterator[tuple[Exporter, Policy]]:
    """What exports, in the service's own role."""
    async with database(settings) as urls:
        timeout = settings.database.connect_timeout
        role = await role_to_assume(urls.service, timeout, is_production=settings.is_production)
        connection = await asyncpg.connect(urls.service, timeout=timeout)
        try:
            catalog = await read_catalog(connection, declared_catalog(TableBase), settings.database.exposed_schemas)
        finally:
            await connection.close()
        engine = make_engine(urls.service, settings.database, role=role)
        copies = CopyPool(urls.service, settings.database, settings.exports, role=role)
        policy = Policy(UnitOfWork(engine), catalog, _BELIEVE_SECONDS)
        try:
            yield Exporter(copies, policy, StatementCache()), policy
        finally:
            await copies.close()
            await engine.dispose()
