"""What functions refuse, in their author's words; what PostgreSQL refuses, by its SQLSTATE."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("function", "status", "code", "message", "details", "hint"),
    [
        ("problem", 400, "P0001", "bad thing", "why", "what to do"),
        ("payment", 402, "PT402", "Payment Required", "Quota exceeded", "Upgrade your plan"),
        ("bad_payment", 500, "PT40A", "Wrong", None, None),
        ("teapot", 418, "123", "ABC", "DEF", "XYZ"),
        (
            "bad_teapot", 500, "PGRST121", "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            "Invalid JSON value for MESSAGE: 'no json'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'.",
        ),
        ("denied", 403, "42501", "not you", "your own doing", "ask"),
        ("refused_by_check", 400, "23514", "own words", None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_function_raises_reaches_the_caller(
    ask: Ask, method: str, function: str, status: int, code: str, message: str, details: str | None, hint: str | None
) -> None:
    answer = ask(method, f"rpc/{function}", {} if method == "POST" else None)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (status, code)
    assert (problem["message"], problem["details"], problem["hint"]) == (message, details, hint)


def test_a_raised_answer_sets_headers_but_not_those_of_the_frame(ask: Ask) -> None:
    answer = ask("GET", "rpc/teapot")
    assert answer.headers["x-header"] == "str"
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_function_does_wrong_is_not_told_in_the_words_of_the_database(ask: Ask) -> None:
    answer = ask("GET", "rpc/broken")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (404, "42P01")
    assert "not_there" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "rpc/divided?a=1&b=0", None, 400, "22012"),
        ("GET", "rpc/writes", None, 405, "25006"),
        ("GET", "rpc/add_them?a=x&b=1", None, 400, "22P02"),
        ("POST", "rpc/add_them", {"a": "x", "b": 1}, 400, "22P02"),
        ("POST", "clients", {"id": 1, "name": "x"}, 409, "23505"),
        ("POST", "tasks", {"id": 99, "project_id": 99}, 409, "23503"),
        ("DELETE", "clients?id=eq.1", None, 409, "23503"),
        ("POST", "clients", {"id": 3}, 400, "23502"),
        ("POST", "clients", {"id": 3, "name": None}, 400, "23502"),
        ("POST", "clients", {"id": "x", "name": "y"}, 400, "22P02"),
        ("POST", "checked", {"size": 1, "name": "longer"}, 400, "22001"),
        ("POST", "clients", {"id": 99999999999, "name": "y"}, 400, "22003"),
        ("POST", "clients", {"idd": 3, "name": "y"}, 400, "PGRST204"),
        ("POST", "clients", "{", 400, "PGRST102"),
        ("POST", "clients", "", 400, "PGRST102"),
        ("POST", "clients", "3", 400, "PGRST102"),
        ("POST", "always", {"id": 3, "name": "y"}, 400, "428C9"),
        ("GET", "rpc/nothing_of_the_kind", None, 404, "PGRST202"),
        ("GET", "nothing_of_the_kind", None, 404, "PGRST205"),
        ("POST", "nothing_of_the_kind", {}, 404, "PGRST205"),
    ],
)
def test_a_state_decides_the_status(ask: Ask, method: str, path: str, body: object, status: int, code: str) -> None:
    headers = {"content_type": "application/json"} if isinstance(body, str) else {}
    answer = ask(method, path, body, **headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)


def test_a_raised_error_of_a_trigger_reaches_the_caller(ask: Ask) -> None:
    answer = ask("POST", "guarded", {"id": 1})
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (402, "PT402", "Pay first")


def test_a_path_that_is_none_is_told(ask: Ask) -> None:
    answer = ask("GET", "clients/1/2/3")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "PGRST125")
