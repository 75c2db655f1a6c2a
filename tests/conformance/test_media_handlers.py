"""Media types of the database's own: domains that functions and aggregates return."""

import pytest

from service.core.types import Action, Role
from service.crud import accounts
from tests.conformance.conftest import Ask
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of


@pytest.mark.parametrize(
    ("path", "accept", "media_type", "body"),
    [
        ("clients?order=id", "text/x-lines", "text/x-lines", "1:Microsoft;2:Apple;"),
        ("clients?select=*&order=id", "text/x-lines", "text/x-lines", "1:Microsoft;2:Apple;"),
        ("rpc/all_clients?order=id", "text/x-lines", "text/x-lines", "1:Microsoft;2:Apple;"),
        ("projects?id=eq.1&select=id,name", "text/x-lines", "text/x-lines", '(1,"Windows 7")\n'),
        ("projects?id=eq.99", "text/x-lines", "text/x-lines", ""),
        ("clients?id=eq.1", "application/x-own", "application/x-own", "\0Microsoft"),
        ("counts", "application/json", "application/json; charset=utf-8", '{"own": true}'),
        ("counts?n=eq.-1", "*/*", "application/json; charset=utf-8", "[]"),
        ("rpc/a_page", "text/html", "text/html", "<p>hi</p>"),
        ("rpc/a_page", "application/json", "application/json; charset=utf-8", '"<p>hi</p>"'),
        ("rpc/an_xml", "text/xml", "text/xml; charset=utf-8", ""),
        ("rpc/anything", "*/*", "application/octet-stream", "anything"),
        ("rpc/anything", "audio/mpeg", "application/octet-stream", "anything"),
        ("rpc/anything", "text/x-other", "text/x-some", "anything"),
        ("rpc/anything", "application/json", "application/json; charset=utf-8", '"anything"'),
    ],
)
def test_rows_and_values_are_rendered_by_the_database(
    ask: Ask, path: str, accept: str, media_type: str, body: str
) -> None:
    answer = ask("GET", path, accept=accept)
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, media_type, body)


def test_what_renders_rows_sets_headers(ask: Ask) -> None:
    assert ask("GET", "clients", accept="application/x-own").headers["content-disposition"] == "attachment"
    assert "content-disposition" not in ask("GET", "clients").headers


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("clients?select=name", "application/x-own"),
        ("clients?select=id,name", "application/x-own"),
        ("projects", "application/x-own"),
        ("rpc/a_page", "text/xml"),
        ("rpc/integers", "text/plain"),
    ],
)
def test_what_nothing_renders_is_not_acceptable(ask: Ask, path: str, accept: str) -> None:
    answer = ask("GET", path, accept=accept)
    assert (answer.status_code, problem_of(answer)["code"]) == (406, "PGRST107")


def test_rows_are_rendered_by_what_is_granted_alone(database: Database, awkward: str, served: Service) -> None:
    url = database.server.url("rowhouse_service", awkward)
    granted = (("clients", [Action.READ], "id=eq.1"), ("rpc/clients_as_lines", [Action.EXECUTE], None))

    def grant(name: str, actions: list[Action], rows: str | None) -> None:
        in_session(url, lambda session: accounts.grant(session, Role.VIEWER, name, actions, rows))
        served.state.connected().policy._fresh_until = 0

    with served.client(Role.VIEWER, Accept="text/x-lines") as viewer:
        try:
            grant(*granted[0])
            assert viewer.get("/api/v1/clients").status_code == 406
            grant(*granted[1])
            assert viewer.get("/api/v1/clients").text == "1:Microsoft;"
        finally:
            for name, actions, _ in granted:
                in_session(url, lambda session: accounts.revoke_grant(session, Role.VIEWER, name, actions))  # noqa: B023
            served.state.connected().policy._fresh_until = 0
