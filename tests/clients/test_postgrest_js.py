"""@supabase/postgrest-js, unchanged, against the production application."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.core.types import Role
from tests.clients.javascript import Chain, javascript
from tests.service_under_test import Service


@pytest.fixture(scope="module")
def of_editors(library: Service) -> Iterator[Chain]:
    with javascript(f"{library.url}/api/v1", library.keys[Role.EDITOR]) as client:
        yield client


@pytest.fixture(scope="module")
def of_admins(library: Service) -> Iterator[Chain]:
    with javascript(f"{library.url}/api/v1", library.keys[Role.ADMIN]) as client:
        yield client


@pytest.fixture
def client(of_editors: Chain, rows: None) -> Chain:
    """The library, as it is at first."""
    return of_editors


@pytest.fixture
def by_admin(of_admins: Chain, rows: None) -> Chain:
    return of_admins


# --- select


def test_columns_are_selected_renamed_and_cast(client: Chain) -> None:
    airlines = client.schema("public").from_("airlines")
    found = airlines.select("code:carrier, name, same:name::varchar").eq("carrier", "UA").found()
    assert found == [{"code": "UA", "name": "United Air Lines Inc.", "same": "United Air Lines Inc."}]
    assert airlines.select().eq("carrier", "AA").found() == [{"carrier": "AA", "name": "American Airlines Inc."}]


def test_columns_of_odd_names_are_selected(client: Chain) -> None:
    assert client.from_("odd, names").select('id, "a,b", first:"c.d", "Mixed (case)"').eq("id", 2).found() == [
        {"id": 2, "a,b": "a,b", "first": "c.d", "Mixed (case)": "(g)"}
    ]


@pytest.mark.parametrize(
    ("table", "columns", "wanted"),
    [
        ("books", "title, author:authors(name)", {"title": "The Quiet Cats", "author": {"name": "Ada Berg"}}),
        ("books", "title, authors!books_author(name)", {"title": "The Quiet Cats", "authors": {"name": "Ada Berg"}}),
        ("books", "title, writer:author(name)", {"title": "The Quiet Cats", "writer": {"name": "Ada Berg"}}),
        ("books", "title, ...authors(by:name)", {"title": "The Quiet Cats", "by": "Ada Berg"}),
        ("books", "id, shelves(name)", {"id": 1, "shelves": [{"name": "Window"}, {"name": "Cellar"}]}),
        ("books", "id, ...shelves(names:name)", {"id": 1, "names": ["Window", "Cellar"]}),
        ("authors", "id, books(title)", {"id": 1, "books": [{"title": "The Quiet Cats"}, {"title": "Running Home"}]}),
        ("authors", "id, books(count)", {"id": 1, "books": [{"count": 2}]}),
        ("authors", "id, books(n:count())", {"id": 1, "books": [{"n": 2}]}),
        (
            "authors",
            "id, books(id, shelves(id, books(title)))",
            {
                "id": 1,
                "books": [
                    {
                        "id": 1,
                        "shelves": [
                            {"id": 1, "books": [{"title": "The Quiet Cats"}, {"title": "Running Home"}]},
                            {"id": 2, "books": [{"title": "The Quiet Cats"}, {"title": "Fat Rats"}]},
                        ],
                    },
                    {
                        "id": 2,
                        "shelves": [{"id": 1, "books": [{"title": "The Quiet Cats"}, {"title": "Running Home"}]}],
                    },
                ],
            },
        ),
    ],
)
def test_related_tables_are_embedded(client: Chain, table: str, columns: str, wanted: dict[str, Any]) -> None:
    assert client.from_(table).select(columns).eq("id", 1).found() == [wanted]


def test_aggregates_are_of_groups(client: Chain) -> None:
    found = client.from_("books").select("author, price.sum(), n:count()").order("author").found()
    assert found == [
        {"author": 1, "sum": 30.5, "n": 2},
        {"author": 2, "sum": 5.25, "n": 1},
        {"author": None, "sum": None, "n": 1},
    ]


def test_an_inner_embedding_leaves_out_rows_without_it(client: Chain) -> None:
    found = client.from_("books").select("title, authors!inner(name)").eq("authors.name", "Bo Crane").found()
    assert found == [{"title": "Fat Rats", "authors": {"name": "Bo Crane"}}]
    assert len(client.from_("books").select("id, authors(id)").eq("authors.id", 2).found()) == 4
    without = client.from_("books").select("id, authors()").is_("authors", None).found()
    assert without == [{"id": 4}]


def test_embedded_tables_are_filtered_ordered_and_limited(client: Chain) -> None:
    of_books = {"referencedTable": "books"}
    ask = (
        client.from_("authors")
        .select("id, books(title)")
        .gt("books.price", 1)
        .or_("title.like.R*,title.like.T*", of_books)
        .order("title", of_books | {"ascending": False})
        .range(0, 0, of_books)
        .order("id")
        .limit(2)
    )
    assert ask.found() == [{"id": 1, "books": [{"title": "The Quiet Cats"}]}, {"id": 2, "books": []}]


# --- filters


FILTERS: list[tuple[str, str, Callable[[Chain], Chain], list[int]]] = [
    ("eq", "authors", lambda ask: ask.eq("name", 'Cy (the "Elder")'), [3]),
    ("eq of true", "authors", lambda ask: ask.eq("is_active", True), [1]),
    ("eq in json", "authors", lambda ask: ask.eq("profile->>city", "Rome"), [2]),
    ("neq", "authors", lambda ask: ask.neq("id", 2), [1, 3]),
    ("gt", "authors", lambda ask: ask.gt("id", 1), [2, 3]),
    ("gte", "authors", lambda ask: ask.gte("born", "1961-07-01"), [2]),
    ("lt", "books", lambda ask: ask.lt("price", 10.5), [3]),
    ("lte", "books", lambda ask: ask.lte("price", 10.5), [1, 3]),
    ("like", "authors", lambda ask: ask.like("name", "A%"), [1]),
    ("likeAllOf", "authors", lambda ask: ask.likeAllOf("name", ["%B%", "%Cr%"]), [2]),
    ("likeAnyOf", "authors", lambda ask: ask.likeAnyOf("name", ["A%", "%Cr%"]), [1, 2]),
    ("ilike", "authors", lambda ask: ask.ilike("name", "%CRANE"), [2]),
    ("ilikeAllOf", "authors", lambda ask: ask.ilikeAllOf("name", ["%b%", "%CR%"]), [2]),
    ("ilikeAnyOf", "authors", lambda ask: ask.ilikeAnyOf("name", ["a%", "%CR%"]), [1, 2]),
    ("regexMatch", "authors", lambda ask: ask.regexMatch("name", "^A.a"), [1]),
    ("regexIMatch", "authors", lambda ask: ask.regexIMatch("name", "^(a|b)"), [1, 2]),
    ("is null", "authors", lambda ask: ask.is_("born", None), [3]),
    ("is false", "authors", lambda ask: ask.is_("is_active", False), [2]),
    ("isDistinct", "authors", lambda ask: ask.isDistinct("mood", "sad"), [1, 3]),
    ("in", "authors", lambda ask: ask.in_("name", ["Bo Crane", "Ada Berg"]), [1, 2]),
    ("in with a comma", "odd, names", lambda ask: ask.in_('"a,b"', ["a,b", "nothing"]), [2]),
    ("in nothing", "authors", lambda ask: ask.in_("id", []), []),
    ("notIn", "authors", lambda ask: ask.notIn("id", [1, 2]), [3]),
    ("contains", "authors", lambda ask: ask.contains("tags", ["prose"]), [1]),
    ("contains in json", "authors", lambda ask: ask.contains("profile", {"city": "Rome"}), [2]),
    ("contains in a range", "books", lambda ask: ask.contains("pages", "[120,130)"), [2]),
    ("containedBy", "authors", lambda ask: ask.containedBy("tags", ["verse", "prose"]), [2, 3]),
    ("containedBy in json", "authors", lambda ask: ask.containedBy("profile", {"city": "Rome", "x": 1}), [2, 3]),
    ("overlaps", "authors", lambda ask: ask.overlaps("tags", ["verse", "prose"]), [1, 2]),
    ("overlaps of a range", "books", lambda ask: ask.overlaps("pages", "[90,110]"), [1, 2]),
    ("rangeGt", "books", lambda ask: ask.rangeGt("pages", "[50,150)"), [3]),
    ("rangeGte", "books", lambda ask: ask.rangeGte("pages", "[100,150)"), [2, 3]),
    ("rangeLt", "books", lambda ask: ask.rangeLt("pages", "[150,250)"), [1]),
    ("rangeLte", "books", lambda ask: ask.rangeLte("pages", "[150,200)"), [1, 2]),
    ("rangeAdjacent", "books", lambda ask: ask.rangeAdjacent("pages", "[100,200)"), [1, 3]),
    ("textSearch", "books", lambda ask: ask.textSearch("words", "cat | rat"), [1, 3]),
    ("textSearch plain", "books", lambda ask: ask.textSearch("words", "quiet cat", {"type": "plain"}), [1]),
    ("textSearch phrase", "books", lambda ask: ask.textSearch("words", "cats quiet", {"type": "phrase"}), []),
    (
        "textSearch of text",
        "books",
        lambda ask: ask.textSearch("title", "rats or running", {"type": "websearch", "config": "english"}),
        [2, 3],
    ),
    ("match", "authors", lambda ask: ask.match({"id": 1, "is_active": True}), [1]),
    ("not", "authors", lambda ask: ask.not_("born", "is", None), [1, 2]),
    ("not in", "authors", lambda ask: ask.not_("id", "in", "(1,2)"), [3]),
    ("not like", "authors", lambda ask: ask.not_("name", "like", "A%"), [2, 3]),
    ("or", "authors", lambda ask: ask.or_("id.eq.1,and(id.gt.1,is_active.is.false)"), [1, 2]),
    ("or with quotes", "authors", lambda ask: ask.or_('name.eq."Cy (the \\"Elder\\")",id.eq.1'), [1, 3]),
    ("or with not and a list", "authors", lambda ask: ask.or_("not.and(id.gte.1,id.lt.3),tags.cs.{verse}"), [2, 3]),
    ("filter", "authors", lambda ask: ask.filter("id", "in", "(1,2)"), [1, 2]),
    ("filter with not", "authors", lambda ask: ask.filter("name", "not.ilike", "a%"), [2, 3]),
    ("filter with any", "authors", lambda ask: ask.filter("id", "eq(any)", "{1,3}"), [1, 3]),
    ("two of one column", "authors", lambda ask: ask.gt("id", 1).lt("id", 3), [2]),
]


@pytest.mark.parametrize(
    ("table", "narrow", "wanted"), [case[1:] for case in FILTERS], ids=[case[0] for case in FILTERS]
)
def test_filters_find_the_rows_that_they_say(
    client: Chain, table: str, narrow: Callable[[Chain], Chain], wanted: list[int]
) -> None:
    found = narrow(client.from_(table).select("id")).order("id").found()
    assert [row["id"] for row in found] == wanted


# --- pages, counts, forms


def test_pages_are_cut_by_limit_and_range(client: Chain) -> None:
    airlines = client.schema("public").from_("airlines").select("carrier").order("carrier")
    everyone = airlines.found()
    assert len(everyone) == 16
    assert airlines.range(2, 4).found() == everyone[2:5]
    assert airlines.limit(2).found() == everyone[:2]


def test_rows_are_ordered_with_nulls_where_they_are_wanted(client: Chain) -> None:
    authors = client.from_("authors").select("id")
    first = authors.order("born", {"ascending": False, "nullsFirst": True}).found()
    assert [row["id"] for row in first] == [3, 2, 1]
    last = authors.order("is_active", {"nullsFirst": False}).order("id", {"ascending": False}).found()
    assert [row["id"] for row in last] == [2, 1, 3]
    by_author = client.from_("books").select("id, authors(name)")
    spread = client.from_("books").select("id, ...authors(name)")
    for books in (by_author, spread):
        found = books.order("authors(name)", {"ascending": False, "nullsFirst": False}).order("id").found()
        assert [row["id"] for row in found] == [3, 1, 2, 4]


@pytest.mark.parametrize("method", ["exact", "planned", "estimated"])
@pytest.mark.parametrize("is_head", [False, True])
def test_rows_are_counted(client: Chain, method: str, is_head: bool) -> None:
    airlines = client.schema("public").from_("airlines")
    answer = airlines.select("carrier", {"count": method, "head": is_head}).limit(3).ask()
    assert answer.error is None
    assert (answer.count, answer.status) == (16, 206)
    assert (answer.data is None) if is_head else (len(answer.data) == 3)


def test_a_page_behind_the_last_row_is_told(client: Chain) -> None:
    answer = client.schema("public").from_("airlines").select("*", {"count": "exact"}).range(100, 110).ask()
    assert answer.status == 416
    assert answer.error is not None
    assert answer.error["code"] == "PGRST103"


def test_a_single_row_is_an_object(client: Chain) -> None:
    authors = client.from_("authors").select("name")
    assert authors.eq("id", 1).single().found() == {"name": "Ada Berg"}
    for narrowed, rows in ((authors, 3), (authors.eq("id", 9), 0)):
        answer = narrowed.single().ask()
        assert answer.status == 406
        assert answer.error is not None
        assert {name: answer.error[name] for name in ("code", "details", "hint", "message")} == {
            "code": "PGRST116",
            "details": f"The result contains {rows} rows",
            "hint": None,
            "message": "Cannot coerce the result to a single JSON object",
        }


def test_a_row_that_may_be_missing(client: Chain) -> None:
    authors = client.from_("authors").select("name")
    assert authors.eq("id", 9).maybeSingle().found() is None
    assert authors.eq("id", 1).maybeSingle().found() == {"name": "Ada Berg"}
    assert authors.maybeSingle().refused()["code"] == "PGRST116"


def test_csv_has_a_line_of_names(client: Chain) -> None:
    text = client.from_("authors").select("id, name, born").order("id").csv().found()
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "born"],
        ["1", "Ada Berg", "1950-02-03"],
        ["2", "Bo Crane", "1961-07-01"],
        ["3", 'Cy (the "Elder")', ""],
    ]


def test_nulls_are_stripped(client: Chain) -> None:
    authors = client.from_("authors").select("id, born, mood").eq("id", 3)
    assert authors.stripNulls().found() == [{"id": 3}]
    assert authors.single().stripNulls().found() == {"id": 3}


def test_a_plan_is_told(by_admin: Chain) -> None:
    books = by_admin.from_("books").select("title")
    assert "(cost=" in books.explain().found()
    told = books.explain({"analyze": True, "verbose": True, "buffers": True, "settings": True, "wal": True}).found()
    assert "actual time" in told
    assert "Output:" in told
    (plan,) = books.explain({"format": "json"}).found()
    assert plan["Plan"]["Node Type"]


def test_a_plan_is_for_administrators(client: Chain) -> None:
    assert client.from_("books").select("title").explain().refused()["code"] == "PGRST107"


# --- writes


def test_an_insert_answers_nothing_unless_asked(client: Chain) -> None:
    answer = client.from_("shelves").insert({"id": 9, "name": "Attic"}).ask()
    assert (answer.status, answer.data, answer.error) == (201, None, None)
    made = client.from_("books").insert({"title": "New", "author": 2}).select("id, title, authors(name)")
    assert made.single().found() == {"id": 5, "title": "New", "authors": {"name": "Bo Crane"}}


def test_many_rows_are_inserted_and_counted(client: Chain) -> None:
    rows = [{"title": "One", "stock": 1}, {"title": "Two", "price": 2}]
    answer = client.from_("books").insert(rows, {"count": "exact"}).select("title, stock, price").ask()
    assert (answer.status, answer.count) == (201, 2)
    assert answer.data == [
        {"title": "One", "stock": 1, "price": None},
        {"title": "Two", "stock": None, "price": 2.0},
    ]
    filled = client.from_("books").insert(rows, {"defaultToNull": False}).select("stock").found()
    assert filled == [{"stock": 1}, {"stock": 7}]


def test_columns_of_odd_names_are_written(client: Chain) -> None:
    row = {"id": 3, "a,b": "1", "c.d": "2", "e:f": '"3"', "Mixed (case)": "4"}
    assert client.from_("odd, names").insert([row]).select().found() == [row]


def test_documents_and_arrays_are_written(client: Chain) -> None:
    row = {"id": 4, "name": "Di", "tags": ['a"b', "c,d", "{}"], "profile": {"deep": [{"er": None}]}, "mood": "sad"}
    assert client.from_("authors").insert(row).select("id, name, tags, profile, mood").found() == [row]


def test_an_upsert_changes_or_leaves_what_is_there(client: Chain) -> None:
    rows = [{"id": 1, "name": "Door"}, {"id": 9, "name": "Attic"}]
    left = client.from_("shelves").upsert(rows, {"ignoreDuplicates": True}).select().found()
    assert left == rows[1:]
    assert client.from_("shelves").upsert(rows).select().order("id").found() == rows
    answer = client.from_("shelves").upsert(rows).ask()
    assert (answer.data, answer.error) == (None, None)


def test_an_upsert_may_go_by_another_key(client: Chain) -> None:
    row = {"isbn": "A-1", "title": "Loud Cats"}
    made = client.from_("books").upsert(row, {"onConflict": "isbn"}).select("id, title, price")
    assert made.found() == [{"id": 1, "title": "Loud Cats", "price": 10.5}]


def test_rows_are_changed_and_counted(client: Chain) -> None:
    change = client.from_("books").update({"stock": 0}, {"count": "exact"}).eq("author", 1)
    quiet = change.ask()
    assert (quiet.status, quiet.data, quiet.count) == (204, None, 2)
    loud = change.select("id, stock").order("id", {"ascending": False}).ask()
    assert (loud.status, loud.count) == (200, 2)
    assert loud.data == [{"id": 2, "stock": 0}, {"id": 1, "stock": 0}]


def test_a_change_of_no_row_answers_with_none(client: Chain) -> None:
    change = client.from_("books").update({"stock": 0}).eq("id", 99).select()
    assert change.found() == []
    assert change.maybeSingle().found() is None
    assert change.single().refused()["code"] == "PGRST116"


def test_a_single_change_that_is_many_is_undone(client: Chain) -> None:
    assert client.from_("books").update({"stock": 0}).gt("id", 0).select().single().refused()["code"] == "PGRST116"
    assert client.from_("books").select("id").eq("stock", 0).found() == []


def test_rows_are_deleted_and_answered(client: Chain) -> None:
    shelves = client.from_("shelves")
    assert shelves.delete().in_("id", [2, 3]).select("name").found() == [{"name": "Cellar"}, {"name": "Empty"}]
    answer = shelves.delete({"count": "exact"}).eq("id", 1).ask()
    assert (answer.status, answer.data, answer.count) == (204, None, 1)
    assert shelves.select().found() == []


def test_a_write_touches_no_more_rows_than_allowed(client: Chain) -> None:
    change = client.from_("books").update({"stock": 0}).gt("id", 0)
    assert change.maxAffected(3).refused()["code"] == "PGRST124"
    assert client.from_("books").select("id").eq("stock", 0).found() == []
    assert len(change.maxAffected(4).select("id").found()) == 4


def test_a_write_may_be_tried_and_undone(client: Chain) -> None:
    assert client.from_("books").delete().eq("id", 1).select("id").rollback().found() == [{"id": 1}]
    assert client.from_("books").select("id").eq("id", 1).found() == [{"id": 1}]


# --- functions


@pytest.mark.parametrize("is_get", [False, True])
def test_functions_are_called_with_arguments(client: Chain, is_get: bool) -> None:
    how = {"get": is_get}
    assert client.rpc("add", {"a": 2, "b": 3}, how).found() == 5
    assert client.rpc("add", {"a": 2}, how).found() == 3
    assert client.rpc("sum_of", {"numbers": [1, 2, 3]}, how).found() == 6


def test_a_document_is_an_argument(client: Chain) -> None:
    assert client.rpc("keys_of", {"document": {"a": 1, "b": [2]}}).found() == ["a", "b"]


@pytest.mark.parametrize("is_get", [False, True])
def test_rows_of_a_function_are_filtered_like_a_table(client: Chain, is_get: bool) -> None:
    call = client.rpc("books_by", {"writer": 1}, {"get": is_get, "count": "exact"})
    answer = call.select("title, authors(name)").order("title", {"ascending": False}).limit(1).ask()
    assert answer.data == [{"title": "The Quiet Cats", "authors": {"name": "Ada Berg"}}]
    assert answer.count == 2
    assert call.eq("isbn", "A-2").select("id").single().found() == {"id": 2}
    assert call.eq("isbn", "none").maybeSingle().found() is None
    assert call.select("id,isbn").order("id").range(1, 1).csv().found() == "id,isbn\n2,A-2"


def test_values_of_a_function_are_counted(client: Chain) -> None:
    document = {"document": {"a": 1, "b": [2]}}
    answer = client.rpc("keys_of", document, {"count": "exact"}).ask()
    assert (answer.data, answer.count) == (["a", "b"], 2)


def test_values_of_a_function_are_cut(client: Chain) -> None:
    call = client.rpc("keys_of", {"document": {"a": 1, "b": [2], "c": None}}, {"count": "exact"})
    answer = call.range(1, 1).ask()
    assert (answer.data, answer.count, answer.status) == (["b"], 3, 206)
    assert call.range(9, 9).refused()["code"] == "PGRST103"


def test_rows_of_a_function_are_counted_alone(client: Chain) -> None:
    answer = client.rpc("books_by", {"writer": 1}, {"head": True, "count": "exact"}).ask()
    assert (answer.data, answer.count, answer.error) == (None, 2, None)


def test_a_function_may_return_one_row_or_nothing(client: Chain) -> None:
    assert client.rpc("first_author").select("name").found() == {"name": "Ada Berg"}
    answer = client.rpc("nothing").ask()
    assert (answer.status, answer.data, answer.error) == (204, None, None)


def test_a_call_that_goes_too_far_is_undone(client: Chain) -> None:
    assert client.rpc("restock", {"amount": 1}).single().refused()["code"] == "PGRST116"
    assert client.rpc("restock", {"amount": 1}).maxAffected(3).refused()["details"] == "The query affects 4 rows"
    assert client.from_("books").select("id").neq("stock", 7).found() == []
    assert len(client.rpc("restock", {"amount": 1}).maxAffected(4).found()) == 4
    assert client.from_("books").select("id").neq("stock", 8).found() == []


def test_a_bound_of_rows_is_for_functions_that_return_them(client: Chain) -> None:
    assert client.rpc("add", {"a": 1}).maxAffected(1).refused()["code"] == "PGRST128"


def test_a_writing_function_is_not_called_by_get(client: Chain) -> None:
    answer = client.rpc("restock", {"amount": 1}, {"get": True}).ask()
    assert answer.status == 405
    assert answer.error is not None
    assert answer.error["code"] == "25006"


# --- schemas, errors


def test_another_schema_is_chosen(client: Chain) -> None:
    archive = client.schema("archive")
    assert archive.from_("notes").select().found() == [{"id": 1, "body": "old"}]
    assert archive.from_("notes").insert({"id": 2, "body": "new"}).select().found() == [{"id": 2, "body": "new"}]
    assert archive.rpc("ping").found() == "pong"
    assert archive.from_("books").select().refused()["code"] == "PGRST205"
    assert client.schema("rowhouse").from_("users").select().refused()["code"] == "PGRST106"


ERRORS: list[tuple[str, Callable[[Chain], Chain], int, dict[str, object]]] = [
    ("an unknown table", lambda js: js.from_("bokks").select(), 404, {"code": "PGRST205"}),
    ("an unknown column", lambda js: js.from_("books").select("tilte"), 400, {"code": "42703"}),
    ("an unknown relationship", lambda js: js.from_("books").select("*, nope(*)"), 400, {"code": "PGRST200"}),
    ("an unreadable filter", lambda js: js.from_("books").select().filter("id", "no", 1), 400, {"code": "PGRST100"}),
    (
        "an unreadable value",
        lambda js: js.from_("books").select().eq("id", "x"),
        400,
        {"code": "22P02", "message": 'invalid input syntax for type integer: "x"', "details": None, "hint": None},
    ),
    (
        "an unknown column in a body",
        lambda js: js.from_("shelves").insert([{"id": 9, "nmae": "x"}]),
        400,
        {"code": "PGRST204", "message": "Could not find the 'nmae' column of 'shelves' in the schema cache"},
    ),
    (
        "a key that is taken",
        lambda js: js.from_("shelves").insert({"id": 1, "name": "x"}),
        409,
        {"code": "23505", "details": "Key (id)=(1) already exists.", "hint": None},
    ),
    (
        "a row that refers to none",
        lambda js: js.from_("books").insert({"title": "x", "author": 99}),
        409,
        {"code": "23503", "details": 'Key (author)=(99) is not present in table "authors".'},
    ),
    ("a missing value", lambda js: js.from_("shelves").insert({"id": 9}), 400, {"code": "23502"}),
    ("an unknown function", lambda js: js.rpc("ad"), 404, {"code": "PGRST202"}),
    (
        "an exception that a function raises",
        lambda js: js.rpc("fail", {"reason": "why"}),
        400,
        {"code": "P0001", "message": "It is so: why", "details": "In detail", "hint": "Do otherwise"},
    ),
    (
        "a status that a function chooses",
        lambda js: js.rpc("teapot"),
        418,
        {"code": "PT418", "message": "A teapot", "details": "Short and stout", "hint": "Pour"},
    ),
]


@pytest.mark.parametrize(("ask", "status", "wanted"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_errors_come_with_status_code_message_details_and_hint(
    client: Chain, ask: Callable[[Chain], Chain], status: int, wanted: dict[str, object]
) -> None:
    answer = ask(client).ask()
    assert answer.data is None
    assert answer.error is not None
    assert answer.status == status
    assert {name: answer.error[name] for name in wanted} == wanted


def test_errors_are_thrown_where_that_is_asked_for(client: Chain) -> None:
    thrown = client.from_("shelves").insert({"id": 1, "name": "x"}).throwOnError().ask().thrown
    assert thrown is not None
    assert (thrown["name"], thrown["code"]) == ("PostgrestError", "23505")


def test_a_wrong_key_is_told(library: Service) -> None:
    with javascript(f"{library.url}/api/v1", "wrong") as client:
        answer = client.schema("public").from_("airlines").select().ask()
    assert answer.status == 401
    assert answer.error is not None
    assert answer.error["code"] == "invalid_credential"
