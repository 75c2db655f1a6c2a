"""POST of a table."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

ROWS = "return=representation"


def test_a_row_is_inserted_without_an_answer(ask: Ask) -> None:
    answer = ask("POST", "clients", {"id": 3, "name": "Pear"}, prefer="return=minimal")
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["content-range"] == "*/*"
    assert answer.headers["preference-applied"] == "return=minimal, tx=rollback"


def test_the_place_of_a_row_is_told(ask: Ask) -> None:
    answer = ask("POST", "clients", {"id": 3, "name": "Pear"}, prefer="return=headers-only")
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"] == "/api/v1/clients/3"
    assert answer.headers["preference-applied"].startswith("return=headers-only")


@pytest.mark.parametrize(
    ("path", "body", "rows"),
    [
        ("clients", {"id": 3, "name": "Pear"}, [{"id": 3, "name": "Pear"}]),
        ("clients", [{"id": 3, "name": "Pear"}, {"id": 4, "name": "Fig"}], [{"id": 3, "name": "Pear"}, {"id": 4, "name": "Fig"}]),
        ("clients?select=n:name", {"id": 3, "name": "Pear"}, [{"n": "Pear"}]),
        ("clients?select=id::text", {"id": 3, "name": "Pear"}, [{"id": "3"}]),
        ("clients?columns=id,name", {"id": 3, "name": "Pear", "more": 1}, [{"id": 3, "name": "Pear"}]),
        ("clients?columns=id,name", [{"id": 3, "name": "Pear", "x": 1}, {"id": 4, "name": "Fig"}], [{"id": 3, "name": "Pear"}, {"id": 4, "name": "Fig"}]),
        ("checked?select=size,name,created", {}, [{"size": None, "name": "none", "created": "2020-02-02"}]),
        ("checked?select=size,name", {"size": 5}, [{"size": 5, "name": "none"}]),
        ("checked?select=size,name&columns=size", {"size": 5, "name": "x"}, [{"size": 5, "name": "none"}]),
        ("clients", [], []),
        ("things?select=id,words,numbers,span,document,notes,home,homes",
         {"id": 9, "words": ["a", 'b"c'], "numbers": [1, None], "span": "[1,3)", "document": {"a": [1]}, "notes": [1],
          "home": {"street": "S", "house no": 1}, "homes": [{"street": "T", "house no": 2}]},
         [{"id": 9, "words": ["a", 'b"c'], "numbers": [1, None], "span": "[1,3)", "document": {"a": [1]}, "notes": [1],
           "home": {"street": "S", "house no": 1}, "homes": [{"street": "T", "house no": 2}]}]),
        ("things?select=words,notes", {"id": 9, "words": "{a,b}", "notes": "text"}, [{"words": ["a", "b"], "notes": "text"}]),
        ("things?select=at", {"id": 9, "at": "2020-01-01T01:00:00+01:00"}, [{"at": "2020-01-01T00:00:00+00:00"}]),
        ("kinds?select=colour,rank,doubled", {"price": 2, "colour": "#0000ff"}, [{"colour": "#0000ff", "rank": 3, "doubled": 4.00}]),
        ("kinds?select=mood,moods,took,host,mac,net", {"price": 2, "mood": "it's sad", "moods": ["glad", "so-so"], "took": "2 days", "mac": "08:00:2b:01:02:03", "net": "10.0.0.0/8"},
         [{"mood": "it's sad", "moods": ["glad", "so-so"], "took": "2 days", "host": "10.0.0.1", "mac": "08:00:2b:01:02:03", "net": "10.0.0.0/8"}]),
        ("named_clients?select=id,name", {"id": 3, "name": "Pear"}, [{"id": 3, "name": "Pear"}]),
        ("projects_view?select=id,clients(name)", {"id": 9, "name": "N", "client_id": 1}, [{"id": 9, "clients": {"name": "Microsoft"}}]),
        ("events?select=id,at", {"id": 1, "at": "2020-07-07"}, [{"id": 1, "at": "2020-07-07"}]),
        ("keyless", {"a": 5}, [{"a": 5, "b": None}]),
        ("always?select=name", {"name": "x"}, [{"name": "x"}]),
    ],
)  # fmt: skip
def test_inserted_rows_are_answered(ask: Ask, path: str, body: object, rows: object) -> None:
    answer = ask("POST", path, body, prefer=ROWS)
    assert (answer.status_code, answer.json()) == (201, rows), answer.text


def test_one_object_is_answered_where_it_is_asked_for(ask: Ask) -> None:
    answer = ask("POST", "clients", {"id": 3, "name": "P"}, prefer=ROWS, accept="application/vnd.pgrst.object+json")
    assert answer.json() == {"id": 3, "name": "P"}
    assert answer.headers["content-type"] == "application/vnd.pgrst.object+json; charset=utf-8"


def test_several_rows_are_not_one_object(ask: Ask) -> None:
    body = [{"id": 3, "name": "P"}, {"id": 4, "name": "Q"}]
    answer = ask("POST", "clients", body, prefer=ROWS, accept="application/vnd.pgrst.object+json")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["details"]) == (406, "PGRST116", "The result contains 2 rows")
    assert problem["message"] == "Cannot coerce the result to a single JSON object"


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/csv", "id,name\n3,Pear\n4,Fig\n"),
        ("text/csv", 'id,name\n3,Pear\n4,"Fig"'),
        ("application/x-www-form-urlencoded", "id=3&name=Pear"),
        ("application/json", '[{"id":3,"name":"Pear"}]'),
        ("application/json; charset=utf-8", '{"id":3,"name":"Pear"}'),
    ],
)
def test_bodies_come_in_several_kinds(ask: Ask, media: str, body: str) -> None:
    answer = ask("POST", "clients", body, content_type=media, prefer=ROWS)
    assert answer.status_code == 201, answer.text
    assert answer.json()[0] == {"id": 3, "name": "Pear"}


@pytest.mark.parametrize(
    ("media", "body", "code", "message"),
    [
        ("text/csv", "id,name\n3,Pear,x\n4,Fig", "PGRST102", "All lines must have same number of fields"),
        ("application/json", '[{"id":3,"name":"P"},{"id":4}]', "PGRST102", "All object keys must match"),
        ("application/json", "", "PGRST102", "Empty or invalid json"),
        (
            "application/json",
            '{"id":3,"helicopter":"P"}',
            "PGRST204",
            "Could not find the 'helicopter' column of 'clients' in the schema cache",
        ),
    ],
)
def test_a_wrong_body_is_refused(ask: Ask, media: str, body: str, code: str, message: str) -> None:
    answer = ask("POST", "clients", body, content_type=media)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (400, code, message)


def test_an_unknown_column_to_take_is_refused(ask: Ask) -> None:
    problem = problem_of(ask("POST", "clients?columns=id,helicopter", {"id": 3}))
    assert problem["code"] == "PGRST204"
    assert problem["message"] == "Could not find the 'helicopter' column of 'clients' in the schema cache"


def test_rows_are_counted(ask: Ask) -> None:
    answer = ask("POST", "clients", [{"id": 3, "name": "P"}, {"id": 4, "name": "Q"}], prefer="count=exact")
    assert answer.headers["content-range"] == "*/2"


@pytest.mark.parametrize(
    ("prefer", "names"), [("missing=default", ["none", "x"]), ("missing=default, return=representation", ["none", "x"])]
)
def test_a_default_fills_what_is_missing(ask: Ask, prefer: str, names: list[str]) -> None:
    answer = ask(
        "POST",
        "checked?columns=id,size,name&select=name",
        [{"size": 1}, {"size": 2, "name": "x"}],
        prefer=f"{prefer}, {ROWS}",
    )
    assert [row["name"] for row in answer.json()] == names, answer.text
    assert "missing=default" in answer.headers["preference-applied"]


def test_a_null_fills_what_is_missing_without_it(ask: Ask) -> None:
    answer = ask("POST", "tiobe?columns=name,rank,first_seen", [{"name": "R"}, {"name": "S", "rank": 7}], prefer=ROWS)
    assert answer.json() == [
        {"name": "R", "rank": None, "first_seen": None},
        {"name": "S", "rank": 7, "first_seen": None},
    ]


@pytest.mark.parametrize("path", ["counts", "snapshot", "both_kinds", "crew"])
def test_a_view_that_cannot_be_written_is_refused(ask: Ask, path: str) -> None:
    assert ask("POST", path, {"id": 1}).status_code in (400, 405)


def test_no_row_is_no_object_and_no_new_one(ask: Ask) -> None:
    refused = ask("POST", "clients", [], accept="application/vnd.pgrst.object+json")
    assert (refused.status_code, problem_of(refused)["code"]) == (406, "PGRST116")
    assert ask("POST", "clients", [], prefer="resolution=merge-duplicates, return=representation").status_code == 200
    assert ask("POST", "clients", []).status_code == 201


def test_a_computed_column_cannot_be_taken_of_the_body(ask: Ask) -> None:
    answer = ask("POST", "kinds?columns=price,doubled", [{"price": 1, "doubled": 3}])
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "428C9")
