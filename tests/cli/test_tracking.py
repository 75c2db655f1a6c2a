"""`rowhouse track`, `untrack`, `tracked` and TRACKED_TABLES."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.cli.test_commands import rowhouse
from tests.conftest import Database

TRIGGERS = """
select count(*) from pg_trigger t join pg_proc p on p.oid = t.tgfoid
where p.pronamespace = 'rowhouse'::regnamespace and t.tgrelid = to_regclass($1)
"""


@pytest.fixture
def owned(database: Database) -> Iterator[Database]:
    """With a schema of its own."""
    database.execute("create schema shop")
    database.execute("create table shop.orders (id integer primary key, card text, note text)")
    database.execute('create table shop."odd-name" (id integer, "a-b" text)')
    database.execute("create table shop.parts (id integer) partition by list (id)")
    database.execute("create table shop.parts_rest partition of shop.parts default")
    database.execute("create view shop.seen as select 1 as one")
    yield database
    database.execute(
        "do $$ begin perform rowhouse.untrack(relation) from rowhouse.tracked "
        "where until is null and parent is null and name like 'shop.%'; end $$"
    )
    database.execute("drop schema shop cascade")


def run(database: Database, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = rowhouse(database, *arguments, MIGRATION_DATABASE_URL=database.owner_url, **environment)
    return done.returncode, done.stdout, done.stderr


def triggers(database: Database, table: str) -> int:
    return int(database.execute(TRIGGERS, table)[0][0])


def test_a_table_is_tracked_listed_and_untracked(owned: Database) -> None:
    code, out, said = run(owned, "track", "shop.orders", "--without", "card")
    assert (code, out) == (0, "")
    assert "create trigger" in said
    assert "shop.orders are logged from now on" in said
    owned.execute("insert into shop.orders values (1, 'secret', 'x'), (2, 'secret', 'y')")
    listed = run(owned, "tracked")[1]
    line = next(line for line in listed.splitlines() if "shop.orders" in line)
    assert [word.strip() for word in line.strip("│ ").split("│")][2:] == ["id", "card", "2"]
    assert "logged already" in run(owned, "track", "shop.orders", "--without", "card")[2]
    code, _, said = run(owned, "untrack", "shop.orders")
    assert code == 0
    assert "no longer logged" in said
    assert triggers(owned, "shop.orders") == 0
    assert "shop.orders" not in run(owned, "tracked")[1]


def test_the_statements_are_shown_and_nothing_is_done(owned: Database) -> None:
    code, out, said = run(owned, "track", "shop.parts", "--sql")
    assert (code, said) == (0, "")
    assert "create or replace function rowhouse.log_" in out
    assert "on shop.parts_rest referencing" in out
    assert triggers(owned, "shop.parts") == 0
    run(owned, "track", "shop.parts")
    code, out, said = run(owned, "untrack", "shop.parts", "--sql")
    assert (code, said) == (0, "")
    assert "drop trigger" in out
    assert triggers(owned, "shop.parts") == 4


def test_what_is_shown_can_be_run(owned: Database) -> None:
    """The statements are whole: each ends, and together they make what `track` makes."""
    shown = run(owned, "track", "shop.orders", "--sql")[1]
    assert shown.count("create trigger") == 4
    owned.execute(f"do $test$ begin execute {_quoted(shown)}; raise exception 'undo' using errcode = 'PT000'; "
                  "exception when sqlstate 'PT000' then null; end $test$")  # fmt: skip


def _quoted(text: str) -> str:
    return "$quoted$" + text + "$quoted$"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["track", "flihgts"], "no table 'flihgts'"),
        (["track", "shop.seen"], "shop.seen is no table"),
        (["track", "shop.parts_rest"], "Track the partitioned table"),
        (["track", "shop.orders", "--without", "id"], "id is of the key"),
        (["track", "shop.orders", "--without", "none"], "has no column none"),
        (["track", "rowhouse.changes"], "own"),
        (["untrack", "shop.orders"], "is not tracked"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(owned: Database, arguments: list[str], said: str) -> None:
    code, out, error = run(owned, *arguments)
    assert (code, out) == (1, "")
    assert said in error
    assert len(error.splitlines()) <= 2
    assert "Traceback" not in error


def test_a_table_is_known_by_the_name_in_its_path(owned: Database) -> None:
    assert "airlines are logged already" in run(owned, "track", "airlines")[2]
    assert "orders are logged from now on" in run(owned, "track", "orders", EXPOSED_SCHEMAS="public,shop")[2]


def test_migrate_tracks_what_the_setting_names(owned: Database) -> None:
    code, _, said = run(owned, "migrate", TRACKED_TABLES="shop.*, shop.orders-card, shop.odd-name-a-b, airlines")
    assert code == 0, said
    assert "shop.orders" in said
    left_out = owned.execute("select name, excluded from rowhouse.tracked where name like 'shop.%' and until is null")
    assert {row[0]: row[1] for row in left_out} == {
        "shop.orders": ["card"], 'shop."odd-name"': ["a-b"], "shop.parts": []
    }  # fmt: skip
    code, _, said = run(owned, "migrate", TRACKED_TABLES="shop.orders")
    assert code == 0
    assert "logged" not in said
    assert owned.execute("select excluded from rowhouse.tracked where name = 'shop.orders' and until is null")[0][
        0
    ] == ["card"]


def test_migrate_says_what_of_the_setting_it_could_not_do(owned: Database) -> None:
    code, _, said = run(owned, "migrate", TRACKED_TABLES="shop.missing, shop.seen, shop.orders-nothing, shop.parts")
    assert code == 1
    assert "shop.missing" in said
    assert "shop.seen is no table" in said
    assert "shop.orders-nothing" in said
    assert triggers(owned, "shop.parts") == 4


def test_a_table_in_use_does_not_keep_writers_waiting(owned: Database) -> None:
    async def hold() -> tuple[int, str, str]:
        connection = await asyncpg.connect(owned.owner_url)
        try:
            await connection.execute("begin; insert into shop.orders values (1)")
            return await asyncio.to_thread(run, owned, "track", "shop.orders")
        finally:
            await connection.close()

    code, _, said = asyncio.run(hold())
    assert code == 1
    assert "in use" in said


def test_the_log_is_verified_against_the_table(owned: Database) -> None:
    owned.execute("insert into shop.orders values (1, 'before', 'x'), (2, 'before', 'y')")
    for table in ("orders", "odd-name"):
        run(owned, "track", f"shop.{table}")
    owned.execute("update shop.orders set note = note || '!' where id = 1")
    owned.execute("insert into shop.orders values (3, 'c', 'z')")
    owned.execute('insert into shop."odd-name" values (1, null), (1, null)')
    owned.execute('delete from shop."odd-name" where ctid = (select min(ctid) from shop."odd-name")')
    owned.execute("alter table shop.orders add late text default 'new'")
    code, _, said = run(owned, "verify-log", "shop.orders")
    assert (code, "2 changes" in said, "late" in said) == (0, True, False), said
    assert run(owned, "verify-log", "shop.odd-name")[0] == 0
    owned.execute("alter table shop.orders disable trigger all")
    owned.execute("update shop.orders set note = 'unseen' where id = 3")
    owned.execute("alter table shop.orders enable trigger all")
    code, out, said = run(owned, "verify-log", "shop.orders")
    assert (code, "id=3" in out, "id=1" in out) == (1, True, False), out
    code, _, said = run(owned, "verify-log", "shop.seen")
    assert (code, "not logged" in said) == (1, True)
