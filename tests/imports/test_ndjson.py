"""NDJSON: a JSON object on each line."""

import pytest

from tests.conftest import Database
from tests.imports.conftest import Post, rows_of
from tests.service_under_test import problem_of

NDJSON = "application/x-ndjson"


@pytest.mark.parametrize("media", [NDJSON, "application/ndjson", "application/jsonl"])
def test_rows_are_imported(post: Post, database: Database, media: str) -> None:
    body = '{"id": 1, "value": 0.10, "note": "a\\nb"}\r\n\n{"note": null, "id": 2, "value": 12.5}'
    assert post("readings", body, content_type=media).json()["inserted"] == 2
    assert rows_of(database, "select id, value::text, note from readings order by id") == [
        (1, "0.10", "a\nb"),
        (2, "12.50", None),
    ]


def test_nothing_is_imported_of_nothing(post: Post) -> None:
    assert post("readings", "", content_type=NDJSON).json()["inserted"] == 0
    assert post("readings", "\n\n", content_type=NDJSON).json()["inserted"] == 0


def test_lines_without_members_are_rows_of_defaults(post: Post, database: Database) -> None:
    assert post("single", "{}\n{}\n", content_type=NDJSON).json()["inserted"] == 2
    assert rows_of(database, "select * from single") == [(None,), (None,)]


@pytest.mark.parametrize(
    ("body", "row", "field", "code"),
    [
        ('{"id": 1}\n{"id": 2\n', 2, "", "PGRST102"),
        ('{"id": 1}\n[2]\n', 2, "", "PGRST102"),
        ('{"id": 1}\n\n{"id": 2, "note": "x"}\n', 3, "", "PGRST102"),
        ('{"id": 1}\n{"ID": 2}\n', 2, "", "PGRST102"),
        (b'{"id": 1}\n{"id": "\xff"}\n', 2, "", "PGRST102"),
        ('{"id": 1}\n{"id": "x"}\n', 2, "id", "22P02"),
        ('{"id": 1, "note": "a"}\n{"id": 2, "note": "\\u0000"}\n', 2, "note", "22P05"),
        ('{"id": 1}\n{"id": 2}\n{"id": 1}\n', 3, "id", "23505"),
        ('{"id": 1, "value": 2}\n{"id": 2, "value": 123456}\n', 2, "value", "22003"),
    ],
)
def test_the_line_at_fault_is_named_and_nothing_is_left(
    post: Post, database: Database, body: str | bytes, row: int, field: str, code: str
) -> None:
    problem = problem_of(post("readings", body, content_type=NDJSON))
    assert [(one["field"], one["row"]) for one in problem["errors"]] == [(field, row)], problem
    assert problem["code"] == code
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_with_columns_lines_may_name_more_or_less(post: Post, database: Database) -> None:
    body = '{"id": 1, "other": 1}\n{"id": 2, "made": "2021-01-01"}\n'
    assert post("readings?columns=id,made", body, content_type=NDJSON, prefer="missing=default").status_code == 201
    assert rows_of(database, "select id, made::date::text from readings order by id") == [
        (1, "2020-01-01"),
        (2, "2021-01-01"),
    ]


def test_lines_that_cannot_be_written_are_left_out(post: Post) -> None:
    body = 'x\n{"id": 1}\n{"id": "y"}\n[]\n{"id": 2, "more": 1}\n{"id": 1}\n{"id": 3}\n'
    summary = post("readings", body, content_type=NDJSON, prefer="max-rejected=9").json()
    assert summary["inserted"] == 2
    listed = [(one["row"], one["column"], one["value"]) for one in summary["rejected"]]
    assert listed == [
        (1, None, "x"),
        (3, "id", "y"),
        (4, None, "[]"),
        (5, None, '{"id": 2, "more": 1}'),
        (6, "id", "1"),
    ]


def test_an_upsert_takes_objects_as_well(post: Post, database: Database) -> None:
    post("readings", '{"id": 1, "note": "a"}', content_type=NDJSON)
    body = '{"id": 1, "note": "b"}\n{"id": 2, "note": "c"}\n'
    summary = post("readings", body, content_type=NDJSON, prefer="resolution=merge-duplicates").json()
    twice = problem_of(post("readings", body + body, content_type=NDJSON, prefer="resolution=merge-duplicates"))
    assert (summary["inserted"], summary["updated"]) == (1, 1)
    assert twice["errors"][0]["row"] == 3
