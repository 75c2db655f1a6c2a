"""Operators of ranges and arrays, and composites."""

import pytest

from tests.conformance.conftest import Ask


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("span=sl.[10,11)", [1]),
        ("span=sr.[5,10)", [2]),
        ("span=nxr.[5,10)", [1]),
        ("span=nxl.[10,11)", [2]),
        ("span=adj.[20,22)", [2]),
        ("span=ov.[9,11)", [1, 2]),
        ("span=not.ov.[9,10)", [2]),
        ("span=cs.[2,4]", [1]),
        ("span=cd.[0,15)", [1]),
        ("span=eq.[1,10)", [1]),
        ("days=cs.[2020-01-02,2020-01-03)", [1]),
        ("days=ov.[2021-01-15,2022-01-01)", [2]),
        ("days=is.null", [3]),
        ("words=cs.{b}", [1, 2]),
        ("words=cd.{a,b,z}", [1, 3]),
        ("words=ov.{a,z}", [1]),
        ("words=eq.{a,b}", [1]),
        ("words=eq.{}", [3]),
        ("words=not.cs.{b}", [3]),
        ('words->0=eq."a"', [1]),
        ("words->>0=eq.b", [2]),
        ("numbers=cs.{3}", [1, 2]),
        ("numbers=ov.{1,9}", [1]),
        ("numbers->1=gte.4", [2]),
        ("home->>street=eq.Lane", [1]),
        ('home->"house no"=eq.4', [1]),
        ("homes->0->>street=eq.A", [1]),
        ('notes=cs.{"n":9}', [1]),
        ('notes=cd.{"n":10,"s":"y","t":1}', [2]),
    ],
)
def test_operators_select_rows(ask: Ask, query: str, ids: list[int]) -> None:
    answer = ask("GET", f"things?{query}&select=id&order=id")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    ("select", "row"),
    [
        ("words->0", {"words": "a"}),
        ("words->>1", {"words": "b"}),
        ("words->-1", {"words": "b"}),
        ("last:numbers->2", {"last": 3}),
        ("home->street", {"street": "Lane"}),
        ('home->>street,no:home->"house no"', {"street": "Lane", "no": 4}),
        ("homes->1->street", {"street": "B"}),
        ("homes->0", {"homes": {"street": "A", "house no": 1}}),
        ("words->9", {"words": None}),
    ],
)
def test_places_are_selected(ask: Ask, select: str, row: dict[str, object]) -> None:
    answer = ask("GET", f"things?id=eq.1&select={select}")
    assert answer.json() == [row], answer.text


def test_rows_are_ordered_by_a_place(ask: Ask) -> None:
    answer = ask("GET", "things?select=id&order=words->0.desc.nullslast")
    assert [row["id"] for row in answer.json()] == [2, 1, 3]
