"""`Accept-Profile` and `Content-Profile`"""

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


def test_the_first_schema_is_meant_where_none_is_named(ask: Ask) -> None:
    answer = ask("GET", "clients?id=eq.1")
    assert (answer.status_code, answer.headers["content-profile"]) == (200, "awkward")


def test_a_schema_is_read(ask: Ask) -> None:
    answer = ask("GET", "parts?select=id,composite(c)", accept_profile="awkward_two")
    assert answer.json() == [{"id": 1, "composite": {"c": "one"}}]
    assert answer.headers["content-profile"] == "awkward_two"


def test_a_table_of_another_schema_is_not_found(ask: Ask) -> None:
    assert ask("GET", "clients", accept_profile="awkward_two").status_code == 404
    assert ask("GET", "parts").status_code == 404


def test_a_schema_is_written(ask: Ask) -> None:
    for method, path, body in (
        ("POST", "twin", {"id": 5}),
        ("PATCH", "parts?id=eq.1", {"a": None}),
        ("DELETE", "parts?id=eq.1", None),
    ):
        answer = ask(method, path, body, content_profile="awkward_two", prefer="return=representation")
        assert (answer.status_code in (200, 201), answer.headers["content-profile"]) == (True, "awkward_two"), (
            answer.text
        )


def test_a_function_of_a_schema_is_called(ask: Ask) -> None:
    assert ask("GET", "rpc/plain", accept_profile="awkward_two").json() == "glad"
    assert ask("POST", "rpc/plain", {}, content_profile="awkward_two").json() == "glad"


def test_what_a_function_names_without_a_schema_is_looked_for_in_its_own_first(ask: Ask) -> None:
    assert ask("GET", "rpc/unqualified").json() == 15
    assert ask("GET", "rpc/unqualified", accept_profile="awkward_two").json() == 0


def test_a_schema_that_is_not_exposed_is_refused(ask: Ask) -> None:
    for headers in ({"accept_profile": "unknown"}, {"accept_profile": "pg_catalog"}):
        answer = ask("GET", "clients", **headers)
        problem = problem_of(answer)
        assert (answer.status_code, problem["code"], problem["message"]) == (
            406, "PGRST106", f"Invalid schema: {headers['accept_profile']}",
        )  # fmt: skip
        assert problem["hint"] == "Only the following schemas are exposed: awkward, awkward_two"
