"""How the database stands, by few cheap statements: PostgreSQL's own estimates and counters, no scan of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.auth.security_events import FAILURES
from service.catalog.catalog import Catalog
from service.catalog.resource import Resource
from service.db.pool import TablePool

_MOST_TABLES = 12
_COUNTED = 1000

# Sizes are asked of the file system: only those of the largest tables.
_TABLES = """
with named as (
    select n.name, c.oid, c.relkind,
           coalesce(p.rows, c.reltuples) as rows, coalesce(p.pages, c.relpages) as pages
    from unnest($1::text[], $2::text[], $3::text[]) n (name, schema, relation)
    join pg_namespace s on s.nspname = n.schema
    join pg_class c on c.relnamespace = s.oid and c.relname = n.relation and c.relkind in ('r', 'p', 'm')
    left join lateral (select sum(greatest(l.reltuples, 0)) as rows, sum(l.relpages) as pages
                       from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid
                       where t.isleaf) p on c.relkind = 'p'
), largest as (select * from named order by pages desc, name limit $4)
select name, case when rows >= 0 then rows::bigint end as rows,
       case when relkind = 'p' then (select sum(pg_total_relation_size(t.relid))::bigint from pg_partition_tree(oid) t)
            else pg_total_relation_size(oid) end as bytes
from largest order by pages desc, name
"""
_STATE = f"""
select (select count(*) from rowhouse.webhooks) as webhooks,
       (select count(*) from rowhouse.webhooks where state = 'active' and failing_since is not null) as failing,
       (select count(*) from rowhouse.webhooks where state = 'disabled') as disabled,
       (select count(*) from (select from rowhouse.deliveries where state = 'dead' limit {_COUNTED}) d) as undelivered,
       (select count(*) from (select from rowhouse.security_events
                              where at > now() - interval '1 hour' and kind = any ($1) limit {_COUNTED}) e) as refused,
       current_setting('server_version') as postgresql,
       (select age(datfrozenxid) from pg_database where datname = current_database()) as transactions,
       array(select version_num from rowhouse.alembic_version) as revisions
"""  # noqa: S608 (a constant of ours)


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table's size in bytes, with its indexes, and PostgreSQL's estimate of its rows; None: it has none yet."""

    name: str
    rows: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What is counted is counted up to 1000. `transactions` is the age of the oldest transaction number."""

    webhooks: int
    failing: int
    disabled: int
    undelivered: int
    refused: int
    postgresql: str
    transactions: int
    revisions: frozenset[str]


async def largest(pool: TablePool, catalog: Catalog, resources: Sequence[Resource]) -> list[TableSize]:
    """The largest of the tables, by what PostgreSQL knows of them."""
    names = [one.name for one in resources]
    schemas = [catalog.schema_of(one) for one in resources]
    relations = [one.table.name for one in resources]
    rows = await pool.read_all(_TABLES, (names, schemas, relations, _MOST_TABLES))
    return [TableSize(row[0], row[1], row[2] or 0) for row in rows]


async def database_state(pool: TablePool) -> DatabaseState:
    """Raises: DatabaseUnavailable."""
    row = await pool.read(_STATE, ([kind.value for kind in FAILURES],))
    assert row is not None
    return DatabaseState(row[0], row[1], row[2], row[3], row[4], row[5], row[6], frozenset(row[7]))
