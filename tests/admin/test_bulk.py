"""Cells edited in their place; many rows changed, deleted and exported at once."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from html import unescape

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import OF_TABLES, Role
from service.crud import accounts
from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of
from tests.waiting import until

_MAKE = (
    "create type shade as enum ('light', 'dark')",
    "create table things (id integer primary key, name text not null, note text, price numeric check (price >= 0), "
    "shade shade, owner text not null default 'odd')",
    "create table pairs (a text, b text, n integer, primary key (a, b))",
    "create view thing_names as select id, name from things",
    "grant select, insert, update, delete on things, pairs, thing_names to rowhouse_service",
    "notify rowhouse_reload",
)
_FORMULAS = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "plain", "a=b", "", "'=q", '"=q', '="a",b\n=c']


@pytest.fixture(scope="module")
def made(database: Database, service: Service) -> Iterator[None]:
    for statement in _MAKE:
        database.execute(statement)

    async def grant(session: AsyncSession) -> None:
        await accounts.grant(session, Role.EDITOR, "things", list(OF_TABLES), "owner=eq.odd")

    async def revoke(session: AsyncSession) -> None:
        await accounts.revoke_grant(session, Role.EDITOR, "things", list(OF_TABLES))

    in_session(database.service_url, grant)
    with service.client(Role.ADMIN) as client:
        until(lambda: client.get("/api/v1/thing_names").status_code == 200)
    yield
    in_session(database.service_url, revoke)
    database.execute("drop table things, pairs cascade")
    database.execute("drop type shade")
    database.execute("notify rowhouse_reload")


@pytest.fixture
def things(database: Database, made: None) -> None:
    """Five things, each with a version of its own, and two pairs."""
    database.execute("delete from things")
    database.execute("delete from pairs")
    for number in range(1, 6):
        database.execute("insert into things values ($1::int, 'thing ' || $1::int, null, 1.50, 'light')", number)
    database.execute("insert into pairs values ('a,b', 'x\"y', 1), ('c', '-', 2)")


def names_of(database: Database, column: str = "name") -> dict[int, str | None]:
    return {row["id"]: row["v"] for row in database.execute(f"select id, {column}::text v from things order by id")}


def ticked(admin: Operator, path: str, *keys: str) -> dict[str, str]:
    """The list's form, with these rows ticked as the list shows them."""
    page = admin.get(path)
    boxes = dict(re.findall(r'name="(row\.[^"]*)" value="([^"]*)"', page.text))
    boxes = {unescape(name): unescape(value) for name, value in boxes.items()}
    (action,) = (action for action in forms_of(page) if "/bulk" in action)
    return {"csrf": forms_of(page)[action]["csrf"]} | {f"row.{key}": boxes[f"row.{key}"] for key in keys}


def bulk_edit(
    admin: Operator, form: dict[str, str], values: dict[str, str], query: str = "", status: int = 303
) -> httpx2.Response:
    """Go through the pages of a bulk edit, each with the form as it stands there."""
    asked = admin.send(f"/admin/things/bulk{query}", form | {"do": "edit"}, 200)
    (action,) = (action for action in forms_of(asked) if "/bulk-edit" in action)
    confirm = admin.send(action, forms_of(asked)[action] | values, 200)
    (action,) = (action for action in forms_of(confirm) if "/bulk-edit" in action)
    assert forms_of(confirm)[action]["confirmed"] == "1"
    return admin.send(action, forms_of(confirm)[action], status)


def test_a_cell_is_edited_and_what_the_row_is_now_is_answered(
    admin: Operator, database: Database, things: None
) -> None:
    form = admin.form("/admin/things/cell/1?column=name", "/admin/things/cell/1")
    answer = admin.http.post(
        "/admin/things/cell/1", data=form | {"now.name": "<b>"}, headers={"accept": "application/json"}
    )
    assert answer.status_code == 200
    assert answer.json()["cells"]["name"].strip() == "&lt;b&gt;"
    assert names_of(database)[1] == "<b>"
    again = admin.form("/admin/things/cell/1?column=name", "/admin/things/cell/1")
    assert again["version"] == answer.json()["version"] != form["version"]
    assert admin.send("/admin/things/cell/1", again | {"now.name": "x"}).headers["location"] == "/admin/things/list"


