"""`order=`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("id", [1, 2, 3, 4, 5]),
        ("id.desc", [5, 4, 3, 2, 1]),
        ("budget.asc", [3, 4, 1, 2, 5]),
        ("budget.desc", [5, 2, 1, 4, 3]),
        ("budget.desc.nullslast", [2, 1, 4, 3, 5]),
        ("budget.asc.nullsfirst", [5, 3, 4, 1, 2]),
        ("budget.nullsfirst", [5, 3, 4, 1, 2]),
        ("client_id.desc.nullslast,id.desc", [4, 3, 2, 1, 5]),
        (" client_id.asc.nullslast , id.desc", [2, 1, 4, 3, 5]),
        ("", [1, 2, 3, 4, 5]),
    ],
)
def test_rows_are_ordered(ask: Ask, order: str, ids: list[int]) -> None:
    answer = ask("GET", f"projects?select=id&order={order}")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("id.asd", "PGRST100"),
        ("id.asc.nulls", "PGRST100"),
        ("id.,name", "PGRST100"),
        ("idd", "42703"),
        ("id.asc.desc", "PGRST100"),
    ],
)
def test_a_wrong_order_is_refused(ask: Ask, order: str, code: str) -> None:
    answer = ask("GET", f"projects?order={order}")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, code)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_written_rows_are_answered_in_order(ask: Ask, method: str) -> None:
    body = {"POST": [{"id": 90}, {"id": 92}, {"id": 91}], "PATCH": {"name": "x"}}.get(method)
    path = "tasks?select=id&order=id.desc" + ("" if method == "POST" else "&id=lt.4")
    answer = ask(method, path, body, prefer="return=representation")
    assert [row["id"] for row in answer.json()] == ([92, 91, 90] if method == "POST" else [3, 2, 1]), answer.text
