"""The three ways to restore: into an empty database, in the place of one, and into one that is only looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg

from service.backups import swap
from service.backups.manifest import Manifest
from service.backups.programs import find_programs
from service.backups.restore import Place, Restoring, is_empty, see_to_extensions, see_to_roles
from service.backups.revoked import revoked_in, take_back
from service.core.errors import ConfigurationError
from service.db.connections import Connection

_ABOUT = "select current_database()::text, current_setting('server_version_num')::integer / 10000"
_ONE_AT_A_TIME = "select pg_try_advisory_lock(hashtextextended($1, 0))"
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Restored:
    """`without_login`: roles that were made and need a password. `kept`: what the database that was there is called."""

    without_login: tuple[str, ...] = ()
    kept: str | None = None


async def place_of(url: str, connect_timeout: float) -> Place:
    """The database that a URL leads to."""
    connection = await asyncpg.connect(url, timeout=connect_timeout)
    try:
        database, server = (await connection.fetch(_ABOUT))[0]
    finally:
        await connection.close()
    return Place(url, database, server, connect_timeout)


async def check_server(place: Place, manifest: Manifest) -> None:
    """Raises:
    ConfigurationError: the server cannot hold what is in the backup.
    """
    if place.server < manifest.postgresql:
        raise ConfigurationError(
            f"The backup is of PostgreSQL {manifest.postgresql}, and this server is of {place.server}: restore into "
            "the same release or a newer one."
        )
    await find_programs(manifest.program)
    async with _connected(place) as connection:
        await see_to_extensions(connection, manifest)


async def into_empty(place: Place, restoring: Restoring) -> Restored:
    """Raises:
    ConfigurationError: it is not empty, or the restore failed, which leaves it empty.
    """
    async with _connected(place) as connection:
        if not await is_empty(connection):
            raise ConfigurationError(
                f"{place.database} holds tables already, and nothing is written over. With --replace the backup is "
                "restored beside it and takes its place; what was there is kept under another name."
            )
        made = await see_to_roles(connection, restoring.manifest)
    await restoring.into(place)
    await _analyze(place)
    return Restored(tuple(made))


async def in_place_of(place: Place, restoring: Restoring, jobs: int) -> Restored:
    """Raises:
    ConfigurationError: the restore failed, or could not take its place; nothing has changed then.
    """
    async with _connected(place) as connection:
        made = await see_to_roles(connection, restoring.manifest)
    kept = f"{place.database[: _LONGEST_NAME - 23]}_before_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    async with swap.maintenance(place.url, place.connect_timeout) as connection, _beside(connection, place) as new:
        await restoring.into(new, jobs)
        await _analyze(new)
        await _carry(place, new)  # so that nobody comes in for a moment
        await swap.exchange(connection, place.url, place.database, new.database, kept, place.connect_timeout)
    await _carry(replace(place, database=kept), place)  # what came in between; nothing comes any more
    return Restored(tuple(made), kept)


async def on_trial(place: Place, restoring: Restoring, jobs: int) -> None:
    """Restore into a database of its own, and drop it.

    Raises:
        ConfigurationError: the restore failed.
    """
    async with _connected(place) as connection:
        await see_to_roles(connection, restoring.manifest)
    async with swap.maintenance(place.url, place.connect_timeout) as connection, _beside(connection, place) as new:
        await restoring.into(new, jobs)


@asynccontextmanager
async def _connected(place: Place) -> AsyncIterator[Connection]:
    connection = await place.connect()
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _beside(connection: Connection, place: Place) -> AsyncIterator[Place]:
    """An empty database like the one of `place`. It is dropped, unless it has taken another's name."""
    name = f"{place.database[: _LONGEST_NAME - 11]}_restoring"
    if not await connection.fetchval(_ONE_AT_A_TIME, name):
        raise ConfigurationError(f"Another restore of {place.database} is under way.")
    await swap.drop(connection, name)  # of a restore that was killed
    await swap.create_like(connection, place.database, name)
    try:
        yield replace(place, database=name)
    finally:
        await swap.drop(connection, name)


async def _carry(old: Place, new: Place) -> None:
    async with _connected(old) as connection:
        revoked = await revoked_in(connection)
    async with _connected(new) as connection:
        await take_back(connection, revoked)


async def _analyze(place: Place) -> None:
    """What a dump does not hold: without it plans, and counts that are estimated, go by nothing."""
    async with _connected(place) as connection:
        await connection.execute("set statement_timeout = 0")
        await connection.execute("analyze")
