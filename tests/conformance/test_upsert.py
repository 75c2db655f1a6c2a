# ruff: noqa: E501 (a case stands on one line)
"""`Prefer: resolution=…`, `on_conflict`, PUT."""

import pytest

from tests.conformance.conftest import Ask
from tests.service_under_test import problem_of

MERGE = "return=representation, resolution=merge-duplicates"
IGNORE = "return=representation, resolution=ignore-duplicates"


@pytest.mark.parametrize(
    ("path", "prefer", "body", "status", "rows"),
    [
        ("tiobe", MERGE, [{"name": "Java", "rank": 9}], 200, [{"name": "Java", "rank": 9, "first_seen": 1972}]),
        ("tiobe", MERGE, [{"name": "Ada", "rank": 9}], 201, [{"name": "Ada", "rank": 9, "first_seen": 1972}]),
        ("tiobe?select=name,rank", MERGE, [{"name": "Ada", "rank": 8}, {"name": "C", "rank": 7}], 201, [{"name": "Ada", "rank": 8}, {"name": "C", "rank": 7}]),
        ("tiobe?select=name,rank", MERGE, [{"name": "Java", "rank": 8}, {"name": "C", "rank": 7}], 200, [{"name": "Java", "rank": 8}, {"name": "C", "rank": 7}]),
        ("tiobe?select=name", IGNORE, [{"name": "Java", "rank": 9}, {"name": "Ada", "rank": 8}], 201, [{"name": "Ada"}]),
        ("tiobe", IGNORE, [{"name": "Java", "rank": 9}], 201, []),
        ("single_unique?on_conflict=unique_key", MERGE, [{"unique_key": 1, "value": "B"}], 200, [{"unique_key": 1, "value": "B"}]),
        ("single_unique?on_conflict=unique_key", IGNORE, [{"unique_key": 1, "value": "B"}, {"unique_key": 2, "value": "C"}], 201, [{"unique_key": 2, "value": "C"}]),
        ("compound_unique?on_conflict=key1,key2", MERGE, [{"key1": 1, "key2": 1, "value": "Z"}, {"key1": 2, "key2": 2, "value": "N"}], 201,
         [{"key1": 1, "key2": 1, "value": "Z"}, {"key1": 2, "key2": 2, "value": "N"}]),
        ("compound_unique?on_conflict=key1,key2", IGNORE, [{"key1": 1, "key2": 1, "value": "Z"}], 201, []),
        ("composite?select=a,b,c", MERGE, [{"a": "x", "b": 1, "c": "new"}], 200, [{"a": "x", "b": 1, "c": "new"}]),
        ("only_key", MERGE, [{"id": 1}], 201, [{"id": 1}]),
        ("events?select=id,at,person", MERGE, [{"id": 1, "at": "2020-05-05", "person": 2}], 200, [{"id": 1, "at": "2020-05-05", "person": 2}]),
        ("events?select=id,at,person", MERGE, [{"id": 1, "at": "2020-05-06", "person": 2}], 201, [{"id": 1, "at": "2020-05-06", "person": 2}]),
        ("events?select=id,at", IGNORE, [{"id": 1, "at": "2020-05-05", "person": 2}], 201, []),
        ("projects_view?select=id,name&on_conflict=id", MERGE, [{"id": 1, "name": "new"}], 200, [{"id": 1, "name": "new"}]),
        ("tiobe?columns=name,rank&select=name,rank", MERGE, [{"name": "Java", "rank": 9, "x": 1}], 200, [{"name": "Java", "rank": 9}]),
        ('Sélect "From" where?select=order', MERGE, [{"order": 1, "100%": "p"}], 200, [{"order": 1}]),
    ],
)  # fmt: skip
def test_rows_that_are_there_are_merged_or_passed_over(
    ask: Ask, path: str, prefer: str, body: object, status: int, rows: object
) -> None:
    answer = ask("POST", path, body, prefer=prefer)
    assert (answer.status_code, answer.json()) == (status, rows), answer.text


def test_what_is_done_is_told(ask: Ask) -> None:
    answer = ask("POST", "tiobe", [{"name": "Java", "rank": 9}], prefer=MERGE)
    assert answer.headers["preference-applied"] == "resolution=merge-duplicates, return=representation, tx=rollback"


