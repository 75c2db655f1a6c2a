"""Ways through views: columns that are shown twice, and junctions."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize("column", ["one", "two"])
def test_a_column_that_a_view_shows_twice_leads_on_by_each_name(ask: Ask, column: str) -> None:
    answer = ask("GET", f"order_ends?select=places!{column}(street)&id=eq.1")
    assert answer.json() == [{"places": {"street": "A street"}}], answer.text


def test_without_a_hint_it_is_not_clear_which(ask: Ask) -> None:
    answer = ask("GET", "order_ends?select=places(street)")
    assert (answer.status_code, problem_of(answer)["code"]) == (300, "PGRST201")


def test_a_view_stands_for_a_junction_that_is_not_served(ask: Ask) -> None:
    answer = ask("GET", "clients?select=id,places(id)&order=id&places.order=id")
    assert answer.json() == [{"id": 1, "places": [{"id": 1}, {"id": 2}]}, {"id": 2, "places": []}], answer.text


def test_beside_its_table_a_view_of_a_junction_must_be_asked_for(ask: Ask) -> None:
    plain = ask("GET", "people?select=skills(name)&id=eq.1&skills.order=name")
    hinted = ask("GET", "people?select=skills!skills_held(name)&id=eq.1&skills.order=name")
    assert plain.json() == hinted.json() == [{"skills": [{"name": "Chess"}, {"name": "Go"}]}], hinted.text


def test_a_filter_by_the_name_of_what_was_renamed_is_of_it(ask: Ask) -> None:
    answer = ask("GET", "clients?select=id,all:projects(id)&id=eq.1&projects.order=id.desc&projects.limit=1")
    assert answer.json() == [{"id": 1, "all": [{"id": 2}]}], answer.text


def test_a_name_that_a_column_and_an_embedded_table_have_alike(ask: Ask) -> None:
    embedded = "select=id,team(id)&order=id"
    assert [row["id"] for row in ask("GET", f"people?{embedded}&team=eq.10").json()] == [1, 2, 3]
    assert ask("GET", f"people?{embedded}&team=gt.10").json() == []
    assert len(ask("GET", f"people?{embedded}&team=not.is.null").json()) == 3


@pytest.mark.parametrize("order", ["projects(client_id)", "projects(client)"])
def test_groups_are_ordered_by_what_is_spread(ask: Ask, order: str) -> None:
    answer = ask("GET", f"tasks?select=...projects(client:client_id,count())&order={order}.desc")
    assert answer.json() == [{"client": 2, "count": 4}, {"client": 1, "count": 4}], answer.text


def test_what_is_embedded_under_a_columns_name_stands_in_its_place(ask: Ask) -> None:
    for select in ("*,team(id)", "team(id),*"):
        row = ask("GET", f"people?select={select}&id=eq.1").json()[0]
        assert row == {"id": 1, "name": "Ada", "boss": None, "team": {"id": 10}}
