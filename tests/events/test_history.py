"""What was done to rows: who, when, from what to what."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from service.core.types import Role
from service.query.compile import history
from tests.conftest import Database
from tests.service_under_test import Service, problem_of

_AIRLINES = "/api/v1/airlines"


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%'")


def _history(client: httpx2.Client, path: str, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/{path}/-/history", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def test_the_history_of_a_row_says_who_did_what_and_when(client: httpx2.Client, database: Database) -> None:
    client.post(_AIRLINES, json={"carrier": "~h", "name": "a"}, headers={"X-Request-ID": "first-request"})
    database.execute("update airlines set name = 'b' where carrier = '~h'")
    client.delete(f"{_AIRLINES}/~h")
    deleted, updated, inserted = _history(client, "airlines/~h")
    assert [one["type"] for one in (inserted, updated, deleted)] == ["insert", "update", "delete"]
    assert inserted["actor"].startswith("key:")
    assert inserted["request"] == "first-request"
    assert (inserted["before"], inserted["after"]) == (None, {"carrier": "~h", "name": "a"})
    assert (updated["columns"], updated["actor"]) == (["name"], None)
    assert updated["db_user"] == "rowhouse_owner"
    assert (updated["before"]["name"], updated["after"]["name"]) == ("a", "b")
    assert (deleted["key"], deleted["after"]) == ({"carrier": "~h"}, None)
    assert inserted["at"] < updated["at"] < deleted["at"]


def test_a_row_keeps_its_history_under_both_its_keys(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~h', 'a')")
    database.execute("update airlines set carrier = '~i' where carrier = '~h'")
    renamed, _ = _history(client, "airlines/~h")[:2]
    assert (renamed["key"], renamed["old_key"], renamed["columns"]) == (
        {"carrier": "~i"},
        {"carrier": "~h"},
        ["carrier"],
    )
    assert _history(client, "airlines/~i")[0] == renamed


def test_pages_lead_from_the_latest_to_the_first(client: httpx2.Client, database: Database) -> None:
    for number in range(5):
        database.execute("insert into airlines values ($1, 'a')", f"~{number}")
    answer = client.get(f"{_AIRLINES}/-/history", params={"limit": "2", "carrier": "like.~*", "operation": "insert"})
    keys = [one["key"]["carrier"] for one in answer.json()]
    following = answer.headers["link"].partition(">")[0].removeprefix("<")
    keys += [one["key"]["carrier"] for one in client.get(following).json()]
    assert keys == ["~4", "~3", "~2", "~1"]


def test_a_page_looks_at_so_many_changes_and_no_more(client: httpx2.Client, database: Database) -> None:
    """A filter that finds little has its pages short, and each leads on."""
    database.execute("insert into airlines values ('~old', 'sought')")
    for _ in range(3):
        database.execute("insert into airlines select '~' || n, 'other' from generate_series(1, 4500) n")
        database.execute("delete from airlines where name = 'other'")
    url = f"{_AIRLINES}/-/history?name=eq.sought&limit=2"
    pages: list[list[str]] = []
    while url and len(pages) < 3:  # behind them lie other tests' changes
        answer = client.get(url)
        # What went without being logged row by row is told with any filter.
        rows = [one for one in answer.json() if one["type"] != "truncate"]
        assert all(one["key"] for one in rows), rows
        pages.append([one["key"]["carrier"] for one in rows])
        url = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert pages == [[], [], ["~old"]]
    assert client.get(f"{_AIRLINES}/~old/-/history").json()[0]["type"] == "insert"
    trash = client.get(f"{_AIRLINES}/-/trash", params={"name": "eq.sought"})
    assert (trash.status_code, trash.json(), 'rel="next"' in trash.headers["link"]) == (200, [], True)


def test_a_glance_looks_at_the_latest_changes_of_all_tables(client: httpx2.Client, database: Database) -> None:
    for number in range(4):
        database.execute("insert into airlines values ($1, 'a')", f"~{number}")
    database.execute("update planes set year = year where tailnum = 'N10156'")

    def keys(**query: str) -> list[str]:
        answer = client.get("/api/v1/-/history", params=query)
        assert answer.status_code == 200, answer.text
        return [next(iter(one["key"].values())) for one in answer.json()]

    assert keys(within="3") == ["N10156", "~3", "~2"]
    assert keys(within="3", tables="airlines") == ["~3", "~2"]
    assert keys(within="3", tables="weather") == []
    assert keys(within="3", limit="1") == ["N10156"]
    answer = client.get("/api/v1/-/history", params={"within": "3", "limit": "2"})
    following = answer.headers["link"].partition(">")[0].removeprefix("<")
    rest = client.get(following)
    assert [one["key"]["carrier"] for one in rest.json()] == ["~2"]
    assert "link" not in rest.headers


@pytest.fixture
def _short_reach(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of several tables look at ten changes. What was compiled before, and is meanwhile, is for itself."""
    monkeypatch.setattr(history, "_REACH", 10)
    monkeypatch.setattr(service.state.connected().statements, "_statements", {})


