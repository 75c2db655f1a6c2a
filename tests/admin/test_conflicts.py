"""Two operators at one row: nothing that either has typed is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.admin.conftest import MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database

_EDIT, _MERGE = "/admin/airlines/edit/%s", "/admin/airlines/merge/%s"


@pytest.fixture
def plane(database: Database) -> Iterator[str]:
    """A row with several columns."""
    database.execute("delete from planes where tailnum like 'ZZ%'")
    database.execute("insert into planes values ('ZZ1', 2000, 'type', 'maker', 'First', 1, 0, null, 'engine')")
    yield "ZZ1"
    database.execute("delete from planes where tailnum like 'ZZ%'")


def path(action: str, key: str = "ZZ1") -> str:
    return f"/admin/planes/{action}/{key}"


def row(database: Database, key: str = "ZZ1") -> dict[str, object]:
    found = database.execute("select year, model, seats from planes where tailnum = $1", key)
    return dict(found[0]) if found else {}


def write(database: Database, **values: object) -> None:
    for name, value in values.items():
        database.execute(f"update planes set {name} = $1 where tailnum = 'ZZ1'", value)


def test_what_only_one_has_changed_is_chosen_already(admin: Operator, database: Database, plane: str) -> None:
    mine = admin.form(path("edit")) | {"now.model": "Mine", "now.seats": "5"}
    write(database, year=2001, seats=7)
    page = admin.send(path("edit"), mine, 409)
    merge = forms_of(page)[path("merge")]
    assert (merge["take.model"], merge["take.year"]) == ("yours", "theirs")
    assert "take.seats" not in merge
    admin.send(path("merge"), merge | {"take.seats": "theirs"})
    assert row(database) == {"year": 2001, "model": "Mine", "seats": 7}


def test_a_choice_that_is_missing_is_asked_for_again(admin: Operator, database: Database, plane: str) -> None:
    mine = admin.form(path("edit")) | {"now.seats": "5"}
    write(database, seats=7)
    merge = forms_of(admin.send(path("edit"), mine, 409))[path("merge")]
    again = admin.send(path("merge"), merge, 409)
    assert "seats" in text_of(again)
    assert forms_of(again)[path("merge")]["now.seats"] == "5"
    assert row(database)["seats"] == 7


def test_a_third_change_amid_the_merge_is_merged_again(admin: Operator, database: Database, plane: str) -> None:
    mine = admin.form(path("edit")) | {"now.model": "Mine", "now.seats": "5"}
    write(database, seats=7)
    merge = forms_of(admin.send(path("edit"), mine, 409))[path("merge")]
    write(database, seats=8, year=2002)
    second = admin.send(path("merge"), merge | {"take.seats": "yours"}, 409)
    merge = forms_of(second)[path("merge")]
    assert (merge["now.model"], merge["now.seats"]) == ("Mine", "5")
    admin.send(path("merge"), merge | {"take.seats": "yours"})
    assert row(database) == {"year": 2002, "model": "Mine", "seats": 5}


def test_both_to_the_same_value_is_no_conflict(admin: Operator, database: Database, plane: str) -> None:
    mine = admin.form(path("edit")) | {"now.seats": "9"}
    write(database, seats=9)
    merge = forms_of(admin.send(path("edit"), mine, 409))[path("merge")]
    admin.send(path("merge"), merge)
    assert row(database)["seats"] == 9


def test_of_a_row_that_was_deleted_what_was_typed_can_be_added_anew(
    admin: Operator, database: Database, plane: str
) -> None:
    mine = admin.form(path("edit")) | {"now.model": "Mine", "null.year": "1"}
    database.execute("delete from planes where tailnum = 'ZZ1'")
    page = admin.send(path("edit"), mine, 404)
    assert "not there any more" in text_of(page)
    create = forms_of(page)["/admin/planes/create"]
    assert create["now.model"] == "Mine"
    admin.send("/admin/planes/create", create)
    assert row(database) == {"year": None, "model": "Mine", "seats": 0}


def test_of_a_row_whose_key_was_changed_the_merge_goes_on_there(
    admin: Operator, database: Database, plane: str
) -> None:
    mine = admin.form(path("edit")) | {"now.model": "Mine"}
    database.execute("update planes set tailnum = 'ZZ2' where tailnum = 'ZZ1'")
    page = admin.send(path("edit"), mine, 409)
    assert "Its key has become ZZ2" in text_of(page)
    merge = forms_of(page)[path("merge", "ZZ2")]
    assert merge["take.tailnum"] == "theirs"
    admin.send(path("merge", "ZZ2"), merge)
    assert row(database, "ZZ2")["model"] == "Mine"
    assert row(database) == {}


def test_what_cannot_be_saved_is_kept_until_it_can(admin: Operator, database: Database, plane: str) -> None:
    mine = admin.form(path("edit")) | {"now.model": "Mine", "now.seats": "many"}
    write(database, year=2001)
    form = forms_of(admin.send(path("edit"), mine, 422))[path("edit")]
    assert (form["now.model"], form["now.seats"], form["was.year"]) == ("Mine", "many", "2000")
    merge = forms_of(admin.send(path("edit"), form | {"now.seats": "3"}, 409))[path("merge")]
    admin.send(path("merge"), merge)
    assert row(database) == {"year": 2001, "model": "Mine", "seats": 3}


@pytest.mark.parametrize("version", ["", None], ids=["empty", "missing"])
def test_a_form_without_a_version_writes_over_nothing(
    admin: Operator, database: Database, plane: str, version: str | None
) -> None:
    """Whoever left it out does not know what the row was."""
    before = row(database)
    edit, delete = admin.form(path("edit")) | {"now.seats": "5"}, admin.form(path("delete"))
    cell = admin.form(f"{path('cell')}?column=seats") | {"now.seats": "5"}
    for where, form in (("edit", edit), ("cell", cell), ("delete", delete)):
        rest = {name: value for name, value in form.items() if name != "version"}
        admin.send(path(where), rest | ({} if version is None else {"version": version}), 409)
        assert row(database) == before, where


def test_two_operators_racing_on_one_row_a_hundred_times_lose_no_update(
    operators: MakeOperator, database: Database, plane: str
) -> None:
    """Each adds one to a number and a letter to a text, fifty times, and merges where the other was faster."""

    def work(operator: Operator, letter: str) -> int:
        merges = 0
        for _ in range(50):
            form = operator.form(path("edit"))
            form |= {"now.seats": str(int(form["was.seats"]) + 1), "now.model": form["was.model"] + letter}
            answer = operator.http.post(path("edit"), data=form)
            while answer.status_code == 409:
                merges += 1
                merge = forms_of(answer)[path("merge")]
                merge |= {"now.seats": str(int(merge["was.seats"]) + 1), "now.model": merge["was.model"] + letter}
                merge |= {"take.seats": "yours", "take.model": "yours"}
                answer = operator.http.post(path("merge"), data=merge)
            assert answer.status_code == 303, text_of(answer)
        return merges

    write(database, model="")
    both = [operators(), operators()]
    with ThreadPoolExecutor(2) as executor:
        merges = sum(executor.map(work, both, "ab"))
    found = row(database)
    assert found["seats"] == 100
    assert sorted(str(found["model"])) == ["a"] * 50 + ["b"] * 50
    assert merges > 0
