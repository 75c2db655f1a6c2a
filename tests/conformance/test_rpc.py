"""`/rpc/{function}`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("add_them?a=1&b=2", 3),
        ("with_default", "Hello nobody"),
        ("with_default?name=me", "Hello me"),
        ("joined?v=a&v=b", "a/b"),
        ("joined?v=a", "a"),
        ("joined", ""),
        ("integers", [1, 2, 3]),
        ("no_integers", []),
        ("null_integer", None),
        ("an_array?values_={1,2}", [1, 2]),
        ('a_document?doc={"a":1}', {"a": 1}),
        ("an_out?num=1", {"plus_one": 2}),
        ("halves?whole=7&rest=2", {"half": 3, "rest": 2}),
        ("pairs", [{"number": 1, "the word": "one"}]),
        ("one_address", {"street": "Lane", "house no": 4}),
        ("all_projects?select=id&order=id.desc&limit=2", [{"id": 5}, {"id": 4}]),
        ("all_projects?select=id&id=gt.3&order=id", [{"id": 4}, {"id": 5}]),
        ("all_projects?select=id,clients(name)&id=eq.1", [{"id": 1, "clients": {"name": "Microsoft"}}]),
        ("all_projects?select=id,clients!inner(name)&clients.name=eq.Apple&order=id", [{"id": 3, "clients": {"name": "Apple"}}, {"id": 4, "clients": {"name": "Apple"}}]),
        ("all_projects?select=id,tasks(id)&id=eq.1&tasks.limit=1&tasks.order=id", [{"id": 1, "tasks": [{"id": 1}]}]),
        ("all_projects?or=(id.eq.1,id.eq.2)&select=id&order=id", [{"id": 1}, {"id": 2}]),
        ("all_projects?select=count()", [{"count": 5}]),
        ("one_project?select=id,clients(name)", {"id": 1, "clients": {"name": "Microsoft"}}),
        ("seniors?lowest=2&select=id&order=id", [{"id": 2}, {"id": 3}]),
    ],
)  # fmt: skip
def test_functions_are_called_by_get(ask: Ask, path: str, answer: object) -> None:
    got = ask("GET", f"rpc/{path}")
    assert (got.status_code, got.json()) == (200, answer), got.text


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("add_them", {"a": 1, "b": 2}, 3),
        ("with_default", {}, "Hello nobody"),
        ("with_default", None, "Hello nobody"),
        ("joined", {"v": ["a", "b"]}, "a/b"),
        ("an_array", {"values_": [1, 2]}, [1, 2]),
        ("an_array", {"values_": "{1,2}"}, [1, 2]),
        ("a_document", {"doc": {"a": [1, None]}}, {"a": [1, None]}),
        ("add_by_body", {"a": 1, "b": 2}, 3),
        ("body", [1, 2], [1, 2]),
        ("body", {"x": 1}, {"x": 1}),
        ("all_projects?select=id&id=eq.1", {}, [{"id": 1}]),
        ("add_client?select=name", {"new_name": "Pear"}, {"name": "Pear"}),
        ("writes", {}, 77),
        ("integers", {}, [1, 2, 3]),
        ("an_out", {"num": 1}, {"plus_one": 2}),
        ("null_integer", {}, None),
    ],
)
def test_functions_are_called_by_post(ask: Ask, path: str, body: object, answer: object) -> None:
    got = ask("POST", f"rpc/{path}", body)
    assert (got.status_code, got.json()) == (200, answer), got.text


def test_a_function_with_arguments_in_the_body_is_called_once(ask: Ask) -> None:
    assert ask("POST", "rpc/counted", {"step": 1}).json() == 1
    assert ask("POST", "rpc/counted", {"step": 1}).json() == 2
    assert ask("POST", "rpc/seniors?select=id&order=id", {"lowest": 2}).json() == [{"id": 2}, {"id": 3}]


def test_a_function_without_an_answer(ask: Ask) -> None:
    answer = ask("POST", "rpc/no_answer", {})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_row_that_is_not_there(ask: Ask) -> None:
    assert ask("GET", "rpc/no_project").status_code == 200


@pytest.mark.parametrize(
    ("function", "media", "body", "answer"),
    [
        ("text_body", "text/plain", "some words", b"some words"),
        ("bytes_body", "application/octet-stream", b"\x00\xff", b"\x00\xff"),
    ],
)
def test_a_body_is_one_argument(ask: Ask, function: str, media: str, body: str | bytes, answer: bytes) -> None:
    got = ask("POST", f"rpc/{function}", body, content_type=media, accept=media)
    assert (got.status_code, got.content) == (200, answer), got.text
    assert got.headers["content-type"].startswith(media)


def test_a_form_is_arguments(ask: Ask) -> None:
    answer = ask("POST", "rpc/add_them", "a=1&b=2", content_type="application/x-www-form-urlencoded")
    assert answer.json() == 3


@pytest.mark.parametrize(
    ("path", "headers", "status", "content_range"),
    [
        ("all_projects?limit=2", {}, 200, "0-1/*"),
        ("all_projects", {"range": "0-1"}, 200, "0-1/*"),
        ("all_projects?limit=2", {"prefer": "count=exact"}, 206, "0-1/5"),
        ("all_projects?offset=9", {"prefer": "count=exact"}, 416, "*/5"),
    ],
)
def test_rows_come_in_pages(ask: Ask, path: str, headers: dict[str, str], status: int, content_range: str) -> None:
    answer = ask("GET", f"rpc/{path}", **headers)
    assert (answer.status_code, answer.headers["content-range"]) == (status, content_range)


@pytest.mark.parametrize(
    ("method", "path", "body", "message", "details", "hint"),
    [
        ("GET", "add_them?a=1&c=2", None, "Could not find the function awkward.add_them(a, c) in the schema cache",
         "Searched for the function awkward.add_them with parameters a, c, but no matches were found in the schema cache.",
         "Perhaps you meant to call the function awkward.add_them(a, b)"),
        ("POST", "add_them", {"a": 1}, "Could not find the function awkward.add_them(a) in the schema cache",
         "Searched for the function awkward.add_them with parameter a or with a single unnamed json/jsonb parameter, but no matches were found in the schema cache.",
         "Perhaps you meant to call the function awkward.add_them(a, b)"),
        ("GET", "add_them", None, "Could not find the function awkward.add_them without parameters in the schema cache",
         "Searched for the function awkward.add_them without parameters, but no matches were found in the schema cache.",
         "Perhaps you meant to call the function awkward.add_them(a, b)"),
        ("GET", "add_then?a=1", None, "Could not find the function awkward.add_then(a) in the schema cache",
         "Searched for the function awkward.add_then with parameter a, but no matches were found in the schema cache.",
         "Perhaps you meant to call the function awkward.add_them"),
    ],
)  # fmt: skip
def test_a_function_that_is_not_there(
    ask: Ask, method: str, path: str, body: object, message: str, details: str, hint: str
) -> None:
    answer = ask(method, f"rpc/{path}", body)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (404, "PGRST202", message)
    assert (problem["details"], problem["hint"]) == (details, hint)


def test_overloads_that_fit_alike_are_not_chosen_from(ask: Ask) -> None:
    answer = ask("GET", "rpc/over?a=5")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (300, "PGRST203")
    assert problem["message"] == (
        "Could not choose the best candidate function between: awkward.over(a => integer), awkward.over(a => text)"
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(ask: Ask, method: str) -> None:
    assert ask(method, "rpc/add_them?a=1&b=2", {}).status_code == 405


def test_one_object_of_several_rows_is_refused_and_undone(ask: Ask) -> None:
    answer = ask("POST", "rpc/all_projects", {}, accept="application/vnd.pgrst.object+json")
    assert (answer.status_code, problem_of(answer)["code"]) == (406, "PGRST116")


def test_an_overload_that_cannot_be_chosen_is_told(ask: Ask) -> None:
    answer = ask("GET", "rpc/over?a=5")
    assert (answer.status_code, answer.json()["code"]) == (300, "PGRST203")
