"""`...table(columns)`"""

import pytest

from tests.conformance.conftest import Ask


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        (
            "projects?id=in.(1,3)&select=id,...clients(client_name:name)&order=id",
            [{"id": 1, "client_name": "Microsoft"}, {"id": 3, "client_name": "Apple"}],
        ),
        ("projects?id=eq.5&select=id,...clients(client_name:name)", [{"id": 5, "client_name": None}]),
        (
            "tasks?id=eq.1&select=id,...projects(project:name,...clients(client:name))",
            [{"id": 1, "project": "Windows 7", "client": "Microsoft"}],
        ),
        (
            "tasks?id=eq.1&select=id,...projects(project:name,clients(name))",
            [{"id": 1, "project": "Windows 7", "clients": {"name": "Microsoft"}}],
        ),
        (
            "clients?id=eq.1&select=name,...projects(ids:id,names:name)&projects.order=id",
            [{"name": "Microsoft", "ids": [1, 2], "names": ["Windows 7", "Windows 10"]}],
        ),
        (
            "people?id=eq.1&select=name,...skills(skills:name)&skills.order=id",
            [{"name": "Ada", "skills": ["Chess", "Go"]}],
        ),
        ("people?id=eq.1&select=id,...badges(number)", [{"id": 1, "number": "A-1"}]),
        (
            "clients?id=eq.1&select=projects(id,...clients(client:name))&projects.order=id&projects.limit=1",
            [{"projects": [{"id": 1, "client": "Microsoft"}]}],
        ),
        (
            "orders?id=eq.1&select=...places!billing(bill:street),...places!shipping(ship:street)",
            [{"bill": "A street", "ship": "B street"}],
        ),
        (
            "projects?select=id,...clients!inner(client:name)&clients.name=eq.Apple&order=id",
            [{"id": 3, "client": "Apple"}, {"id": 4, "client": "Apple"}],
        ),
        ("projects?id=eq.1&select=id,...client_id(client:name)", [{"id": 1, "client": "Microsoft"}]),
    ],
)
def test_columns_are_spread(ask: Ask, path: str, rows: list[dict[str, object]]) -> None:
    answer = ask("GET", path)
    assert answer.json() == rows, answer.text


def test_a_written_row_is_answered_spread(ask: Ask) -> None:
    answer = ask(
        "POST",
        "projects?select=id,...clients(client:name)",
        {"id": 6, "name": "N", "client_id": 2},
        prefer="return=representation",
    )
    assert answer.json() == [{"id": 6, "client": "Apple"}], answer.text
