"""A standby of an embedded PostgreSQL, by pg_basebackup and streaming replication."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from service.db.embedded import DATABASE, EmbeddedPostgres

_REPLICATION = "local replication all peer map=rowhouse\n"


@contextmanager
def standby_of(primary: EmbeddedPostgres, folder: Path) -> Iterator[Path]:
    """The folder of the standby's socket, as long as the block lasts."""
    data, primary_data = folder / "standby", Path(primary.server.pgdata)
    owner = pwd.getpwuid(primary_data.stat().st_uid)
    binaries = Path(psutil.Process(primary.server.get_postmaster_info().pid).exe()).parent
    access = primary_data / "pg_hba.conf"
    access.write_text(_REPLICATION + access.read_text())
    data.mkdir(mode=0o700)
    os.chown(data, owner.pw_uid, owner.pw_gid)
    _run(binaries, owner, "pg_ctl", "-D", primary_data, "reload")
    source = f"host={primary.socket_dir} user=postgres"
    _run(binaries, owner, "pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", source)
    (data / ".s.PGSQL.5432.lock").unlink()  # of the primary's socket, which lies among its data
    options = f"-c listen_addresses='' -c unix_socket_directories='{data}' -c fsync=off"
    _run(binaries, owner, "pg_ctl", "-D", data, "-w", "-l", data / "log", "-o", options, "start")
    try:
        yield data
    finally:
        _run(binaries, owner, "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(data)


def url_of(standby: Path, role: str = "rowhouse_service") -> str:
    return f"postgresql://{role}@/{DATABASE}?host={standby}"


def _run(binaries: Path, owner: pwd.struct_passwd, program: str, *arguments: str | Path) -> None:
    command = [str(binaries / program), *map(str, arguments)]
    if os.geteuid() != owner.pw_uid:
        command = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *command]
    # Not through a pipe: the server would keep it open.
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")
