"""`fts`, `plfts`, `phfts`, `wfts`"""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("vector=fts.impossible", [1]),
        ("vector=fts(english).impossible", [1]),
        ("vector=fts(german).unmöglich", [3]),
        ("vector=fts.fun%26possible", [2]),
        ("vector=fts.impossible|possible", [1, 2]),
        ("vector=plfts.The Fat Rats", []),
        ("vector=plfts(english).fun possible", [2]),
        ("vector=phfts(english).kind of fun", [1]),
        ("vector=phfts.fun kind", []),
        ("vector=wfts.fun -impossible", [2]),
        ("vector=wfts(english).possible or impossible", [1, 2]),
        ("vector=not.fts.impossible", [2, 3]),
        ("vector=not.wfts(english).possible or impossible", [3]),
        ("body=fts.impossible", [1]),
        ("body=fts(english).possible", [2]),
        ("body=plfts(german).Art Spaß", [3]),
        ("notes=fts.x", [1]),
    ],
)
def test_searches_select_rows(ask: Ask, query: str, ids: list[int]) -> None:
    answer = ask("GET", f"things?{query}&select=id&order=id")
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [("vector=fts.a b", "42601", 400), ("vector=fts(klingon).a", "42704", 400), ("flag=fts.a", "42883", 404)],
)
def test_a_wrong_search_is_refused(ask: Ask, query: str, code: str, status: int) -> None:
    answer = ask("GET", f"things?{query}")
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)
