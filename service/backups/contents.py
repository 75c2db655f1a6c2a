"""What a database holds, measured so that a copy of it can be compared: rows and a digest of them, by table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import orjson

from service.db.connections import Connection

# So that a value reads the same wherever it is measured.
SETTINGS = """
set local search_path = pg_catalog;
set local row_security = off;
set local timezone = 'UTC';
set local datestyle = 'ISO';
set local intervalstyle = 'postgres';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local lc_monetary = 'C';
set local xmloption = 'content';
set local statement_timeout = 0;
select set_config(name, '0', true) from pg_settings where name = 'transaction_timeout';
"""
# Not what belongs to an extension, which brings it, nor what is elsewhere.
_TABLES = """
select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select from pg_depend d
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
"""
_HASH = "('x' || left(md5({}), 16))::bit(64)::bigint::numeric"
# A sum does not depend on the order. With its star, a name is the whole row even where a column is called the same.
_DIGEST = f"select count(*), coalesce(sum({_HASH.format('(t.*)::text')}), 0) from only %I.%I t"  # noqa: S608
_OBJECTS = f"""
select count(distinct o.oid), coalesce(sum({_HASH.format("o.oid::text || lo_get(o.oid, part.at, 1048576)::text")}), 0)
from (select m.oid, lo_lseek64(lo_open(m.oid, 262144), 0, 2) as size from pg_largeobject_metadata m offset 0) o
cross join lateral generate_series(0, greatest(o.size - 1, 0), 1048576) part (at)
"""  # noqa: S608
# Names of tables that are gone are numbers, which are others elsewhere.
_UNSTABLE = ("rowhouse", "tracked")


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a partition: its rows, and a digest of them (None: not to be compared)."""

    schema: str
    name: str
    rows: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    """Tables and large objects."""

    tables: tuple[Table, ...]
    objects: int
    objects_digest: str

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


async def tables(connection: Connection) -> list[tuple[str, str]]:
    """Schema and name of what holds rows."""
    return [(row[0], row[1]) for row in await connection.fetch(_TABLES)]


async def measure(connection: Connection, measured: Callable[[str], None]) -> Contents:
    """Read everything, within the transaction that is open. `measured` is told each table."""
    await connection.execute(SETTINGS)
    found = []
    for schema, name in await tables(connection):
        statement = await connection.fetchval("select format($1, $2::text, $3::text)", _DIGEST, schema, name)
        rows, digest = (await connection.fetch(statement))[0]
        found.append(Table(schema, name, rows, None if (schema, name) == _UNSTABLE else str(digest)))
        measured(f"{schema}.{name}")
    objects, digest = (await connection.fetch(_OBJECTS))[0]
    return Contents(tuple(found), objects, str(digest))


def comparison(contents: Contents) -> str:
    """Statements that fail where a database holds anything else, and say what."""
    expected = [
        {"schema": one.schema, "name": one.name, "rows": one.rows, "digest": one.digest} for one in contents.tables
    ]
    compare = f"""declare
    wanted record;
    found bigint;
    found_digest numeric;
    wrong text[] := '{{}}';
begin
    for wanted in select * from json_to_recordset({literal(orjson.dumps(expected).decode())}::json)
                              w (schema text, name text, rows bigint, digest numeric) loop
        if to_regclass(format('%I.%I', wanted.schema, wanted.name)) is null then
            wrong := wrong || format('%s.%s is not there', wanted.schema, wanted.name);
            continue;
        end if;
        execute format({literal(_DIGEST)}, wanted.schema, wanted.name) into found, found_digest;
        if found <> wanted.rows then
            wrong := wrong || format('%s.%s has %s rows, not %s', wanted.schema, wanted.name, found, wanted.rows);
        elsif found_digest <> wanted.digest then
            wrong := wrong || format('rows of %s.%s are others', wanted.schema, wanted.name);
        end if;
    end loop;
    {_OBJECTS.replace("from (select m.oid", "into found, found_digest from (select m.oid", 1)};
    if found <> {contents.objects:d} or found_digest <> {int(contents.objects_digest):d} then
        wrong := wrong || 'large objects are others'::text;
    end if;
    if wrong <> '{{}}' then
        raise exception 'what was restored is not what was saved: %', array_to_string(wrong[:5], '; ');
    end if;
end"""  # noqa: S608 (identifiers are quoted by format, texts by `literal`)
    return f"{SETTINGS}{block(compare)}reset search_path;\n"


def block(code: str) -> str:
    """A DO block whose quotes do not occur in it: a table may be called as they are."""
    quote = next(mark for number in count() if (mark := f"$rowhouse{number}$") not in code)
    return f"do {quote}\n{code}\n{quote};\n"


def literal(text: str) -> str:
    """A text in SQL that takes no parameters, however strings are read there."""
    quoted = text.replace("'", "''").replace("\\", "\\\\")
    return f" E'{quoted}'"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
