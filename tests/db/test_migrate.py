"""Migrations while others work: one process at a time, nothing half done, nobody queued for long."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from service.db import migrations
from service.db.embedded import EmbeddedPostgres
from service.db.migrations import Branch, begun, behind
from tests.command import run_rowhouse
from tests.conftest import Database
from tests.service_under_test import run_service
from tests.waiting import happens, until

_PROCESSES = multiprocessing.get_context("forkserver")
APPLIED = "select version_num from rowhouse.alembic_version order by 1"
HAS_COLUMNS = "select 1 from pg_attribute where attrelid = 'rowhouse.grants'::regclass and attname = 'columns'"
MIGRATING = (
    "select pid from pg_stat_activity where application_name = 'rowhouse migrate' and wait_event_type = 'Lock' "
    "and datname = current_database()"
)


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[Database]:
    """An empty database."""
    database = Database(f"migrated_{worker_id}", postgres)
    server = Database("postgres", postgres)
    server.execute_as_superuser(f"create database {database.name} owner rowhouse_owner template template0")
    yield database
    server.execute_as_superuser(f"drop database {database.name} with (force)")


def environment(database: Database) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "DATABASE_URL": database.owner_url, "COLUMNS": "80"}


def rowhouse(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_rowhouse(environment(database), *arguments)


def schemas(database: Database) -> set[str]:
    return {row[0] for row in database.execute("select nspname from pg_namespace where nspname !~ '^pg_'")}


def upgrade(database: Database, revision: str) -> None:
    command.upgrade(migrations.alembic_config(database.owner_url), revision)


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.owner_url)
    try:
        yield connection
    finally:
        await connection.close()


def test_of_ten_processes_one_migrates(fresh: Database) -> None:
    """Each revision is said to have been applied by one of them, and all end well."""
    with ThreadPoolExecutor(10) as pool:
        runs = list(pool.map(lambda _: rowhouse(fresh, "migrate", "--tables"), range(10)))
    assert [run.returncode for run in runs] == [0] * 10, "".join(run.stderr for run in runs)
    said = [line.split()[0] for run in runs for line in run.stderr.splitlines() if line[:3] in ("  r", "  t")]
    known = [script.revision for script in migrations.scripts().walk_revisions()]
    assert sorted(word for word in said if word in known) == sorted(known)
    assert rowhouse(fresh, "migrate", "--check", "--tables").returncode == 0


def test_one_that_is_killed_leaves_nothing_and_the_next_goes_on(fresh: Database) -> None:
    upgrade(fresh, "rowhouse@r0012")

    async def kill() -> None:
        async with connected(fresh) as holder:
            await holder.execute("begin; lock table rowhouse.grants in access share mode")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from service.cli.main import run; run()", "migrate", "--lock-timeout", "60",
                env=environment(fresh), stderr=subprocess.DEVNULL,
            )  # fmt: skip
            await happens(lambda: fresh.execute(MIGRATING))
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await happens(lambda: not fresh.execute(MIGRATING))  # though it was amid a statement
            assert [row[0] for row in await holder.fetch(APPLIED)] == ["r0012"]
            assert not await holder.fetch(HAS_COLUMNS)

    asyncio.run(kill())
    assert rowhouse(fresh, "migrate").returncode == 0
    assert fresh.execute(HAS_COLUMNS)
    assert [row[0] for row in fresh.execute(APPLIED)] == [migrations.head(Branch.ROWHOUSE)]


def test_a_table_in_use_is_tried_again_and_its_readers_are_not_kept(fresh: Database) -> None:
    upgrade(fresh, "rowhouse@r0012")

    async def migrate() -> subprocess.CompletedProcess[str]:
        async with connected(fresh) as holder, connected(fresh) as reader:
            await holder.execute("begin; lock table rowhouse.grants in access share mode")
            running = asyncio.create_task(asyncio.to_thread(rowhouse, fresh, "migrate", "--lock-timeout", "0.2"))
            await happens(lambda: fresh.execute(MIGRATING))
            async with asyncio.timeout(2):  # it waits behind the migration for as long as that may wait
                await reader.fetch("select from rowhouse.grants")
            await happens(lambda: not fresh.execute(MIGRATING))
            await holder.execute("commit")
            return await running

    run = asyncio.run(migrate())
    assert run.returncode == 0
    assert "it is tried again" in run.stderr
    assert fresh.execute(HAS_COLUMNS)


def test_patience_ends(fresh: Database) -> None:
    upgrade(fresh, "rowhouse@r0012")

    async def migrate() -> subprocess.CompletedProcess[str]:
        async with connected(fresh) as holder:
            await holder.execute("begin; lock table rowhouse.grants in access share mode")
            arguments = ("migrate", "--lock-timeout", "0.1", "--patience", "0")
            return await asyncio.to_thread(rowhouse, fresh, *arguments)

    run = asyncio.run(migrate())
    assert run.returncode == 1
    assert "another transaction holds the table" in run.stderr
    assert not fresh.execute(HAS_COLUMNS)


def test_a_check_lists_what_is_missing_and_changes_nothing(fresh: Database) -> None:
    run = rowhouse(fresh, "migrate", "--check")
    assert run.returncode == 1
    assert "r0001" in run.stderr
    assert migrations.head(Branch.ROWHOUSE) in run.stderr
    assert "t0001" not in run.stderr
    assert "rowhouse" not in schemas(fresh)
    upgrade(fresh, "rowhouse@head")
    assert rowhouse(fresh, "migrate", "--check").returncode == 0
    with_tables = rowhouse(fresh, "migrate", "--check", "--tables")
    assert with_tables.returncode == 1
    assert "t0001" in with_tables.stderr
    fresh.execute("alter table rowhouse.users add column more text")
    differs = rowhouse(fresh, "migrate", "--check")
    assert differs.returncode == 1
    assert "differ" in differs.stderr


def test_the_sql_that_is_shown_is_what_would_run(fresh: Database) -> None:
    shown = rowhouse(fresh, "migrate", "--tables", "--sql")
    assert shown.returncode == 0
    assert "rowhouse" not in schemas(fresh)
    fresh.execute_script(shown.stdout)
    assert rowhouse(fresh, "migrate", "--check", "--tables").returncode == 0
    assert rowhouse(fresh, "migrate", "--tables", "--sql").stdout == ""


@pytest.mark.parametrize(
    ("present", "pending", "is_ahead"),
    [
        ({"r0012"}, ("r0013", "r0014"), False),
        ({"r9999"}, (), True),
        ({"r9999", "t0002"}, (), True),
        ({"r0013", "t9999"}, ("r0014",), True),
    ],
)
def test_what_is_missing(present: set[str], pending: tuple[str, ...], is_ahead: bool) -> None:
    state = behind(frozenset(present))
    assert state.pending[: len(pending)] == pending
    assert bool(state.pending) == bool(pending)
    assert state.is_ahead == is_ahead
    assert Branch.ROWHOUSE in begun(frozenset(present))


def test_a_service_goes_on_when_a_newer_release_has_migrated(fresh: Database) -> None:
    upgrade(fresh, "rowhouse@head")
    newer = "update rowhouse.alembic_version set version_num = 'r9999'"
    with run_service({"DATABASE_URL": fresh.service_url, "JWT_SECRET": "x" * 40}) as service:
        fresh.execute(newer)
        asyncio.run(service.state.reload())
        with service.client(None) as client:
            assert client.get("/readyz").status_code == 200
    with run_service({"DATABASE_URL": fresh.service_url, "JWT_SECRET": "x" * 40}) as service:
        with service.client(None) as client:
            assert client.get("/readyz").status_code == 200
    run = rowhouse(fresh, "migrate", "--check")
    assert run.returncode == 0
    assert "newer release" in run.stderr


INDEXED = '''
"""An index while everybody writes."""
from service.db.concurrent_index import create_index_concurrently, drop_index_concurrently
revision, down_revision, branch_labels, depends_on = "x0001", None, ("extra",), None
def upgrade():
    create_index_concurrently("uq_items_name", "items", ["name"], unique=True)
def downgrade():
    drop_index_concurrently("uq_items_name")
'''


def indexing(folder: Path, database: Database) -> Config:
    """A branch of one migration that makes an index concurrently."""
    (folder / "x0001_index.py").write_text(INDEXED)
    return extra(folder, database.owner_url)


def extra(folder: Path, url: str) -> Config:
    config = migrations.alembic_config(url)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(folder))
    return config


async def in_process(folder: Path, database: Database) -> None:
    """Alembic keeps what it is about in globals: one migration a process."""
    process = _PROCESSES.Process(target=_upgrade, args=(folder, database.owner_url))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0


def _upgrade(folder: Path, url: str) -> None:
    command.upgrade(extra(folder, url), "extra@head")


VALID = "select indisvalid from pg_index where indexrelid = to_regclass('uq_items_name')"


def test_an_index_is_made_concurrently_while_others_wait_for_their_turn(fresh: Database, tmp_path: Path) -> None:
    """Waiting processes hold no snapshot, for which the index would wait in turn."""
    fresh.execute("create table items (name text)")
    config = indexing(tmp_path, fresh)

    async def migrate() -> None:
        async with connected(fresh) as writer:
            await writer.execute("begin; insert into items values ('a')")  # the index waits for it
            running = [asyncio.create_task(in_process(tmp_path, fresh)) for _ in range(3)]
            await happens(lambda: fresh.execute(MIGRATING))
            async with connected(fresh) as other:
                await other.execute("insert into items values ('b')")  # and nobody for the index
            await asyncio.sleep(2.5)  # longer than other statements may wait for a lock
            await writer.execute("commit")
            await asyncio.gather(*running)

    asyncio.run(migrate())
    assert [row[0] for row in fresh.execute(VALID)] == [True]
    command.downgrade(config, "extra@base")
    assert not fresh.execute(VALID)


def test_an_index_that_was_left_invalid_is_made_anew(fresh: Database, tmp_path: Path) -> None:
    fresh.execute("create table items (name text)")
    fresh.execute("insert into items values ('a'), ('a')")
    config = indexing(tmp_path, fresh)
    with pytest.raises(DBAPIError, match="could not create unique index"):
        command.upgrade(config, "extra@head")
    assert [row[0] for row in fresh.execute(VALID)] == [False]
    fresh.execute("delete from items where ctid = '(0,1)'")
    command.upgrade(config, "extra@head")
    assert [row[0] for row in fresh.execute(VALID)] == [True]
    until(lambda: fresh.execute(APPLIED)[0][0] == "x0001")
