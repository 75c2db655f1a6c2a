"""What a migration is doing just now, seen from another connection."""

from dataclasses import dataclass

import asyncpg

from service.db.migration_lock import APPLICATION_NAME

_DOING = """
select a.query, extract(epoch from clock_timestamp() - a.query_start)::float8,
       cardinality(pg_blocking_pids(a.pid)),
       p.phase,
       case when p.blocks_total > 0 then p.blocks_done::float8 / p.blocks_total
            when p.tuples_total > 0 then p.tuples_done::float8 / p.tuples_total end
from pg_stat_activity a left join pg_stat_progress_create_index p on p.pid = a.pid
where a.application_name = $1 and a.datname = current_database() and a.state = 'active'
order by a.query_start limit 1
"""
_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Doing:
    """A statement that runs: for so many seconds, blocked by so many others."""

    statement: str
    seconds: float
    blockers: int
    phase: str | None
    share: float | None

    def __str__(self) -> str:
        said = [self.statement, f"{self.seconds:.0f} s"]
        if self.phase:
            said.append(self.phase if self.share is None else f"{self.phase} {self.share:.0%}")
        if self.blockers:
            said.append("waits for others")
        return ", ".join(said)


async def doing(connection: "asyncpg.Connection[asyncpg.Record]") -> Doing | None:
    """The statement that a migration of this database runs, if one does."""
    row = await connection.fetchrow(_DOING, APPLICATION_NAME)
    if row is None:
        return None
    words = " ".join(row[0].split())
    statement = words if len(words) <= _WIDTH else f"{words[: _WIDTH - 1]}…"
    return Doing(statement, row[1] or 0.0, row[2], row[3], row[4])