@pytest.mark.usefixtures("_short_reach")
def test_of_several_tables_a_page_goes_so_far_down_the_log_and_no_farther(
    client: httpx2.Client, database: Database
) -> None:
    """What others do meanwhile may be most of the log."""
    for number in range(3):
        database.execute("insert into airlines values ($1, 'a')", f"~{number}")
        database.execute("update planes set year = year where tailnum in (select tailnum from planes limit 25)")
    url = "/api/v1/-/history?tables=airlines,airports&operation=insert&limit=7"
    pages: list[list[str]] = []
    while len(pages) < 10:
        answer = client.get(url)
        pages.append([one["key"]["carrier"] for one in answer.json()])
        url = answer.headers["link"].partition(">")[0].removeprefix("<")
    assert [key for page in pages for key in page][:3] == ["~2", "~1", "~0"]  # behind them lie other tests' changes
    assert pages[:2] == [[], []]


@pytest.mark.usefixtures("_short_reach")
def test_of_several_tables_a_request_or_transaction_is_found_wherever_it_lies(
    client: httpx2.Client, database: Database
) -> None:
    client.post(_AIRLINES, json={"carrier": "~lies", "name": "a"}, headers={"X-Request-ID": "lies-deep"})
    client.patch(f"{_AIRLINES}/~lies", json={"name": "b"}, headers={"X-Request-ID": "lies-deep"})
    client.post(_AIRLINES, json={"carrier": "~next", "name": "a"}, headers={"X-Request-ID": "lies-elsewhere"})
    database.execute("update planes set year = year where tailnum in (select tailnum from planes limit 25)")
    url = "/api/v1/-/history?tables=airlines,airports"
    found = client.get(f"{url}&request=lies-deep")
    assert [one["type"] for one in found.json()] == ["update", "insert"]
    [alone] = client.get(f"{url}&transaction={found.json()[1]['transaction']}").json()
    assert alone["type"] == "insert"
    nowhere = client.get("/api/v1/-/history?tables=airports,planes&request=lies-deep")
    assert (nowhere.json(), "link" in nowhere.headers) == ([], False)


def test_changes_are_found_by_person_request_transaction_and_time(client: httpx2.Client, database: Database) -> None:
    before = database.execute("select to_json(clock_timestamp()) #>> '{}'")[0][0]
    client.post(_AIRLINES, json=[{"carrier": "~1", "name": "a"}, {"carrier": "~2", "name": "b"}])
    database.execute("update airlines set name = 'c' where carrier = '~1'")
    mine = _history(client, "airlines", since=before, operation="insert")
    assert {one["key"]["carrier"] for one in mine} == {"~1", "~2"}
    for name in ("actor", "request", "transaction"):
        found = client.get("/api/v1/-/changes", params={"tables": "airlines", "since": before, name: mine[0][name]})
        assert found.json() == mine
    outside = client.get("/api/v1/-/history", params={"since": before, "actor": "rowhouse_owner"}).json()
    assert [one["type"] for one in outside] == ["update"]
    assert client.get("/api/v1/-/history", params={"until": before, "since": before}).json() == []


def test_the_trash_has_what_was_deleted_and_is_not_back(client: httpx2.Client, database: Database) -> None:
    def trash() -> dict[str, str]:
        rows = client.get(f"{_AIRLINES}/-/trash", params={"carrier": "like.~*"}).json()
        return {row["key"]["carrier"]: row["before"]["name"] for row in rows}

    database.execute("insert into airlines values ('~t1', 'a'), ('~t2', 'b'), ('~t3', 'c')")
    database.execute("delete from airlines where carrier like '~t%'")
    assert {name: what for name, what in trash().items() if name.startswith("~t")} == {
        "~t1": "a",
        "~t2": "b",
        "~t3": "c",
    }
    database.execute("insert into airlines values ('~t1', 'back'), ('~t2', 'again')")
    database.execute("delete from airlines where carrier = '~t2'")
    assert {name: what for name, what in trash().items() if name.startswith("~t")} == {"~t2": "again", "~t3": "c"}


