"""What was done to rows, and undoing it; what was deleted, and bringing it back; what others change, as it happens."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import pytest

from service.core.types import Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service, in_session
from tests.waiting import until

_LIVE = {"accept": "application/json"}


@pytest.fixture(scope="module")
def untracked(service: Service, database: Database) -> Iterator[str]:
    """A table whose changes are not logged."""
    database.execute("create table unlogged_things (id int primary key, name text)")
    database.execute("insert into unlogged_things values (1, 'a')")
    asyncio.run(open_schemas(database.owner_url, ("public",), 5))
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        until(lambda: client.get("/api/v1/unlogged_things").status_code == 200)
    yield "unlogged_things"
    database.execute("drop table unlogged_things")
    database.execute("notify rowhouse_reload")


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%' or carrier like 'Q%'")


def _names(database: Database) -> dict[str, str]:
    rows = database.execute("select carrier, name from airlines where carrier like 'Q%' order by 1")
    return {row["carrier"]: row["name"] for row in rows}


def _links(page: httpx2.Response, begin: str) -> list[str]:
    """The addresses on a page that begin so, in their order."""
    parts = page.text.split(f'href="{begin}')[1:]
    return [begin + part.partition('"')[0].replace("&amp;", "&") for part in parts]


def _edit(operator: Operator, carrier: str, name: str) -> None:
    path = f"/admin/airlines/edit/{carrier}"
    operator.send(path, operator.form(path) | {"now.name": name})


def _undo(operator: Operator, address: str) -> httpx2.Response:
    return operator.send("/admin/-/undo", operator.form(address, "/admin/-/undo"))


def test_a_history_says_who_did_what_and_takes_it_back(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    _edit(admin, "Q1", "Second <b>")
    page = admin.get("/admin/airlines/history/Q1")
    said = text_of(page)
    assert f"Changed by {admin.email}" in said
    assert "Added by rowhouse_owner (in the database)" in said
    assert "Second &lt;b&gt;" in page.text
    assert '<del><span class="whole">First</span></del>' in page.text
    answer = _undo(admin, _links(page, "/admin/-/undo?change=")[0])
    assert answer.headers["location"] == "/admin/airlines/history/Q1"
    assert _names(database) == {"Q1": "First"}
    assert "Nothing" not in text_of(admin.get("/admin/airlines/details/Q1"))


def test_an_undo_that_something_stands_in_the_way_of_says_what(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    _edit(admin, "Q1", "Second")
    _edit(admin, "Q1", "Third")
    second = _links(admin.get("/admin/airlines/history/Q1"), "/admin/-/undo?change=")[1]
    page = admin.get(second, 409)
    assert "name changed since" in text_of(page)
    assert "/admin/-/undo" not in forms_of(page)
    assert _names(database) == {"Q1": "Third"}


def test_a_row_as_it_was(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    (then,) = database.execute("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') t")
    _edit(admin, "Q1", "Second")
    page = admin.get(f"/admin/airlines/history/Q1?as_of={quote(then['t'])}")
    assert "First" in text_of(page).partition(f"At {then['t']} UTC")[2].partition("Changed by")[0]
    future = text_of(admin.get("/admin/airlines/history/Q1?as_of=2100-01-01T00:00:00"))
    assert "Second" in future.partition("At 2100")[2].partition("Changed by")[0]
    before = text_of(admin.get("/admin/airlines/history/Q1?as_of=2001-01-01T00:00:00"))
    assert "The table was not tracked then" in before
    assert "is no time" in text_of(admin.get("/admin/airlines/history/Q1?as_of=yesterday"))


def test_a_history_is_paged_to_its_beginning(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', '0')")
    for number in range(1, 28):
        database.execute("update airlines set name = $1 where carrier = 'Q1'", str(number))
    path, seen = "/admin/airlines/history/Q1", []
    while path:
        page = admin.get(path)
        seen += [part.partition('"')[0] for part in page.text.split('id="change-')[1:]]
        path = next(iter(_links(page, "/admin/airlines/history/Q1?cursor=")), "")
    assert len(seen) >= 28
    assert seen == sorted(set(seen), key=int, reverse=True)


def test_what_was_deleted_comes_back_one_or_several(admin: Operator, database: Database) -> None:
    for carrier in ("Q1", "Q2", "Q3"):
        database.execute("insert into airlines values ($1, $1)", carrier)
    database.execute("delete from airlines where carrier like 'Q%'")
    page = admin.get("/admin/airlines/trash")
    csrf = forms_of(page)["/admin/airlines/restore"]["csrf"]
    for carrier in ("Q1", "Q2", "Q3"):
        assert page.text.count(f'name="key" value="{carrier}"') == 1
    answer = admin.http.post("/admin/airlines/restore", data={"csrf": csrf, "key": ["Q1", "Q2"]})
    assert answer.headers["location"] == "/admin/airlines/trash"
    assert "2 rows are back." in text_of(admin.get("/admin/airlines/trash"))
    gone = admin.get("/admin/airlines/history/Q3")
    admin.send("/admin/airlines/restore", forms_of(gone)["/admin/airlines/restore"])
    assert _names(database) == {"Q1": "Q1", "Q2": "Q2", "Q3": "Q3"}
    mixed = admin.http.post("/admin/airlines/restore", data={"csrf": csrf, "key": ["Q1", "Q9"]})
    assert mixed.status_code == 303
    assert "0 rows are back. 2 not:" in text_of(admin.get("/admin/airlines/trash"))
    assert admin.http.post("/admin/airlines/restore", data={"csrf": csrf}).status_code == 400


def test_recent_changes_by_person_and_table_and_a_whole_request_undone(
    admin: Operator, operators: MakeOperator, database: Database, service: Service
) -> None:
    other = operators(Role.EDITOR)
    with service.client(Role.ADMIN, **{"X-Request-ID": "many-rows"}) as client:
        client.post("/api/v1/airlines", json=[{"carrier": f"Q{n}", "name": "x"} for n in range(3)])
    _edit(other, "Q0", "Other's")
    everybody = text_of(admin.get("/admin/-/changes?tables=airlines"))
    assert other.email in everybody
    assert "request many-rows" in everybody
    one = admin.get(f"/admin/-/changes?tables=airlines&actor={quote('user:' + other.email)}&since=2001-01-01T00:00")
    assert one.text.count('class="card change"') == 1
    assert "many-rows" not in text_of(one)
    assert "There are none." in text_of(admin.get("/admin/-/changes?tables=airlines&until=2001-01-01T00:00"))
    _undo(other, _links(one, "/admin/-/undo?transaction=")[0])
    answer = _undo(admin, "/admin/-/undo?request=many-rows")
    assert answer.headers["location"] == "/admin/-/changes"
    assert "3 changes are taken back." in text_of(admin.get("/admin/-/changes"))
    assert _names(database) == {}


def test_a_table_that_is_not_tracked_says_so(admin: Operator, untracked: str) -> None:
    for path in (f"/admin/{untracked}/history/1", f"/admin/{untracked}/trash"):
        assert f"rowhouse track {untracked}" in text_of(admin.get(path))
    assert "not logged" in text_of(admin.get(f"/admin/-/changes?tables={untracked}"))
    answer = admin.http.post(f"/admin/{untracked}/live", headers={"x-csrf-token": admin.csrf, **_LIVE})
    assert answer.json() == {"feed": None}


def test_a_role_sees_and_undoes_what_it_may(operators: MakeOperator, admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    _edit(admin, "Q1", "Second")
    viewer = operators(Role.VIEWER)
    page = viewer.get("/admin/airlines/history/Q1")
    assert "Second" in text_of(page)
    assert _links(page, "/admin/-/undo") == []
    undo = _links(admin.get("/admin/airlines/history/Q1"), "/admin/-/undo?change=")[0]
    assert "may not" in text_of(viewer.get(undo, 403))
    number = undo.partition("change=")[2].partition("&")[0]
    viewer.send("/admin/-/undo", {"csrf": viewer.csrf, "change": number}, 403)
    viewer.send("/admin/-/undo", {"change": number}, 403)
    database.execute("delete from airlines where carrier = 'Q1'")
    viewer.send("/admin/airlines/restore", {"csrf": viewer.csrf, "key": "Q1"}, 409)
    assert _names(database) == {}
    assert admin.get("/admin/nothing/history/1", 404)
    admin.send("/admin/-/undo", {"csrf": admin.csrf}, 400)
    admin.send("/admin/-/undo", {"csrf": admin.csrf, "change": "1e9"}, 400)


def test_an_undo_leads_back_to_pages_of_the_back_office_alone(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    _edit(admin, "Q1", "Second")
    undo = _links(admin.get("/admin/airlines/history/Q1"), "/admin/-/undo?change=")[0].partition("&")[0]
    page = admin.get(f"{undo}&back={quote('https://evil.example.org/')}")
    assert "evil" not in page.text
    form = forms_of(page)["/admin/-/undo"] | {"back": "//evil.example.org"}
    assert admin.send("/admin/-/undo", form).headers["location"] == "/admin/"


def test_a_hidden_column_is_in_no_history(operators: MakeOperator, admin: Operator, database: Database) -> None:
    grant = "role, table_name, action, row_filter"
    kept = database.execute(
        f"delete from rowhouse.grants where role = 'viewer' and table_name = 'airlines' returning {grant}"
    )

    async def only_carrier(session: object) -> None:
        await accounts.grant(session, Role.VIEWER, "airlines", [Action.READ], None, ["carrier"])  # type: ignore[arg-type]

    in_session(database.service_url, only_carrier)
    try:
        database.execute("insert into airlines values ('Q7', 'Secret name')")
        _edit(admin, "Q7", "Secret too")
        viewer = operators(Role.VIEWER)
        for path in ("airlines/list", "airlines/details/Q7", "airlines/history/Q7", "airlines/trash", "-/changes"):
            assert "Secret" not in viewer.get(f"/admin/{path}").text
        assert viewer.get("/admin/airlines/history/Q7").text.count('class="card change"') == 1
    finally:
        database.execute("delete from rowhouse.grants where role = 'viewer' and table_name = 'airlines'")
        for one in kept:
            database.execute(f"insert into rowhouse.grants ({grant}) values ($1, $2, $3, $4)", *one)


def test_a_page_follows_its_rows_by_a_ticket(admin: Operator, database: Database, service: Service) -> None:
    database.execute("insert into airlines values ('Q1', 'First')")
    token = {"x-csrf-token": admin.csrf, **_LIVE}
    assert admin.http.post("/admin/airlines/live", headers=_LIVE).status_code == 403
    answer = admin.http.post("/admin/airlines/live/Q1", headers=token).json()
    assert answer["key"] == ["carrier"]
    odd = admin.http.post("/admin/airlines/live?nothing=eq.1", headers=token).json()["feed"]
    assert "nothing" not in odd
    assert "carrier=like.Q%2A" in admin.http.post("/admin/airlines/live?carrier=like.Q*", headers=token).json()["feed"]
    with admin.http.stream("GET", answer["feed"], headers={"accept": "text/event-stream"}) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert any(line == "event: up-to-date" for line in lines)
        database.execute("update airlines set name = 'x' where carrier = 'UA' and false")
        database.execute("update airlines set name = 'Second' where carrier = 'Q1'")
        data = next(line for line in lines if line.startswith("data: ") and '"update"' in line)
    assert json.loads(data.removeprefix("data: "))["row"] == {"carrier": "Q1"}
    assert admin.http.get(answer["feed"], headers={"accept": "text/event-stream"}).status_code == 401
    last = admin.http.get("/admin/airlines/last-change/Q1", headers=_LIVE).json()
    assert (last["who"], last["type"]) == ("rowhouse_owner (in the database)", "update")
    _edit(admin, "Q1", "Third")
    assert admin.http.get("/admin/airlines/last-change/Q1", headers=_LIVE).json()["who"] == "You"
