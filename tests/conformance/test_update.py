"""PATCH of a table."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

ROWS = "return=representation"


def test_rows_are_changed_without_an_answer(ask: Ask) -> None:
    answer = ask("PATCH", "tasks?id=lt.3", {"name": "x"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (204, b"", "0-1/*")


def test_no_row_is_changed(ask: Ask) -> None:
    answer = ask("PATCH", "tasks?id=eq.99", {"name": "x"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (204, b"", "*/*")


def test_no_row_is_answered(ask: Ask) -> None:
    answer = ask("PATCH", "tasks?id=eq.99", {"name": "x"}, prefer=ROWS)
    assert (answer.status_code, answer.json(), answer.headers["content-range"]) == (200, [], "*/*")


def test_changed_rows_are_counted(ask: Ask) -> None:
    answer = ask("PATCH", "tasks?id=lt.3", {"name": "x"}, prefer="count=exact")
    assert answer.headers["content-range"] == "0-1/2"


@pytest.mark.parametrize(
    ("path", "body", "rows"),
    [
        ("tasks?id=eq.1", {"name": "x"}, [{"id": 1, "name": "x", "project_id": 1}]),
        ("tasks?id=eq.1&select=name", {"name": "x"}, [{"name": "x"}]),
        ("tasks?id=eq.1&select=name", [{"name": "x"}], [{"name": "x"}]),
        ("tasks?id=eq.1&select=name&columns=name", {"name": "x", "project_id": 7, "q": 1}, [{"name": "x"}]),
        ("tasks?id=eq.1&select=id", {"id": 77}, [{"id": 77}]),
        ("tasks?id=eq.1&select=name", {"name": None}, [{"name": None}]),
        ("tasks?id=eq.1", {}, []),
        ("tasks?id=eq.1", [], []),
        ("tasks?select=id&name=like.Code*&order=id", {"name": "x"}, [{"id": 2}, {"id": 4}, {"id": 6}, {"id": 8}]),
        ("items?id=eq.1&select=id,always_true", {"id": 50}, [{"id": 50, "always_true": True}]),
        ("named_clients?id=eq.1&select=id,name", {"name": "New"}, [{"id": 1, "name": "New"}]),
        ("projects_view?id=eq.1&select=name", {"name": "New"}, [{"name": "New"}]),
        ('staff?number=eq.1&select=full:"full {name}"', {"full {name}": "X"}, [{"full": "X"}]),
        ("events?id=eq.1&select=person", {"person": 2}, [{"person": 2}]),
        ("events?id=eq.1&select=at", {"at": "2023-01-01"}, [{"at": "2023-01-01"}]),
        ("keyless?a=is.null&select=b", {"b": "y"}, [{"b": "y"}]),
        ("kinds?colour=eq.%230000ff&select=colour", {"colour": "#000001"}, [{"colour": "#000001"}]),
        ("animals?id=eq.2&select=name", {"name": "Rexie"}, [{"name": "Rexie"}]),
    ],
)
def test_changed_rows_are_answered(ask: Ask, path: str, body: object, rows: object) -> None:
    answer = ask("PATCH", path, body, prefer=ROWS)
    assert (answer.status_code, answer.json()) == (200, rows), answer.text


@pytest.mark.parametrize("body", [{}, [], [{}]])
def test_a_change_of_nothing_is_none(ask: Ask, body: object) -> None:
    answer = ask("PATCH", "tasks", body)
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (204, b"", "*/*")


def test_a_default_is_set_where_it_is_missing(ask: Ask) -> None:
    answer = ask(
        "PATCH", "checked?id=eq.1&columns=name,size&select=name,size", {"size": 7}, prefer=f"missing=default, {ROWS}"
    )
    assert answer.json() == [{"name": "none", "size": 7}], answer.text


def test_a_whole_table_is_changed(ask: Ask) -> None:
    answer = ask("PATCH", "tasks", {"name": "x"}, prefer="count=exact")
    assert (answer.status_code, answer.headers["content-range"]) == (204, "0-7/8")


@pytest.mark.parametrize(("ids", "status"), [("eq.1", 200), ("lt.3", 406), ("eq.99", 406)])
def test_one_object_is_answered_where_one_was_changed(ask: Ask, ids: str, status: int) -> None:
    answer = ask(
        "PATCH", f"tasks?id={ids}&select=id", {"name": "x"}, prefer=ROWS, accept="application/vnd.pgrst.object+json"
    )
    assert answer.status_code == status
    assert status != 200 or answer.json() == {"id": 1}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("tasks?id=eq.1", {"nothing": 1}, 400, "PGRST204"),
        ("tasks?nothing=eq.1", {"name": "x"}, 400, "42703"),
        ("tasks?id=eq.1&columns=nothing", {"name": "x"}, 400, "PGRST204"),
        ("tasks?id=eq.1", {"project_id": 99}, 409, "23503"),
        ("nowhere?id=eq.1", {"name": "x"}, 404, "PGRST205"),
        ("always?id=eq.1", {"id": 5}, 400, "428C9"),
    ],
)
def test_a_wrong_change_is_refused(ask: Ask, path: str, body: object, status: int, code: str) -> None:
    answer = ask("PATCH", path, body)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)