def test_a_cell_is_never_written_over_unseen(admin: Operator, database: Database, things: None) -> None:
    form = admin.form("/admin/things/cell/1?column=name", "/admin/things/cell/1")
    database.execute("update things set name = 'theirs' where id = 1")
    page = admin.send("/admin/things/cell/1", form | {"now.name": "mine"}, 409)
    assert "theirs" in text_of(page)
    assert names_of(database)[1] == "theirs"
    choice = forms_of(page)["/admin/things/cell/1"]
    assert choice["now.name"] == "mine"
    admin.send("/admin/things/cell/1", choice | {"then": "theirs"})
    assert names_of(database)[1] == "theirs"
    database.execute("update things set name = 'theirs again' where id = 1")
    admin.send("/admin/things/cell/1", choice | {"then": "yours"}, 409)
    assert names_of(database)[1] == "theirs again"
    page = admin.send("/admin/things/cell/1", choice | {"then": "yours"}, 409)
    admin.send("/admin/things/cell/1", forms_of(page)["/admin/things/cell/1"] | {"then": "yours"})
    assert names_of(database)[1] == "mine"


def test_a_cell_of_a_view_is_not_written_over_either(admin: Operator, database: Database, things: None) -> None:
    form = admin.form("/admin/thing_names/cell/1?column=name", "/admin/thing_names/cell/1")
    database.execute("update things set name = 'theirs' where id = 1")
    admin.send("/admin/thing_names/cell/1", form | {"now.name": "mine"}, 409)
    assert names_of(database)[1] == "theirs"


def test_null_and_empty_are_told_apart_in_cells(admin: Operator, database: Database, things: None) -> None:
    path = "/admin/things/cell/1"
    form = admin.form(f"{path}?column=note", path)
    assert "null.note" in form
    form.pop("null.note")
    admin.send(path, form | {"now.note": ""})
    assert names_of(database, "note")[1] == ""
    form = admin.form(f"{path}?column=note", path)
    assert "null.note" not in form
    admin.send(path, form | {"null.note": "on"})
    assert names_of(database, "note")[1] is None


@pytest.mark.parametrize(("column", "value"), [("price", "-1"), ("price", "dear"), ("shade", "pink"), ("name", "")])
def test_what_a_cell_cannot_hold_is_told_in_words(
    admin: Operator, database: Database, things: None, column: str, value: str
) -> None:
    before = names_of(database, column)
    form = admin.form(f"/admin/things/cell/1?column={column}", "/admin/things/cell/1")
    if column == "name":
        form |= {"null.name": "on"}
    page = admin.send("/admin/things/cell/1", form | {f"now.{column}": value}, 422)
    assert "select" not in text_of(page).lower().replace("selected", "")
    assert names_of(database, column) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [("things/cell/1?column=id", 400), ("things/cell/1?column=nothing", 400), ("things/cell/99?column=name", 404),
     ("nothing/cell/1?column=name", 404)],
)  # fmt: skip
def test_other_cells_are_refused(admin: Operator, things: None, path: str, status: int) -> None:
    admin.get(f"/admin/{path}", status)


def test_ticked_rows_are_changed_together(admin: Operator, database: Database, things: None) -> None:
    form = ticked(admin, "/admin/things/list", "1", "3")
    values = {"take.name": "on", "now.name": "both", "take.note": "on", "null.note": "on"}
    bulk_edit(admin, form, values)
    assert names_of(database) == {1: "both", 2: "thing 2", 3: "both", 4: "thing 4", 5: "thing 5"}


def test_one_row_that_moved_on_keeps_all_from_being_changed_and_is_named(
    admin: Operator, database: Database, things: None
) -> None:
    form = ticked(admin, "/admin/things/list", "1", "2", "3")
    database.execute("update things set note = 'theirs' where id = 2")
    database.execute("delete from things where id = 3")
    before = names_of(database)
    page = bulk_edit(admin, form, {"take.name": "on", "now.name": "all"}, status=409)
    text = text_of(page)
    assert "Nothing was changed" in text
    assert "2 was changed" in text
    assert "3 is not there any more" in text
    assert names_of(database) == before
    page = admin.send("/admin/things/bulk-delete", form, 409)
    assert "2 was changed" in text_of(page)
    assert names_of(database) == before


def test_all_that_the_filter_shows_are_changed_if_they_are_as_many_as_confirmed(
    admin: Operator, database: Database, things: None
) -> None:
    query = "?id=gt.2"
    form = ticked(admin, f"/admin/things/list{query}") | {"all": "1"}
    asked = admin.send(f"/admin/things/bulk{query}", form | {"do": "edit"}, 200)
    assert "Edit 3 rows" in text_of(asked)
    (action,) = (action for action in forms_of(asked) if "/bulk-edit" in action)
    sent = forms_of(asked)[action] | {"take.name": "on", "now.name": "x", "confirmed": "1"}
    database.execute("insert into things values (6, 'six')")
    text = text_of(admin.send(action, sent, 409))
    assert "You confirmed 3 rows" in text
    database.execute("delete from things where id > 4")
    text = text_of(admin.send(action, sent, 409))
    assert "You confirmed 3 rows" in text
    assert set(names_of(database).values()).isdisjoint({"x"})
    database.execute("insert into things values (7, 'seven')")
    admin.send(action, sent)
    assert names_of(database) == {1: "thing 1", 2: "thing 2", 3: "x", 4: "x", 7: "x"}


