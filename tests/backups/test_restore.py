"""A backup that was restored is what was saved, serves, and is another life."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from service.backups import dump
from service.backups import manifest as manifests
from service.backups.contents import SETTINGS, Contents
from service.backups.contents import tables as tables_of
from service.backups.manifest import Manifest
from service.backups.renewal import HELD
from service.core.errors import ConfigurationError
from service.core.types import Action, Role
from service.crud import accounts
from service.db.embedded import EmbeddedPostgres
from tests.awkward_database import awkward_database
from tests.command import run_rowhouse
from tests.conftest import Database
from tests.service_under_test import in_session, make_keys, run_service
from tests.waiting import until

_KEPT = Path(__file__).parent.parent / "fixture" / "kept.sql"
_EVERYTHING = "select count(*), md5(string_agg(md5((t.*)::text), '' order by (t.*)::text)) from only %I.%I t"
# What another life changes, on purpose.
_RENEWED = {"cluster", "log_state", "tracked", "sessions", "refresh_tokens", "tickets", "deliveries", "lanes",
            "security_events"}  # fmt: skip
_SEQUENCES = "select schemaname::text, sequencename::text, last_value from pg_sequences order by 1, 2"
_RIGHTS = """
select c.oid::regclass::text, pg_get_userbyid(c.relowner)::text, c.relacl::text
from pg_class c where c.relnamespace::regnamespace::text !~ '^pg_|information_schema' and c.relkind <> 't' order by 1
"""
_WAITING = """
insert into rowhouse.webhooks
    (url, table_name, filter, events, description, owner_kind, owner_id, owner_name, owner_role)
values ('https://hooks.example.org', 'followed', '', '{}', '', 'key', 'x', 'x', 'editor');
insert into rowhouse.deliveries (webhook, message, type, keys, body, state)
select w.id, v.state, 'insert', array['\\x01'::bytea], '{}', v.state
from rowhouse.webhooks w, (values ('pending'), ('waiting'), ('delivered')) v (state);
insert into rowhouse.lanes select webhook, '\\x01', id from rowhouse.deliveries where state <> 'delivered';
insert into rowhouse.users (email, password_hash, role) values ('ada@example.com', 'x', 'admin');
insert into rowhouse.refresh_tokens (token_hash, family, user_id, expires_at)
select '\\x01', id, id, now() + interval '1 day' from rowhouse.users;
"""


def environment(database: Database, **more: str) -> dict[str, str]:
    urls = {"DATABASE_URL": database.service_url, "MIGRATION_DATABASE_URL": database.superuser_url}
    return {"PATH": os.environ["PATH"], "COLUMNS": "80", **urls, **more}


def rowhouse(database: Database, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run_rowhouse(environment(database, **more), *arguments)


def done(database: Database, *arguments: str, **more: str) -> str:
    run = rowhouse(database, *arguments, **more)
    assert run.returncode == 0, run.stderr
    return run.stderr


@pytest.fixture(scope="module")
def saved(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[Database]:
    """The demo's tables, awkward ones, and what else there may be in a database."""
    with awkward_database(postgres, f"saved_{worker_id}", shared_folder) as database:
        asyncio.run(_execute(database.superuser_url, _KEPT.read_text() + _WAITING))
        yield database


@pytest.fixture(scope="module")
def keys(saved: Database) -> dict[Role, str]:
    return make_keys(saved.service_url)


