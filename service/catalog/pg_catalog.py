"""What PostgreSQL's own catalogs say of some schemas (PostgreSQL manual, chapter 53).

Nothing is asked of `information_schema`, whose views leave out what the role does not own, nor by SQLAlchemy's
reflection, which asks once a table. A fixed number of statements reads everything, however many tables there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from service.catalog.view_rule import ViewRule, read_rule

# Left out: functions of pseudo-types that no caller can give or take (those of triggers, of index methods, of the
# internals), and the constructors that PostgreSQL itself makes for a range.
_FUNCTIONS = """
select p.oid, n.nspname::text as schema, p.proname::text as name, p.provolatile::text as volatility,
       p.proretset as is_set, p.prorows as rows, obj_description(p.oid, 'pg_proc') as comment,
       coalesce(p.proallargtypes, p.proargtypes::oid[]) as types, p.proargmodes::text[] as modes,
       p.proargnames as names, p.pronargdefaults::int as defaults, p.prorettype as result,
       case r.typtype when 'd' then (select b.typrelid from pg_type b where b.oid = r.typbasetype)
                      else r.typrelid end as relation
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_type r on r.oid = p.prorettype
where p.prokind = 'f' and n.nspname = any($1)
  and not exists (select from pg_type x where x.typtype = 'p' and x.typname !~ '^(any.*|void|record)$'
                  and (x.oid = p.prorettype or x.oid = any(p.proargtypes)))
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
order by array_position($1, n.nspname::text), p.proname, p.oid
"""
# Aggregates over rows, of one table or of any, that return a domain named like a media type.
_HANDLERS = """
select n.nspname::text as schema, p.proname::text as name, p.proargtypes[0] as argument, p.prorettype as result
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_type r on r.oid = p.prorettype
where p.prokind = 'a' and p.pronargs = 1 and n.nspname = any($1) and r.typtype = 'd' and r.typname like '%/%'
order by array_position($1, n.nspname::text), p.proname, p.oid
"""
# Partitions are served through their table. `pg_relation_is_updatable` counts rules and INSTEAD OF triggers
# (bits: 2^2 update, 2^3 insert, 2^4 delete). A view is diverted where a trigger (bits: INSTEAD 64, INSERT 4,
# UPDATE 16) or a rule (2 update, 3 insert) takes what is written.
_RELATIONS = """
select c.oid, c.reltype as type, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
       n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition as is_served,
       obj_description(c.oid, 'pg_class') as comment,
       case when c.relkind = 'c' then 0 else pg_relation_is_updatable(c.oid, true) end as updatable,
       c.relkind in ('v', 'f') or c.relrowsecurity or exists (
           select from pg_trigger t join pg_proc f on f.oid = t.tgfoid
           where t.tgrelid in (select c.oid union all select relid from pg_partition_tree(c.oid))
             and not t.tgisinternal and f.pronamespace <> coalesce(to_regnamespace('rowhouse'), 0)
       ) as runs_code,
       exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgtype & 64 > 0 and t.tgtype & 20 > 0)
       or exists (select from pg_rewrite r where r.ev_class = c.oid and r.is_instead and r.ev_type in ('2', '3'))
       as is_diverted
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition or c.oid = any($2::oid[])
order by array_position($1, n.nspname::text), c.relname
"""
# Rules of all schemas: a served view may stand on one that is not served.
_RULES = """
select ev_class as relation, ev_action::text as action from pg_rewrite
where rulename = '_RETURN' and ev_type = '1' and ev_class >= 16384
"""
_COLUMNS = """
select a.attrelid as relation, a.attnum::int as number, a.attname::text as name, a.atttypid as type,
       format_type(a.atttypid, a.atttypmod) as sql_type, a.attnotnull as is_required, a.atthasdef as has_default,
       a.attidentity::text as identity, a.attgenerated::text as generated, pg_get_expr(d.adbin, d.adrelid) as default,
       c.relkind in ('r', 'p') or c.relkind <> 'c' and pg_column_is_updatable(c.oid, a.attnum, true) as is_updatable,
       col_description(a.attrelid, a.attnum) as comment
