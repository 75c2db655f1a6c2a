"""DELETE of a table."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "prefer", "status", "content_range"),
    [
        ("tasks?id=eq.1", "", 204, "*/*"),
        ("tasks?id=eq.1", "return=minimal", 204, "*/*"),
        ("tasks?id=lt.3", "count=exact", 204, "*/2"),
        ("tasks?id=eq.99", "count=exact", 204, "*/0"),
        ("tasks?id=lt.3", "return=representation, count=exact", 200, "*/2"),
        ("tasks", "count=exact", 204, "*/8"),
        ("tasks?id=eq.99", "return=representation", 200, "*/*"),
    ],
)
def test_rows_are_deleted(ask: Ask, path: str, prefer: str, status: int, content_range: str) -> None:
    answer = ask("DELETE", path, prefer=prefer)
    assert (answer.status_code, answer.headers["content-range"]) == (status, content_range)


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("tasks?id=lt.3&select=id&order=id", [{"id": 1}, {"id": 2}]),
        ("tasks?id=eq.1&select=my:id,projects(name)", [{"my": 1, "projects": {"name": "Windows 7"}}]),
        ("tasks?id=eq.99", []),
        ("tasks?projects.name=eq.OSX&select=id,projects!inner(name)&id=eq.8", [{"id": 8, "projects": {"name": "OSX"}}]),
        ("named_clients?id=eq.9", []),
        ("projects_view?id=eq.5&select=id", [{"id": 5}]),
        ("events?id=eq.1&select=id", [{"id": 1}]),
        ("keyless?a=eq.1", [{"a": 1, "b": "x"}, {"a": 1, "b": "x"}]),
        ("things?words=cs.{a}&select=id", [{"id": 1}]),
        ("dogs?id=eq.2&select=breed", [{"breed": "Collie"}]),
    ],
)
def test_deleted_rows_are_answered(ask: Ask, path: str, rows: object) -> None:
    answer = ask("DELETE", path, prefer="return=representation")
    assert (answer.status_code, answer.json()) == (200, rows), answer.text


def test_an_unknown_table_is_not_found(ask: Ask) -> None:
    assert ask("DELETE", "nowhere?id=eq.1").status_code == 404


def test_several_rows_are_not_one_object_and_stay(ask: Ask) -> None:
    answer = ask("DELETE", "tasks?id=lt.3", prefer="return=representation", accept="application/vnd.pgrst.object+json")
    assert (answer.status_code, problem_of(answer)["code"]) == (406, "PGRST116")
    assert len(ask("GET", "tasks?id=lt.3").json()) == 2
