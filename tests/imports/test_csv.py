"""CSV: what is read, what is refused, and what is left of it."""

import httpx2
import pytest

from tests.conftest import Database
from tests.imports.conftest import Post, rows_of
from tests.service_under_test import problem_of


def test_rows_are_imported_and_counted(post: Post, database: Database) -> None:
    answer = post("readings", 'id,at,value,note\n1,2020-05-05T10:00Z,1.5,"a ""b"",\nc"\n2,,,plain\n')
    assert (answer.status_code, answer.headers["content-range"]) == (201, "*/*")
    assert answer.json() == {"inserted": 2, "updated": 0, "skipped": 0, "deleted": 0, "rejected": [], "kept": True}
    assert rows_of(database, "select id, value::text, note, seen from readings order by id") == [
        (1, "1.50", 'a "b",\nc', 2),
        (2, None, "plain", 4),
    ]


def test_the_log_knows_who_imported(post: Post, database: Database) -> None:
    answer = post("readings", "id,note\n1,a\n2,b\n")
    logged = rows_of(
        database,
        "select actor, request, count(*) from rowhouse.changes where tracked = (select id from rowhouse.tracked "
        "where relation = 'readings'::regclass) and op = 'i' group by 1, 2 order by max(seq) desc limit 1",
    )
    ((actor, request, count),) = logged
    assert str(actor).startswith("key:test editor#")
    assert (request, count) == (answer.headers["x-request-id"], 2)


@pytest.mark.parametrize(
    ("media", "body", "rows"),
    [
        ("text/csv", 'id,at,note\n1,,\n2,NULL,NULL\n3,"","NULL"', [(1, None, ""), (2, None, None), (3, None, "NULL")]),
        ('text/csv; null=""', 'id,at,note\n1,,\n2,,""\n3,,NULL\n', [(1, None, None), (2, None, ""), (3, None, "NULL")]),
        ("text/csv; null=NA", 'id,at,note\n1,NA,NA\n2,NA,"NA"', [(1, None, None), (2, None, "NA")]),
        ("text/csv; null=NA", "id,at,note\n3,NA,", [(3, None, "")]),
        ("text/csv; charset=utf-8", "\ufeffid,at,note\r\n1,,ï\r\n\r\n\r\n", [(1, None, "ï")]),
        ("text/csv", 'id,"note"\n1,a', [(1, None, "a")]),
        ("text/csv", "id,note\r1,a\r2,b\r", [(1, None, "a"), (2, None, "b")]),
        ("text/csv", "id,note\n", []),
        ("text/csv", "id,note", []),
    ],
)  # fmt: skip
def test_what_is_null_is_said_by_the_media_type(
    post: Post, database: Database, media: str, body: str, rows: list[tuple[object, ...]]
) -> None:
    answer = post("readings", body.encode(), content_type=media)
    assert answer.status_code == 201, answer.text
    assert rows_of(database, "select id, at, note from readings order by id") == rows


def test_a_column_alone_keeps_its_empty_rows(post: Post, database: Database) -> None:
    assert post("single", 'text\na\n\n""\n', content_type='text/csv; null=""').json()["inserted"] == 3
    assert sorted(rows_of(database, "select text from single where text is not null")) == [("",), ("a",)]


def test_rows_are_upserted_by_key(post: Post, database: Database) -> None:
    post("readings", "id,note,tag\n1,a,x\n2,b,y\n")
    merged = post("readings", "id,note\n2,B\n3,C\n", prefer="resolution=merge-duplicates")
    same = post("readings", "id,note\n2,BB\n", prefer="resolution=merge-duplicates")
    ignored = post("readings", "id,note\n3,x\n4,d\n", prefer="resolution=ignore-duplicates")
    by_tag = post("readings?on_conflict=tag", "id,tag,note\n1,x,by tag\n", prefer="resolution=merge-duplicates")
    assert [(one.status_code, one.json()["inserted"], one.json()["updated"]) for one in (merged, same, by_tag)] == [
        (201, 1, 1),
        (200, 0, 1),
        (200, 0, 1),
    ]
    assert merged.headers["preference-applied"] == "resolution=merge-duplicates"
    assert (ignored.json()["inserted"], ignored.json()["skipped"]) == (1, 1)
    assert rows_of(database, "select id, note from readings order by id") == [
        (1, "by tag"),
        (2, "BB"),
        (3, "C"),
        (4, "d"),
    ]