from pg_attribute a join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""
# With what the types are made of: elements of arrays, attributes of composites, what domains stand on.
# Domains are followed down to what they are made of: NOT NULL holds on each of them, the topmost default wins.
_TYPES = """
with recursive wanted(oid) as (
    select unnest($1::oid[])
    union
    select part.oid from wanted w join pg_type t on t.oid = w.oid, lateral (
        select t.typelem where t.typcategory = 'A' and t.typelem <> 0
        union all select t.typbasetype where t.typtype = 'd'
        union all select a.atttypid from pg_attribute a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) part(oid)),
below(oid, base, is_required, "default") as (
    select oid, oid, false, typdefault from pg_type where oid in (select oid from wanted)
    union all
    select b.oid, t.typbasetype, b.is_required or t.typnotnull, coalesce(b.default, t.typdefault)
    from below b join pg_type t on t.oid = b.base where t.typtype = 'd')
select b.oid, format_type(b.oid, -1) as name, format_type(b.base, -1) as base, b.is_required, b.default,
       n.nspname::text as base_schema, t.typname::text as base_name, t.typtype::text as kind,
       case when t.typcategory = 'A' then t.typelem else 0 end as element,
       array(select a.attname::text from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid
             and a.attnum > 0 and not a.attisdropped order by a.attnum) as attributes,
       array(select a.atttypid from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid
             and a.attnum > 0 and not a.attisdropped order by a.attnum) as attribute_types,
       array(select e.enumlabel::text from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder) as labels
from below b join pg_type t on t.oid = b.base join pg_namespace n on n.oid = t.typnamespace where t.typtype <> 'd'
"""
# Only implicit casts, as PostgREST's domain representations have it.
_CASTS = """
select k.castsource as source, k.casttarget as target, k.castsource = 'json'::regtype as is_from_json,
       k.castsource = 'text'::regtype as is_from_text, k.casttarget = 'json'::regtype as is_to_json,
       n.nspname::text as schema, p.proname::text as name
from pg_cast k join pg_proc p on p.oid = k.castfunc join pg_namespace n on n.oid = p.pronamespace
where k.castcontext = 'i' and k.castmethod = 'f' and k.oid >= 16384
  and exists (select from pg_type d where d.typtype = 'd' and d.oid in (k.castsource, k.casttarget))
"""
_UNIQUE = """
select indrelid as relation, indisprimary as is_primary, (indkey::int2[])[0:indnkeyatts - 1] as columns,
       (select relname::text from pg_class where oid = indexrelid) as name
from pg_index where indisunique and indisvalid and indpred is null and indexprs is null and indrelid >= 16384
"""
# The first column of each index that has all rows; of a GIN index, any. An order is by bytes in the collation "C", in
# those that PostgreSQL itself makes (provider `b`), and where the database's own is one of these.
_INDEXED = """
select i.indrelid as relation, a.attname::text as column, m.amname::text as method, o.opcname::text as operators,
       f.opfname::text as family, o.opcdefault as is_default, k.sorting = a.attcollation as is_same_collation,
       k.options & 1 > 0 as is_descending, k.options & 2 > 0 as nulls_first,
       case when l.collprovider <> 'd'
            then l.collprovider = 'b' or l.collprovider = 'c' and l.collcollate in ('C', 'POSIX')
            else d.datlocprovider = 'b' or d.datlocprovider = 'c' and d.datcollate in ('C', 'POSIX') end as is_by_bytes
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam,
     unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[], i.indoption::int2[])
         with ordinality as k(number, operators, sorting, options, place)
     join pg_opclass o on o.oid = k.operators join pg_opfamily f on f.oid = o.opcfamily
     left join pg_collation l on l.oid = k.sorting,
     pg_attribute a, pg_database d
where i.indrelid = any($1::oid[]) and i.indisvalid and i.indisready and i.indpred is null
  and k.place <= i.indnkeyatts and (k.place = 1 or m.amname = 'gin')
  and a.attrelid = i.indrelid and a.attnum = k.number and d.datname = current_database()
order by i.indrelid, c.relname, k.place
"""
# A constraint that a partition has from its table is left out, and one of periods, which are not compared by equality.
_FOREIGN_KEYS = """
select k.conname::text as name, k.conrelid as source, k.conkey as source_columns,
       k.confrelid as target, k.confkey as target_columns, k.confdeltype::text as on_delete
from pg_constraint k
where k.contype = 'f' and k.conparentid = 0
  and not exists (select from pg_operator o where o.oid = any(k.conpfeqop) and o.oprname <> '=')
order by k.conname, k.oid
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of PostgreSQL's catalogs, by the statements above. `rules` are by the object id of the view."""

    functions: list[asyncpg.Record]
    handlers: list[asyncpg.Record]
    relations: list[asyncpg.Record]
    rules: dict[int, ViewRule]
    columns: list[asyncpg.Record]
    types: list[asyncpg.Record]
    casts: list[asyncpg.Record]
    unique: list[asyncpg.Record]
    indexed: list[asyncpg.Record]
    foreign_keys: list[asyncpg.Record]


async def read_rows(connection: "asyncpg.Connection[asyncpg.Record]", schemas: Sequence[str]) -> Rows:
    """Read them all, as of one moment.

    Types are qualified with their schemas, except PostgreSQL's own: they mean the same under any search path.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("set local search_path = pg_catalog")
        functions = await connection.fetch(_FUNCTIONS, list(schemas))
        returned = {row["relation"] for row in functions if row["relation"]}
        relations = await connection.fetch(_RELATIONS, list(schemas), sorted(returned))
        rules = {row["relation"]: read_rule(row["action"]) for row in await connection.fetch(_RULES)}
        origins = {origin for rule in rules.values() for origin, _ in rule.origins.values()}
        columns = await connection.fetch(_COLUMNS, sorted(origins | {row["oid"] for row in relations}))
        types = {row["type"] for row in columns} | {row["result"] for row in functions}
        handlers = await connection.fetch(_HANDLERS, list(schemas))
        types.update(row["result"] for row in handlers)
        types.update(oid for row in functions for oid in row["types"])
        return Rows(
            functions=functions,
            handlers=handlers,
            relations=relations,
            rules=rules,
            columns=columns,
            types=await connection.fetch(_TYPES, sorted(types)),
            casts=await connection.fetch(_CASTS),
            unique=await connection.fetch(_UNIQUE),
            indexed=await connection.fetch(_INDEXED, [row["oid"] for row in relations]),
            foreign_keys=await connection.fetch(_FOREIGN_KEYS),
        )
