"""The `rowhouse` command, as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from deploy.ports import free_port
from tests.api.test_operations import is_up
from tests.command import run_rowhouse
from tests.conftest import Database
from tests.waiting import until

ROWHOUSE = [str(Path(sys.executable).with_name("rowhouse"))]


def rowhouse(
    database: Database, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], "DATABASE_URL": database.service_url, "COLUMNS": "100"}
    return run_rowhouse(own | environment, *arguments, stdin=stdin)


def test_a_key_is_printed_alone_and_serves_until_revoked(database: Database) -> None:
    created = rowhouse(database, "keys", "create", "nightly job", "--role", "editor", "--days", "2")
    prefix = created.stdout[:11]
    listed = rowhouse(database, "keys", "list")
    revoked = rowhouse(database, "keys", "revoke", prefix)
    again = rowhouse(database, "keys", "revoke", prefix)
    assert created.returncode == 0
    assert created.stdout.count("\n") == 1
    assert created.stdout.startswith("rh_")
    assert "nightly job" in created.stderr
    assert prefix in listed.stdout
    assert created.stdout.strip() not in listed.stdout
    assert revoked.returncode == 0
    assert again.returncode == 1
    assert "not revoked" in again.stderr


def test_users_are_made_listed_and_changed(database: Database) -> None:
    made = rowhouse(database, "users", "create", "hopper@example.com", "--role", "editor")
    given = rowhouse(
        database, "users", "password", "hopper@example.com", "--password-stdin", stdin="a long pass phrase\n"
    )
    closed = rowhouse(database, "users", "set", "hopper@example.com", "--role", "viewer", "--inactive")
    listed = rowhouse(database, "users", "list")
    assert len(made.stdout.strip()) == 16
    assert given.stdout == ""
    assert "viewer and inactive" in closed.stderr
    assert "hopper@example.com" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["users", "create", "no-address"], "", "no e-mail address"),
        (["users", "create", "x@example.com", "--password-stdin"], "short\n", "at least 12 characters"),
        (["users", "password", "nobody@example.com"], "", "no user"),
        (["grant", "viewer", "flihgts"], "", "'public.flights'"),
        (["grant", "viewer", "flights", "read", "--where", "orgin=eq.JFK"], "", "'origin'"),
        (["grant", "viewer", "flights", "read", "--columns", "orgin"], "", "'origin'"),
        (["grant", "viewer", "flights", "delete", "--columns", "origin"], "", "Columns are granted to read"),
        (["grant", "viewer", "rpc/shown", "--columns", "origin"], "", "Columns are granted to read"),
    ],
)
def test_errors_are_a_sentence(database: Database, arguments: list[str], stdin: str, said: str) -> None:
    failed = rowhouse(database, *arguments, stdin=stdin)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.splitlines()) <= 2


def test_a_database_that_is_not_there_is_a_sentence(database: Database) -> None:
    failed = rowhouse(database, "tables", DATABASE_URL="postgresql://x:secret@127.0.0.1:1/x")
    assert failed.returncode == 1
    assert "cannot be used" in failed.stderr
    assert "secret" not in failed.stderr


@pytest.mark.parametrize("url", ["postgresql://u:pa:w0rd/x@host/db", "postgresql://u:w0rd[@host/db"])
def test_a_url_that_is_none_is_told_without_its_password(database: Database, url: str) -> None:
    failed = rowhouse(database, "tables", DATABASE_URL=url)
    assert failed.returncode == 1
    assert "DATABASE_URL: is no URL" in failed.stderr
    assert "w0rd" not in failed.stderr


def test_a_grant_whose_filter_postgresql_refuses_is_not_kept(database: Database) -> None:
    failed = rowhouse(database, "grant", "viewer", "planes", "delete", "--where", "year=eq.new")
    assert failed.returncode == 1
    assert "new" in failed.stderr
    assert database.execute("select 1 from rowhouse.grants where row_filter = 'year=eq.new'") == []


def test_bad_settings_are_a_sentence(database: Database) -> None:
    for command in ("serve", "demo", "tables"):
        failed = rowhouse(database, command, ENVIRONMENT="production", JWT_SECRET="short")
        assert failed.returncode == 1
        assert "JWT_SECRET is shorter" in failed.stderr
        assert "Traceback" not in failed.stderr


def test_grants_are_given_and_taken(database: Database) -> None:
    given = rowhouse(database, "grant", "viewer", "planes", "read", "update", "--where", "year=gt.2000")
    listed = rowhouse(database, "grants")
    taken = rowhouse(database, "revoke", "viewer", "planes", "update")
    rowhouse(database, "grant", "viewer", "planes", "read")
    assert "viewer may read and update the rows where year=gt.2000 of planes" in given.stderr
    assert "year=gt.2000" in listed.stdout
    assert "Took 1 grants" in taken.stderr


def test_grants_of_columns_are_given_and_listed(database: Database) -> None:
    given = rowhouse(database, "grant", "viewer", "planes", "read", "--columns", "tailnum,year")
    listed = rowhouse(database, "grants")
    whole = rowhouse(database, "grant", "viewer", "planes", "read")
    assert "viewer may read tailnum, year in all rows of planes" in given.stderr
    assert "tailnum, year" in listed.stdout
    assert "all rows of planes" in whole.stderr
    assert "tailnum, year" not in rowhouse(database, "grants").stdout


def test_tables_are_listed(database: Database) -> None:
    listed = rowhouse(database, "tables")
    assert "time_hour" in listed.stdout
    assert "dest_airport" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 100


def test_help_teaches(database: Database) -> None:
    helped = rowhouse(database, "--help")
    for command in ("demo", "serve", "migrate", "users", "keys", "grant", "tables"):
        assert command in helped.stdout
    assert "origin=eq.JFK" in rowhouse(database, "grant", "--help").stdout


def test_the_demo_loads_serves_and_leaves_nothing_running(tmp_path: Path) -> None:
    """With an embedded PostgreSQL of its own, twice on the same data, stopped by either signal."""
    environment = {
        "PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), "PORT": str(free_port()), "COLUMNS": "100",
        "ADMIN_EMAIL": "me@example.com", "HOME": str(tmp_path),
    }  # fmt: skip
    outputs = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            [*ROWHOUSE, "demo"], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        url = f"http://127.0.0.1:{environment['PORT']}"
        try:
            with httpx2.Client(base_url=url, timeout=10) as client:
                until(lambda: is_up(client))
                assert client.get("/api/v1/flights?limit=1").status_code == 200
                assert client.post("/api/v1/airlines", json={}).status_code == 401
        finally:
            process.send_signal(stop)
            outputs.append(process.communicate(timeout=90)[1])
    leftover = [
        running
        for running in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(running.info["cmdline"] or [])
    ]
    assert not leftover
    assert "336,776" in outputs[0]
    assert "Loading" not in outputs[1]
    assert "me@example.com" in outputs[0]
    password = outputs[0].partition("Password")[2].split()[0]
    assert password not in outputs[1]
