"""A database that nobody made for Rowhouse: PostgreSQL's own catalogs, copied, with their odd types and many rows."""

from collections.abc import Iterator

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service, run_service

# Types that PostgreSQL writes and does not read back (manual, chapter 8.21) are copied as text. The name of a function
# that has overloads (`regproc`) does not lead back to it; with its arguments it does. Vectors are arrays that count
# from zero, which only the catalogs have.
_COPY = """
do $$
declare
    source record;
    unreadable oid[] = array['pg_node_tree', 'anyarray', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list', 'aclitem[]',
                             'pg_statistic[]']::regtype[];
begin
    create schema copied;
    grant usage on schema copied to rowhouse_service;
    for source in
        select c.oid, c.relname::text as name,
               (select string_agg(case when a.atttypid = any (unreadable) then format('%1$I::text as %1$I', a.attname)
                                       when a.atttypid = 'regproc'::regtype
                                       then format('%1$I::regprocedure as %1$I', a.attname)
                                       when a.atttypid in ('int2vector'::regtype, 'oidvector'::regtype)
                                       then format('array(select unnest(%1$I))::bigint[] as %1$I', a.attname)
                                       else quote_ident(a.attname) end, ', ' order by a.attnum)
                from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
               (select string_agg(quote_ident(a.attname), ', ' order by k.position)
                from pg_index i, unnest(i.indkey) with ordinality k (attnum, position), pg_attribute a
                where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum) as key
        from pg_class c
        where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r' and has_table_privilege(c.oid, 'select')
    loop
        execute format('create table copied.%I as select %s from pg_catalog.%1$I', source.name, source.columns);
        if source.key is not null then
            execute format('alter table copied.%I add primary key (%s)', source.name, source.key);
        end if;
        execute format('grant select, insert, update, delete on copied.%I to rowhouse_service', source.name);
    end loop;
end $$
"""


@pytest.fixture(scope="module")
def copied(database: Database, keys: dict[Role, str]) -> Iterator[Service]:
    database.execute_as_superuser(_COPY)
    environment = {"DATABASE_URL": database.service_url, "EXPOSED_SCHEMAS": "copied", "JWT_SECRET": "x" * 40}
    try:
        with run_service(environment, keys) as running:
            yield running
    finally:
        database.execute_as_superuser("drop schema copied cascade")


def test_every_table_is_listed_counted_and_written_back(copied: Service, database: Database) -> None:
    tables = list(copied.state.connected().catalog)
    assert len(tables) > 50
    written = 0
    with copied.client(Role.ADMIN) as client:
        for table in tables:
            total = database.execute_as_superuser(f'select count(*) from copied."{table.name}"')[0][0]
            listed = client.get(f"/api/v1/{table.name}?limit=3", headers={"Prefer": "count=exact"})
            assert listed.status_code in (200, 206), (table.name, listed.text)
            assert listed.headers["content-range"].rpartition("/")[2] == str(total)
            assert len(listed.json()) == min(total, 3)
            if total and table.key:
                check_round_trip(client, database, table.name, table.key, listed.json()[0])
                written += 1
    assert written > 30


def check_round_trip(
    client: httpx2.Client, database: Database, name: str, key: tuple[str, ...], row: dict[str, object]
) -> None:
    """Write back what was read: the row is the same, and has a new version."""
    values = {column: str(row[column]).lower() if isinstance(row[column], bool) else str(row[column]) for column in key}
    where = "&".join(f"{column}=eq.{value}" for column, value in values.items())
    path = f"/api/v1/{name}/{','.join(values.values())}"
    condition = " and ".join(f"\"{column}\"::text = '{value}'" for column, value in values.items())
    select = f'select t::text, xmin::text from copied."{name}" t where {condition}'
    before = database.execute_as_superuser(select)[0]
    read = client.get(path)
    assert read.status_code == 200, (name, read.text)
    written = client.put(path, json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert written.status_code == 200, (name, written.text)
    assert written.json() == read.json()
    after = database.execute_as_superuser(select)[0]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert client.get(f"/api/v1/{name}?{where}").json() == [read.json()]
