"""PostgreSQL, and a standby of it that replays what it is sent."""

import asyncio
import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil

from service.core.settings import DatabaseSettings
from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db import migrations
from service.db.embedded import EmbeddedPostgres, start_embedded
from service.db.engine import UnitOfWork, make_engine
from service.db.migrations import Branch

_OBJECTS = """
insert into airlines (carrier, name) select 'A' || n, 'airline' from generate_series(0, 8) n;
create table late (id bigint generated always as identity primary key, told text);
create function pause(seconds float8) returns boolean language sql volatile as 'select pg_sleep(seconds) is null';
create function fail() returns boolean language plpgsql volatile as $$ begin raise sqlstate 'PT500'; end $$;
grant select, insert, update, delete on late to rowhouse_service;
grant execute on function pause(float8), fail() to rowhouse_service;
select rowhouse.track('airlines');
select rowhouse.track('late');
"""


class Server:
    """An embedded PostgreSQL with Rowhouse's schema, and a key of an administrator of everything."""

    def __init__(self, folder: Path) -> None:
        self.embedded: EmbeddedPostgres = asyncio.run(start_embedded(folder / "primary"))
        self.data = (folder / "primary" / "postgresql").resolve()
        asyncio.run(migrations.migrate(self.embedded.owner_url, (Branch.ROWHOUSE, Branch.TABLES)))
        self.run(_OBJECTS)
        self.key = asyncio.run(self._make_key())

    def run(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return asyncio.run(_run(self.embedded.owner_url, sql, *arguments))

    def run_as_superuser(self, sql: str) -> list[asyncpg.Record]:
        return asyncio.run(_run(self.embedded.url("postgres"), sql))

    def kill(self) -> None:
        process = psutil.Process(self.embedded.server.get_postmaster_info().pid)
        children = process.children()
        process.kill()
        psutil.wait_procs([process, *children], timeout=10)

    def start(self) -> None:
        self.embedded.server.ensure_postgres_running()

    def stop(self) -> None:
        self.embedded.release()

    async def _make_key(self) -> str:
        engine = make_engine(self.embedded.service_url, DatabaseSettings(_env_file=None), role=None)
        try:
            async with UnitOfWork(engine).begin() as session:
                for table in ("airlines", "late"):
                    await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
                for function in ("pause", "fail"):
                    await accounts.grant(session, Role.EDITOR, f"rpc/{function}", [Action.EXECUTE], None)
                return (await accounts.create_key(session, "prometheus run", Role.EDITOR, None)).key
        finally:
            await engine.dispose()


class Standby:
    """A copy of the server that follows it."""

    def __init__(self, primary: Server, folder: Path) -> None:
        self._binaries = Path(psutil.Process(primary.embedded.server.get_postmaster_info().pid).exe()).parent
        self._user = pwd.getpwuid(os.stat(primary.data).st_uid).pw_name
        self._data, self._sockets = folder / "standby", folder / "standby_sockets"
        hba = primary.data / "pg_hba.conf"
        hba.write_text(hba.read_text() + "local replication all peer map=rowhouse\n")
        primary.run_as_superuser("select pg_reload_conf()")
        for path in (self._data, self._sockets):
            path.mkdir(mode=0o700)
            os.chown(path, os.stat(primary.data).st_uid, -1)
        self._sockets.chmod(0o755)
        source = ("-h", str(primary.embedded.socket_dir), "-U", "postgres")
        self._do("pg_basebackup", *source, "-D", str(self._data), "-R", "-c", "fast")
        options = f"-c listen_addresses= -c unix_socket_directories={self._sockets}"
        self._do("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._data / "log"), "-o", options, "start")
        self.url = f"postgresql://rowhouse_service@/rowhouse?host={self._sockets}"

    def pause(self, *, is_paused: bool) -> None:
        what = "pause" if is_paused else "resume"
        # What is replayed at once may cut off the one who said so.
        with suppress(asyncpg.SerializationError):
            asyncio.run(_run(f"postgresql://postgres@/rowhouse?host={self._sockets}", f"select pg_wal_replay_{what}()"))

    def stop(self) -> None:
        self._do("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def _do(self, program: str, *arguments: str) -> None:
        user = self._user if os.geteuid() == 0 else None
        ended = subprocess.run(
            [self._binaries / program, *arguments], user=user, cwd="/", capture_output=True, text=True, timeout=60
        )
        if ended.returncode:
            raise RuntimeError(f"{program}: {ended.stderr or ended.stdout}")


async def _run(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """What a statement returns; of several at once, nothing."""
    connection = await asyncpg.connect(url)
    try:
        if sql.lstrip().startswith("select"):
            return await connection.fetch(sql)
        await connection.execute(sql, *arguments)
        return []
    finally:
        await connection.close()
