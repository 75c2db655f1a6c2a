"""Tables with a `deleted_at`: deleting hides, and clearing it brings back."""

from collections.abc import Iterator

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.events.client import following
from tests.service_under_test import Service, problem_of

_SCRIPT = """
create table soft_orders (id int primary key, what text, deleted_at timestamptz);
create table soft_lines (id int primary key, order_id int references soft_orders, deleted_at timestamptz);
create table soft_stamps (id int primary key, order_id int references soft_orders);
create table hard_dates (id int primary key, deleted_at date);
create table soft_tags (id int primary key);
create table soft_tagged (order_id int references soft_orders, tag_id int references soft_tags, deleted_at timestamptz,
    primary key (order_id, tag_id));
"""
_TABLES = ("soft_tagged", "soft_tags", "soft_stamps", "soft_lines", "soft_orders", "hard_dates")


@pytest.fixture(scope="module")
def tables(service: Service, database: Database) -> Iterator[None]:
    for statement in filter(str.strip, _SCRIPT.split(";")):
        database.execute(statement)
    for table in _TABLES:
        database.execute(f"grant all on {table} to rowhouse_service")
        database.execute(f"select rowhouse.track('{table}')")
    database.execute("notify rowhouse_reload")
    with service.client(Role.ADMIN) as client:
        while any(client.get(f"/api/v1/{table}").status_code != 200 for table in _TABLES):
            pass
    yield
    for table in _TABLES:
        database.execute(f"drop table {table}")
    database.execute("notify rowhouse_reload")


@pytest.fixture
def client(service: Service, database: Database, tables: None) -> Iterator[httpx2.Client]:
    database.execute("insert into soft_orders (id, what) values (1, 'a'), (2, 'b'), (3, 'c')")
    with service.client(Role.ADMIN) as client:
        yield client
    for table in _TABLES:
        database.execute(f"delete from {table}")


def _ids(client: httpx2.Client, path: str) -> list[int]:
    return [row["id"] for row in client.get(f"/api/v1/{path}").json()]


def test_deleting_hides_and_clearing_brings_back(client: httpx2.Client, database: Database) -> None:
    assert client.delete("/api/v1/soft_orders/2").status_code == 204
    assert _ids(client, "soft_orders?order=id") == [1, 3]
    assert client.get("/api/v1/soft_orders/2").status_code == 404
    counted = client.get("/api/v1/soft_orders", headers={"Prefer": "count=exact"})
    assert counted.headers["content-range"] == "0-1/2"
    assert database.execute("select count(*) from soft_orders where deleted_at is not null")[0][0] == 1
    assert _ids(client, "soft_orders?deleted_at=not.is.null") == [2]
    assert _ids(client, "soft_orders?or=(deleted_at.is.null,deleted_at.not.is.null)&order=id") == [1, 2, 3]
    assert client.patch("/api/v1/soft_orders/2", json={"what": "x"}).status_code == 404
    assert client.patch("/api/v1/soft_orders/2", json={"deleted_at": None}).status_code in (200, 204)
    assert client.get("/api/v1/soft_orders/2").json()["what"] == "b"


def test_restore_brings_back_what_is_hidden_and_what_is_gone(client: httpx2.Client, database: Database) -> None:
    client.delete("/api/v1/soft_orders/2")
    answer = client.post("/api/v1/soft_orders/2/-/restore")
    assert answer.json()["undone"] == [{"table": "soft_orders", "key": {"id": "2"}, "did": "update"}]
    database.execute("delete from soft_orders where id = 2")
    assert client.post("/api/v1/soft_orders/2/-/restore").json()["undone"][0]["did"] == "insert"
    assert _ids(client, "soft_orders?order=id") == [1, 2, 3]
    assert client.post("/api/v1/soft_orders/2/-/restore").status_code == 404


def test_what_is_hidden_is_removed_by_deleting_it_again(client: httpx2.Client, database: Database) -> None:
    assert client.delete("/api/v1/soft_orders?id=in.(1,2)").status_code == 204
    assert client.delete("/api/v1/soft_orders/1").status_code == 404
    assert client.delete("/api/v1/soft_orders?deleted_at=not.is.null&id=eq.1").status_code == 204
    assert [row[0] for row in database.execute("select id from soft_orders order by 1")] == [2, 3]