def test_rows_are_deleted_together_or_not(admin: Operator, database: Database, things: None) -> None:
    page = admin.send("/admin/things/bulk", ticked(admin, "/admin/things/list", "1", "5") | {"do": "delete"}, 200)
    assert "Delete 2 rows?" in text_of(page)
    (action,) = (action for action in forms_of(page) if "/bulk-delete" in action)
    admin.send(action, forms_of(page)[action])
    assert list(names_of(database)) == [2, 3, 4]
    form = ticked(admin, "/admin/things/list") | {"all": "1", "do": "delete"}
    page = admin.send("/admin/things/bulk", form, 200)
    assert "Delete 3 rows?" in text_of(page)
    (action,) = (action for action in forms_of(page) if "/bulk-delete" in action)
    admin.send(action, forms_of(page)[action])
    assert names_of(database) == {}


def test_rows_of_several_key_columns_are_selected(admin: Operator, database: Database, things: None) -> None:
    page = admin.get("/admin/pairs/list")
    boxes = dict(re.findall(r'name="(row\.[^"]*)" value="([^"]*)"', page.text))
    assert len(boxes) == 2
    form = {unescape(name): unescape(value) for name, value in boxes.items()} | {"csrf": admin.csrf}
    page = admin.send("/admin/pairs/bulk", form | {"do": "delete"}, 200)
    (action,) = (action for action in forms_of(page) if "/bulk-delete" in action)
    admin.send(action, forms_of(page)[action])
    assert database.execute("select * from pairs") == []


def test_a_bad_value_changes_nothing_and_is_told_at_its_field(
    admin: Operator, database: Database, things: None
) -> None:
    before = names_of(database, "price")
    form = ticked(admin, "/admin/things/list", "1", "2") | {"take.price": "on", "now.price": "-3", "confirmed": "1"}
    page = admin.send("/admin/things/bulk-edit", form, 422)
    assert "Nothing was changed" in text_of(page)
    assert forms_of(page)["/admin/things/bulk-edit"]["now.price"] == "-3"
    form = ticked(admin, "/admin/things/list", "1", "2") | {"confirmed": "1"}
    assert "No column was ticked" in text_of(admin.send("/admin/things/bulk-edit", form, 422))
    assert names_of(database, "price") == before


def test_nobody_changes_more_than_they_may(operators: MakeOperator, database: Database, things: None) -> None:
    database.execute("update things set owner = 'even' where id = 2")
    editor, viewer = operators(Role.EDITOR), operators(Role.VIEWER)
    page = editor.get("/admin/things/list")
    assert re.findall(r'data-key="(\d)"', page.text) == ["1", "3", "4", "5"]
    version = re.findall(r'name="row\.1" value="([^"]*)"', page.text)[0]
    form = {
        "csrf": editor.csrf,
        "row.1": version,
        "row.2": version,
        "take.name": "on",
        "now.name": "x",
        "confirmed": "1",
    }
    before = names_of(database)
    text = text_of(editor.send("/admin/things/bulk-edit", form, 409))
    assert "2 is not there any more, or not yours to see" in text
    assert names_of(database) == before
    stolen = {"csrf": viewer.csrf, "row.UA": "x", "take.name": "on", "now.name": "x", "confirmed": "1", "all": "1"}
    for path in ("airlines/bulk-edit", "airlines/bulk-delete"):
        viewer.send(f"/admin/{path}", stolen, 403)
    viewer.send("/admin/airlines/bulk", stolen | {"do": "edit"}, 403)
    viewer.get("/admin/airlines/cell/UA?column=name", 403)
    viewer.send("/admin/airlines/cell/UA", {"csrf": viewer.csrf, "column": "name", "now.name": "x"}, 403)
    viewer.send("/admin/things/bulk", stolen | {"do": "export"}, 404)


@pytest.mark.parametrize("form", [{"do": "edit"}, {"do": "nothing", "all": "1"}, {"do": "edit", "row.x": ""}, {}])
def test_forms_that_were_not_made_here_are_refused(admin: Operator, things: None, form: dict[str, str]) -> None:
    token = {"csrf": admin.csrf}
    answer = admin.http.post("/admin/things/bulk", data=token | form)
    if "row.x" in form:  # it is asked for, and refused when it is done
        answer = admin.http.post("/admin/things/bulk-delete", data=token | form)
    assert answer.status_code in (400, 409), answer.status_code


