"""How many connections the processes of the service may have, and what is left of them for the table plane."""

from dataclasses import dataclass

import asyncpg
import structlog

from service.db.engine import MOST_CONNECTIONS

_log = structlog.get_logger()
_LEAST_POOL = 2
# Whatever is smallest: the server's places that are not reserved for superusers, the role's, the database's.
_LIMIT = """
select least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    (select nullif(rolconnlimit, -1) from pg_roles where rolname = session_user),
    (select nullif(datconnlimit, -1) from pg_database where datname = current_database()))
"""
# The follower, the listener, the probe, the watch, and what wakes workers.
_ALONE = 5
_ENGINES = 2  # the control plane's and the guard's


@dataclass(frozen=True, slots=True)
class Budget:
    """Connections: `limit` is what PostgreSQL gives all `processes` together, `beside` what each may have beside the
    pool of the table plane.
    """

    limit: int
    processes: int
    beside: int

    def pool_size(self, wanted: int) -> int:
        """As much of what is wanted as all processes can have; never less than two."""
        return min(wanted, max(_LEAST_POOL, self.limit // self.processes - self.beside))


def beside_the_pool(export_connections: int, jobs: int | None) -> int:
    """The most that one process has beside the pool, with so many jobs at once where it runs jobs."""
    in_worker = 0 if jobs is None else jobs + MOST_CONNECTIONS + _ALONE
    return _ALONE + _ENGINES * MOST_CONNECTIONS + export_connections + in_worker


async def fitting_pool_size(url: str, wanted: int, processes: int, beside: int, connect_timeout: float) -> int:
    """The size of the pool that fits what PostgreSQL allows; where that is less than wanted, a warning says so.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached.
    """
    connection = await asyncpg.connect(url, timeout=connect_timeout)
    try:
        budget = Budget(await connection.fetchval(_LIMIT), processes, beside)
    finally:
        await connection.close()
    size = budget.pool_size(wanted)
    figures = {"pool": size, "beside": beside, "processes": processes, "allowed": budget.limit}
    if size < wanted:
        _log.warning(
            "pool_lowered",
            **figures,
            wanted=wanted,
            message="PostgreSQL allows fewer connections than POOL_MAX_SIZE and what each process needs beside it: "
            "raise max_connections (or the role's limit), or lower POOL_MAX_SIZE.",
        )
    else:
        _log.info("pool", **figures)
    return size
