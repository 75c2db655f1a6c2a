"""`Accept`"""

import pytest

from service.core.types import Role
from tests.conformance.conftest import Ask
from tests.service_under_test import Service, problem_of


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/json", "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        ("application/*", "application/json; charset=utf-8"),
        ("text/html,application/json;q=0.9,*/*;q=0.8", "application/json; charset=utf-8"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/vnd.pgrst.array+json", "application/json; charset=utf-8"),
        ("text/csv;q=0.1, application/json", "application/json; charset=utf-8"),
        (
            "application/vnd.pgrst.array+json;nulls=stripped",
            "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
        ),
    ],
)
def test_a_representation_is_chosen(ask: Ask, accept: str, media: str) -> None:
    answer = ask("GET", "clients?order=id&limit=1", accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)


@pytest.mark.parametrize("path", ["clients", "rpc/add_them?a=1&b=2", "rpc/all_projects"])
def test_what_is_not_served_is_refused(ask: Ask, path: str) -> None:
    answer = ask("GET", path, accept="text/unknowntype")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (406, "PGRST107")
    assert problem["message"] == "None of these media types are available: text/unknowntype"


@pytest.mark.parametrize(("query", "status"), [("id=eq.1", 200), ("id=eq.99", 406), ("id=lt.3", 406)])
def test_one_object(ask: Ask, query: str, status: int) -> None:
    answer = ask("GET", f"clients?{query}", accept="application/vnd.pgrst.object+json")
    assert answer.status_code == status
    assert status == 406 or answer.json() == {"id": 1, "name": "Microsoft"}


@pytest.mark.parametrize(
    ("path", "media", "answer"),
    [
        ("projects?id=eq.5", "application/vnd.pgrst.array+json;nulls=stripped", [{"id": 5, "name": "Orphan"}]),
        ("projects?id=eq.5", "application/vnd.pgrst.object+json;nulls=stripped", {"id": 5, "name": "Orphan"}),
        ("projects?id=eq.5&select=id,clients(name)", "application/vnd.pgrst.array+json;nulls=stripped", [{"id": 5}]),
        ("rpc/all_projects?id=eq.5", "application/vnd.pgrst.array+json;nulls=stripped", [{"id": 5, "name": "Orphan"}]),
    ],
)
def test_nulls_are_stripped(ask: Ask, path: str, media: str, answer: object) -> None:
    got = ask("GET", path, accept=media)
    assert (got.status_code, got.json()) == (200, answer)


def test_nulls_are_stripped_of_written_rows(ask: Ask) -> None:
    media = "application/vnd.pgrst.object+json;nulls=stripped"
    answer = ask("POST", "projects", {"id": 9, "name": "N"}, prefer="return=representation", accept=media)
    assert answer.json() == {"id": 9, "name": "N"}
    assert answer.headers["content-type"] == f"{media}; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("projects?select=id,name&id=lt.3&order=id", "id,name\n1,Windows 7\n2,Windows 10"),
        ("projects?select=id,client_id&id=eq.5", "id,client_id\n5,"),
        ("rpc/all_projects?select=id&id=lt.3&order=id", "id\n1\n2"),
        ("clients?id=eq.99", "id,name\n"),
    ],
)
def test_csv(ask: Ask, path: str, text: str) -> None:
    assert ask("GET", path, accept="text/csv").text.rstrip("\n") == text.rstrip("\n")


def test_csv_of_written_rows(ask: Ask) -> None:
    answer = ask("POST", "clients", {"id": 3, "name": "Pear"}, prefer="return=representation", accept="text/csv")
    assert (answer.status_code, answer.text) == (201, "id,name\n3,Pear")


def test_a_scalar_as_text(ask: Ask) -> None:
    answer = ask("GET", "rpc/with_default?name=me", accept="text/plain")
    assert (answer.text, answer.headers["content-type"]) == ("Hello me", "text/plain; charset=utf-8")


def test_a_plan_is_for_administrators(ask: Ask) -> None:
    answer = ask("GET", "clients", accept="application/vnd.pgrst.plan+json")
    assert (answer.status_code, "Plan" in answer.json()[0]) == (200, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("GET", "rpc/add_them?a=1&b=2", None, "Plan"),
        ("POST", "rpc/writes", {}, "Plan"),
        ("POST", "clients", {"id": 3, "name": "Pear"}, "ModifyTable"),
        ("PATCH", "clients?id=eq.1", {"name": "Pear"}, "ModifyTable"),
        ("PATCH", "clients", [{"id": 1, "name": "Pear"}], "ModifyTable"),
        ("DELETE", "tasks?id=eq.1", None, "ModifyTable"),
    ],
)
def test_calls_and_writes_are_explained_and_not_done(
    ask: Ask, served: Service, method: str, path: str, body: object, word: str
) -> None:
    answer = ask(method, path, body, accept="application/vnd.pgrst.plan+json")
    assert (answer.status_code, word in answer.text) == (200, True), answer.text
    assert ask("GET", "clients?id=eq.3").json() == []
    with served.client(Role.EDITOR, Accept="application/vnd.pgrst.plan+json") as editor:
        assert editor.request(method, f"/api/v1/{path}", json=body).status_code in (404, 406)


def test_a_write_that_is_analysed_is_done_unless_it_is_only_tried(ask: Ask) -> None:
    accept = 'application/vnd.pgrst.plan+text; options="analyze"'
    answer = ask("POST", "clients", {"id": 3, "name": "Pear"}, accept=accept)
    assert "actual time" in answer.text
    assert "Execution Time" in answer.text
    assert ask("GET", "clients?id=eq.3").json() == []


@pytest.mark.parametrize(
    ("path", "lines"), [("add_them?a=1&b=2", "3"), ("integers", "1\n2\n3"), ("with_default?name=a,b", '"Hello a,b"')]
)
def test_csv_of_values(ask: Ask, path: str, lines: str) -> None:
    answer = ask("GET", f"rpc/{path}", accept="text/csv")
    assert (answer.text, answer.headers["content-type"]) == (f"pgrst_scalar\n{lines}", "text/csv; charset=utf-8")
