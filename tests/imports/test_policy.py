"""Who may import what; replacing; trying without keeping; limits."""

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.imports.conftest import CSV, Post, rows_of
from tests.service_under_test import Service, problem_of


def test_a_viewer_imports_nothing(service: Service, editor: httpx2.Client, database: Database) -> None:
    with service.client(Role.VIEWER) as viewer, service.client(None) as anonymous:
        refused = viewer.post("/api/v1/readings", content="id\n1\n", headers=CSV)
        unknown = anonymous.post("/api/v1/readings", content="id\n1\n", headers=CSV)
        absent = viewer.post("/api/v1/nowhere", content="id\n1\n", headers=CSV)
    assert (refused.status_code, unknown.status_code, absent.status_code) == (403, 401, 404)
    assert rows_of(database, "select count(*) from readings") == [(0,)]


def test_rows_are_replaced_whole_or_not_at_all(post: Post, database: Database) -> None:
    post("readings", "id,note\n1,a\n2,b\n")
    broken = post("readings", "id,note\n2,x\ny,z\n", prefer="resolution=replace")
    assert (broken.status_code, rows_of(database, "select count(*) from readings")) == (400, [(2,)])
    replaced = post("readings", "id,note\n2,B\n3,C\n", prefer="resolution=replace")
    assert (replaced.json()["deleted"], replaced.json()["inserted"]) == (2, 2)
    assert replaced.headers["preference-applied"] == "resolution=replace"
    assert rows_of(database, "select id, note from readings order by id") == [(2, "B"), (3, "C")]
    assert post("readings", "id\n", prefer="resolution=replace").json()["deleted"] == 2


def test_only_rows_that_the_caller_may_delete_are_replaced(post: Post, database: Database) -> None:
    database.execute("insert into regional values (1, 'north', 'a'), (2, 'south', 'b')")
    assert post("regional", "id,region\n3,north\n", prefer="resolution=replace").json()["deleted"] == 1
    assert rows_of(database, "select id from regional order by id") == [(2,), (3,)]


def test_replacing_hides_rows_where_deleting_does(post: Post, database: Database) -> None:
    database.execute("insert into hiding values (1, 'a'), (2, 'b')")
    assert post("hiding", "id,note\n3,c\n", prefer="resolution=replace").json()["deleted"] == 2
    assert rows_of(database, "select id, deleted_at is null from hiding order by id") == [
        (1, False),
        (2, False),
        (3, True),
    ]
    taken = post("hiding", "id,note\n4,d\n1,e\n", prefer="resolution=merge-duplicates")
    assert (taken.status_code, problem_of(taken)["errors"][0]["row"]) == (404, 3)


@pytest.mark.parametrize("prefer", ["", "resolution=merge-duplicates, ", "resolution=replace, ", "max-rejected=3, "])
def test_what_is_tried_is_not_kept(post: Post, database: Database, prefer: str) -> None:
    database.execute("insert into readings (id, note) values (1, 'a')")
    tried = post("readings", "id,note\n2,b\n", prefer=prefer + "tx=rollback")
    assert (tried.status_code, tried.json()["kept"], tried.json()["inserted"]) == (201, False, 1)
    assert "tx=rollback" in tried.headers["preference-applied"]
    assert rows_of(database, "select id from readings") == [(1,)]


def test_a_try_finds_what_keeping_would_have_refused(post: Post) -> None:
    assert post("readings", "id,note\nx,b\n", prefer="tx=rollback").status_code == 400


def test_no_more_rows_are_written_than_may_be(post: Post, database: Database) -> None:
    refused = post("readings", "id\n1\n2\n3\n", prefer="max-affected=2")
    assert (refused.status_code, problem_of(refused)["code"]) == (400, "PGRST124")
    assert post("readings", "id\n1\n2\n", prefer="max-affected=2").status_code == 201
    assert post("readings", "id\n1\n", prefer="max-affected=2, resolution=replace").status_code == 400
    assert rows_of(database, "select count(*) from readings") == [(2,)]


def test_an_import_is_done_once(editor: httpx2.Client, database: Database) -> None:
    headers = CSV | {"Idempotency-Key": "imports-1"}
    first = editor.post("/api/v1/numbered", content="note\na\nb\n", headers=headers)
    again = editor.post("/api/v1/numbered", content="note\na\nb\n", headers=headers)
    assert (first.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert rows_of(database, "select count(*) from numbered") == [(2,)]


def test_preferences_of_imports_mean_nothing_elsewhere(editor: httpx2.Client) -> None:
    answer = editor.post("/api/v1/readings", json={"id": 1}, headers={"Prefer": "resolution=replace, max-rejected=3"})
    strict = editor.post("/api/v1/readings", json={"id": 2}, headers={"Prefer": "handling=strict, max-rejected=3"})
    assert (answer.status_code, "preference-applied" in answer.headers) == (201, False)
    assert strict.status_code == 400


def test_times_are_read_in_the_zone_that_is_asked_for(post: Post, database: Database) -> None:
    post("readings", "id,at\n1,2020-01-01T00:00\n", prefer="timezone=Europe/Berlin")
    assert rows_of(database, "select at::text from readings") == [("2019-12-31 23:00:00+00",)]


def test_rows_keep_a_version_that_writes_can_be_conditional_on(editor: httpx2.Client, post: Post) -> None:
    post("readings", "id,note\n1,a\n")
    tag = editor.get("/api/v1/readings/1").headers["etag"]
    changed = editor.patch("/api/v1/readings/1", json={"note": "b"}, headers={"If-Match": tag})
    stale = editor.patch("/api/v1/readings/1", json={"note": "c"}, headers={"If-Match": tag})
    assert (changed.status_code, stale.status_code) == (200, 412)
