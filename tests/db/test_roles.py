"""The database's roles, migrations, and a database that has tables of its own."""

import asyncio

import asyncpg
import pytest

from service.core.errors import ConfigurationError
from service.core.types import Role
from service.db import migrations
from service.db.embedded import EmbeddedPostgres
from service.db.migrations import Branch
from service.db.privileges import open_schemas
from service.db.role import SERVICE_ROLE, role_to_assume
from service.models import TableBase
from tests.conftest import Database
from tests.postgres import let_in
from tests.service_under_test import run_service

MEMBERS = "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = $1"


async def fetch(url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


def test_the_service_role_owns_nothing_and_bypasses_nothing(database: Database) -> None:
    role = database.execute(MEMBERS, SERVICE_ROLE)[0]
    owned = database.execute(
        "select relname from pg_class where relowner = (select oid from pg_roles where rolname = $1)", SERVICE_ROLE
    )
    assert not any(role)
    assert not owned
    assert asyncio.run(role_to_assume(database.service_url, 5, is_production=True)) is None


@pytest.mark.parametrize(
    "sql", ["drop table airlines", "create table x (a int)", "alter table airlines disable trigger all"]
)
def test_the_service_role_cannot_change_the_schema(database: Database, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(fetch(database.service_url, sql))


def test_a_strong_role_steps_down(database: Database, keys: dict[Role, str]) -> None:
    """The service may not do more with a superuser's URL than with its own: triggers see whom it works as."""
    assert asyncio.run(role_to_assume(database.superuser_url, 5, is_production=False)) == SERVICE_ROLE
    database.execute("create table seen_user (name text)")
    database.execute("grant insert on seen_user to rowhouse_service")
    database.execute(
        "create function note_user() returns trigger language plpgsql as $$ begin "
        "insert into public.seen_user values (current_user); return null; end $$"
    )
    database.execute("create trigger note_user after update on airlines execute function note_user()")
    try:
        environment = {"DATABASE_URL": database.superuser_url, "JWT_SECRET": "x" * 40}
        with run_service(environment, keys) as service, service.client(Role.EDITOR) as client:
            assert client.patch("/api/v1/airlines/UA", json={"name": "United Air Lines Inc."}).status_code == 200
        assert [row[0] for row in database.execute("select name from seen_user")] == [SERVICE_ROLE]
    finally:
        database.execute("drop trigger note_user on airlines")
        database.execute("drop function note_user()")
        database.execute("drop table seen_user")


def test_a_role_given_at_connect_time_cannot_be_taken_off(database: Database) -> None:
    async def roles() -> tuple[str, str]:
        connection = await asyncpg.connect(database.superuser_url, server_settings={"role": SERVICE_ROLE})
        try:
            await connection.execute("reset role")
            return await connection.fetchval("select current_user"), await connection.fetchval("select session_user")
        finally:
            await connection.close()

    assert asyncio.run(roles()) == (SERVICE_ROLE, "postgres")


def test_production_refuses_a_role_that_cannot_step_down(postgres: EmbeddedPostgres) -> None:
    name = "strong_alone"
    asyncio.run(fetch(postgres.superuser_url, f"create role {name} login bypassrls"))
    let_in(postgres, name)
    try:
        with pytest.raises(ConfigurationError, match="bypasses row-level security"):
            asyncio.run(role_to_assume(postgres.url(name, "postgres"), 5, is_production=True))
        assert asyncio.run(role_to_assume(postgres.url(name, "postgres"), 5, is_production=False)) is None
    finally:
        asyncio.run(fetch(postgres.superuser_url, f"drop role {name}"))


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres, worker_id: str) -> Database:
    name = f"empty_{worker_id}"
    asyncio.run(fetch(postgres.superuser_url, f"drop database if exists {name}"))
    asyncio.run(fetch(postgres.superuser_url, f"create database {name} owner rowhouse_owner template template0"))
    return Database(name, postgres)


def tables_of(database: Database) -> set[tuple[str, str]]:
    rows = database.execute(
        "select schemaname::text, tablename::text from pg_tables "
        "where schemaname not in ('pg_catalog', 'information_schema')"
    )
    return {(row[0], row[1]) for row in rows}


def test_a_database_with_its_own_tables_gets_the_schema_rowhouse_alone(empty_database: Database) -> None:
    empty_database.execute("create table flights (note text)")
    asyncio.run(migrations.migrate(empty_database.owner_url, (Branch.ROWHOUSE,)))
    outside = {table for table in tables_of(empty_database) if table[0] != "rowhouse"}
    assert outside == {("public", "flights")}
    asyncio.run(open_schemas(empty_database.owner_url, ("public",), 5))
    assert {table for table in tables_of(empty_database) if table[0] != "rowhouse"} == outside
    with run_service({"DATABASE_URL": empty_database.service_url, "JWT_SECRET": "x" * 40}) as service:
        assert [*service.state.connected().catalog.get("flights").columns] == ["note"]


def test_migrations_go_up_and_down_and_leave_no_difference(empty_database: Database) -> None:
    url, both = empty_database.owner_url, (Branch.ROWHOUSE, Branch.TABLES)
    asyncio.run(migrations.migrate(url, both))
    asyncio.run(migrations.migrate(url, both))
    asyncio.run(migrations.check(url))
    declared = {("public", name) for name in TableBase.metadata.tables}
    assert {table for table in tables_of(empty_database) if table[0] == "public"} == declared
    asyncio.run(migrations.downgrade(url, both))
    assert tables_of(empty_database) == {("rowhouse", "alembic_version")}


def test_pending_migrations_make_the_service_not_ready(empty_database: Database) -> None:
    with run_service(
        {"DATABASE_URL": empty_database.service_url, "JWT_SECRET": "x" * 40, "LOG_LEVEL": "ERROR"}
    ) as service:
        with service.client(None) as client:
            reason = client.get("/readyz").json()["reason"]
            assert "rowhouse migrate" in reason
            assert client.get("/api/v1/airlines").status_code == 503
