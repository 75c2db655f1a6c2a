"""Forms: what is not touched is not changed, and every type takes another value by its own control."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from service.admin.slug import to_slug
from service.core.types import Role
from service.db.embedded import EmbeddedPostgres
from tests.admin.awkward import admin_of, awkward_service
from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service

_EDIT = "/admin/every/edit/1"


@pytest.fixture(scope="module")
def awkward(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[tuple[Service, Database]]:
    with awkward_service(postgres, f"forms_{worker_id}", shared_folder) as both:
        yield both


@pytest.fixture(scope="module")
def clerk(awkward: tuple[Service, Database]) -> Iterator[Operator]:
    operator = admin_of(*awkward)
    yield operator
    operator.http.close()


def sent(form: dict[str, str]) -> dict[str, str]:
    """As a browser sends it: line ends are CR LF (HTML, "Constructing the entry list")."""
    return {name: re.sub(r"\r\n|\r|\n", "\r\n", value) for name, value in form.items()}


def dump(database: Database, table: str) -> list[str]:
    """Every row with all of its columns, and the transaction that last wrote it."""
    has_version = database.execute_as_superuser(
        "select relkind in ('r', 'p') as it from pg_class where oid = $1::text::regclass", table
    )[0]["it"]
    version = "tableoid::text || xmin::text" if has_version else "''"
    rows = database.execute_as_superuser(f"select {version} || ' ' || t::text as row from {table} t order by 1")
    return [row["row"] for row in rows]


def test_every_table_opens_lists_and_saves_unchanged_without_a_difference(
    awkward: tuple[Service, Database], clerk: Operator
) -> None:
    service, database = awkward
    catalog = service.state.connected().catalog
    tables = {item.name: f"{_quoted(item.table.schema or '')}.{_quoted(item.table.name)}" for item in catalog}
    tables.pop("circular")  # a view of itself, which PostgreSQL cannot read either
    clerk.get("/admin/circular/list", 400)
    assert len(tables) > 25
    before = {name: dump(database, place) for name, place in tables.items()}
    edited = 0
    for name in tables:
        listed = clerk.get(f"/admin/{to_slug(name)}/list")
        keys = {unescape(key) for key in re.findall(r'<tr data-key="([^"]*)"', listed.text)}
        if catalog.get(name).abilities.can_insert:
            clerk.get(f"/admin/{to_slug(name)}/create")
        for key in keys:
            row = f"/admin/{to_slug(name)}/%s/{to_slug(key)}"
            clerk.get(row % "details")
            if not catalog.get(name).abilities.can_update:
                continue
            form = clerk.form(row % "edit", row % "edit")
            answer = clerk.send(row % "edit", sent(form))
            clerk.get(answer.headers["location"])
            edited += 1
    assert edited > 25
    assert {name: dump(database, place) for name, place in tables.items()} == before


_CHANGES: list[tuple[str, dict[str, str], str]] = [
    ("flag", {"now": "false"}, "false"),
    ("flag", {"now": ""}, "NULL"),
    ("small", {"now": "-32768"}, "-32768"),
    ("big", {"now": "-9223372036854775808"}, "-9223372036854775808"),
    ("exact", {"now": "12345678901234567890.12345678901234567890"}, "12345678901234567890.12345678901234567890"),
    ("money", {"now": "12.34"}, "$12.34"),
    ("ratio", {"now": "1e-300"}, "1e-300"),
    ("words", {"now": "\r\nbegins with a line\r\nends with one\r\n"}, "\nbegins with a line\nends with one\n"),
    ("words", {"now": ""}, ""),
    ("words", {"now": "kept by the tick", "null": "1"}, "NULL"),
    ("words", {"now": "typed", "null": "1", "ticked": "1"}, "typed"),
    ("short", {"now": "fünf "}, "fünf "),
    ("fixed", {"now": "y"}, "y"),
    ("day", {"now": "2024-02-29"}, "2024-02-29"),
    ("day", {"now": "-infinity"}, "-infinity"),
    ("clock", {"now": "23:59"}, "23:59:00"),
    ("moment", {"now": "1999-12-31T23:59:59.5"}, "1999-12-31 23:59:59.5"),
    ("moment", {"now": "2020-01-01 10:00:00.123456"}, "2020-01-01 10:00:00.123456"),
    ("instant", {"now": "2021-06-01T12:00"}, "2021-06-01 12:00:00+00"),
    ("instant", {"now": "2021-06-01 12:00:00+02"}, "2021-06-01 10:00:00+00"),
    ("took", {"now": "3 mons 4 days"}, "3 mons 4 days"),
    ("uid", {"now": "00000000-0000-4000-8000-000000000001"}, "00000000-0000-4000-8000-000000000001"),
    ("doc", {"now": '{"b": 1.000, "b": 2}'}, '{"b": 1.000, "b": 2}'),
    ("docb", {"now": "[12345678901234567890.10]"}, "[12345678901234567890.10]"),
    ("docb", {"now": '"text"'}, '"text"'),
    ("data", {"bytes": "empty"}, "\\x"),
    ("tags", {"as": "lines", "now": 'one\r\ntwo "words"\r\nNULL\r\n'}, '{one,"two \\"words\\"","NULL"}'),
    ("tags", {"as": "lines", "now": ""}, "{}"),
    ("tags", {"as": "literal", "now": '{NULL,""}'}, '{NULL,""}'),
    ("grid", {"as": "literal", "now": "{{1},{2}}"}, "{{1},{2}}"),
    ("moods", {"as": "lines", "now": "it's sad"}, '{"it\'s sad"}'),
    ("span", {"bounds": "[]", "lower": "3", "upper": "4"}, "[3,5)"),
    ("span", {"bounds": "empty", "lower": "3", "upper": "4"}, "empty"),
    ("span", {"bounds": "[)", "lower": "", "upper": ""}, "(,)"),
    ("span", {"bounds": "", "lower": "", "upper": ""}, "NULL"),
    ("days", {"bounds": "[)", "lower": "2021-01-01", "upper": "2021-02-01"}, "[2021-01-01,2021-02-01)"),
    ("during", {"bounds": "()", "lower": "2021-01-01 10:00", "upper": ""}, '("2021-01-01 10:00:00+00",)'),
    ("spans", {"now": "{[7,9)}"}, "{[7,9)}"),
    ("host", {"now": "192.168.0.1"}, "192.168.0.1/32"),
    ("bits", {"now": "1"}, "1"),
    ("spot", {"now": "(3,4)"}, "(3,4)"),
    ("lexemes", {"now": "dog"}, "'dog'"),
    ("home", {"now": '("Long, Lane",5)'}, '("Long, Lane",5)'),
    ("rank", {"now": "7"}, "7"),
    ("mood", {"now": "glad"}, "glad"),
    ("boss", {"now": "2"}, "2"),
    ("fresh", {"now": "x"}, "x"),
]


def test_each_type_takes_another_value_by_its_form(awkward: tuple[Service, Database], clerk: Operator) -> None:
    _, database = awkward
    (before,) = database.execute_as_superuser("select * from awkward.every where id = 1")
    assert {name for name, _, _ in _CHANGES} >= set(before.keys()) - {"id", "flat", "a", "b", "doubled"}
    for column, inputs, expected in _CHANGES:
        form = sent(clerk.form(_EDIT)) | {f"{part}.{column}": value for part, value in inputs.items()}
        if "null" not in inputs:
            form.pop(f"null.{column}", None)
        clerk.send(_EDIT, form)
        shown = _value(database, column)
        assert ("NULL" if shown is None else shown) == expected, (column, inputs)
    clerk.send(_EDIT, sent(clerk.form(_EDIT)) | {"now.a": "x,y", "now.b": "2"})
    assert (_value(database, "a"), _value(database, "b")) == ("x,y", "2")


def _value(database: Database, column: str) -> str | None:
    (row,) = database.execute_as_superuser(f"select {_text_of(column)} as it from awkward.every where id = 1")
    value: str | None = row["it"]
    return value


def _text_of(column: str) -> str:
    return f"array_to_string(array[{column}::text], '')" if column == "fixed" else f"{column}::text"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_bytes_come_and_go_as_files(awkward: tuple[Service, Database], clerk: Operator) -> None:
    _, database = awkward
    path = "/admin/every/edit/3"
    got = clerk.get("/admin/every/bytes/3?column=data")
    assert got.content == b"\x00\xff"
    assert got.headers["content-disposition"].startswith("attachment")
    data = bytes(range(256)) * 40
    answer = clerk.http.post(path, data=clerk.form(path), files={"file.data": ("a.bin", data)})
    assert answer.status_code == 303, text_of(answer)
    assert database.execute_as_superuser("select data from awkward.every where id = 3")[0]["data"] == data
    assert clerk.get("/admin/every/bytes/3?column=data").content == data
    # What was chosen is kept in the form that comes back with an error.
    answer = clerk.http.post(path, data=clerk.form(path) | {"now.small": "x"}, files={"file.data": ("a.bin", b"new")})
    assert answer.status_code == 422
    form = forms_of(answer)[path]
    clerk.send(path, form | {"now.small": "3"})
    assert clerk.get("/admin/every/bytes/3?column=data").content == b"new"
    clerk.get("/admin/every/bytes/3?column=words", 400)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("small", "99999", "smallint"),
        ("host", "nowhere", "cannot be read as inet"),
        ("day", "2023-02-29", "date"),
        ("tags", "{", "cannot be read as text[]"),
        ("docb", '{"a": }', "line 1, character 7"),
        ("docb", "NaN", "no NaN"),
        ("docb", "null", "Tick NULL"),
        ("short", "too long", "too long for character varying(5)"),
        ("boss", "77", "not there"),
        ("rank", "", "must have a value"),
        ("rank", "-1", "not allowed by a rule"),
    ],
)
def test_errors_stand_beside_the_field_in_words(clerk: Operator, column: str, value: str, words: str) -> None:
    form = sent(clerk.form("/admin/every/edit/3")) | {f"now.{column}": value, f"as.{column}": "literal"}
    form.pop(f"null.{column}", None)
    answer = clerk.send("/admin/every/edit/3", form, 422)
    fault = answer.text.partition(f'id="fault.{column}">')[2].partition("</p>")[0]
    assert words in unescape(fault), text_of(answer)
    assert not re.search(r"\b(select|insert|update|jsonb_to|json_to)\b", fault, re.IGNORECASE)
    assert f'aria-describedby="fault.{column}"' in answer.text
    assert forms_of(answer)["/admin/every/edit/3"].get(f"now.{column}", "") == value  # what was typed is still there


def test_what_postgresql_makes_is_shown_and_has_no_control(clerk: Operator) -> None:
    page = clerk.get("/admin/kinds/edit/1")
    names = forms_of(page)["/admin/kinds/edit/1"]
    assert not {"now.id", "now.doubled"} & set(names)
    assert "made by PostgreSQL" in text_of(page)
    create = clerk.get("/admin/kinds/create")
    assert "'glad'" in text_of(create)
    assert not {"now.id", "was.mood"} & set(forms_of(create)["/admin/kinds/create"])


def test_a_new_row_takes_defaults_nulls_and_empty_texts(awkward: tuple[Service, Database], clerk: Operator) -> None:
    _, database = awkward
    path = "/admin/every/create"
    try:
        for number, inputs in [
            (10, {}),
            (11, {"null.fresh": "1"}),
            (12, {"empty.fresh": "1"}),
            (13, {"now.fresh": "x"}),
        ]:
            clerk.send(path, clerk.form(path) | {"now.id": str(number)} | inputs)
        rows = database.execute_as_superuser("select fresh, rank, tags from awkward.every where id > 9 order by id")
        assert [tuple(row) for row in rows] == [("made", 3, None), (None, 3, None), ("", 3, None), ("x", 3, None)]
    finally:
        database.execute_as_superuser("delete from awkward.every where id > 9")


def items(clerk: Operator, table: str, constraint: str, **given: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name.replace('is_', 'is.')}={value}" for name, value in given.items())
    answer = clerk.get(f"/admin/{table}/options?constraint={constraint}&{query}")
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_pickers_find_rows_by_key_and_label_and_never_all(clerk: Operator, admin: Operator) -> None:
    assert [one["label"] for one in items(clerk, "every", "every_boss", q="bo")] == ["Bo"]
    assert [one["label"] for one in items(clerk, "every", "every_boss", q="2")] == ["Bo"]
    assert items(clerk, "every", "every_boss", is_boss="3")[0]["path"] == "/admin/people/details/3"
    (pair,) = items(clerk, "every", "every_composite", q="x,y")
    assert pair["values"] == {"a": "x,y", "b": "2"}
    constraint = re.search(
        r"constraint=([a-z_]*tailnum[a-z_]*|[a-z_]*planes[a-z_]*)", admin.get("/admin/flights/create").text
    )
    assert constraint is None or len(items(admin, "flights", constraint[1], q="N1")) == 20
    clerk.get("/admin/every/options?constraint=nothing&q=x", 404)


def test_pickers_show_nothing_that_one_may_not_read(
    operators: MakeOperator, service: Service, database: Database
) -> None:
    admin, viewer = operators(), operators(Role.VIEWER)
    way = next(way for way in service.state.connected().catalog.get("flights").relations if way.target == "airlines")
    path = f"/admin/flights/options?constraint={way.constraint}&q=United"
    assert admin.get(path).json()["items"][0]["key"] == "UA"
    database.execute("delete from rowhouse.grants where role = 'viewer' and table_name = 'airlines'")
    try:
        viewer.get(path, 404)
    finally:
        database.execute("insert into rowhouse.grants (role, table_name, action) values ('viewer', 'airlines', 'read')")


def test_related_rows_by_several_columns_and_by_tables_between(clerk: Operator) -> None:
    text = text_of(clerk.get("/admin/composite/details/x,1"))
    assert "parts by a, b" in text or "parts by b, a" in text
    page = clerk.get("/admin/people/details/1")
    assert "skills tied by people_skills" in text_of(page)
    assert "Chess" in text_of(page)
    assert "/admin/people_skills/create?was.person=1" in page.text


def test_a_large_table_without_an_index_is_not_read_for_related_rows(
    awkward: tuple[Service, Database], clerk: Operator
) -> None:
    _, database = awkward

    database.execute_as_superuser("insert into awkward.loose select n from generate_series(1, 60000) n")
    database.execute_as_superuser("analyze awkward.loose")
    try:
        assert "loose by person Add Not looked for" in text_of(clerk.get("/admin/people/details/1"))
    finally:
        database.execute_as_superuser("truncate awkward.loose")
        database.execute_as_superuser("analyze awkward.loose")
