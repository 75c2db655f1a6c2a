"""Makes a backup: pg_dump's archive and its manifest, of one snapshot."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import asyncpg

from service import __version__
from service.backups import manifest as manifests
from service.backups.contents import measure, tables
from service.backups.manifest import KnownRole, Manifest
from service.backups.programs import Programs, environment, find_programs, running
from service.core.errors import ConfigurationError
from service.db import migrations
from service.db.connections import Connection

_ABOUT = """
select current_database()::text as database, current_setting('server_version') as server_version,
       current_setting('server_version_num')::integer / 10000 as postgresql,
       array(select e.extname::text from pg_extension e where e.extname <> 'plpgsql' order by 1) as extensions
"""
# Whoever owns or is granted something here, and who works as they do.
_ROLES = """
with named as (
    select d.refobjid as oid from pg_shdepend d
    where d.refclassid = 'pg_authid'::regclass
      and d.dbid = (select oid from pg_database where datname = current_database())
    union select c.relowner from pg_class c where c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
), known as (
    select oid from named union select m.member from pg_auth_members m join named on named.oid = m.roleid
)
select r.rolname::text, r.rolcanlogin, r.rolinherit,
       array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
             where m.member = r.oid and m.roleid in (select oid from known) order by 1)
from pg_roles r where r.oid in (select oid from known) and r.rolname !~ '^pg_' order by 1
"""
_GONE = "select array(select t.id from rowhouse.tracked t where t.relation::text ~ '^[0-9]+$')"
_DUMPING = "dumping contents of table"


class Told(Protocol):
    """Who is told of progress: how many tables there are, and each that is measured or written."""

    def begin(self, count: int) -> None: ...

    def measured(self, name: str) -> None: ...

    def written(self) -> None: ...


async def back_up(url: str, path: Path, connect_timeout: float, jobs: int, told: Told) -> Manifest:
    """Write a file (`jobs` 1), or a folder by several connections. It is there once it is whole.

    Raises:
        ConfigurationError: it is there already, no programs fit, or pg_dump failed.
    """
    workshop = _begin(path)
    unfinished = workshop / path.name
    try:
        async with _snapshot(url, connect_timeout) as (connection, snapshot):
            programs = await find_programs((await _about(connection))["postgresql"])
            told.begin(len(await tables(connection)))
            writing = asyncio.create_task(_dump(programs, url, unfinished, snapshot, jobs, told.written))
            try:
                made = await _manifest(connection, programs, told.measured)
                await writing
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
        return await asyncio.to_thread(_complete, unfinished, path, made)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        shutil.rmtree(workshop)


def _begin(path: Path) -> Path:
    """A folder of its own where it is written until it is whole, on the same disk."""
    if path.exists() or manifests.path_of(path).exists():
        raise _there_already(path)
    try:
        return Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None


def _there_already(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} is there already; a backup writes over nothing. Choose another name.")


@asynccontextmanager
async def _snapshot(url: str, connect_timeout: float) -> AsyncIterator[tuple[Connection, str]]:
    """A connection on a snapshot that others may share while the block lasts."""
    connection = await asyncpg.connect(url, timeout=connect_timeout, server_settings={"application_name": "rowhouse"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            yield connection, await connection.fetchval("select pg_export_snapshot()")
    finally:
        connection.terminate()


async def _about(connection: Connection) -> asyncpg.Record:
    row = await connection.fetchrow(_ABOUT)
    assert row is not None
    return row


async def _dump(
    programs: Programs, url: str, path: Path, snapshot: str, jobs: int, written: Callable[[], None]
) -> None:
    form = ["--format=custom"] if jobs == 1 else ["--format=directory", f"--jobs={jobs}"]
    arguments = [programs.path("pg_dump"), *form, f"--snapshot={snapshot}", "--verbose", "--no-password"]

    def on_line(line: str) -> None:
        if _DUMPING in line:
            written()

    before = os.umask(0o077)
    try:
        async with running([*arguments, f"--file={path}"], environment(url), on_line) as run:
            await run.finish()
    finally:
        os.umask(before)


async def _manifest(connection: Connection, programs: Programs, measured: Callable[[str], None]) -> Manifest:
    about = await _about(connection)
    present = await migrations.revisions(connection)
    is_logged = await connection.fetchval("select to_regclass('rowhouse.tracked') is not null")
    return Manifest(
        format=manifests.FORMAT,
        rowhouse=__version__,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        database=about["database"],
        postgresql=about["postgresql"],
        server_version=about["server_version"],
        program=programs.major,
        migrations=tuple(sorted(present)),
        extensions=tuple(about["extensions"]),
        roles=tuple(KnownRole(row[0], row[1], row[2], tuple(row[3])) for row in await connection.fetch(_ROLES)),
        gone=tuple(await connection.fetchval(_GONE)) if is_logged else (),
        contents=await measure(connection, measured),
        files={},
    )


def _complete(unfinished: Path, path: Path, made: Manifest) -> Manifest:
    """Give the backup its name, once all of it is on the disk. A file without its manifest is not taken for whole."""
    finished = replace(made, files=manifests.checksums(unfinished))
    for written in [unfinished] if unfinished.is_file() else [*unfinished.iterdir(), unfinished]:
        _sync(written)
    if unfinished.is_dir():
        finished.write(manifests.path_of(unfinished))
        _claim(path, is_folder=True)
        unfinished.rename(path)
    else:
        _claim(path, is_folder=False)
        unfinished.rename(path)
        finished.write(manifests.path_of(path))
    _sync(path.parent)
    return finished


def _claim(path: Path, *, is_folder: bool) -> None:
    """Take a name that nobody has, empty; of two that are done at once one may."""
    try:
        if is_folder:
            path.mkdir(0o700)
        else:
            path.touch(0o600, exist_ok=False)
    except FileExistsError:
        raise _there_already(path) from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
