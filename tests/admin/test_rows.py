"""Lists, rows and forms, for whoever may use them."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from service.core.types import Role
from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database


@pytest.fixture
def gadget(database: Database) -> Iterator[str]:
    """A row to work on."""
    database.execute("insert into airlines (carrier, name) values ('ZZ', 'First') "
                     "on conflict (carrier) do update set name = 'First'")  # fmt: skip
    yield "ZZ"
    database.execute("delete from airlines where carrier = 'ZZ'")


def _name(database: Database) -> str:
    name: str = database.execute("select name from airlines where carrier = 'ZZ'")[0]["name"]
    return name


def test_a_list_pages_through_all_rows_once(admin: Operator, database: Database) -> None:
    path: str | None = "/admin/planes/list?year=eq.2000&select=tailnum"
    seen: list[str] = []
    while path is not None:
        page = admin.get(path)
        seen += [
            part.partition('"')[0] for part in page.text.split('data-key="')[1:] if not part.startswith(('n"', "Arrow"))
        ]
        before = page.text.partition('rel="next" href="')[2]
        path = before.partition('"')[0].replace("&amp;", "&") if before else None
    expected = [row["tailnum"] for row in database.execute("select tailnum from planes where year = 2000 order by 1")]
    assert seen == expected


def test_a_form_that_is_saved_unchanged_writes_nothing(admin: Operator, database: Database, gadget: str) -> None:
    before = database.execute("select xmin, * from airlines where carrier = 'ZZ'")
    admin.send("/admin/airlines/edit/ZZ", admin.form("/admin/airlines/edit/ZZ"))
    assert database.execute("select xmin, * from airlines where carrier = 'ZZ'") == before


def test_a_field_that_is_missing_is_left_alone(admin: Operator, database: Database, gadget: str) -> None:
    form = admin.form("/admin/airlines/edit/ZZ")
    form = {name: value for name, value in form.items() if not name.endswith(".name")}
    admin.send("/admin/airlines/edit/ZZ", form)
    assert _name(database) == "First"


def test_who_was_slower_merges_field_by_field(admin: Operator, database: Database, gadget: str) -> None:
    mine = admin.form("/admin/airlines/edit/ZZ") | {"now.name": "Mine"}
    admin.send("/admin/airlines/edit/ZZ", admin.form("/admin/airlines/edit/ZZ") | {"now.name": "Theirs"})
    page = admin.send("/admin/airlines/edit/ZZ", mine, 409)
    assert all(word in text_of(page) for word in ("First", "Theirs", "Mine"))
    assert _name(database) == "Theirs"
    merge = forms_of(page)["/admin/airlines/merge/ZZ"]
    assert "take.name" not in merge  # nothing is chosen for what both have changed
    admin.send("/admin/airlines/merge/ZZ", merge | {"take.name": "yours"})
    assert _name(database) == "Mine"


def test_errors_stand_at_their_fields_without_sql(admin: Operator, gadget: str) -> None:
    form = admin.form("/admin/planes/edit/N10156") | {"now.year": "soon"}
    text = text_of(admin.send("/admin/planes/edit/N10156", form, 422))
    assert "year" in text
    assert "select" not in text.lower()


def test_viewers_cannot_write_by_any_form(operators: MakeOperator, database: Database, gadget: str) -> None:
    viewer = operators(Role.VIEWER)
    viewer.get("/admin/airlines/details/ZZ")
    viewer.get("/admin/airlines/edit/ZZ", 403)
    token = {"csrf": viewer.csrf}
    for path, form in [
        ("airlines/edit/ZZ", {"was.name": "First", "now.name": "Stolen"}),
        ("airlines/merge/ZZ", {"was.name": "First", "now.name": "Stolen", "take.name": "yours"}),
        ("airlines/delete/ZZ", {}),
        ("airlines/create", {"now.carrier": "ZY", "now.name": "Stolen"}),
    ]:
        viewer.send(f"/admin/{path}", token | form, 403)
    assert _name(database) == "First"


@pytest.mark.parametrize(
    "path", ["rowhouse~2Eusers/list", "nothing/list", "airlines/details/nobody", "airlines/edit/nobody"]
)
def test_what_is_not_there_is_a_404(admin: Operator, path: str) -> None:
    admin.get(f"/admin/{path}", 404)


@pytest.mark.parametrize("query", ["-column=name&-operator=contains&-value=United", f"name={quote('ilike.*United*')}"])
def test_filters_are_the_apis(admin: Operator, query: str) -> None:
    answer = admin.http.get(f"/admin/airlines/list?{query}", follow_redirects=True)
    assert "United" in text_of(answer)
    assert "Delta" not in text_of(answer)
    assert str(answer.url).endswith("/admin/airlines/list?name=ilike.%2AUnited%2A")


def test_a_copy_begins_with_the_values_of_its_row(admin: Operator) -> None:
    path = "/admin/planes/create?-copy=N10156"
    assert f'href="{path}"' in admin.get("/admin/planes/details/N10156").text
    form = admin.form(path)
    assert (form["now.tailnum"], form["now.year"]) == ("", "2004")


def test_each_page_has_a_title_of_its_own(admin: Operator) -> None:
    for path, title in (
        ("airlines/list", "airlines"),
        ("airlines/details/UA", "airlines UA"),
        ("nothing/list", "Not Found"),
    ):
        page = admin.http.get(f"/admin/{path}").text
        assert page.count("<title>") == 1
        assert f"<title>{title} · Rowhouse</title>" in page
