"""`rowhouse backup`, `rowhouse restore`, `rowhouse renew-epoch`"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from service.backups import manifest as manifests
from service.backups import renewal, ways
from service.backups.dump import back_up
from service.backups.manifest import Manifest
from service.backups.programs import find_programs
from service.backups.restore import Place, Restoring
from service.cli.session import by, command, database, messages
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.db import migrations

FileArgument = Annotated[Path, typer.Argument(help="File or folder of the backup.", show_default=False)]
JobsOption = Annotated[int, typer.Option(min=1, max=64, help="Connections to work with.")]


class _Shown:
    """Two bars: tables that are counted, and tables that are written."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._measured = progress.add_task("Reading tables", total=None)
        self._written = progress.add_task("Writing the backup", total=None)

    def begin(self, count: int) -> None:
        for task in (self._measured, self._written):
            self._progress.update(task, total=count)

    def measured(self, name: str) -> None:
        self._progress.advance(self._measured)

    def written(self) -> None:
        self._progress.advance(self._written)


@command
async def backup(
    file: Annotated[
        Path | None, typer.Argument(help="File to write, or with --jobs folder.", show_default=False)
    ] = None,
    jobs: JobsOption = 1,
) -> None:
    """Write the whole database to a file, as its owner (MIGRATION_DATABASE_URL).

    It is pg_dump's own format, of one moment; the service goes on. Beside it, in
    FILE.json, stand checksums, the migrations, and each table's rows with a
    digest of them: `rowhouse restore` compares. Keep both files together, and
    keep JWT_SECRET elsewhere: what is sealed by it cannot be read without it.

    With --jobs above 1, a folder is written by several connections at once.
    """
    settings = Settings.load()
    async with database(settings) as urls:
        place = await ways.place_of(urls.keeper, settings.database.connect_timeout)
        path = file or _name_for(place.database, is_folder=jobs > 1)
        with _bars() as progress:
            made = await back_up(urls.keeper, path, settings.database.connect_timeout, jobs, _Shown(progress))
    size = sum(one.stat().st_size for one in ([path] if path.is_file() else path.iterdir()))
    messages.print(
        f"{path}: {made.contents.rows:,} rows of {len(made.contents.tables)} tables, {size / 1e6:,.1f} MB, "
        f"of PostgreSQL {made.postgresql}.",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    messages.print(f"See that it can be restored: rowhouse restore {path} --verify", highlight=False, soft_wrap=True)


@command
async def restore(
    file: FileArgument,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the database that is there. It is kept, renamed.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only try: restore into a database of its own, compare, and drop it.")
    ] = False,
    jobs: JobsOption = 1,
    no_owner: Annotated[
        bool, typer.Option("--no-owner", help="All that is restored belongs to the role used.")
    ] = False,
) -> None:
    """Restore a backup, as the owner or a stronger role (MIGRATION_DATABASE_URL).

    Into an empty database, in one transaction: what fails leaves nothing. With
    --replace, into a new database that takes the place of the one that is there
    in one moment, while services go on.

    Every table is compared with what was saved before anybody sees it, and
    another life begins: old cursors and versions of rows are told so, sessions
    are ended, and webhook deliveries that were waiting then are not sent.
    """
    if replace and verify:
        raise ConfigurationError("Choose --replace or --verify.")
    if jobs > 1 and not (replace or verify):
        raise ConfigurationError("--jobs needs --replace or --verify: several connections share no transaction.")
    settings = Settings.load()
    manifest = manifests.read(file)
    async with database(settings) as urls:
        place = await ways.place_of(urls.keeper, settings.database.connect_timeout)
        await ways.check_server(place, manifest)
        with _bars() as progress:
            task = progress.add_task("Restoring tables", total=len(manifest.contents.tables))
            restoring = await _restoring(file, manifest, progress, task, with_owners=not no_owner)
            restored = await _restore(place, restoring, jobs, replace=replace, verify=verify)
    _tell(file, manifest, place, restored, verify=verify)


async def _restoring(
    file: Path, manifest: Manifest, progress: Progress, task: TaskID, *, with_owners: bool
) -> Restoring:
    programs = await find_programs(manifest.program)
    return Restoring(file, manifest, programs, str(by().actor), with_owners, lambda: progress.advance(task))


async def _restore(place: Place, restoring: Restoring, jobs: int, *, replace: bool, verify: bool) -> ways.Restored:
    if verify:
        await ways.on_trial(place, restoring, jobs)
        return ways.Restored()
    return await (ways.in_place_of(place, restoring, jobs) if replace else ways.into_empty(place, restoring))


def _tell(file: Path, manifest: Manifest, place: Place, restored: ways.Restored, *, verify: bool) -> None:
    held = f"{manifest.contents.rows:,} rows of {len(manifest.contents.tables)} tables"
    if verify:
        _say(f"{file} can be restored: {held} came out as they were saved on {manifest.made_at}.")
        return
    _say(f"{place.database} is as it was on {manifest.made_at}: {held}, compared with what was saved.")
    if restored.kept:
        _say(f"What was there is kept as {restored.kept}: drop that database once all is well.")
    for role in restored.without_login:
        _say(f"Role {role} was made without a password: alter role {role} login password '…'.")
    state = migrations.behind(frozenset(manifest.migrations))
    if manifest.migrations and state.pending:
        _say(f"The backup is of an older release ({len(state.pending)} migrations): run `rowhouse migrate`.")
    if not restored.kept:
        _say("API keys and users are those of then: revoke again what was revoked since (`rowhouse keys list`).")


@command
async def renew_epoch() -> None:
    """Begin another life, after a restore that `rowhouse restore` did not do.

    After point-in-time recovery, a copied data folder or pg_restore: stop the
    services or keep requests away, run this, and let them in. Versions of rows
    and cursors of the feed from before hold no longer, sessions are ended, and
    webhook deliveries that were waiting are not sent. Connected services are cut
    off for a moment. It may be run again at any time.
    """
    settings = Settings.load()
    async with database(settings) as urls:
        connection = await asyncpg.connect(urls.keeper, timeout=settings.database.connect_timeout)
        try:
            if await connection.fetchval("select to_regclass('rowhouse.cluster')") is None:
                raise ConfigurationError("This database is not Rowhouse's yet: run `rowhouse migrate`.")
            ended = await renewal.renew(connection, str(by().actor))
        finally:
            await connection.close()
    _say(f"Another life has begun; {ended} connections were ended so that services know.")


def _name_for(name: str, *, is_folder: bool) -> Path:
    return Path(f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}" + ("" if is_folder else ".dump"))


def _say(text: str) -> None:
    messages.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = TextColumn("{task.description:<18}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=messages, transient=True) as progress:
        yield progress
