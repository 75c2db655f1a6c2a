"""`limit`, `offset`, `Range`, counts."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("query", "headers", "status", "content_range", "rows"),
    [
        ("", {}, 200, "0-14/*", 15),
        ("", {"range": "0-1"}, 200, "0-1/*", 2),
        ("", {"range": "0-0"}, 200, "0-0/*", 1),
        ("", {"range": "10-"}, 200, "10-14/*", 5),
        ("", {"range": "items=3-4"}, 200, "3-4/*", 2),
        ("", {"range": "0-1", "prefer": "count=exact"}, 206, "0-1/15", 2),
        ("", {"range": "0-99", "prefer": "count=exact"}, 200, "0-14/15", 15),
        ("", {"range": "15-20", "prefer": "count=exact"}, 206, "*/15", 0),
        ("", {"range": "15-20"}, 200, "*/*", 0),
        ("?limit=5", {}, 200, "0-4/*", 5),
        ("?limit=5&offset=5", {"prefer": "count=exact"}, 206, "5-9/15", 5),
        ("?offset=10", {"prefer": "count=exact"}, 206, "10-14/15", 5),
        ("?limit=0", {}, 200, "*/*", 0),
        ("?limit=0", {"prefer": "count=exact"}, 206, "*/15", 0),
        ("?limit=15", {"prefer": "count=exact"}, 200, "0-14/15", 15),
        ("?id=gt.13", {"prefer": "count=exact"}, 200, "0-1/2", 2),
        ("?id=gt.99", {"prefer": "count=exact"}, 200, "*/0", 0),
        ("?limit=1", {"prefer": "count=estimated"}, 206, "0-0/15", 1),
        ("?id=gt.13&limit=1", {"prefer": "count=estimated"}, 206, "0-0/2", 1),
        ("?offset=-4", {}, 200, "0-14/*", 15),
    ],
)
def test_pages(ask: Ask, query: str, headers: dict[str, str], status: int, content_range: str, rows: int) -> None:
    answer = ask("GET", f"items{query}", **headers)
    assert (answer.status_code, answer.headers["content-range"], len(answer.json())) == (status, content_range, rows)


def test_a_planned_count_is_told(ask: Ask) -> None:
    answer = ask("GET", "items?limit=1", prefer="count=planned")
    assert answer.headers["content-range"].startswith("0-0/")
    assert answer.headers["preference-applied"] == "count=planned"


@pytest.mark.parametrize(
    ("query", "headers", "details"),
    [
        ("?offset=100", {"prefer": "count=exact"}, "An offset of 100 was requested, but there are only 15 rows."),
        ("", {"prefer": "count=exact", "range": "100-199"}, "An offset of 100 was requested, but there are only 15 rows."),
        ("", {"range": "5-2"}, "The lower boundary must be lower than or equal to the upper boundary in the Range header."),
        ("?limit=-1", {}, "Limit should be greater than or equal to zero."),
    ],
)  # fmt: skip
def test_a_range_that_cannot_be_is_refused(ask: Ask, query: str, headers: dict[str, str], details: str) -> None:
    answer = ask("GET", f"items{query}", **headers)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["details"]) == (416, "PGRST103", details)
    assert problem["message"] == "Requested range not satisfiable"


def test_head_has_the_headers_and_no_body(ask: Ask) -> None:
    answer = ask("HEAD", "items?limit=5", prefer="count=exact")
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (206, "0-4/15", b"")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["items", "rpc/integers", "projects_view"])
def test_head_is_answered_everywhere(ask: Ask, path: str) -> None:
    answer = ask("HEAD", path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("items", {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}),
        ("items/1", {"GET", "HEAD", "PATCH", "PUT", "DELETE", "OPTIONS"}),
    ],
)
def test_options_lists_the_methods(ask: Ask, path: str, methods: set[str]) -> None:
    answer = ask("OPTIONS", path)
    assert answer.status_code in (200, 204)
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == methods


def test_a_page_says_where_the_next_begins(ask: Ask) -> None:
    answer = ask("GET", "items?limit=10")
    link = answer.headers["link"].partition(">")[0].removeprefix("</api/v1/")
    assert [row["id"] for row in ask("GET", link).json()] == [11, 12, 13, 14, 15]


@pytest.mark.parametrize(
    "order",
    [
        "document->>id.desc",
        "notes->n",
        "notes->>n.desc.nullslast,id.desc",
        "words.desc",
        "document->>none,notes->n.desc",
    ],
)
def test_cursors_lead_through_every_row_in_any_order_of_its_own(ask: Ask, order: str) -> None:
    whole = [row["id"] for row in ask("GET", f"things?select=id&order={order}").json()]
    path, seen = f"things?select=id&order={order}&limit=1", []
    while path:
        answer = ask("GET", path)
        assert answer.status_code == 200, answer.text
        seen += [row["id"] for row in answer.json()]
        link = answer.headers.get("link", "").partition(">")[0]
        path = link.removeprefix("</api/v1/")
        assert not path or "cursor=" in path
    assert seen == whole
    assert len(seen) > 2


def test_cursors_lead_through_an_order_by_a_computed_column(ask: Ask) -> None:
    first = ask("GET", "people?select=id&order=initial.desc&limit=1")
    link = first.headers["link"].partition(">")[0].removeprefix("</api/v1/")
    assert "cursor=" in link
    assert [row["id"] for row in [*first.json(), *ask("GET", link).json()]] == [3, 2]
