"""Several ways between two tables, and how one is named."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("orders?id=eq.1&select=billing(street),shipping(street)", [{"billing": {"street": "A street"}, "shipping": {"street": "B street"}}]),
        ("orders?id=eq.1&select=places!billing(street)", [{"places": {"street": "A street"}}]),
        ("orders?id=eq.1&select=places!orders_shipping(street)", [{"places": {"street": "B street"}}]),
        ("orders?id=eq.1&select=a:places!billing(street),b:places!shipping(street)", [{"a": {"street": "A street"}, "b": {"street": "B street"}}]),
        ("orders?id=eq.1&select=orders_billing(street)", [{"orders_billing": {"street": "A street"}}]),
        ("places?id=eq.1&select=billed:orders!billing(id),shipped:orders!shipping(id)", [{"billed": [{"id": 1}], "shipped": []}]),
        ("people?id=eq.2&select=boss(name)", [{"boss": {"name": "Ada"}}]),
        ("people?id=eq.1&select=staff:people!boss(id)&staff.order=id", [{"staff": [{"id": 2}, {"id": 3}]}]),
        ("teams?id=eq.10&select=lead(name),second(name),people!people_team(id)&people.order=id",
         [{"lead": {"name": "Ada"}, "second": {"name": "Bo"}, "people": [{"id": 1}, {"id": 2}, {"id": 3}]}]),
    ],
)  # fmt: skip
def test_a_hint_picks_the_way(ask: Ask, path: str, rows: list[dict[str, object]]) -> None:
    answer = ask("GET", path)
    assert answer.json() == rows, answer.text


def test_ambiguous_ways_are_listed(ask: Ask) -> None:
    answer = ask("GET", "orders?select=id,places(*)")
    problem = problem_of(answer)
    assert answer.status_code == 300
    assert problem["code"] == "PGRST201"
    assert (
        problem["message"] == "Could not embed because more than one relationship was found for 'orders' and 'places'"
    )
    assert problem["hint"] == (
        "Try changing 'places' to one of the following: 'places!orders_billing', 'places!orders_shipping'. "
        "Find the desired relationship in the 'details' key."
    )
    assert problem["details"] == [
        {
            "cardinality": "many-to-one",
            "embedding": "orders with places",
            "relationship": f"orders_{name} using orders({name}) and places(id)",
        }
        for name in ("billing", "shipping")
    ]


def test_ambiguous_junctions_are_listed(ask: Ask) -> None:
    details = problem_of(ask("GET", "people?select=teams(*)"))["details"]
    assert {
        "cardinality": "one-to-many", "embedding": "people with teams",
        "relationship": "teams_lead using people(id) and teams(lead)",
    } in details  # fmt: skip


def test_a_hint_that_picks_nothing_is_told(ask: Ask) -> None:
    problem = problem_of(ask("GET", "orders?select=places!nothing(*)"))
    assert problem["code"] == "PGRST200"
    assert "using the hint 'nothing' in the schema 'awkward'" in problem["details"]


@pytest.mark.parametrize("select", ["people_boss(name)", "people!friends(id)"])
def test_a_way_that_leads_both_ways_is_not_guessed(ask: Ask, select: str) -> None:
    answer = ask("GET", f"people?select={select}")
    assert (answer.status_code, answer.json()["code"]) == (300, "PGRST201")
    assert len(answer.json()["details"]) == 2
