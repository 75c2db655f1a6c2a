"""Restores a backup: compared with what was saved, and in another life, before anybody can see it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from service.backups.contents import comparison, listed
from service.backups.manifest import Manifest
from service.backups.programs import Programs, environment, running
from service.backups.renewal import ARRANGEMENT, renewal
from service.core.errors import ConfigurationError
from service.db.connections import Connection

_CHUNK = 1 << 18
_PIPE = asyncio.subprocess.PIPE
# Behind the last statement of a script of pg_restore there is no more than its farewell.
_TAIL = 4096
_COMMIT = b"COMMIT;"
# pg_restore sets it since 17, also in servers that do not know it.
_KNOWS_TIMEOUT = 17
_SET_TIMEOUT = b"SET transaction_timeout = 0;\n"
_SECTIONS = ("pre-data", "data", "post-data")
_PROCESSING = "processing data for table"
_IS_EMPTY = """
select not exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and not exists (select from pg_depend d
                      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
)
"""
_MAY_MAKE_ROLES = "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"


@dataclass(frozen=True, slots=True)
class Place:
    """A database of a server, whose release of PostgreSQL is `server`."""

    url: str
    database: str
    server: int
    connect_timeout: float

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.url, self.database)

    async def connect(self) -> Connection:
        return await asyncpg.connect(self.url, database=self.database, timeout=self.connect_timeout)


@dataclass(frozen=True, slots=True)
class Restoring:
    """A backup on its way into a database."""

    backup: Path
    manifest: Manifest
    programs: Programs
    actor: str
    with_owners: bool
    written: Callable[[], None]

    async def into(self, place: Place, jobs: int = 1) -> None:
        """Fill an empty database: in one transaction, or by several connections (then it is whole only at the end).

        Raises:
            ConfigurationError: it failed, or what came out is not what was saved.
        """
        reason = f"a backup of {self.manifest.made_at}"
        checked = comparison(self.manifest.contents) + renewal(self.actor, reason, self.manifest.gone)
        if jobs == 1:
            await self._in_one_transaction(place, checked)
        elif place.server < _KNOWS_TIMEOUT <= self.programs.major:
            raise ConfigurationError(
                f"pg_restore {self.programs.major} sets what PostgreSQL {place.server} does not know: leave --jobs "
                f"out, or install postgresql-client-{place.server}."
            )
        else:
            await self._by_several(place, jobs, checked)

    def _pg_restore(self, section: str) -> list[str]:
        owners = [] if self.with_owners else ["--no-owner"]
        return [self.programs.path("pg_restore"), f"--section={section}", "--verbose", "--no-password", *owners]

    def _on_line(self, line: str) -> None:
        if _PROCESSING in line:
            self.written()

    async def _in_one_transaction(self, place: Place, checked: str) -> None:
        """pg_restore's scripts and our own statements, sent to one psql. Whatever ends early leaves nothing: only the
        last statement commits.
        """
        psql = [self.programs.path("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
        async with running(
            [*psql, "--file=-"], place.environment, stdin=_PIPE, stdout=asyncio.subprocess.DEVNULL
        ) as run:
            send = _sender(run.process.stdin)
            try:
                await send(b"begin;\n")
                for section in _SECTIONS:
                    await self._script(section, place.server, send)
                    if section == "data":
                        await send(checked.encode())
                await send(ARRANGEMENT.encode() + b"commit;\n")
            except (BrokenPipeError, ConnectionResetError):  # psql says why
                pass
            assert run.process.stdin is not None
            run.process.stdin.close()
            await run.finish()

    async def _script(self, section: str, server: int, send: Callable[[bytes], Awaitable[None]]) -> None:
        """The script of a section, without the COMMIT at its end."""
        arguments = [*self._pg_restore(section), "--single-transaction", "--file=-", str(self.backup)]
        async with running(
            arguments, environment("postgresql://"), self._on_line, stdout=asyncio.subprocess.PIPE
        ) as run:
            assert run.process.stdout is not None
            held, is_begin = b"", True
            while chunk := await run.process.stdout.read(_CHUNK):
                if is_begin and server < _KNOWS_TIMEOUT:
                    chunk = chunk.replace(_SET_TIMEOUT, b"", 1)
                is_begin = False
                held += chunk
                await send(held[:-_TAIL])
                held = held[-_TAIL:]
            await run.finish()
        before, _, after = held.rpartition(_COMMIT)
        await send(before + after)

    async def _by_several(self, place: Place, jobs: int, checked: str) -> None:
        connection = await place.connect()
        try:
            for section in _SECTIONS:
                arguments = [
                    *self._pg_restore(section),
                    f"--jobs={jobs}",
                    "--exit-on-error",
                    f"--dbname={place.database}",
                ]
                async with running([*arguments, str(self.backup)], place.environment, self._on_line) as run:
                    await run.finish()
                if section == "data":
                    async with connection.transaction():
                        await connection.execute(checked)
            await connection.execute(ARRANGEMENT)
        except asyncpg.RaiseError as error:
            raise ConfigurationError(f"The restore was stopped: {error}") from None
        finally:
            await connection.close()


async def is_empty(connection: Connection) -> bool:
    """Whether a database holds no table of anybody's."""
    return bool(await connection.fetchval(_IS_EMPTY))


async def see_to_roles(connection: Connection, manifest: Manifest) -> list[str]:
    """Make the roles that the backup names and the server lacks, without a password. Returns who could log in before.

    Raises:
        ConfigurationError: this role may not make any.
    """
    present = {row[0] for row in await connection.fetch("select rolname::text from pg_roles")}
    missing = [role for role in manifest.roles if role.name not in present]
    if missing and not await connection.fetchval(_MAY_MAKE_ROLES):
        raise ConfigurationError(
            f"Roles are missing here: {listed([role.name for role in missing])}. Make them first "
            "(deploy/postgresql/roles.sql), or restore as a role that may."
        )
    for role in missing:
        options = f"nologin {'inherit' if role.inherits else 'noinherit'}"
        statement = await connection.fetchval("select format($1, $2::text)", f"create role %I {options}", role.name)
        await connection.execute(statement)
    for role in missing:
        for group in role.member_of:
            grant = await connection.fetchval("select format('grant %I to %I', $1::text, $2::text)", group, role.name)
            await connection.execute(grant)
    return [role.name for role in missing if role.can_login]


async def see_to_extensions(connection: Connection, manifest: Manifest) -> None:
    """Raises:
    ConfigurationError: an extension is not installed on the server.
    """
    offered = {row[0] for row in await connection.fetch("select name::text from pg_available_extensions")}
    if missing := [name for name in manifest.extensions if name not in offered]:
        raise ConfigurationError(f"The server has no extension {listed(missing)}: install it, then restore.")


def _sender(stdin: asyncio.StreamWriter | None) -> Callable[[bytes], Awaitable[None]]:
    assert stdin is not None

    async def send(data: bytes) -> None:
        stdin.write(data)
        await stdin.drain()

    return send