@pytest.fixture(scope="module")
def archive(saved: Database, keys: dict[Role, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backups") / "saved.dump"
    assert "rows of" in done(saved, "backup", str(path))
    return path


@pytest.fixture
def small(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[Database]:
    """A database with Rowhouse's own schema and one table."""
    with _empty(postgres, f"small_{worker_id}") as database:
        done(database, "migrate", MIGRATION_DATABASE_URL=database.owner_url)
        database.execute_script("create table items (id integer primary key); insert into items values (1)")
        yield database


@pytest.fixture
def target(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[Database]:
    with _empty(postgres, f"target_{worker_id}") as database:
        yield database


@pytest.fixture(scope="module")
def restored(postgres: EmbeddedPostgres, worker_id: str, archive: Path, saved: Database) -> Iterator[Database]:
    with _empty(postgres, f"restored_{worker_id}") as database:
        said = done(database, "restore", str(archive))
        assert "compared with what was saved" in said
        yield database


class _empty:
    """A database of its own, and whatever is left beside it, until the block ends."""

    def __init__(self, server: EmbeddedPostgres, name: str) -> None:
        self._server = Database("postgres", server)
        self._database = Database(name, server)

    def __enter__(self) -> Database:
        self._server.execute_as_superuser(
            f"create database {self._database.name} owner rowhouse_owner template template0"
        )
        return self._database

    def __exit__(self, *_: object) -> None:
        like = f"{self._database.name}%"
        for row in self._server.execute_as_superuser("select datname from pg_database where datname like $1", like):
            self._server.execute_as_superuser(f'drop database "{row[0]}" with (force)')


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def everything(database: Database) -> dict[tuple[str, str], tuple[int, str | None]]:
    """Each table's rows in order, measured otherwise than the manifest does."""

    async def read() -> dict[tuple[str, str], tuple[int, str | None]]:
        connection = await asyncpg.connect(database.superuser_url)
        try:
            found = {}
            for schema, name in await tables_of(connection):
                if schema != "rowhouse" or name not in _RENEWED:
                    sql = await connection.fetchval("select format($1, $2::text, $3::text)", _EVERYTHING, schema, name)
                    found[schema, name] = tuple((await connection.fetch(sql))[0])
            return found
        finally:
            await connection.close()

    return asyncio.run(read())


def life(database: Database) -> str:
    return str(database.execute_as_superuser("select rowhouse.life()")[0][0])


def test_every_table_is_what_was_saved(saved: Database, restored: Database) -> None:
    before, after = everything(saved), everything(restored)
    assert before["public", "flights"][0] == 27_004
    assert len(before) > 40
    assert after == before


def test_sequences_rights_and_large_objects_are_what_was_saved(saved: Database, restored: Database) -> None:
    for sql in (_RIGHTS, "select md5(lo_get(oid)) from pg_largeobject_metadata order by 1"):
        assert restored.execute_as_superuser(sql) == saved.execute_as_superuser(sql)
    moved = {row[1]: row[2] for row in restored.execute_as_superuser(_SEQUENCES)}
    kept = {row[1]: row[2] for row in saved.execute_as_superuser(_SEQUENCES)}
    assert moved["change_seq"] > kept.pop("change_seq")
    assert {name: moved[name] for name in kept if name != "security_events_id_seq"} == {
        name: value for name, value in kept.items() if name != "security_events_id_seq"
    }
    number = restored.execute_as_superuser("insert into kept.numbered (name) values ('c') returning id, upper_name")[0]
    assert tuple(number) == (43, "C")
    assert restored.execute_as_superuser("select n from kept.counted")[0][0] == 2


def test_changes_are_logged_and_nothing_that_is_gone_becomes_another(restored: Database) -> None:
    restored.execute_as_superuser("update kept.followed set name = 'uno' where id = 1")
    newest = "select op::text, now->>'name' from rowhouse.changes order by seq desc limit 1"
    assert tuple(restored.execute_as_superuser(newest)[0]) == ("u", "uno")
    gone = "select relation::text from rowhouse.tracked where name = 'kept.gone'"
    assert int(restored.execute_as_superuser(gone)[0][0]) > 4_294_000_000
    assert restored.execute_as_superuser("select rowhouse.arrange_all()")[0][0] == 0


def test_what_was_waiting_is_held_and_sessions_are_ended(restored: Database) -> None:
    deliveries = restored.execute_as_superuser("select state, error from rowhouse.deliveries order by id")
    assert [tuple(row) for row in deliveries] == [("dead", HELD), ("dead", HELD), ("delivered", None)]
    for table in ("lanes", "refresh_tokens", "sessions", "tickets"):
        assert not restored.execute_as_superuser(f"select from rowhouse.{table}")
    noted = restored.execute_as_superuser("select actor from rowhouse.security_events where kind = 'database_restored'")
    assert len(noted) == 1
    assert noted[0][0].startswith("cli")


def served(database: Database, keys: dict[Role, str]) -> dict[str, str]:
    return {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "EXPOSED_SCHEMAS": "kept"}


def test_old_versions_and_cursors_hold_no_longer(saved: Database, restored: Database, keys: dict[Role, str]) -> None:
    with run_service(served(saved, keys), keys) as service, service.client(Role.ADMIN) as client:
        tag = client.get("/api/v1/followed/2").headers["etag"]
        cursor = client.get("/api/v1/followed/-/changes", params={"wait": "0"}).json()["cursor"]
    with run_service(served(restored, keys), keys) as service, service.client(Role.ADMIN) as client:
        assert client.get("/api/v1/followed/2").json()["name"] == "two"
        changed = client.patch("/api/v1/followed/2", json={"name": "dos"}, headers={"If-Match": tag})
        assert changed.status_code == 412
        again = client.get("/api/v1/followed/-/changes", params={"wait": "0", "cursor": cursor})
        assert again.status_code == 410
        assert again.json()["code"] == "must_refetch"


def test_it_takes_the_place_of_one_that_is_served(small: Database, tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    """By several connections, from a folder. A key that was revoked since stays revoked."""
    keys = make_keys(small.service_url)
    done(small, "backup", str(tmp_path / "folder"), "--jobs", "2")
    assert {path.name for path in (tmp_path / "folder").iterdir()} >= {"toc.dat", "rowhouse.json"}
    small.execute("insert into items values (2)")
    small.execute("update rowhouse.api_keys set revoked_at = now() where role = 'viewer'")
    small.execute_as_superuser(f"alter database {small.name} set work_mem = '5MB'")
    small.execute_as_superuser(f"alter database {small.name} connection limit 77")
    small.execute_as_superuser(f"comment on database {small.name} is 'It''s small'")
    in_session(small.service_url, lambda session: accounts.grant(session, Role.EDITOR, "items", [Action.READ], None))
    with run_service({"DATABASE_URL": small.service_url, "JWT_SECRET": "x" * 40}, keys) as service:
        before = life(small)
        said = done(small, "restore", str(tmp_path / "folder"), "--replace", "--jobs", "2")

        def answered() -> httpx2.Response | None:
            with service.client(Role.ADMIN) as client:
                answer = client.get("/api/v1/items")
                return answer if answer.status_code == 200 else None

        answer = until(answered)
        assert answer is not None
        assert answer.json() == [{"id": 1}]
        with service.client(Role.VIEWER) as client:
            assert client.get("/api/v1/items").status_code == 401
    assert life(small) != before
    assert small.execute("show work_mem")[0][0] == "5MB"
    belongs = "select datconnlimit, shobj_description(oid, 'pg_database') from pg_database where datname = $1"
    assert tuple(small.execute_as_superuser(belongs, small.name)[0]) == (77, "It's small")
    kept = next(word for word in said.split() if word.startswith(f"{small.name}_before_")).rstrip(":")
    assert Database(kept, postgres).execute("select count(*) from items")[0][0] == 2


def test_nothing_is_written_over(small: Database, archive: Path) -> None:
    run = rowhouse(small, "restore", str(archive))
    assert run.returncode == 1
    assert "--replace" in run.stderr
    again = rowhouse(small, "backup", str(archive))
    assert again.returncode == 1
    assert "there already" in again.stderr


def test_no_name_of_a_table_is_run(small: Database, target: Database, tmp_path: Path) -> None:
    name = "a$rowhouse$; drop table items; do $rowhouse0$"
    small.execute(f'create table "{name}" as select 7 as n')
    done(small, "backup", str(tmp_path / "one.dump"))
    done(target, "restore", str(tmp_path / "one.dump"))
    assert tuple(target.execute_as_superuser(f'select n, (select id from items) from "{name}"')[0]) == (7, 1)


def test_who_was_sent_away_while_it_was_restored_stays_away(
    small: Database, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    """The restore waits for the last thing that it does before it looks: meanwhile somebody goes, and one does less."""
    small.execute_script("""
        insert into rowhouse.users (email, password_hash, role) values
            ('gone@example.com', 'x', 'admin'), ('less@example.com', 'x', 'admin'), ('more@example.com', 'x', 'viewer');
        insert into rowhouse.api_keys (name, prefix, key_hash, role) values ('k', 'p', '\\x01', 'viewer')""")
    path = tmp_path / "one.dump"
    done(small, "backup", str(path))
    folder = tmp_path / "bin"
    folder.mkdir()
    from service.backups.programs import find_programs

    real = asyncio.run(find_programs(18)).folder
    late = (
        "update rowhouse.users set is_active = false where email like 'gone%';"
        "update rowhouse.users set role = 'viewer' where email like 'less%';"
        "update rowhouse.users set role = 'admin' where email like 'more%';"
        "update rowhouse.api_keys set revoked_at = now()"
    )
    for name in ("pg_dump", "pg_restore", "psql"):
        then = f'"{real}/psql" --quiet --dbname={small.name} --command="{late}" </dev/null' if name == "psql" else ""
        (folder / name).write_text(f'#!/bin/sh\n"{real}/{name}" "$@" || exit 1\n{then}\n')
        (folder / name).chmod(0o755)
    done(small, "restore", str(path), "--replace", PATH=f"{folder}:{os.environ['PATH']}")
    people = small.execute_as_superuser("select is_active, role from rowhouse.users order by email")
    assert [tuple(row) for row in people] == [(False, "admin"), (True, "viewer"), (True, "viewer")]
    assert small.execute_as_superuser("select revoked_at is not null from rowhouse.api_keys")[0][0]


@pytest.mark.parametrize("is_folder", [False, True])
def test_of_two_backups_to_one_name_one_is_there_and_whole(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "one"
    workshops = [dump._begin(path), dump._begin(path)]
    made = Manifest(1, "", "", "", 18, "", 18, (), (), (), (), Contents((), 0, "0"), {})
    for number, workshop in enumerate(workshops):
        file = workshop / "one"
        if is_folder:
            file.mkdir()
            file /= "toc.dat"
        file.write_text(f"of {number}")
    dump._complete(workshops[0] / "one", path, made)
    with pytest.raises(ConfigurationError, match="is there already"):
        dump._complete(workshops[1] / "one", path, made)
    assert (path / "toc.dat" if is_folder else path).read_text() == "of 0"
    assert manifests.read(path).files


async def test_no_timeout_ends_what_is_measured(postgres: EmbeddedPostgres) -> None:
    url = Database("postgres", postgres).superuser_url
    connection = await asyncpg.connect(url)
    try:
        timeouts = "select name from pg_settings where name in ('statement_timeout', 'transaction_timeout')"
        for row in await connection.fetch(timeouts):
            await connection.execute(f"set {row[0]} = '9s'")
        async with connection.transaction():
            await connection.execute(SETTINGS)
            assert not await connection.fetch(f"{timeouts} and setting <> '0'")
    finally:
        await connection.close()


def nothing_in(database: Database) -> bool:
    return not database.execute_as_superuser("select from pg_namespace where nspname = 'rowhouse'")


def test_what_is_not_what_was_saved_is_not_restored(small: Database, target: Database, tmp_path: Path) -> None:
    path = tmp_path / "one.dump"
    done(small, "backup", str(path))
    assert "can be restored" in done(target, "restore", str(path), "--verify")
    assert nothing_in(target)
    manifest = path.with_name("one.dump.json")
    said = json.loads(manifest.read_text())

    def refused(**changes: object) -> str:
        manifest.write_text(json.dumps(said | changes))
        run = rowhouse(target, "restore", str(path))
        assert run.returncode == 1
        assert nothing_in(target)
        return run.stderr

    tables = [one | ({"rows": 2} if one["name"] == "items" else {}) for one in said["contents"]["tables"]]
    assert "public.items has 1 rows, not 2" in refused(contents=said["contents"] | {"tables": tables})
    others = [one | ({"digest": "7"} if one["name"] == "items" else {}) for one in said["contents"]["tables"]]
    assert "rows of public.items are others" in refused(contents=said["contents"] | {"tables": others})
    assert "of PostgreSQL 99" in refused(postgresql=99)
    assert "no extension moon" in refused(extensions=["moon"])
    assert "pg_dump, pg_restore and psql of PostgreSQL 99" in refused(program=99)
    manifest.write_text(json.dumps(said))
    path.write_bytes(path.read_bytes()[:-1])
    assert "checksums differ" in refused()


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "is missing"), ("{", "no manifest"), ('{"format": 2}', "no manifest")]
)
def test_without_its_manifest_a_backup_is_not_whole(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "one.dump"
    path.write_bytes(b"PGDMP")
    if text is not None:
        path.with_name("one.dump.json").write_text(text)
    with pytest.raises(ConfigurationError, match=problem):
        manifests.read(path)


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, str]:
    """Programs that write down how they were called, and wait where a file says so."""
    from service.backups.programs import find_programs

    real = asyncio.run(find_programs(18)).folder
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $@" >> {tmp_path}/called\nexec {real / name} "$@"\n')
        script.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_no_secret_is_on_a_command_line(
    small: Database, target: Database, tmp_path: Path, recorded: dict[str, str]
) -> None:
    def with_password(database: Database) -> dict[str, str]:
        return recorded | {"MIGRATION_DATABASE_URL": database.superuser_url.replace("postgres@", "postgres:hush-hush@")}

    path = tmp_path / "one.dump"
    said = done(small, "backup", str(path), **with_password(small))
    said += done(target, "restore", str(path), **with_password(target))
    called = (tmp_path / "called").read_text()
    assert {line.split()[0] for line in called.splitlines()} == {"pg_dump", "pg_restore", "psql"}
    assert "hush" not in called + said + path.with_name("one.dump.json").read_text()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_one_that_is_killed_leaves_nothing_that_looks_whole(
    small: Database, target: Database, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "one.dump"
    database = small
    small.execute_script("create table many as select generate_series(1, 300000) as n")
    if command == "restore":
        done(small, "backup", str(path))
        database = target
    process = subprocess.Popen(
        [sys.executable, "-c", "from service.cli.main import run; run()", command, str(path)],
        env=environment(database), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    connected = "select from pg_stat_activity where application_name = 'rowhouse' and datname = $1"
    working = f"{connected} and state = 'active'"
    try:
        until(lambda: database.execute_as_superuser(working, database.name), seen=process.poll)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not database.execute_as_superuser(connected, database.name))
    if command == "backup":
        assert not path.exists()
        assert "There is no backup" in rowhouse(target, "restore", str(path)).stderr
        done(small, "backup", str(path))
        assert len(list(tmp_path.glob("one.dump.*.part"))) <= 1  # that of the one that was killed
    else:
        assert nothing_in(target)
        done(target, "restore", str(path))


def test_an_owner_restores_what_it_owns_and_roles_that_are_gone(
    small: Database, target: Database, tmp_path: Path
) -> None:
    """As an owner that is no superuser; then, where a role is missing, as one that may make it."""
    reporter = f"reporter_of_{small.name}"
    small.execute_as_superuser(f"create role {reporter} login in role rowhouse_service")
    small.execute(f"grant select on items to {reporter}")
    path = tmp_path / "one.dump"
    owners = {"MIGRATION_DATABASE_URL": small.owner_url}
    try:
        done(small, "backup", str(path), **owners)
        small.execute(f"revoke select on items from {reporter}")
        small.execute_as_superuser(f"drop role {reporter}")
        refused = rowhouse(target, "restore", str(path), MIGRATION_DATABASE_URL=target.owner_url)
        assert reporter in refused.stderr
        assert nothing_in(target)
        small.execute_as_superuser(f"create role {reporter}")
        done(target, "restore", str(path), MIGRATION_DATABASE_URL=target.owner_url)
        with run_service({"DATABASE_URL": target.service_url, "JWT_SECRET": "x" * 40}) as service:
            with service.client(None) as client:
                assert client.get("/readyz").status_code == 200
        target.execute_as_superuser(f"drop owned by {reporter}")
        target.execute_as_superuser(f"drop role {reporter}")
        said = done(small, "restore", str(path), "--replace")
        assert f"Role {reporter} was made without a password" in said
        may = "select rolcanlogin, has_table_privilege(rolname, 'items', 'select') from pg_roles where rolname = $1"
        assert [tuple(row) for row in small.execute(may, reporter)] == [(False, True)]
    finally:
        for database in (small, target):
            database.execute_as_superuser(f"drop owned by {reporter}")
        small.execute_as_superuser(f"drop role if exists {reporter}")


def test_another_life_begins_by_hand_as_well(small: Database) -> None:
    """The very first request of a running service knows: it is told to try again, and then its version is old."""
    keys = make_keys(small.service_url)
    before = life(small)
    with run_service({"DATABASE_URL": small.service_url, "JWT_SECRET": "x" * 40}, keys) as service:
        with service.client(Role.ADMIN) as client:
            old = {"If-Match": client.get("/api/v1/items/1").headers["etag"]}
            assert "Another life has begun" in done(small, "renew-epoch")
            first = client.patch("/api/v1/items/1", json={"id": 1}, headers=old)
            assert (first.status_code, first.headers.get("retry-after")) == (503, "1")
            assert client.patch("/api/v1/items/1", json={"id": 1}, headers=old).status_code == 412
            new = client.get("/api/v1/items/1").headers["etag"]
            assert client.patch("/api/v1/items/1", json={"id": 1}, headers={"If-Match": new}).status_code == 200
    assert life(small) != before
