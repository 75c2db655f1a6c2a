"""`->` and `->>`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("select", "row"),
    [
        ("document->foo", {"foo": {"bar": "baz"}}),
        ("document->foo->bar", {"bar": "baz"}),
        ("document->foo->>bar", {"bar": "baz"}),
        ("document->>foo", {"foo": '{"bar": "baz"}'}),
        ("mine:document->foo->>bar", {"mine": "baz"}),
        ("document->>id", {"id": "1"}),
        ("document->id", {"id": 1}),
        ("document->>id::integer", {"id": 1}),
        ("x:document->>id::text", {"x": "1"}),
        ("document->list->0", {"list": 1}),
        ("document->list->>1", {"list": "two"}),
        ("document->list->2->k", {"k": 3}),
        ("document->list->-1->>k", {"k": "3"}),
        ("notes->missing", {"missing": None}),
        ("notes->>n,notes->s", {"n": "9", "s": "x"}),
    ],
)
def test_places_are_selected(ask: Ask, select: str, row: dict[str, object]) -> None:
    answer = ask("GET", f"things?id=eq.1&select={select}")
    assert answer.json() == [row], answer.text


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("document->foo->>bar=eq.baz", [1]),
        ("document->>id=in.(1,2)", [1, 2]),
        ("document->foo->>bar=not.eq.baz", [2]),
        ("document->0=is.null", [1, 2]),
        ("document->>0=eq.1", [3]),
        ("document->foo->>bar=like.b*", [1]),
        ("document->missing=is.null", [1, 2, 3]),
        ("notes->n=gt.9", [2]),
        ("notes->>n=gt.9", []),
        ("notes->0->n=eq.1", [3]),
        ('notes->s=eq."x"', [1]),
        ("notes->>s=fts.x", [1]),
    ],
)
def test_places_are_filtered(ask: Ask, query: str, ids: list[int]) -> None:
    answer = ask("GET", f"things?{query}&select=id&order=id")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("notes->n.desc.nullslast", [2, 1, 3]),
        ("notes->>n.asc.nullsfirst", [3, 2, 1]),
        ("document->foo->>bar.desc.nullslast", [2, 1, 3]),
        ("notes->n.nullsfirst,id", [3, 1, 2]),
    ],
)
def test_places_order_rows(ask: Ask, order: str, ids: list[int]) -> None:
    answer = ask("GET", f"things?select=id&order={order}")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    "select", ["document->", "document->>", "document->foo->>", "->foo", "document-->foo", "document->-78xy"]
)
def test_a_place_that_cannot_be_read_is_refused(ask: Ask, select: str) -> None:
    answer = ask("GET", f"things?select={select}")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "PGRST100")


def test_a_json_filter_with_json_that_is_none_is_refused(ask: Ask) -> None:
    answer = ask("GET", "things?notes->n=eq.{")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "22P02")


def test_keys_of_any_signs_need_no_quotes(ask: Ask) -> None:
    answer = ask("GET", "things?id=eq.1&select=notes->!@$%25^*_~->>x&notes->!@$%25^*_~=is.null")
    assert answer.json() == [{"x": None}], answer.text
