"""`count()`, `column.sum()`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("projects?select=count()", [{"count": 5}]),
        ("projects?select=count", [{"count": 5}]),
        ("projects?select=n:count()", [{"n": 5}]),
        ("projects?select=id.count()", [{"count": 5}]),
        ("projects?select=client_id.count()", [{"count": 4}]),
        ("projects?select=budget.sum(),budget.max(),budget.min()", [{"sum": 42.5, "max": 20, "min": 5}]),
        ("projects?select=budget.avg()", [{"avg": 10.625}]),
        ("projects?select=total:budget.sum()::text", [{"total": "42.5"}]),
        ("projects?select=budget::integer.sum()", [{"sum": 43}]),
        (
            "projects?select=client_id,budget.sum()&order=client_id.nullslast",
            [{"client_id": 1, "sum": 30}, {"client_id": 2, "sum": 12.5}, {"client_id": None, "sum": None}],
        ),
        ("projects?select=client_id,count()&order=client_id.desc.nullslast&limit=1", [{"client_id": 2, "count": 2}]),
        (
            "clients?select=name,projects(budget.sum())&order=id",
            [{"name": "Microsoft", "projects": [{"sum": 30}]}, {"name": "Apple", "projects": [{"sum": 12.5}]}],
        ),
        (
            "clients?select=name,projects(count())&order=id",
            [{"name": "Microsoft", "projects": [{"count": 2}]}, {"name": "Apple", "projects": [{"count": 2}]}],
        ),
        ("projects?select=...clients(client:name),budget.sum()&client_id=eq.1", [{"client": "Microsoft", "sum": 30}]),
        (
            "tasks?select=...projects(budget.sum(),...clients(client:name))&project_id=lt.3",
            [{"sum": 60, "client": "Microsoft"}],
        ),
        ("things?select=document->>id::integer.sum()&id=lt.3", [{"sum": 3}]),
        ("projects?select=count()&id=gt.99", [{"count": 0}]),
    ],
)
def test_rows_are_aggregated(ask: Ask, path: str, rows: list[dict[str, object]]) -> None:
    answer = ask("GET", path)
    assert answer.json() == rows, answer.text


def test_the_count_of_groups_is_of_groups(ask: Ask) -> None:
    answer = ask("GET", "projects?select=client_id,count()", prefer="count=exact")
    assert answer.headers["content-range"] == "0-2/3"


def test_an_aggregate_of_a_type_that_has_none_is_refused(ask: Ask) -> None:
    answer = ask("GET", "projects?select=name.sum()")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "42883")


def test_aggregates_are_not_spread_from_many_rows(ask: Ask) -> None:
    answer = ask("GET", "clients?select=name,...projects(id.count())")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (400, "PGRST127", "Feature not implemented")
