"""`Prefer`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


def test_a_preference_that_is_unknown_is_passed_over(ask: Ask) -> None:
    answer = ask("GET", "items", prefer="anything=else, params=single-object")
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(
    ("method", "prefer", "invalid"),
    [
        ("GET", "handling=strict, anything", "anything"),
        ("GET", "handling=strict, count=exact, something, else", "something, else"),
        ("GET", "handling=strict, tx=later", "tx=later"),
        ("GET", "handling=strict, timezone=Jupiter/Red_Spot", "timezone=Jupiter/Red_Spot"),
        ("POST", "handling=strict, return=nothing", "return=nothing"),
    ],
)
def test_strict_handling_refuses_it(ask: Ask, method: str, prefer: str, invalid: str) -> None:
    answer = ask(method, "items", {} if method == "POST" else None, prefer=prefer)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (400, "PGRST122")
    assert problem["message"] == "Invalid preferences given with handling=strict"
    assert problem["details"] == f"Invalid preferences: {invalid}"


@pytest.mark.parametrize("handling", ["", "handling=lenient,"])
def test_a_time_zone_that_is_none_is_passed_over(ask: Ask, handling: str) -> None:
    answer = ask("GET", "things?id=eq.1&select=at", prefer=f"{handling}timezone=Jupiter/Red_Spot")
    assert answer.json() == [{"at": "2020-01-01T00:00:00+00:00"}], answer.text
    assert "timezone" not in answer.headers.get("preference-applied", "")


@pytest.mark.parametrize(
    ("zone", "at"), [("America/Los_Angeles", "2019-12-31T16:00:00-08:00"), ("UTC", "2020-01-01T00:00:00+00:00")]
)
def test_times_are_told_in_a_time_zone(ask: Ask, zone: str, at: str) -> None:
    answer = ask("GET", "things?id=eq.1&select=at", prefer=f"timezone={zone}, handling=strict")
    assert answer.json() == [{"at": at}]
    assert answer.headers["preference-applied"] == f"handling=strict, timezone={zone}"


def test_a_bound_is_passed_over_for_those_who_say_so(ask: Ask) -> None:
    answer = ask("DELETE", "tasks?id=lt.9", prefer="handling=lenient, max-affected=7")
    assert (answer.status_code, "max-affected" in answer.headers["preference-applied"]) == (204, False)


@pytest.mark.parametrize("handling", ["handling=strict, ", ""])
@pytest.mark.parametrize(
    ("method", "path", "body"), [("PATCH", "items?id=lt.9", {"id": 99}), ("DELETE", "tasks?id=lt.9", None)]
)
def test_a_write_over_its_bound_is_undone(ask: Ask, method: str, path: str, body: object, handling: str) -> None:
    body = {"name": "x"} if body else None
    answer = ask(method, path.replace("items", "tasks"), body, prefer=f"{handling}max-affected=7")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (400, "PGRST124")
    assert problem["message"] == "Query result exceeds max-affected preference constraint"
    assert problem["details"] == "The query affects 8 rows"


def test_a_write_within_its_bound_is_done(ask: Ask) -> None:
    answer = ask("DELETE", "tasks?id=lt.9", prefer="handling=strict, max-affected=8")
    assert answer.status_code == 204
    assert answer.headers["preference-applied"] == "tx=rollback, handling=strict, max-affected=8"


def test_the_first_of_a_preference_counts(ask: Ask) -> None:
    answer = ask("POST", "only_key", {"id": 1}, prefer="return=representation, return=minimal")
    assert answer.json() == [{"id": 1}]


def test_a_write_that_is_rolled_back_leaves_nothing(ask: Ask) -> None:
    answer = ask("POST", "only_key", {"id": 5}, prefer="return=representation")
    assert answer.headers["preference-applied"] == "return=representation, tx=rollback"
    assert ask("GET", "only_key?id=eq.5").json() == []


def test_a_read_says_what_was_preferred_of_it(ask: Ask) -> None:
    answer = ask("GET", "clients?id=eq.1", prefer="tx=rollback, count=exact")
    assert answer.headers["preference-applied"] == "count=exact, tx=rollback"


def test_what_would_fail_in_the_end_fails_when_it_is_only_tried(ask: Ask) -> None:
    answer = ask("POST", "deferred", [{"id": 1}, {"id": 1}])
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "23505")
