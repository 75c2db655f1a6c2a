"""`and=(…)`, `or=(…)`, nested and negated."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("items?or=(id.eq.1,id.eq.2)", [1, 2]),
        ("items?and=(id.gt.1,id.lt.4)", [2, 3]),
        ("items?or=( id.eq.1 , id.eq.2 )", [1, 2]),
        ("items?not.or=(id.gt.2,id.eq.1)", [2]),
        ("items?not.and=(id.gt.2,id.gt.1)", [1, 2]),
        ("items?or=(id.eq.1,and(id.gt.3,id.lt.6))", [1, 4, 5]),
        ("items?or=(id.eq.1,not.and(id.gt.3,id.gt.2))", [1, 2, 3]),
        ("items?and=(id.lt.4,or(id.eq.1,id.eq.3))", [1, 3]),
        ("items?and=(id.lt.4,not.or(id.eq.1,id.eq.3))", [2]),
        ("items?or=(id.in.(1,2),id.eq.4)", [1, 2, 4]),
        ("items?or=(id.not.in.(1,2,3,4,5,6,7,8,9,10,11,12,13),id.eq.4)", [4, 14, 15]),
        ("items?or=(id.eq(any).{1,2},id.eq.4)", [1, 2, 4]),
        ("items?or=(id.not.gt.2,id.eq.15)", [1, 2, 15]),
        ("items?or=(always_true.eq.false,id.eq.15)", [15]),
        ("clients?or=(name.ilike.*SOFT,name.eq.Pear)", [1]),
        ('clients?or=(name.eq."Apple",name.eq."x,y(z)")', [2]),
        ("clients?or=(name.like(any).{*soft,App*})", [1, 2]),
        ("things?or=(flag.is.null,flag.is.true)", [1, 3]),
        ("things?or=(words.cs.{a},numbers.cs.{3,4})", [1, 2]),
        ("things?or=(words.eq.{},id.eq.1)", [1, 3]),
        ('things?or=(span.adj."(3,10)",span.ov."[15,16)")', [2]),
        ("things?or=(vector.fts.impossible,id.eq.3)", [1, 3]),
        ("things?or=(vector.plfts(english).fun impossible,id.eq.3)", [1, 3]),
        ("things?or=(document->>id.eq.2,notes->n.eq.9)", [1, 2]),
        ("things?or=(document->foo->>bar.eq.baz,id.eq.9)", [1]),
        ("things?and=(id.eq.1,or(document->foo->>bar.eq.baz,id.eq.9))", [1]),
        ("items?and=(id.lt.4)&or=(id.eq.1,id.eq.9)", [1]),
    ],
)
def test_groups_select_rows(ask: Ask, query: str, ids: list[int]) -> None:
    answer = ask("GET", f"{query}&select=id&order=id")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


def test_a_group_filters_what_is_embedded(ask: Ask) -> None:
    answer = ask("GET", "clients?select=id,projects(id)&projects.or=(id.eq.1,id.eq.3)&projects.order=id&order=id")
    assert answer.json() == [{"id": 1, "projects": [{"id": 1}]}, {"id": 2, "projects": [{"id": 3}]}]


def test_a_negated_group_filters_what_is_embedded(ask: Ask) -> None:
    answer = ask("GET", "clients?select=id,projects(id)&projects.not.or=(id.eq.1,id.eq.3)&order=id")
    assert answer.json() == [{"id": 1, "projects": [{"id": 2}]}, {"id": 2, "projects": [{"id": 4}]}]


def test_a_group_changes_and_deletes_rows(ask: Ask) -> None:
    changed = ask(
        "PATCH", "projects?or=(id.eq.1,id.eq.3)&select=id&order=id", {"name": "x"}, prefer="return=representation"
    )
    gone = ask("DELETE", "tasks?or=(id.eq.1,id.eq.3)&select=id&order=id", prefer="return=representation")
    assert changed.json() == gone.json() == [{"id": 1}, {"id": 3}]


@pytest.mark.parametrize(
    "query",
    [
        "or=()",
        "or=(id.eq.1",
        "or=)",
        "or=(id.eq)",
        "and=(id.eq.1,)",
        "or=(ord(id.eq.1,id.eq.1),id.eq.2)",
        "or=(id.in.1,2,id.eq.3)",
    ],
)
def test_a_group_that_cannot_be_read_is_refused(ask: Ask, query: str) -> None:
    answer = ask("GET", f"items?{query}")
    assert answer.status_code == 400
    assert problem_of(answer)["code"] == "PGRST100"
