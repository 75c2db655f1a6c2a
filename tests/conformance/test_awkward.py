# ruff: noqa: E501 (a case stands on one line)
"""Names and types that are seldom thought of."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.conftest import Ask

TABLE = quote('Sélect "From" where')
ROW = {
    "order": 1, "Mixed Case": "Aa", "it's": "b'b", "naïve": "ï", "100%": "%", "a.b": ".", "a,b": ",", "_etag": "_",
}  # fmt: skip


def test_any_name_is_read(ask: Ask) -> None:
    assert ask("GET", TABLE).json() == [ROW]


@pytest.mark.parametrize("name", ROW)
def test_any_name_is_selected(ask: Ask, name: str) -> None:
    answer = ask("GET", f"{TABLE}?select={quote(chr(34) + name + chr(34))}")
    assert answer.json() == [{name: ROW[name]}], answer.text


@pytest.mark.parametrize("name", ROW)
def test_any_name_filters_and_orders(ask: Ask, name: str) -> None:
    written = quote(f'"{name}"')
    answer = ask("GET", f"{TABLE}?{written}=eq.{quote(str(ROW[name]))}&order={written}&select=n:{written}")
    assert answer.json() == [{"n": ROW[name]}], answer.text


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_any_name_is_written(ask: Ask, method: str) -> None:
    row: dict[str, Any] = {name: 2 if name == "order" else f"{name}!" for name in ROW}
    if method == "PATCH":
        path = f"{TABLE}?{quote(chr(34) + 'order' + chr(34))}=eq.1"
    else:
        path = TABLE if method == "POST" else f"{TABLE}?{quote(chr(34) + 'order' + chr(34))}=eq.2"
    answer = ask(method, path, row, prefer="return=representation")
    assert answer.json() == [row], answer.text


def test_any_name_is_merged(ask: Ask) -> None:
    row = {**ROW, "100%": "new"}
    answer = ask("POST", TABLE, [row], prefer="return=representation, resolution=merge-duplicates, missing=default")
    assert answer.json() == [row], answer.text


def test_a_row_without_a_key_is_read_and_has_no_place(ask: Ask) -> None:
    assert len(ask("GET", "keyless").json()) == 3
    assert ask("GET", "keyless/1").status_code in (400, 404)


def test_a_row_of_a_composite_key(ask: Ask) -> None:
    answer = ask("GET", 'composite/"x,y",2')
    assert (answer.status_code, answer.json()["c"]) == (200, "two"), answer.text


def test_a_table_whose_name_reads_like_a_qualified_one(ask: Ask) -> None:
    assert ask("GET", "twin", accept_profile="awkward_two").json() == []
    assert ask("GET", "awkward_two.twin").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "mood=eq.so-so", "moods=is.null", "rank=eq.3", "colour=eq.%230000ff", "colour=in.(%230000ff)", "took=eq.1 day", "days=cs.{[2020-01-15,2020-01-16)}",
        "span=cs.[1.5,1.6]", "price=eq.1.50", "doubled=eq.3", "host=eq.10.0.0.1", "notes->a->0=eq.1", "home->>street=eq.Lane", "took=lt.2 days",
    ],
)  # fmt: skip
def test_a_value_of_any_type_is_compared(ask: Ask, query: str) -> None:
    answer = ask("GET", f"kinds?{query}&id=eq.1&select=id")
    assert answer.json() == [{"id": 1}], answer.text


def test_a_domain_is_shown_and_cast_by_its_own_functions(ask: Ask) -> None:
    assert ask("GET", "kinds?select=colour,plain:colour::integer&id=eq.1").json() == [
        {"colour": "#0000ff", "plain": 255}
    ]


def test_partitions_and_children_are_read(ask: Ask) -> None:
    assert [row["id"] for row in ask("GET", "events?order=id").json()] == [1, 2]
    assert [row["id"] for row in ask("GET", "animals?order=id").json()] == [1, 2]
    assert [row["id"] for row in ask("GET", "dogs?order=id").json()] == [2]


def test_every_table_and_view_is_read(ask: Ask) -> None:
    for name in ("kinds", "nothing", "staff", "crew", "counts", "both_kinds", "multiplied", "prices", "written"):
        assert ask("GET", name, prefer="count=exact").status_code == 200, name