def test_the_rows_are_answered_where_they_are_asked_for(post: Post) -> None:
    answer = post("readings?select=id,n:note", "id,note\n1,a\n", prefer="return=representation")
    silent = post("readings", "id,note\n2,a\n", prefer="return=minimal, count=exact")
    assert answer.json() == [{"id": 1, "n": "a"}]
    assert (silent.status_code, silent.content, silent.headers["content-range"]) == (201, b"", "*/1")


def test_an_answer_does_not_show_more_rows_than_a_page(post: Post, database: Database) -> None:
    body = "id\n" + "".join(f"{number}\n" for number in range(10_001))
    refused = post("readings", body, prefer="return=representation")
    assert (refused.status_code, problem_of(refused)["code"]) == (400, "limit_exceeded")
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_columns_choose_what_is_taken(post: Post, database: Database) -> None:
    taken = post("readings?columns=note,id", "id,seen,note,more\n1,9,a,x\n")
    absent = post("readings?columns=id,made,note", "id\n2\n", prefer="missing=default")
    assert (taken.status_code, absent.status_code) == (201, 201), absent.text
    assert rows_of(database, "select id, note, seen, made::date::text from readings order by id") == [
        (1, "a", 2, "2020-01-01"),
        (2, None, 4, "2020-01-01"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("readings", "", 400, "PGRST102", "names no columns"),
        ("readings", "\n1\n", 400, "PGRST102", "names no columns"),
        ("readings", "id,nota\n1,a\n", 400, "PGRST204", "'nota'"),
        ("readings", "id,seen\n1,2\n", 400, "428C9", "Computed"),
        ("numbered", "id,note\n1,a\n", 400, "428C9", "Computed"),
        ("readings", "id,id\n1,2\n", 400, "PGRST102", "twice"),
        ("readings", 'id,"note\n1,a\n', 400, "PGRST102", "no CSV"),
        ("readings", b"id,n\xff\n1,a\n", 400, "PGRST102", "UTF-8"),
        ("summed", "n\n1\n", 405, "method_not_allowed", "insert"),
        ("readings?id=eq.1", "id\n1\n", 400, "PGRST100", "no filter"),
        ("parted", "id,day\n1,2030-01-01\n", 422, "23514", "fits no partition"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_at_once(
    post: Post, path: str, body: str | bytes, status: int, code: str, says: str
) -> None:
    answer = post(path, body)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert says in problem["detail"] + str(problem["hint"])


def test_the_nearest_column_is_named(post: Post) -> None:
    assert "'note'" in problem_of(post("readings", "id,nota\n1,a\n"))["hint"]


@pytest.mark.parametrize(
    ("body", "row", "field", "code"),
    [
        ("id,note\n1,a\n2\n", 3, "", "PGRST102"),
        ("id,note\n1,a\n2,b,c\n", 3, "", "PGRST102"),
        ("id,note\n1,a\n\n2,b\n", 3, "", "PGRST102"),
        ('id,note\n1,a\n2,"b\n3,c\n', 5, "", "PGRST102"),
        (b"id,note\n1,a\n2,\xff\n", 3, "", "22021"),
        (b"id,note\n1,a\n2,a\0b\n", 3, "", "22021"),
        ("id,note\n1,a\nx,b\n", 3, "id", "22P02"),
        ('id,note\n1,"a\nb"\nx,b\n', 4, "id", "22P02"),
        ("id,value\n1,1\n2,NaN\n3,1\n", 3, "", "23514"),
        ("id,value\n1,1\n2,12345678\n", 3, "value", "22003"),
        ("id,at\n1,2020-01-01\n2,2020-02-30\n3,x\n", 3, "at", "22008"),
        ("id,note\n1,a\n2,b\n1,c\n", 4, "id", "23505"),
        ("id,tag\n1,a\n2,b\n3,b\n", 4, "tag", "23505"),
        ("id,note\n,a\n", 2, "id", "23502"),
        ("id,value\n1,1\n2,1000\n", 3, "", "23514"),
    ],
)
def test_the_row_and_the_column_at_fault_are_named_and_nothing_is_left(
    post: Post, database: Database, body: str | bytes, row: int, field: str, code: str
) -> None:
    answer = post("readings", body)
    problem = problem_of(answer)
    assert problem["code"] == code, problem
    ((named, at),) = [(error["field"], error["row"]) for error in problem["errors"]]
    assert (named, at) == (field, row), problem
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_a_wrong_type_in_row_100_000_is_found(post: Post, database: Database) -> None:
    lines = [f"{number},{number % 900}" for number in range(1, 120_001)]
    lines[99_999] = "100000,many"
    problem = problem_of(post("readings", "id,value\n" + "\n".join(lines)))
    assert problem["errors"] == [
        {"field": "value", "message": 'invalid input syntax for type numeric: "many"', "row": 100_001}
    ]
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_a_key_that_comes_twice_is_not_upserted(post: Post, database: Database) -> None:
    problem = problem_of(post("readings", "id,note\n1,a\n2,b\n1,c\n", prefer="resolution=merge-duplicates"))
    assert (problem["errors"][0]["row"], problem["code"]) == (4, "21000")
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_a_missing_reference_is_named_but_not_one_to_a_later_row(post: Post, database: Database) -> None:
    database.execute("insert into readings (id) values (1)")
    whole = post("measured", "id,reading,before\n1,1,2\n2,1,\n")
    refused = problem_of(post("measured", "id,reading\n8,1\n9,77\n"))
    assert whole.status_code == 201, whole.text
    assert (refused["code"], refused["errors"]) == (
        "23503",
        [{"field": "reading", "message": refused["errors"][0]["message"], "row": 3}],
    )


def test_a_text_that_is_too_long_is_never_cut(post: Post, database: Database) -> None:
    database.execute("insert into readings (id) values (1)")
    problem = problem_of(post("measured", "reading,note\n1,abcde\n1,abcdef\n"))
    assert (problem["code"], problem["errors"][0]["field"], problem["errors"][0]["row"]) == ("22001", "note", 3)


def test_gigantic_fields_are_stored_whole(post: Post, database: Database) -> None:
    body = "id,note\n1," + "x" * 30_000_000 + "\n"
    assert post("readings", body).status_code == 201
    assert rows_of(database, "select length(note) from readings") == [(30_000_000,)]


def test_a_line_that_ends_what_copy_reads_loses_nothing(post: Post, database: Database) -> None:
    """PostgreSQL before 18 takes `\\.` for the end: there it is refused."""
    answer = post("single", "text\na\n\\.\nb\n")
    count = rows_of(database, "select count(*) from single")[0][0]
    assert (answer.status_code, count) in ((201, 3), (400, 0))


def test_partitions_are_routed_to(post: Post, database: Database) -> None:
    body = "id,day,note\n1,2020-05-05,a\n2,2021-05-05,b\n"
    assert post("parted", body).json()["inserted"] == 2
    assert post("parted", body, prefer="resolution=merge-duplicates").json()["updated"] == 2
    assert post("parted", "id,day\n3,2030-01-01\n").status_code == 422
    assert rows_of(database, "select tableoid::regclass::text, id from parted order by id") == [
        ("parted_early", 1),
        ("parted_late", 2),
    ]


def test_triggers_run_and_know_the_caller(post: Post, database: Database) -> None:
    assert post("guarded", "id,note\n1,a\n").status_code == 201
    refused = problem_of(post("guarded", "id,note\n2,b\n3,forbidden\n"))
    assert (refused["code"], refused["errors"][0]["row"]) == ("P0001", 3)
    assert rows_of(database, "select id, note from guarded") == [(1, "a by key:test editor")]


def test_views_take_rows_where_they_take_inserts(post: Post, database: Database) -> None:
    assert post("shown", "id,note\n1,a\n").json()["inserted"] == 1
    assert post("diverted", "id,note\n2,b\n").json()["inserted"] == 1
    assert rows_of(database, "select id, note from guarded order by id") == [
        (1, "a by key:test editor"),
        (2, "diverted by key:test editor"),
    ]


def test_a_body_in_another_charset_or_packed_is_refused(editor: httpx2.Client) -> None:
    headers = {"Content-Type": "text/csv; charset=latin1"}
    assert editor.post("/api/v1/readings", content="id\n1\n", headers=headers).status_code == 415
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    assert editor.post("/api/v1/readings", content=b"\x1f\x8b", headers=headers).status_code == 415
    headers = {"Content-Type": "text/csv; header=absent"}
    assert editor.post("/api/v1/readings", content="1\n", headers=headers).status_code == 415
    headers = {"Content-Type": "text/csv; null*=utf-8''%00"}
    assert editor.post("/api/v1/readings", content="id\n1\n", headers=headers).status_code == 415
    headers = {"Content-Type": 'text/csv; null="a,b"'}
    assert editor.post("/api/v1/readings", content="id\n1\n", headers=headers).status_code == 415


def test_very_many_names_are_refused_at_once(post: Post) -> None:
    names = ",".join(f"c{number}" for number in range(120_000))
    answer = post("readings", f"{names}\n")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "PGRST204")
    assert answer.elapsed.total_seconds() < 5
