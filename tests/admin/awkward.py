"""The awkward tables with an operator, and a table of each type with values that forms may lose."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Role
from service.crud import accounts
from service.db.embedded import EmbeddedPostgres
from service.db.privileges import open_schemas
from service.models.system import User
from tests.admin.conftest import PASSWORD, Operator
from tests.awkward_database import SCHEMAS, awkward_database
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

_SQL = r"""
create table awkward.every (
    id integer primary key, flag boolean, flat boolean not null default true, small smallint, big bigint,
    exact numeric, money money,
    ratio double precision, words text, short varchar(5), fixed character(4), day date, clock time, moment timestamp,
    instant timestamptz, took interval, uid uuid, doc json, docb jsonb, data bytea, tags text[], grid integer[][],
    moods awkward_two.mood[],
    span int4range, days daterange, during tstzrange, spans int4multirange, host inet, bits bit varying(8),
    spot point, lexemes tsvector,
    home awkward.address, rank awkward.rank, mood awkward_two.mood,
    boss integer constraint every_boss references awkward.people,
    a text, b integer, constraint every_composite foreign key (a, b) references awkward.composite (a, b),
    fresh text default 'made', doubled numeric generated always as (exact * 2) stored
);
insert into awkward.every values
    (1, true, true, 1, 9223372036854775807, 0.10, 1.5, 0.1, E'\nleading', 'ab', 'x', '2020-01-31', '10:00',
    '2020-01-01 10:00',
     '2020-01-01 10:00:00+00', '1 day 02:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a":  1.10}',
     '{"n": 12345678901234567890.123}',
     '\xdeadbeef', '{a,"b c"}', '{{1,2},{3,NULL}}', '{glad,so-so}', '[1,5)', '[2020-01-01,)',
     '["2020-01-01 10:00+00",)', '{[1,3)}',
     '10.0.0.1/24', '101', '(1,2)', 'fat cat', '("Lane",4)', 2, 'it''s sad', 1, 'x', 1, ''),
    (2, null, false, -1, 0, 'NaN', null, 'Infinity', E'with CR LF\r\nand CR\rand trailing  ', '', '',
    '0044-03-15 BC', '24:00',
     '2020-01-01 10:00:00.123456', '2020-01-01 10:00:00.000001+00', '-1 mon +2 days', null, 'null', 'null', '',
     '{}', '{}',
     null, 'empty', '(,)', 'empty', '{}', '::1', '', null, '', '(,)', 3, null, null, null, null, null),
    (3, false, true, null, null, 1e300, null, '-0',
    E'\u0001\u001b\u007f\u0085\u2028\ufeff\u202e <b>&amp;"''', null, null, 'infinity', '10:00:00.5',
     'infinity', '-infinity', null, null, '"text"', '[]', '\x00ff', '{NULL,"",NULL}', null, '{}', '[1,)', 'empty',
     null, null, null, null, null,
     null, null, 1, 'glad', 3, 'x,y', 2, E'  '),
    (4, null, true, null, null, null, null, null, repeat('Ein Ös' || chr(10), 150000), null, null, '12020-01-01',
    '00:00', '0001-01-01 00:00',
     '12020-01-01 00:00+00', null, null, '{"deep": [[[[1e400]]]]}', '{"b": 1, "a": 2}', decode(repeat('00ff',
     50000), 'hex'),
     '{"line\none","two"}', '[2:3]={1,2}', null, '(1,5]', '(2020-01-01,2020-02-01]', null, '{[1,3),[5,8)}', null,
     null, null, null, null, 2, null,
     null, null, null, E'\n\n');
"""


@contextmanager
def awkward_service(
    postgres: EmbeddedPostgres, name: str, folder: Path, more: str = ""
) -> Iterator[tuple[Service, Database]]:
    """The service over it, with more tables."""
    with awkward_database(postgres, name, folder) as database:
        asyncio.run(_make(database.superuser_url, _SQL + more))
        asyncio.run(open_schemas(database.superuser_url, SCHEMAS, 5.0))
        environment = {
            "DATABASE_URL": database.service_url,
            "EXPOSED_SCHEMAS": ",".join(SCHEMAS),
            "JWT_SECRET": "x" * 40,
            "RATE_LIMIT": "1000000",
            "ACCESS_LOG": "false",
        }
        with run_service(environment) as running:
            yield running, database


async def _make(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def admin_of(service: Service, database: Database, *, is_logged_in: bool = True) -> Operator:
    """An administrator."""

    async def create(session: AsyncSession) -> User:
        return await accounts.create_user(session, "admin@example.com", PASSWORD, Role.ADMIN)

    in_session(database.service_url, create)
    operator = Operator(service, email="admin@example.com")
    if is_logged_in:
        assert operator.log_in().status_code == 303
    return operator
