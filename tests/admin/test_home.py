"""The home page: whether it is well, to those who may know."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.admin.requests import traffic
from service.core.types import Action, Role
from service.crud import accounts
from service.observability.metrics import BOUNDS, Counted, Metrics
from service.observability.minutes import RequestMinutes, all_of, quantile
from tests.admin.conftest import MakeOperator, Operator, text_of
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service


def test_an_administrator_sees_all_parts(admin: Operator, service: Service) -> None:
    service.state.minutes.end_minute()
    words = text_of(admin.get("/admin/"))
    for part in (
        "The last hour",
        "Database connections",
        "Live feed",
        "Webhooks",
        "Jobs",
        "Change log",
        "Logins",
        "Versions and migrations",
        "Recent changes",
        "The largest tables",
        "flights",
    ):
        assert part in words, part
    assert re.search(r"Requests [\d ]+, about", words)
    assert re.search(r"PostgreSQL \d+\.\d+", words)
    assert "All migrations are there." in words
    assert re.search(r"95 % within \S+ ms", words)


def test_charts_are_drawn_without_styles_and_told_in_words(admin: Operator, service: Service) -> None:
    admin.get("/admin/airlines/list")
    service.state.minutes.end_minute()
    page = admin.get("/admin/").text
    charts = re.findall(r"<svg\b.*?</svg>", page, re.S)
    assert len(charts) == 2
    for chart in charts:
        assert "<rect" in chart
        assert re.search(r'aria-label="[^"]+ at \d\d:\d\d UTC', chart)
    assert not re.search(r"\sstyle=|\sfill=|<style", page)


def test_others_see_their_tables_and_nothing_of_the_operation(operators: MakeOperator) -> None:
    words = text_of(operators(Role.VIEWER).get("/admin/"))
    assert "Your tables" in words
    for part in ("Webhooks", "Jobs", "PostgreSQL", "Logins", "Database connections", "The last hour", "kB", "MB"):
        assert part not in words, part


def test_how_many_rows_are_hidden_is_not_told(operators: MakeOperator, database: Database) -> None:
    with _seeing_only(database, "flights", "origin=eq.JFK"):
        page = text_of(operators(Role.VIEWER).get("/admin/")).partition("Your tables")[2]
    assert "airlines" in page
    assert "flights" not in page


@contextmanager
def _seeing_only(database: Database, table: str, rows: str) -> Iterator[None]:
    def grant(where: str | None) -> None:
        async def run(session: AsyncSession) -> None:
            await accounts.grant(session, Role.VIEWER, table, [Action.READ], where)

        in_session(database.service_url, run)

    grant(rows)
    try:
        yield
    finally:
        grant(None)


def test_recent_changes_obey_the_policy(admin: Operator, operators: MakeOperator, database: Database) -> None:
    with _seeing_only(database, "airlines", "carrier=eq.AA"):
        path = "/admin/airlines/edit/UA"
        form = admin.form(path)
        try:
            admin.send(path, form | {"now.name": "United, for a moment"})
            assert f"{admin.email} changed airlines UA" in text_of(admin.get("/admin/"))
            assert "airlines UA" not in text_of(operators(Role.VIEWER).get("/admin/"))
        finally:
            database.execute("update airlines set name = $1 where carrier = 'UA'", form["was.name"])
        assert "(in the database) changed airlines UA" in text_of(admin.get("/admin/"))


def test_troubles_are_told_first(admin: Operator, database: Database) -> None:
    database.execute(
        "insert into rowhouse.webhooks (url, table_name, filter, events, description, owner_kind, owner_id, owner_name,"
        " owner_role, failing_since) values ('https://hooks.example.org/', 'airlines', '', '{insert}', 'home', 'user',"
        " 'x', 'x', 'admin', now())"
    )
    try:
        page = admin.get("/admin/")
    finally:
        database.execute("delete from rowhouse.webhooks where description = 'home'")
    words = text_of(page)
    assert "1 failing." in words
    assert "parts need you." in words
    first = re.search(r'<li class="card"><h2>(?:<a[^>]*>)?([^<]+)', page.text)
    assert first is not None
    assert first[1].strip() == "Webhooks"
    assert "All" in text_of(admin.get("/admin/"))


def test_it_scans_no_table(admin: Operator, service: Service, database: Database) -> None:
    """By PostgreSQL's own count of sequential scans of the served tables."""
    admin.get("/admin/")

    def scans() -> int:
        database.execute("select pg_stat_force_next_flush()")
        (row,) = database.execute(
            "select sum(seq_scan)::bigint as n from pg_stat_user_tables where schemaname = 'public'"
        )
        return int(row["n"])

    before = scans()
    for _ in range(3):
        admin.get("/admin/")
    time.sleep(1.1)  # what a session has counted is told once a second
    admin.get("/admin/")
    assert scans() == before


def test_a_database_that_is_down_is_said_to_be(shared_folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody:secret@127.0.0.1:{unused.getsockname()[1]}/nothing"
        with run_service({"DATABASE_URL": url, "DATA_DIR": str(shared_folder / "data"), "LOG_LEVEL": "ERROR"}) as down:
            with httpx2.Client(base_url=down.url, cookies={"rowhouse_session": "x"}, timeout=30) as http:
                answers = [http.get(f"/admin/{page}") for page in ("", "login")]
    for answer in answers:
        assert answer.status_code == 503
        assert "database" in text_of(answer)
        assert "secret" not in answer.text


def test_minutes_are_what_was_counted_in_them() -> None:
    metrics = Metrics("test")
    metrics.begin()
    metrics.end("GET", "/old", 200, 0.002)
    minutes = RequestMinutes(metrics)
    for status, seconds in ((200, 0.004), (200, 0.004), (404, 0.02), (500, 0.3), (200, None)):
        metrics.begin()
        metrics.end("GET", "/a", status, seconds)
    minutes.end_minute()
    metrics.begin()
    metrics.end("POST", "/b", 201, 20.0)
    first, present = minutes.hour()
    assert (first.counted.requests, first.counted.refused, first.counted.failed) == (5, 1, 1)
    assert sum(first.counted.took) == 4
    assert (present.counted.requests, present.counted.took[-1]) == (1, 1)
    assert all_of([first, present]).requests == 6
    assert present.at <= datetime.now(UTC)
    for _ in range(100):
        minutes.end_minute()
    assert len(minutes.hour()) == 60
    assert traffic(minutes).is_well


@pytest.mark.parametrize(
    ("took", "share", "expected"),
    [
        ({}, 0.5, None),
        ({0.001: 10}, 0.5, 0.0005),
        ({0.01: 90, 0.1: 10}, 0.5, 0.005 + 0.005 * 50 / 90),
        ({0.01: 90, 0.1: 10}, 0.95, 0.05 + 0.05 * 0.5),
        ({inf: 5}, 0.99, 10.0),
    ],
)
def test_quantiles_are_interpolated(took: dict[float, int], share: float, expected: float | None) -> None:
    counted = Counted(100, 0, 0, tuple(took.get(bound, 0) for bound in BOUNDS))
    assert quantile(counted, share) == (None if expected is None else pytest.approx(expected))


def test_an_hour_with_failures_is_not_well() -> None:
    metrics = Metrics("test")
    minutes = RequestMinutes(metrics)
    for status in (200, 200, 500):
        metrics.begin()
        metrics.end("GET", "/a", status, 0.01)
    assert not traffic(minutes).is_well
