"""`column=operator.value`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("items?id=eq.5", [5]),
        ("items?id=not.eq.5&id=lt.7", [1, 2, 3, 4, 6]),
        ("items?id=neq.5&id=lte.6", [1, 2, 3, 4, 6]),
        ("items?id=gt.13", [14, 15]),
        ("items?id=gte.14", [14, 15]),
        ("items?id=not.gt.2", [1, 2]),
        ("items?id=in.(1,3,5)", [1, 3, 5]),
        ("items?id=in.( 1 , 3 )", [1, 3]),
        ("items?id=not.in.(2,4,6,7,8,9,10,11,12,13,14,15)", [1, 3, 5]),
        ("items?id=in.()", []),
        ("items?id=eq(any).{1,2}", [1, 2]),
        ("items?id=eq(all).{1,2}", []),
        ("items?id=gt(all).{12,13}", [14, 15]),
        ("items?id=not.lt(any).{3,14}", [14, 15]),
        ("items?id=lt(all).{4,3}&id=gte(any).{2,9}", [2]),
        ("items?id=isdistinct.1&id=lt.3", [2]),
        ("items?always_true=eq.true&id=lt.3", [1, 2]),
        ("items?always_true=eq.false", []),
        ("things?flag=is.true", [1]),
        ("things?flag=is.TRUE", [1]),
        ("things?flag=is.false", [2]),
        ("things?flag=is.unknown", [3]),
        ("things?flag=is.null", [3]),
        ("things?flag=not.is.null", [1, 2]),
        ("things?flag=is.not_null", [1, 2]),
        ("things?flag=isdistinct.true", [2, 3]),
        ("things?flag=not.isdistinct.true", [1]),
        ("things?at=gte.2020-06-01", [2]),
        ("things?at=eq.2020-01-01T00:00:00%2B00:00", [1]),
        ("clients?name=like.*soft", [1]),
        ("clients?name=like.%25soft", [1]),
        ("clients?name=ilike.*SOFT", [1]),
        ("clients?name=not.ilike.*SOFT", [2]),
        ("clients?name=like(any).{*soft,App*}", [1, 2]),
        ("clients?name=like(all).{*s*,Micro*}", [1]),
        ("clients?name=ilike(all).{*P*,*LE}", [2]),
        ("clients?name=match.^Mic", [1]),
        ("clients?name=imatch.^mic", [1]),
        ("clients?name=match(any).{^M,^A}", [1, 2]),
        ("clients?name=not.match.^M", [2]),
        ('clients?name=in.("Apple","x,y")', [2]),
        ("clients?name=in.(Apple,Microsoft)", [1, 2]),
        ("clients?name=eq.Apple&id=eq.2", [2]),
        ("clients?name=eq.Apple&id=eq.1", []),
        ("clients?name=eq.", []),
        ("clients?name=in.(,)", []),
    ],
)
def test_operators_select_rows(ask: Ask, path: str, ids: list[int]) -> None:
    answer = ask("GET", f"{path}&select=id&order=id")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("items?id=equals.5", "PGRST100"),
        ("items?id=5", "PGRST100"),
        ("items?id=in.5", "PGRST100"),
        ("items?id=is.5", "PGRST100"),
        ("items?id=neq(any).{1}", "PGRST100"),
        ("items?id=in(any).{1}", "PGRST100"),
        ("items?id=eq(some).{1}", "PGRST100"),
        ("items?id=eq(any).5", "22P02"),
        ("items?id=eq.x", "22P02"),
        ("items?nothing=eq.1", "42703"),
        ("items?id=like.1", "42883"),
        ("clients?name=match.[", "2201B"),
        ("things?at=eq.never", "22007"),
    ],
)
def test_a_wrong_filter_is_refused(ask: Ask, path: str, code: str) -> None:
    answer = ask("GET", path)
    assert answer.status_code == (404 if code == "42883" else 400)
    assert problem_of(answer)["code"] == code


def test_an_unknown_table_is_not_found(ask: Ask) -> None:
    answer = ask("GET", "client")
    problem = problem_of(answer)
    assert answer.status_code == 404
    assert problem["code"] == "PGRST205"
    assert problem["message"] == "Could not find the table 'awkward.client' in the schema cache"
    assert problem["hint"] == "Perhaps you meant the table 'awkward.clients'"