@pytest.fixture
def viewer(service: Service, database: Database) -> Iterator[httpx2.Client]:
    """One who may read airlines alone, and of these only what is no secret."""
    others = database.execute("delete from rowhouse.grants where role = 'viewer' returning role, table_name, action")
    database.execute(
        "insert into rowhouse.grants (role, table_name, action, row_filter) "
        "values ('viewer', 'airlines', 'read', 'name=neq.secret')"
    )
    try:
        with service.client(Role.VIEWER) as client:
            yield client
    finally:
        database.execute("delete from rowhouse.grants where role = 'viewer'")
        for grant in others:
            database.execute("insert into rowhouse.grants (role, table_name, action) values ($1, $2, $3)", *grant)


def test_histories_obey_the_grants(viewer: httpx2.Client, service: Service, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'open'), ('~secret', 'secret')")
    database.execute("update airlines set name = 'secret' where carrier = '~1'")
    database.execute("delete from airlines where carrier like '~%'")
    assert viewer.get("/api/v1/flights/-/history").status_code == 404
    history = _history(viewer, "airlines", limit="2")
    assert [(one["type"], one["key"], one["before"], one["after"]) for one in history] == [
        ("delete", {"carrier": "~1"}, {"carrier": "~1", "name": "open"}, None),
        ("insert", {"carrier": "~1"}, None, {"carrier": "~1", "name": "open"}),
    ]
    assert _history(viewer, "airlines/~secret") == []
    assert {one["table"] for one in viewer.get("/api/v1/-/history").json()} <= {"airlines"}
    with service.client(None) as client:
        assert client.get(f"{_AIRLINES}/-/history").status_code == 401


@pytest.mark.usefixtures("_short_reach")
def test_a_request_is_found_wherever_it_lies_where_only_some_rows_are_shown(
    viewer: httpx2.Client, client: httpx2.Client, database: Database
) -> None:
    database.execute("insert into rowhouse.grants (role, table_name, action) values ('viewer', 'airports', 'read')")
    rows = [{"carrier": "~open", "name": "a"}, {"carrier": "~secret", "name": "secret"}]
    client.post(_AIRLINES, json=rows, headers={"X-Request-ID": "shown-in-part"})
    client.post(_AIRLINES, json={"carrier": "~1", "name": "secret"}, headers={"X-Request-ID": "not-shown"})
    database.execute("update planes set year = year where tailnum in (select tailnum from planes limit 25)")
    url = "/api/v1/-/history?tables=airlines,airports"
    assert [one["key"] for one in viewer.get(f"{url}&request=shown-in-part").json()] == [{"carrier": "~open"}]
    answer = viewer.get(f"{url}&request=not-shown")
    assert answer.json() == []
    end = viewer.get(answer.headers["link"].partition(">")[0].removeprefix("<"))
    assert (end.status_code, end.json(), "link" in end.headers) == (200, [], False)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("airlines/-/history", "limit=0", 400),
        ("airlines/-/history", "cursor=x", 400),
        ("airlines/-/history", "transaction=x", 400),
        ("airlines/-/history", "since=soon", 400),
        ("airlines/-/history", "operation=eat", 400),
        ("airlines/-/history", "nothing=eq.1", 400),
        ("airlines/-/history", "select=name", 400),
        ("airlines/-/history", "order=name", 400),
        ("flights/-/history", "year=eq.x", 400),
        ("flights/x/-/history", "", 400),
        ("airlines/a,b/-/history", "", 200),
        ("-/history", "carrier=eq.UA", 400),
        ("-/history", "tables=nowhere", 404),
        ("-/history", "within=x", 400),
        ("-/history", "within=0", 400),
        ("airlines/-/history", "within=5", 400),
        ("nowhere/-/trash", "", 404),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(client: httpx2.Client, path: str, query: str, status: int) -> None:
    answer = client.get(f"/api/v1/{path}?{query}")
    assert answer.status_code == status, answer.text
    if status != 200:
        assert problem_of(answer)["detail"]
    assert client.post(f"/api/v1/{path}").status_code == 405