def test_what_others_refer_to_is_not_hidden(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into soft_lines values (10, 1), (11, 2)")
    database.execute("insert into soft_stamps values (20, 3)")
    for number in (1, 3):
        answer = client.delete(f"/api/v1/soft_orders/{number}")
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "23503")
    assert _ids(client, "soft_orders?order=id") == [1, 2, 3]
    assert client.delete("/api/v1/soft_lines/11").status_code == 204
    assert client.delete("/api/v1/soft_orders/2").status_code == 204


def test_embedded_rows_that_are_deleted_are_hidden_too(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into soft_lines values (10, 1, null), (11, 1, now())")
    (order,) = client.get("/api/v1/soft_orders?id=eq.1&select=id,soft_lines(id)").json()
    assert order["soft_lines"] == [{"id": 10}]


def test_what_a_hidden_row_joins_is_not_joined(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into soft_tags values (1), (2)")
    database.execute("insert into soft_tagged values (1, 1, null), (1, 2, now())")
    (order,) = client.get("/api/v1/soft_orders?id=eq.1&select=id,soft_tags(id)").json()
    assert order["soft_tags"] == [{"id": 1}]
    (tag,) = client.get("/api/v1/soft_tags?id=eq.2&select=id,soft_orders(id)").json()
    assert tag["soft_orders"] == []


def test_nothing_refers_to_what_is_hidden(client: httpx2.Client, database: Database) -> None:
    """A row that refers to one that is deleted is not made, pointed there, or brought back before it."""
    database.execute("insert into soft_lines values (10, 1, now()), (11, 2, null)")
    database.execute("insert into soft_stamps values (20, 2)")
    database.execute("delete from soft_stamps")
    client.delete("/api/v1/soft_lines/11")
    assert client.delete("/api/v1/soft_orders?id=in.(1,2)").status_code == 204
    for answer in (
        client.post("/api/v1/soft_lines/10/-/restore"),
        client.patch("/api/v1/soft_lines/10", json={"deleted_at": None}),
        client.patch("/api/v1/soft_lines?deleted_at=not.is.null", json={"deleted_at": None}),
        client.post("/api/v1/soft_stamps/20/-/restore"),
        client.post("/api/v1/soft_lines", json={"id": 12, "order_id": 2}),
        client.put("/api/v1/soft_lines/13", json={"id": 13, "order_id": 2}),
    ):
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "23503"), answer.text
        assert "deleted" in problem_of(answer)["detail"]
    assert client.post("/api/v1/soft_lines", json={"id": 14, "order_id": 3}).status_code == 201
    assert client.patch("/api/v1/soft_lines/14", json={"order_id": 2}).status_code == 409
    assert client.post("/api/v1/soft_orders/1/-/restore").status_code == 200
    assert client.post("/api/v1/soft_lines/10/-/restore").status_code == 200


def test_a_key_that_a_hidden_row_has_is_taken(service: Service, client: httpx2.Client, database: Database) -> None:
    client.delete("/api/v1/soft_orders/2")
    answer = client.put("/api/v1/soft_orders/2", json={"id": 2, "what": "new"})
    assert answer.status_code == 409
    assert "deleted" in problem_of(answer)["detail"]
    assert database.execute("select what from soft_orders where id = 2")[0][0] == "b"


def test_what_is_gone_comes_back_by_the_right_to_insert_alone(
    service: Service, client: httpx2.Client, database: Database
) -> None:
    for action in ("read", "create"):
        database.execute(
            "insert into rowhouse.grants (role, table_name, action) values ('viewer', 'soft_orders', $1)", action
        )
    try:
        database.execute("delete from soft_orders where id = 2")
        with service.client(Role.VIEWER) as viewer:
            assert viewer.post("/api/v1/soft_orders/2/-/restore").json()["undone"][0]["did"] == "insert"
    finally:
        database.execute("delete from rowhouse.grants where table_name = 'soft_orders'")


def test_the_answer_shows_what_was_hidden_and_the_version_is_checked(client: httpx2.Client) -> None:
    tag = client.get("/api/v1/soft_orders/1").headers["etag"]
    stale = client.delete("/api/v1/soft_orders/2", headers={"If-Match": tag.replace(".", ".9")})
    assert stale.status_code == 412
    shown = client.delete("/api/v1/soft_orders/1", headers={"If-Match": tag, "Prefer": "return=representation"})
    assert shown.json()["deleted_at"] is not None


def test_followers_see_it_go_and_come_back(service: Service, client: httpx2.Client) -> None:
    with following(service, "/api/v1/soft_orders/-/changes") as feed:
        feed.next("up-to-date")
        client.delete("/api/v1/soft_orders/3")
        gone = feed.change()
        assert (gone["type"], gone["key"], gone["moved"]) == ("delete", {"id": 3}, "out")
        client.post("/api/v1/soft_orders/3/-/restore")
        back = feed.change()
        assert (back["type"], back["moved"], back["row"]["what"]) == ("insert", "in", "c")


def test_deleting_needs_the_right_to_delete_alone(service: Service, client: httpx2.Client, database: Database) -> None:
    for action in ("read", "update"):
        database.execute(
            "insert into rowhouse.grants (role, table_name, action) values ('viewer', 'soft_orders', $1)", action
        )
    try:
        with service.client(Role.VIEWER) as viewer:
            assert viewer.delete("/api/v1/soft_orders/1").status_code == 403
            database.execute(
                "update rowhouse.grants set action = 'delete' where table_name = 'soft_orders' and action = 'update'"
            )
            assert viewer.delete("/api/v1/soft_orders/1").status_code == 204
            assert viewer.post("/api/v1/soft_orders/1/-/restore").status_code == 403
    finally:
        database.execute("delete from rowhouse.grants where table_name = 'soft_orders'")


def test_a_column_of_another_kind_is_a_column(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into hard_dates values (1, now()), (2, null)")
    assert _ids(client, "hard_dates?order=id") == [1, 2]
    assert client.delete("/api/v1/hard_dates/2").status_code == 204
    assert database.execute("select count(*) from hard_dates")[0][0] == 1


def test_a_row_filter_that_names_the_column_does_not_ask_for_what_is_deleted(
    service: Service, client: httpx2.Client, database: Database
) -> None:
    """Only the caller's own filter does: else a DELETE would remove what it is to hide."""
    for action, rows in (("read", "deleted_at=is.null"), ("delete", None), ("update", None)):
        database.execute(
            "insert into rowhouse.grants (role, table_name, action, row_filter) "
            "values ('viewer', 'soft_orders', $1, $2)",
            action,
            rows,
        )
    try:
        with service.client(Role.VIEWER) as viewer:
            assert viewer.delete("/api/v1/soft_orders?id=eq.1").status_code == 204
            assert viewer.delete("/api/v1/soft_orders/2").status_code == 204
        hidden = database.execute("select id from soft_orders where deleted_at is not null order by 1")
        assert [row[0] for row in hidden] == [1, 2]
    finally:
        database.execute("delete from rowhouse.grants where table_name = 'soft_orders'")


def test_a_patch_hides_nothing_that_others_refer_to(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into soft_lines values (10, 1, null)")
    answer = client.patch("/api/v1/soft_orders/1", json={"deleted_at": "now"})
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "23503")
    assert client.patch("/api/v1/soft_orders/2", json={"deleted_at": "now"}).status_code in (200, 204)


def test_an_upsert_does_not_touch_what_is_hidden(client: httpx2.Client, database: Database) -> None:
    client.delete("/api/v1/soft_orders/2")
    rows = [{"id": 2, "what": "changed"}]
    client.post("/api/v1/soft_orders", json=rows, headers={"Prefer": "resolution=merge-duplicates"})
    assert database.execute("select what from soft_orders where id = 2")[0][0] == "b"
