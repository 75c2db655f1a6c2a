"""`select=`: columns, renames, casts."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("select", "row"),
    [
        ("id", {"id": 1}),
        ("id,name", {"id": 1, "name": "Windows 7"}),
        (" id , name ", {"id": 1, "name": "Windows 7"}),
        ("*", {"id": 1, "name": "Windows 7", "client_id": 1, "budget": 10}),
        ("", {"id": 1, "name": "Windows 7", "client_id": 1, "budget": 10}),
        ("title:name", {"title": "Windows 7"}),
        ("the title:name", {"the title": "Windows 7"}),
        ("id::text", {"id": "1"}),
        ("no:id::text,id", {"no": "1", "id": 1}),
        ("budget::integer", {"budget": 10}),
        ("id::double precision", {"id": 1}),
        ("client_id,id,client_id", {"client_id": 1, "id": 1}),
        ("id,*", {"id": 1, "name": "Windows 7", "client_id": 1, "budget": 10}),
    ],
)
def test_columns_are_selected(ask: Ask, select: str, row: dict[str, object]) -> None:
    answer = ask("GET", f"projects?id=eq.1&select={select}")
    assert answer.json() == [row], answer.text


@pytest.mark.parametrize(
    ("select", "code", "status"),
    [
        ("idd", "42703", 400),
        ("id::nothing", "42704", 400),
        ("id::date", "42846", 400),
        ("id,", "PGRST100", 400),
        ("id name(", "PGRST100", 400),
        ("clients(", "PGRST100", 400),
        ("fake(*)", "PGRST200", 400),
        ("name::integer", "22P02", 400),
    ],
)
def test_a_wrong_selection_is_refused(ask: Ask, select: str, code: str, status: int) -> None:
    answer = ask("GET", f"projects?select={select}")
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)


def test_rows_of_a_table_without_columns_are_empty_objects(ask: Ask) -> None:
    assert ask("GET", "nothing").json() == [{}]


def test_a_view_is_read_like_a_table(ask: Ask) -> None:
    assert ask("GET", "staff?select=number,shout&order=number&limit=1").json() == [{"number": 1, "shout": "ADA"}]


def test_a_materialised_view_is_read(ask: Ask) -> None:
    assert ask("GET", "snapshot?select=id&order=id").json() == [{"id": 1}, {"id": 2}, {"id": 3}]
