"""`rowhouse import`"""

import asyncio
import getpass
import gzip
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, cast

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.auth.policy import Policy
from service.auth.principal import Principal, PrincipalKind
from service.catalog.declared import declared_catalog
from service.catalog.served import read_catalog
from service.cli import new_table
from service.cli.session import Urls, command, database, messages, unit_of_work
from service.core.errors import InvalidBody, Rejected, TooManyRejected
from service.core.settings import Settings
from service.core.types import Role
from service.crud.statements import StatementCache
from service.crud.write import Writer
from service.db.connections import Connection
from service.db.role import role_to_assume
from service.db.session import session_settings
from service.db.transaction import Transaction
from service.imports.importer import Caller, Importer
from service.imports.infer import NewColumn, infer_lines, infer_schema
from service.imports.open import open_rows
from service.imports.order import Format, Imported, Order
from service.imports.rows import Rejections
from service.models import TableBase
from service.query.plan import Bind, OnConflict, Written

_CHUNK = 1 << 18
_ENDINGS = {
    ".csv": Format.CSV,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".arrows": Format.ARROW,
    ".arrow": Format.ARROW,
    ".parquet": Format.PARQUET,
}
_PACKED = ".gz"


@command
async def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, NDJSON (.jsonl), an Arrow stream (.arrows) or Parquet; the first two also packed (.gz).",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    table: Annotated[str, typer.Argument(help="Name of the table as in its path.", show_default=False)],
    upsert: Annotated[bool, typer.Option("--upsert", help="Change rows whose key is there already.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete all rows that are there first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do all of it, and keep nothing.")] = False,
    max_rejected: Annotated[
        int | None, typer.Option(min=1, help="Leave out so many rows at most, and list them.", show_default="none")
    ] = None,
    null: Annotated[
        str | None,
        typer.Option(help="What stands for no value in CSV: '' for empty, NA for R.", show_default="NULL"),
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the table, from what the file holds.")] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(help="With --create: column of the key; may be given again.", show_default="none"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --create: do not ask.")] = False,
) -> None:
    """Import a file into a table: all of its rows, or none.

    Policy aside, it is what a POST of the file does: an administrator's, whom
    the change log knows as `cli:` and the system's user. With --create the table
    is made first, by the owner (MIGRATION_DATABASE_URL): tracked, readable for
    viewers, writable for editors. The statement is shown before.
    """
    settings = Settings.load()
    source = _File.of(file)
    order = Order(
        source.form,
        on_conflict=OnConflict.REPLACE if upsert else OnConflict.FAIL,
        replaces=replace,
        max_rejected=max_rejected,
        keeps=not dry_run,
        null=null,
    )
    async with database(settings) as urls:
        if create:
            columns = await source.columns(null)
            statement = new_table.ddl(settings.database.exposed_schemas[0], table, columns, key or ())
            await new_table.create(settings, urls, table, statement, is_agreed=yes)
        try:
            imported = await _import(settings, urls, source, order, table)
        except BaseException as error:  # Ctrl-C, too, leaves no table behind
            if create:
                await new_table.drop(settings, urls, table)
            if isinstance(error, TooManyRejected):
                _list(error.rejected)
            raise
        if create and dry_run:
            await new_table.drop(settings, urls, table)
        elif create:
            await new_table.serve(settings, urls)
    _tell(imported, table)


async def _import(settings: Settings, urls: Urls, source: "_File", order: Order, table: str) -> Imported:
    rejections = Rejections(order.max_rejected)
    user = getpass.getuser()
    principal = Principal(PrincipalKind.USER, "", user, Role.ADMIN)
    caller = Caller(principal, Written(Bind(f"cli:{user}"), Bind("")))
    async with unit_of_work(settings) as work, _connected(settings, urls) as connection:
        catalog = await read_catalog(connection, declared_catalog(TableBase), settings.database.exposed_schemas)
        policy, statements = Policy(work, catalog, 0), StatementCache()
        resource = catalog.get(table)
        transaction = Transaction(connection, "")
        importer = Importer(policy, Writer(transaction, policy, statements), statements, settings.imports)
        with _Bar(source) as (advance, say):
            async with open_rows(order, resource, source.chunks(advance), rejections) as rows:
                await transaction.begin()
                try:
                    imported = await importer.run(transaction, resource, order, rows, rejections, caller, say)
                    await (transaction.commit() if order.keeps else transaction.roll_back())
                except BaseException:
                    await transaction.roll_back()
                    raise
        return imported