def test_a_table_without_a_key_is_inserted_into(ask: Ask) -> None:
    answer = ask("POST", "keyless", [{"a": 1, "b": "x"}], prefer=MERGE)
    assert (answer.status_code, answer.json()) == (201, [{"a": 1, "b": "x"}])
    assert "resolution" not in answer.headers["preference-applied"]


def test_columns_without_a_unique_index_are_refused(ask: Ask) -> None:
    answer = ask("POST", "tiobe?on_conflict=rank", [{"name": "Java", "rank": 9}], prefer=MERGE)
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "42P10")


def test_a_row_that_comes_twice_is_refused(ask: Ask) -> None:
    answer = ask("POST", "tiobe", [{"name": "Java", "rank": 9}, {"name": "Java", "rank": 8}], prefer=MERGE)
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "21000")


@pytest.mark.parametrize(
    ("path", "body", "status", "rows"),
    [
        ("tiobe?name=eq.Java", {"name": "Java", "rank": 9}, 200, [{"name": "Java", "rank": 9, "first_seen": 1972}]),
        ("tiobe?name=eq.Go", {"name": "Go", "rank": 19}, 201, [{"name": "Go", "rank": 19, "first_seen": 1972}]),
        ("tiobe?name=eq.Go", [{"name": "Go", "rank": 19}], 201, [{"name": "Go", "rank": 19, "first_seen": 1972}]),
        (
            "tiobe?name=eq.Go&columns=name,rank",
            {"name": "Go", "rank": 19, "x": 1},
            201,
            [{"name": "Go", "rank": 19, "first_seen": 1972}],
        ),
        ("composite?a=eq.x&b=eq.1&select=c", {"a": "x", "b": 1, "c": "new"}, 200, [{"c": "new"}]),
        ("composite?b=eq.7&a=eq.q&select=c", {"a": "q", "b": 7, "c": "new"}, 201, [{"c": "new"}]),
        ("only_key?id=eq.4", {"id": 4}, 201, [{"id": 4}]),
        (
            "events?id=eq.1&at=eq.2020-05-05&select=person",
            {"id": 1, "at": "2020-05-05", "person": 3},
            200,
            [{"person": 3}],
        ),
    ],
)
def test_a_put_replaces_or_inserts(ask: Ask, path: str, body: object, status: int, rows: object) -> None:
    answer = ask("PUT", path, body, prefer="return=representation")
    assert (answer.status_code, answer.json()) == (status, rows), answer.text


@pytest.mark.parametrize(("name", "status"), [("Java", 204), ("Go", 201)])
def test_a_put_without_an_answer(ask: Ask, name: str, status: int) -> None:
    answer = ask("PUT", f"tiobe?name=eq.{name}", {"name": name, "rank": 19})
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_put_answers_one_object_where_it_is_asked_for(ask: Ask) -> None:
    answer = ask(
        "PUT", "tiobe?name=eq.Go&select=rank", {"name": "Go", "rank": 19},
        prefer="return=representation", accept="application/vnd.pgrst.object+json",
    )  # fmt: skip
    assert answer.json() == {"rank": 19}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "message"),
    [
        ("tiobe", {"name": "Go"}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("tiobe?name=neq.Go", {"name": "Go"}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("tiobe?name=eq.Go&rank=eq.1", {"name": "Go"}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("tiobe?name=not.eq.Go", {"name": "Go"}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("tiobe?and=(name.eq.Go)", {"name": "Go"}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("composite?a=eq.x", {"a": "x", "b": 1}, 405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"),
        ("tiobe?name=eq.Go", {"name": "Java"}, 400, "PGRST115", "Payload values do not match URL in primary key column(s)"),
        ("tiobe?name=eq.Go", [{"name": "Go"}, {"name": "Java"}], 400, "PGRST115", "Payload values do not match URL in primary key column(s)"),
        ("tiobe?name=eq.Go&limit=1", {"name": "Go"}, 400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT"),
        ("tiobe?name=eq.Go&offset=1", {"name": "Go"}, 400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT"),
    ],
)  # fmt: skip
def test_a_put_of_anything_but_the_row_is_refused(
    ask: Ask, path: str, body: object, status: int, code: str, message: str
) -> None:
    answer = ask("PUT", path, body)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["message"]) == (status, code, message)
