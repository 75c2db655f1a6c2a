"""The change log as administrators look at it: what enters it, how large it is, how far it reaches back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.db.pool import TablePool

_STATE = """
select (select c.at from rowhouse.changes c order by c.seq limit 1) as oldest,
       (select count(*) from (select from rowhouse.changes_default limit 1000) d) as unplaced
"""
_PARTITIONS = """
select c.relname::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'rowhouse.changes'::regclass order by c.relname desc
"""
# How many changes of each are kept is an estimate of PostgreSQL's: counting them would read the log.
_TRACKED = """
select t.relation::text, t.since, t.key, t.excluded,
       (select sum(greatest(p.reltuples, 0) * f.share)::bigint
        from pg_inherits i join pg_class p on p.oid = i.inhrelid
        join pg_stats s on s.schemaname = 'rowhouse' and s.tablename = p.relname and s.attname = 'tracked',
             unnest(s.most_common_vals::text::integer[], s.most_common_freqs) f (id, share)
        where i.inhparent = 'rowhouse.changes'::regclass and f.id = t.id)
from rowhouse.tracked t where t.until is null order by 1
"""
_IS_TRACKED = """
select n.schema, n.name from unnest($1::text[], $2::text[]) n (schema, name)
join pg_namespace s on s.nspname = n.schema join pg_class c on c.relnamespace = s.oid and c.relname = n.name
where c.relkind in ('r', 'p')
  and not exists (select from rowhouse.tracked t where t.relation = c.oid and t.until is null)
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A week of the log. `changes` is an estimate."""

    name: str
    changes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TrackedTable:
    """A table whose changes are logged. `changes` is an estimate; None where there is none yet."""

    name: str
    since: datetime
    key: tuple[str, ...]
    excluded: tuple[str, ...]
    changes: int | None


@dataclass(frozen=True, slots=True)
class LogState:
    """`unplaced` changes have no partition of their own."""

    oldest: datetime | None
    unplaced: int
    partitions: list[Partition]
    tracked: list[TrackedTable]

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.partitions)


async def log_state(pool: TablePool) -> LogState:
    """Raises: DatabaseUnavailable."""
    state = await pool.read(_STATE, ())
    assert state is not None
    partitions = [Partition(row[0], row[1], row[2]) for row in await pool.read_all(_PARTITIONS, ())]
    tracked = [
        TrackedTable(row[0], row[1], tuple(row[2]), tuple(row[3]), row[4]) for row in await pool.read_all(_TRACKED, ())
    ]
    return LogState(state[0], state[1], partitions, tracked)


async def untracked(pool: TablePool, tables: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the tables (schema, name) whose changes are not logged."""
    rows = await pool.read_all(_IS_TRACKED, ([schema for schema, _ in tables], [name for _, name in tables]))
    return [(row[0], row[1]) for row in rows]