def test_writes_may_ask_for_a_least_number_of_rows(service: Service, database: Database, things: None) -> None:
    with service.client(Role.ADMIN) as client:
        prefer = {"Prefer": "min-affected=3, return=minimal"}
        refused = client.patch("/api/v1/things?id=lt.3", json={"name": "x"}, headers=prefer)
        assert (refused.status_code, problem_of(refused)["code"]) == (412, "precondition_failed")
        assert set(names_of(database).values()).isdisjoint({"x"})
        done = client.patch("/api/v1/things?id=lt.4", json={"name": "x"}, headers=prefer)
        assert (done.status_code, done.headers["preference-applied"]) == (204, "return=minimal, min-affected=3")
        operations = [
            {"method": "DELETE", "path": "/things?id=eq.5"},
            {"method": "DELETE", "path": "/things?id=gt.90", "headers": {"prefer": "min-affected=1"}},
        ]
        assert client.post("/api/v1/-/batch", json={"operations": operations}).status_code == 412
        assert 5 in names_of(database)
        assert client.delete("/api/v1/things?id=eq.5", headers={"Prefer": "min-affected=few"}).status_code == 400


def _read_csv(answer: httpx2.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def test_an_export_is_what_the_list_shows(admin: Operator, database: Database, things: None) -> None:
    path = "/admin/things/export?id=gt.2&order=name.desc&select=name,id,price"
    answer = admin.get(path)
    assert _read_csv(answer) == [["name", "id", "price"], *([f"thing {n}", str(n), "1.50"] for n in (5, 4, 3))]
    name = re.findall(r'filename="([^"]*)"', answer.headers["content-disposition"])[0]
    assert datetime.strptime(name, "things %Y-%m-%d %H.%M.%S.csv")
    assert answer.headers["content-security-policy"]
    lines = admin.get(f"{path}&-as=ndjson").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [5, 4, 3]
    arrow = pa.ipc.open_stream(admin.get(f"{path}&-as=arrow").content).read_all()
    parquet = pq.read_table(io.BytesIO(admin.get(f"{path}&-as=parquet").content))
    assert arrow.column("id").to_pylist() == parquet.column("id").to_pylist() == [5, 4, 3]
    assert arrow.column_names == ["name", "id", "price"]
    admin.get(f"{path}&-as=exe", 400)
    searched = admin.get("/admin/things/export?-q=thing+4&-q-all=1&select=id")
    assert _read_csv(searched) == [["id"], ["4"]]


def test_ticked_rows_are_exported(admin: Operator, things: None) -> None:
    form = ticked(admin, "/admin/things/list?order=id.desc&select=id,name", "2", "4") | {"do": "export", "as": "csv"}
    answer = admin.send("/admin/things/bulk?order=id.desc&select=id,name", form, 200)
    assert _read_csv(answer) == [["id", "name"], ["4", "thing 4"], ["2", "thing 2"]]


def test_nothing_is_a_formula_to_a_spreadsheet(admin: Operator, database: Database, things: None) -> None:
    database.execute("delete from things")
    for number, text in enumerate(_FORMULAS):
        database.execute("insert into things (id, name, price) values ($1, $2, 0)", number - 3, text)
    path = "/admin/things/export?select=id,name&order=id"
    guarded, plain = _read_csv(admin.get(path)), _read_csv(admin.get(f"{path}&-as=csv"))
    assert [row[1] for row in plain[1:]] == _FORMULAS
    expected = [f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text for text in _FORMULAS]
    assert [row[1] for row in guarded[1:]] == expected
    assert [row[0] for row in guarded[1:4]] == ["-3", "-2", "-1"]  # numbers stay numbers


def test_columns_whose_names_are_formulas_are_guarded(admin: Operator, database: Database, made: None) -> None:
    database.execute('create table odd ("=cmd" text, "a" text)')
    database.execute("grant select on odd to rowhouse_service")
    try:
        database.execute("notify rowhouse_reload")
        until(lambda: admin.http.get("/admin/odd/list").status_code == 200)
        assert _read_csv(admin.get("/admin/odd/export"))[0] == ["'=cmd", "a"]
        assert _read_csv(admin.get("/admin/odd/export?select=%22%3Dcmd%22&-as=csv"))[0] == ["=cmd"]
    finally:
        database.execute("drop table odd")
        database.execute("notify rowhouse_reload")


def test_an_export_has_no_cap(admin: Operator, database: Database) -> None:
    answer = admin.get("/admin/flights/export?select=id&dest=eq.IAH&limit=25&-as=csv")
    expected = database.execute("select count(*) from flights where dest = 'IAH'")[0]["count"]
    assert len(answer.text.splitlines()) == expected + 1


def test_a_viewer_exports_what_a_viewer_sees(operators: MakeOperator, things: None, database: Database) -> None:
    database.execute("update things set owner = 'even' where id = 2")
    editor = operators(Role.EDITOR)
    assert [row[0] for row in _read_csv(editor.get("/admin/things/export?select=id"))] == ["id", "1", "3", "4", "5"]
    operators(Role.VIEWER).get("/admin/things/export", 404)
