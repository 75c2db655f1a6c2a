"""Embedded tables: shapes, filters, order, limits, inner joins, presence."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("projects?id=in.(1,3)&select=id,clients(*)&order=id",
         [{"id": 1, "clients": {"id": 1, "name": "Microsoft"}}, {"id": 3, "clients": {"id": 2, "name": "Apple"}}]),
        ("projects?id=eq.5&select=id,clients(*)", [{"id": 5, "clients": None}]),
        ("projects?id=eq.1&select=myId:id,project_client:clients(*)", [{"myId": 1, "project_client": {"id": 1, "name": "Microsoft"}}]),
        ("projects?id=eq.1&select=client:client_id(name)", [{"client": {"name": "Microsoft"}}]),
        ("projects?id=eq.1&select=clients!projects_client(name)", [{"clients": {"name": "Microsoft"}}]),
        ("projects?id=eq.1&select=clients!client_id(name)", [{"clients": {"name": "Microsoft"}}]),
        ("clients?id=eq.1&select=id,projects(id,tasks(id,name))&projects.order=id&projects.tasks.order=id",
         [{"id": 1, "projects": [
             {"id": 1, "tasks": [{"id": 1, "name": "Design w7"}, {"id": 2, "name": "Code w7"}]},
             {"id": 2, "tasks": [{"id": 3, "name": "Design w10"}, {"id": 4, "name": "Code w10"}]}]}]),
        ("tasks?id=eq.1&select=id,projects(id,clients(name))", [{"id": 1, "projects": {"id": 1, "clients": {"name": "Microsoft"}}}]),
        ("projects?id=eq.5&select=id,tasks(*)", [{"id": 5, "tasks": []}]),
        ("people?id=eq.1&select=name,skills(name,people_skills(level))&skills.order=id&skills.people_skills.person=eq.1",
         [{"name": "Ada", "skills": [{"name": "Chess", "people_skills": [{"level": 5}]}, {"name": "Go", "people_skills": [{"level": 3}]}]}]),
        ("skills?id=eq.1&select=people(name)&people.order=name.desc", [{"people": [{"name": "Bo"}, {"name": "Ada"}]}]),
        ("badges?select=number,people(name)", [{"number": "A-1", "people": {"name": "Ada"}}]),
        ("people?id=in.(1,2)&select=id,badges(number)&order=id", [{"id": 1, "badges": {"number": "A-1"}}, {"id": 2, "badges": None}]),
        ("projects_view?id=eq.1&select=id,clients(name),tasks(id)&tasks.order=id", [{"id": 1, "clients": {"name": "Microsoft"}, "tasks": [{"id": 1}, {"id": 2}]}]),
        ("clients?id=eq.2&select=projects_view(id)&projects_view.order=id", [{"projects_view": [{"id": 3}, {"id": 4}]}]),
        ("tasks?id=eq.1&select=projects_view(id)", [{"projects_view": {"id": 1}}]),
        ("events?select=id,people(name)&order=id", [{"id": 1, "people": {"name": "Ada"}}, {"id": 2, "people": {"name": "Bo"}}]),
        ("clients?select=id,projects(id)&projects.id=eq.1&order=id", [{"id": 1, "projects": [{"id": 1}]}, {"id": 2, "projects": []}]),
        ("clients?select=id,projects!inner(id)&projects.id=eq.1", [{"id": 1, "projects": [{"id": 1}]}]),
        ("clients?select=id,projects!inner(id,tasks!inner(id))&projects.tasks.id=eq.1", [{"id": 1, "projects": [{"id": 1, "tasks": [{"id": 1}]}]}]),
        ("projects?select=id,clients!inner(name)&clients.name=eq.Apple&order=id", [{"id": 3, "clients": {"name": "Apple"}}, {"id": 4, "clients": {"name": "Apple"}}]),
        ("projects?select=id,clients!left(name)&id=eq.5", [{"id": 5, "clients": None}]),
        ("projects?select=id,c:clients!inner(name)&c.name=eq.Apple&id=eq.3", [{"id": 3, "c": {"name": "Apple"}}]),
        ("projects?select=id,clients!projects_client!inner(name)&clients.name=eq.Apple&id=eq.3", [{"id": 3, "clients": {"name": "Apple"}}]),
        ("skills?select=id,people!inner(name)&people.name=eq.Bo", [{"id": 1, "people": [{"name": "Bo"}]}]),
        ("projects?select=id,clients()&clients=is.null", [{"id": 5}]),
        ("projects?select=id,clients()&clients=not.is.null&order=id.desc&limit=1", [{"id": 4}]),
        ("projects?select=id,tasks()&tasks=is.null", [{"id": 5}]),
        ("projects?select=id,c:clients(),tasks()&or=(c.is.null,tasks.is.null)", [{"id": 5}]),
        ("projects?select=id,clients(),tasks()&tasks.id=eq.1&tasks=not.is.null&clients=not.is.null", [{"id": 1}]),
        ("projects?select=id,clients!inner()&clients.name=eq.Apple&order=id", [{"id": 3}, {"id": 4}]),
        ("clients?select=id,projects(id)&projects.limit=1&projects.order=id.desc&order=id", [{"id": 1, "projects": [{"id": 2}]}, {"id": 2, "projects": [{"id": 4}]}]),
        ("clients?select=id,projects(id)&projects.limit=1&projects.offset=1&projects.order=id&order=id", [{"id": 1, "projects": [{"id": 2}]}, {"id": 2, "projects": [{"id": 4}]}]),
        ("projects?select=id&order=clients(name).asc.nullslast,id.desc&select=id,clients()", [{"id": 4}, {"id": 3}, {"id": 2}, {"id": 1}, {"id": 5}]),
        ("projects?select=id,clients(name)&order=clients(name).desc.nullslast,id&limit=1", [{"id": 1, "clients": {"name": "Microsoft"}}]),
        ("projects?select=id,clients()&order=clients(name).asc.nullsfirst,id&limit=2", [{"id": 5}, {"id": 3}]),
        ("clients?select=*,projects(*)&limit=0", []),
        ("clients?select=id,a:projects(id),b:projects(id)&a.id=eq.1&b.id=eq.2&id=eq.1", [{"id": 1, "a": [{"id": 1}], "b": [{"id": 2}]}]),
    ],
)  # fmt: skip
def test_related_rows_are_embedded(ask: Ask, path: str, rows: list[dict[str, object]] | None) -> None:
    answer = ask("GET", path.replace("\n", ""))
    assert answer.status_code == 200, answer.text
    assert answer.json() == rows


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("projects?select=id,clients()&clients=eq.3", "PGRST120", "Bad operator on the 'clients' embedded resource"),
        (
            "clients?select=id,projects()&projects=in.(1)",
            "PGRST120",
            "Bad operator on the 'projects' embedded resource",
        ),
        ("projects?select=id&clients.name=eq.3", "PGRST108", "'clients' is not an embedded resource in this request"),
        ("projects?select=id&clients.limit=3", "PGRST108", "'clients' is not an embedded resource in this request"),
        ("projects?select=id&clients.order=id", "PGRST108", "'clients' is not an embedded resource in this request"),
        ("projects?order=clients(name)", "PGRST108", "'clients' is not an embedded resource in this request"),
        (
            "clients?select=id,projects(id)&order=projects(id)",
            "PGRST118",
            "A related order on 'projects' is not possible",
        ),
        (
            "projects?select=id,items(*)",
            "PGRST200",
            "Could not find a relationship between 'projects' and 'items' in the schema cache",
        ),
    ],
)
def test_a_wrong_embedding_is_refused(ask: Ask, path: str, code: str, message: str) -> None:
    answer = ask("GET", path)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (400, code, message)


def test_a_missing_relationship_says_where_it_was_looked_for(ask: Ask) -> None:
    problem = problem_of(ask("GET", "clients?select=*,project(*)"))
    assert problem["hint"] == "Perhaps you meant 'projects' instead of 'project'."
    assert problem["details"] == (
        "Searched for a foreign key relationship between 'clients' and 'project' in the schema 'awkward', "
        "but no matches were found."
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "rows"),
    [
        ("POST", "projects?select=id,clients(name)", {"id": 6, "name": "New", "client_id": 2}, [{"id": 6, "clients": {"name": "Apple"}}]),
        ("PATCH", "projects?id=eq.1&select=id,clients(name),tasks(id)&tasks.order=id", {"client_id": 2},
         [{"id": 1, "clients": {"name": "Apple"}, "tasks": [{"id": 1}, {"id": 2}]}]),
        ("DELETE", "tasks?id=eq.8&select=id,projects(name)", None, [{"id": 8, "projects": {"name": "OSX"}}]),
        ("PATCH", "projects?id=lt.4&select=id,clients!inner(name)&clients.name=eq.Apple", {"budget": 1}, [{"id": 3, "clients": {"name": "Apple"}}]),
    ],
)  # fmt: skip
def test_written_rows_embed(ask: Ask, method: str, path: str, body: object, rows: list[dict[str, object]]) -> None:
    answer = ask(method, path, body, prefer="return=representation")
    assert answer.json() == rows, answer.text
