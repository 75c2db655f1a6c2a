"""What a delete takes with it is told before it is done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.types import Role
from service.db.embedded import EmbeddedPostgres
from tests.admin.awkward import admin_of, awkward_service
from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service

_SQL = """
create table awkward.shelves (id integer primary key, name text);
create table awkward.boxes (
    id integer primary key, shelf integer constraint boxes_shelf references awkward.shelves on delete cascade
);
create table awkward.things (
    id integer primary key, box integer constraint things_box references awkward.boxes on delete cascade,
    spare integer constraint things_spare references awkward.shelves on delete set null,
    kept integer constraint things_kept references awkward.shelves on delete restrict
);
create table awkward.papers (
    id integer primary key, deleted_at timestamptz,
    folder integer constraint papers_folder references awkward.papers on delete cascade
);
insert into awkward.shelves values (1, 'full'), (2, 'empty'), (3, 'kept');
insert into awkward.boxes select n, 1 from generate_series(1, 20) n;
insert into awkward.boxes select n, 3 from generate_series(100, 102) n;
insert into awkward.things select n, n % 20 + 1, null, null from generate_series(1, 100) n;
insert into awkward.things values (201, null, 1, null), (202, null, 1, null), (203, null, null, 3);
insert into awkward.things select n, 100, null, null from generate_series(1000, 2999) n;
insert into awkward.papers values (1, null, null), (2, null, 1), (3, null, null);
"""


@pytest.fixture(scope="module")
def awkward(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[tuple[Service, Database]]:
    with awkward_service(postgres, f"delete_{worker_id}", shared_folder, _SQL) as both:
        yield both


@pytest.fixture(scope="module")
def clerk(awkward: tuple[Service, Database]) -> Iterator[Operator]:
    operator = admin_of(*awkward)
    yield operator
    operator.http.close()


def count(database: Database, table: str) -> int:
    number: int = database.execute_as_superuser(f"select count(*) from awkward.{table}")[0][0]
    return number


def test_cascades_are_followed_and_counted(awkward: tuple[Service, Database], clerk: Operator) -> None:
    _, database = awkward
    page = clerk.get("/admin/shelves/delete/1")
    text = text_of(page)
    assert "20 rows of boxes" in text
    assert "100 rows of things" in text
    assert "2 rows of things by spare : set to NULL" in text
    assert "refused" not in text
    before = count(database, "things")
    clerk.send("/admin/shelves/delete/1", forms_of(page)["/admin/shelves/delete/1"])
    assert count(database, "things") == before - 100
    assert database.execute_as_superuser("select spare from awkward.things where id = 201")[0][0] is None


def test_what_forbids_it_is_told_and_counts_have_an_end(clerk: Operator) -> None:
    page = clerk.get("/admin/shelves/delete/3")
    text = text_of(page)
    assert "It will be refused" in text
    assert "1 row of things by kept" in text
    assert "/admin/things/list?kept=eq.3" in page.text
    assert "at least 99" in text  # of 2,000, with three boxes and the one thing
    refused = clerk.send("/admin/shelves/delete/3", forms_of(page)["/admin/shelves/delete/3"], 409)
    assert "It was not deleted" in text_of(refused)


def test_a_row_that_nothing_refers_to_says_so(clerk: Operator) -> None:
    text = text_of(clerk.get("/admin/shelves/delete/2"))
    assert "nothing else that you can see" in text
    assert "cannot be brought back: the changes of this table are not logged" in text


def test_a_row_that_the_log_keeps_has_its_way_back_told(admin: Operator) -> None:
    page = admin.get("/admin/planes/delete/N14228")
    assert "it can be brought back from the trash" in text_of(page)
    assert 'href="/admin/planes/trash"' in page.text


def test_no_action_is_no_hindrance_where_the_referring_row_goes_too(clerk: Operator) -> None:
    text = text_of(clerk.get("/admin/people/delete/1"))
    assert "1 row of badges by person" in text
    assert "2 rows of people by boss" in text
    assert "It will be refused" in text


def test_what_is_hidden_when_it_is_deleted_can_be_restored(awkward: tuple[Service, Database], clerk: Operator) -> None:
    _, database = awkward
    text = text_of(clerk.get("/admin/papers/delete/1"))
    assert "can be brought back from the trash" in text
    assert "1 row of papers by folder" in text
    clerk.send("/admin/papers/delete/1", clerk.form("/admin/papers/delete/1"), 409)
    clerk.send("/admin/papers/delete/3", clerk.form("/admin/papers/delete/3"))
    assert database.execute_as_superuser("select deleted_at is not null from awkward.papers where id = 3")[0][0]


def test_a_row_that_was_changed_meanwhile_is_not_deleted(admin: Operator, database: Database) -> None:
    database.execute("insert into airlines values ('ZX', 'First') on conflict (carrier) do nothing")
    form = admin.form("/admin/airlines/delete/ZX")
    database.execute("update airlines set name = 'Second' where carrier = 'ZX'")
    assert "look again" in text_of(admin.send("/admin/airlines/delete/ZX", form, 409))
    admin.send("/admin/airlines/delete/ZX", admin.form("/admin/airlines/delete/ZX"))
    admin.send("/admin/airlines/delete/ZX", form)  # gone already: there is nothing to complain about
    assert not database.execute("select from airlines where carrier = 'ZX'")


def test_tables_that_one_may_not_read_are_neither_named_nor_counted(
    operators: MakeOperator, database: Database
) -> None:
    database.execute("delete from rowhouse.grants where role = 'editor' and table_name = 'flights'")
    try:
        editor = operators(Role.EDITOR)
        page = editor.get("/admin/airlines/delete/UA")
        assert "flights" not in page.text
        assert "not yours to see" in text_of(page)
        refused = editor.send("/admin/airlines/delete/UA", forms_of(page)["/admin/airlines/delete/UA"], 409)
        assert "flights" not in refused.text
    finally:
        for action in ("read", "create", "update", "delete"):
            database.execute(
                "insert into rowhouse.grants (role, table_name, action) values ('editor', 'flights', $1)", action
            )
