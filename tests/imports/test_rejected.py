"""Imports that leave out what cannot be written: `Prefer: max-rejected`."""

from typing import Any

import pytest

from tests.conftest import Database
from tests.imports.conftest import Post, rows_of
from tests.service_under_test import problem_of


def told(answer: Any) -> list[tuple[object, ...]]:
    return [(one["row"], one["column"], one["code"], one["value"]) for one in answer.json()["rejected"]]


def test_rows_that_cannot_be_read_or_kept_are_listed(post: Post, database: Database) -> None:
    database.execute("insert into readings (id, tag) values (100, 'taken')")
    lines = [
        "id,at,value,tag",
        "1,2020-01-01,1,a",
        "x,2020-01-01,1,b",
        "2,2020-02-30,1,c",
        "3,2020-01-01,5000,d",
        "4,2020-01-01,1,taken",
        "5,2020-01-01",
        "6,2020-01-01,1,e,f",
        "7,,123456789,g",
        ",,,h",
        "1,,,i",
        '8,,,"two\nlines"',
        '9,,,"two',
        'lines",',
        "10,,,last",
    ]
    answer = post("readings", "\n".join(lines), prefer="max-rejected=20")
    assert (answer.status_code, answer.json()["inserted"]) == (201, 3), answer.text
    assert answer.headers["preference-applied"] == "max-rejected=20"
    assert told(answer) == [
        (3, "id", "22P02", "x"),
        (4, "at", "22008", "2020-02-30"),
        (5, None, "23514", None),
        (6, "tag", "23505", "taken"),
        (7, None, "PGRST102", "5,2020-01-01"),
        (8, None, "PGRST102", "6,2020-01-01,1,e,f"),
        (9, "value", "22003", "123456789"),
        (10, "id", "23502", ""),
        (11, "id", "23505", "1"),
        (15, None, "PGRST102", '9,,,"two\nlines",'),
    ]
    assert rows_of(database, "select id, tag from readings where id < 100 order by id") == [
        (1, "a"),
        (8, "two\nlines"),
        (10, "last"),
    ]


def test_one_row_too_many_undoes_everything_and_lists_what_was_found(post: Post, database: Database) -> None:
    body = "id\n1\na\n2\nb\nc\n3\n"
    answer = post("readings", body, prefer="max-rejected=2")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (400, "too_many_rejected")
    assert [one["row"] for one in problem["rejected"]] == [3, 5, 6]
    assert rows_of(database, "select count(*) from readings") == [(0,)]
    assert post("readings", body, prefer="max-rejected=3").json()["inserted"] == 3


def test_no_more_may_be_left_out_than_the_service_lets(post: Post) -> None:
    assert post("readings", "id\n1\n", prefer="max-rejected=1001").status_code == 400
    assert post("readings", "id\n1\n", prefer="max-rejected=-1").status_code == 400
    assert post("readings", "id\n1\n", prefer="max-rejected=few").status_code == 400


def test_bytes_that_are_no_text_are_left_out(post: Post, database: Database) -> None:
    body = b"id,note\n1,a\n2,\xff\n3,a\0b\n4,d\n"
    answer = post("readings", body, prefer="max-rejected=5")
    assert [one["row"] for one in answer.json()["rejected"]] == [3, 4]
    assert rows_of(database, "select id from readings order by id") == [(1,), (4,)]


def test_rows_out_of_the_callers_reach_are_left_out(post: Post, database: Database) -> None:
    database.execute("insert into regional values (9, 'south', 'theirs')")
    body = "id,region,note\n1,north,a\n2,south,b\n3,north,c\n9,north,mine\n"
    inserted = post("regional", body, prefer="max-rejected=5")
    assert told(inserted) == [(3, None, "42501", None), (5, "id", "23505", "9")]
    upserted = post("regional", body, prefer="max-rejected=5, resolution=merge-duplicates")
    assert told(upserted) == [(3, None, "42501", None), (5, None, "row_not_writable", None)]
    assert (upserted.json()["inserted"], upserted.json()["updated"]) == (0, 2)
    assert rows_of(database, "select * from regional order by id") == [
        (1, "north", "a"),
        (3, "north", "c"),
        (9, "south", "theirs"),
    ]


def test_without_it_a_row_out_of_reach_ends_the_import(post: Post, database: Database) -> None:
    database.execute("insert into regional values (9, 'south', 'theirs')")
    refused = post("regional", "id,region\n1,north\n2,south\n")
    hidden = post("regional", "id,region\n1,north\n9,north\n", prefer="resolution=merge-duplicates")
    assert (refused.status_code, problem_of(refused)["errors"][0]["row"]) == (403, 3)
    assert (hidden.status_code, problem_of(hidden)["errors"][0]["row"]) == (404, 3)
    assert rows_of(database, "select count(*) from regional") == [(1,)]


def test_a_key_that_comes_twice_is_taken_once(post: Post, database: Database) -> None:
    body = "id,note\n1,a\n2,b\n1,c\n2,d\n3,e\n"
    answer = post("readings", body, prefer="max-rejected=5, resolution=merge-duplicates")
    assert [row[:3] for row in told(answer)] == [(4, None, "21000"), (5, None, "21000")]
    assert rows_of(database, "select id, note from readings order by id") == [(1, "a"), (2, "b"), (3, "e")]


def test_what_is_skipped_is_not_rejected(post: Post) -> None:
    answer = post("readings", "id\n1\nx\n1\n2\n", prefer="max-rejected=5, resolution=ignore-duplicates")
    summary = answer.json()
    assert (summary["inserted"], summary["skipped"], len(summary["rejected"])) == (2, 1, 1)


def test_rows_may_refer_to_later_ones_of_the_same_body(post: Post, database: Database) -> None:
    database.execute("insert into readings (id) values (1)")
    answer = post("measured", "id,reading,before\n1,1,3\n2,1,9\n3,1,4\n4,1,\nx,1,\n", prefer="max-rejected=5")
    assert told(answer) == [(3, "before", "23503", "9"), (6, "id", "22P02", "x")]
    assert answer.json()["inserted"] == 3


def test_a_trigger_that_refuses_a_row_is_heard(post: Post, database: Database) -> None:
    answer = post("guarded", "id,note\n1,a\n2,forbidden\n3,c\n", prefer="max-rejected=1")
    assert [(one["row"], one["reason"]) for one in answer.json()["rejected"]] == [(3, "No such note.")]
    assert rows_of(database, "select id from guarded order by id") == [(1,), (3,)]


@pytest.mark.parametrize("rejected", [0, 1, 300])
def test_any_number_among_many_is_found(post: Post, database: Database, rejected: int) -> None:
    bad = {number * 331 % 20_000 for number in range(rejected)}
    lines = [f"{number},{'x' if number in bad else 1}" for number in range(20_000)]
    answer = post("readings", "id,value\n" + "\n".join(lines), prefer="max-rejected=300")
    assert [one["row"] for one in answer.json()["rejected"]] == sorted(number + 2 for number in bad)
    assert rows_of(database, "select count(*) from readings") == [(20_000 - rejected,)]


def test_the_log_has_what_was_written_and_nothing_else(post: Post, database: Database) -> None:
    answer = post("readings", "id\n1\nx\n2\n3\n", prefer="max-rejected=5")
    logged = rows_of(
        database,
        f"select count(*) from rowhouse.changes where request = '{answer.headers['x-request-id']}'",
    )
    assert logged == [(3,)]