@asynccontextmanager
async def _connected(settings: Settings, urls: Urls) -> AsyncIterator[Connection]:
    """A connection in the service's own role."""
    timeout = settings.database.connect_timeout
    role = await role_to_assume(urls.service, timeout, is_production=settings.is_production)
    connection = await asyncpg.connect(
        urls.service, timeout=timeout, server_settings=session_settings(settings.database, role)
    )
    try:
        yield connection
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class _File:
    """A file of rows."""

    path: Path
    form: Format
    is_packed: bool

    @classmethod
    def of(cls, path: Path) -> "_File":
        """Raises InvalidBody: its ending tells no format."""
        is_packed = path.suffix.lower() == _PACKED
        ending = (path.with_suffix("") if is_packed else path).suffix.lower()
        form = _ENDINGS.get(ending)
        if form is None or (is_packed and form not in (Format.CSV, Format.NDJSON)):
            raise InvalidBody(
                f"{path.name!r} ends in nothing that is known.",
                hint=f"Known are {', '.join(_ENDINGS)}, .csv.gz and .jsonl.gz.",
            )
        return cls(path, form, is_packed)

    async def chunks(self, advance: Callable[[int], None] = lambda done: None) -> AsyncIterator[bytes]:
        """The rows; `advance` is told how many bytes of the file were read."""
        with self.path.open("rb") as raw:
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if self.is_packed else raw)
            try:
                while chunk := await asyncio.to_thread(file.read, _CHUNK):
                    yield chunk
                    advance(raw.tell())
            except (gzip.BadGzipFile, EOFError) as error:
                raise InvalidBody(f"{self.path.name!r} cannot be unpacked: {error}.") from None

    async def columns(self, null: str | None) -> list[NewColumn]:
        """The columns of a table for its rows. Raises InvalidBody."""
        if self.form in (Format.CSV, Format.NDJSON):
            return await infer_lines(self.form, self.chunks(), null)
        import pyarrow
        from pyarrow import parquet

        try:
            if self.form is Format.PARQUET:
                return infer_schema(parquet.read_schema(self.path))
            with self.path.open("rb") as raw:
                return infer_schema(pyarrow.ipc.open_stream(raw).schema)
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidBody(f"{self.path.name!r} cannot be read: {error}") from None


class _Bar:
    """A bar on standard error for as long as the block lasts."""

    def __init__(self, source: _File) -> None:
        self._bar = Progress(
            TextColumn("{task.description:<9}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=messages
        )
        self._task = self._bar.add_task("reading", total=source.path.stat().st_size)

    def __enter__(self) -> tuple[Callable[[int], None], Callable[[str, int], None]]:
        self._bar.start()
        return self._advance, self._say

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _advance(self, done: int) -> None:
        self._bar.update(self._task, completed=done)

    def _say(self, phase: str, rows: int) -> None:
        self._bar.update(self._task, description=phase)


def _tell(imported: Imported, table: str) -> None:
    parts = {
        "inserted": imported.inserted,
        "updated": imported.updated,
        "deleted before": imported.deleted,
        "left out": len(imported.rejected),
    }
    told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count or what == "inserted")
    kept = "" if imported.is_kept else "Tried, and kept nothing: "
    messages.print(f"{kept}{table}: {told}.", highlight=False)
    _list(imported.rejected)


def _list(rejected: Sequence[Rejected]) -> None:
    """On standard output, so that it can be kept."""
    if not rejected:
        return
    shown = Table("Row", "Column", "Why", "Value")
    for one in rejected:
        shown.add_row(str(one.row), escape(one.column or ""), escape(one.reason), escape(one.value or ""))
    Console().print(shown)
