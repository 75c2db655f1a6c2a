"""Functions of a row, read like columns and embedded like tables."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        (
            "people?select=id,initial&order=id",
            [{"id": 1, "initial": "A"}, {"id": 2, "initial": "B"}, {"id": 3, "initial": "C"}],
        ),
        ("people?select=first:initial&initial=eq.B", [{"first": "B"}]),
        ("people?select=id&order=initial.desc", [{"id": 3}, {"id": 2}, {"id": 1}]),
        ("people?select=id&or=(initial.eq.A,initial.eq.C)&order=id", [{"id": 1}, {"id": 3}]),
        ("people?select=name&id=eq.1", [{"name": "Ada"}]),
        ("staff?select=loud&number=eq.1", [{"loud": "ADA!"}]),
        ("badges?select=people(initial)", [{"people": {"initial": "A"}}]),
        ("people?select=id,reports(id)&id=eq.1&reports.order=id", [{"id": 1, "reports": [{"id": 2}, {"id": 3}]}]),
        ("people?select=superior(name)&id=eq.2", [{"superior": {"name": "Ada"}}]),
        ("people?select=superior(name)&id=eq.1", [{"superior": None}]),
        ("people?select=own_team(id)&id=eq.1", [{"own_team": {"id": 10}}]),
        ("people?select=boss_of:reports!inner(id)&boss_of.id=eq.3", [{"boss_of": [{"id": 3}]}]),
        ("people?select=...superior(chief:name)&id=eq.3", [{"chief": "Ada"}]),
        ("people?select=id&superior=not.is.null&order=id&select=id,superior()", [{"id": 2}, {"id": 3}]),
    ],
)
def test_computed_members_are_read(ask: Ask, path: str, rows: list[dict[str, object]]) -> None:
    answer = ask("GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.json() == rows


def test_everything_leaves_computed_columns_out(ask: Ask) -> None:
    assert set(ask("GET", "people?limit=1").json()[0]) == {"id", "name", "boss", "team"}


def test_a_written_row_is_answered_with_computed_members(ask: Ask) -> None:
    answer = ask(
        "POST",
        "people?select=name,initial,superior(name),team:own_team(id)",
        {"id": 9, "name": "Zoë", "boss": 1, "team": 10},
        prefer="return=representation",
    )
    assert answer.status_code == 201, answer.text
    assert answer.json() == [{"name": "Zoë", "initial": "Z", "superior": {"name": "Ada"}, "team": {"id": 10}}]


def test_a_changed_row_is_answered_with_computed_members(ask: Ask) -> None:
    answer = ask("PATCH", "people?id=eq.2&select=initial", {"name": "Xi"}, prefer="return=representation")
    assert answer.json() == [{"initial": "X"}]


def test_a_computed_column_is_not_written(ask: Ask) -> None:
    answer = ask("POST", "people", {"id": 9, "name": "Zoë", "initial": "Q"})
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "PGRST204")


def test_rows_of_a_function_have_computed_members(ask: Ask) -> None:
    answer = ask("GET", "rpc/seniors?lowest=3&select=initial,superior(id)&initial=eq.C")
    assert answer.json() == [{"initial": "C", "superior": {"id": 1}}], answer.text
