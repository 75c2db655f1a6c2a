"""postgrest-py, unchanged, against the production application."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
from postgrest import APIError, CountMethod, ReturnMethod, SyncPostgrestClient

from service.core.types import Role
from tests.service_under_test import Service

# What the client answers is JSON of any shape, and its types allow no look into it without a cast.
Client: TypeAlias = Any
Ask = Callable[[Any], Any]


def connect(service: Service, role: Role, schema: str) -> SyncPostgrestClient:
    headers = {"Authorization": f"Bearer {service.keys[role]}"}
    return SyncPostgrestClient(f"{service.url}/api/v1", schema=schema, headers=headers)


@pytest.fixture(scope="module")
def flights(library: Service) -> Iterator[SyncPostgrestClient]:
    with connect(library, Role.EDITOR, "public") as client:
        yield client


@pytest.fixture
def books(library: Service, rows: None) -> Iterator[SyncPostgrestClient]:
    """The library, as it is at first."""
    with connect(library, Role.EDITOR, "library") as client:
        yield client


@pytest.fixture
def by_admin(library: Service, rows: None) -> Iterator[SyncPostgrestClient]:
    with connect(library, Role.ADMIN, "library") as client:
        yield client


def refused(ask: Callable[[], object]) -> APIError:
    with pytest.raises(APIError) as caught:
        ask()
    return caught.value


# --- select


def test_columns_are_selected_renamed_and_cast(flights: Client) -> None:
    found = flights.from_("airlines").select("code:carrier", "name", "length:name::varchar").eq("carrier", "UA")
    assert found.execute().data == [{"code": "UA", "name": "United Air Lines Inc.", "length": "United Air Lines Inc."}]


def test_json_is_looked_into(books: Client) -> None:
    found = books.from_("authors").select("profile->>city", "first:profile->awards->0").eq("profile->>city", "Oslo")
    assert found.execute().data == [{"city": "Oslo", "first": 1}]


def test_without_columns_all_come(flights: Client) -> None:
    assert flights.from_("airlines").select().eq("carrier", "AA").execute().data == [
        {"carrier": "AA", "name": "American Airlines Inc."}
    ]


@pytest.mark.parametrize(
    ("table", "columns", "wanted"),
    [
        ("books", "title, author:authors(name)", {"title": "The Quiet Cats", "author": {"name": "Ada Berg"}}),
        ("books", "title, authors!books_author(name)", {"title": "The Quiet Cats", "authors": {"name": "Ada Berg"}}),
        ("books", "title, ...authors(by:name)", {"title": "The Quiet Cats", "by": "Ada Berg"}),
        ("books", "id, shelves(name)", {"id": 1, "shelves": [{"name": "Window"}, {"name": "Cellar"}]}),
        ("books", "id, ...shelves(names:name)", {"id": 1, "names": ["Window", "Cellar"]}),
        ("authors", "id, books(title)", {"id": 1, "books": [{"title": "The Quiet Cats"}, {"title": "Running Home"}]}),
        ("authors", "id, books(count)", {"id": 1, "books": [{"count": 2}]}),
        ("authors", "id, books(price.sum())", {"id": 1, "books": [{"sum": 30.50}]}),
        (
            "authors",
            "id, books(id, shelves(id, books_shelves(book)))",
            {
                "id": 1,
                "books": [
                    {
                        "id": 1,
                        "shelves": [
                            {"id": 1, "books_shelves": [{"book": 1}, {"book": 2}]},
                            {"id": 2, "books_shelves": [{"book": 1}, {"book": 3}]},
                        ],
                    },
                    {"id": 2, "shelves": [{"id": 1, "books_shelves": [{"book": 1}, {"book": 2}]}]},
                ],
            },
        ),
    ],
)
def test_related_tables_are_embedded(books: Client, table: str, columns: str, wanted: dict[str, Any]) -> None:
    assert books.from_(table).select(columns).eq("id", 1).execute().data == [wanted]


def test_an_inner_embedding_leaves_out_rows_without_it(books: Client) -> None:
    ask = books.from_("books").select("title, authors!inner(name)").eq("authors.name", "Bo Crane")
    assert ask.execute().data == [{"title": "Fat Rats", "authors": {"name": "Bo Crane"}}]
    assert len(books.from_("books").select("id, authors(id)").eq("authors.id", 2).execute().data) == 4


def test_embedded_tables_are_filtered_ordered_and_limited(books: Client) -> None:
    ask = (
        books.from_("authors")
        .select("id, books(title)")
        .gt("books.price", 1)
        .or_("title.like.R*,title.like.T*", reference_table="books")
        .order("title", desc=True, foreign_table="books")
        .limit(1, foreign_table="books")
        .order("id")
        .limit(2)
    )
    assert ask.execute().data == [{"id": 1, "books": [{"title": "The Quiet Cats"}]}, {"id": 2, "books": []}]


def test_rows_are_ordered_by_what_is_embedded(books: Client) -> None:
    ask = books.from_("books").select("id, authors(name)").order("authors(name)", desc=True, nullsfirst=False)
    found = ask.order("id").execute().data
    assert [row["id"] for row in found] == [3, 1, 2, 4]


def test_flights_embed_what_they_refer_to(flights: Client) -> None:
    ask = flights.from_("flights").select("flight, airline(name), origin_airport(faa), plane(model)").eq("id", 1)
    (row,) = ask.execute().data
    assert row["airline"] == {"name": "United Air Lines Inc."}
    assert row["origin_airport"] == {"faa": "EWR"}
    assert row["plane"] == {"model": "737-824"}


# --- filters


FILTERS: list[tuple[str, str, Ask, list[int]]] = [
    ("eq", "authors", lambda ask: ask.eq("name", "Ada Berg"), [1]),
    ("eq of quotes and parentheses", "authors", lambda ask: ask.eq("name", 'Cy (the "Elder")'), [3]),
    ("eq of true", "authors", lambda ask: ask.eq("is_active", True), [1]),
    ("eq of a document", "authors", lambda ask: ask.eq("profile", {"city": "Rome"}), [2]),
    ("neq", "authors", lambda ask: ask.neq("id", 2), [1, 3]),
    ("gt", "authors", lambda ask: ask.gt("id", 1), [2, 3]),
    ("gte", "authors", lambda ask: ask.gte("born", "1961-07-01"), [2]),
    ("lt", "books", lambda ask: ask.lt("price", 10.5), [3]),
    ("lte", "books", lambda ask: ask.lte("price", 10.5), [1, 3]),
    ("like", "authors", lambda ask: ask.like("name", "A%"), [1]),
    ("like with a star", "authors", lambda ask: ask.like("name", "*Crane"), [2]),
    ("ilike", "authors", lambda ask: ask.ilike("name", "%CRANE"), [2]),
    ("like all", "authors", lambda ask: ask.like_all_of("name", "%B%,%Cr%"), [2]),
    ("like any", "authors", lambda ask: ask.like_any_of("name", "A%,%Cr%"), [1, 2]),
    ("ilike all", "authors", lambda ask: ask.ilike_all_of("name", "%b%,%CR%"), [2]),
    ("ilike any", "authors", lambda ask: ask.ilike_any_of("name", "a%,%CR%"), [1, 2]),
    ("is null", "authors", lambda ask: ask.is_("born", None), [3]),
    ("is null in words", "authors", lambda ask: ask.is_("born", "null"), [3]),
    ("is not null", "authors", lambda ask: ask.is_("born", "not_null"), [1, 2]),
    ("is true", "authors", lambda ask: ask.is_("is_active", True), [1]),
    ("is unknown", "authors", lambda ask: ask.is_("is_active", "unknown"), [3]),
    ("in", "authors", lambda ask: ask.in_("id", [1, 3]), [1, 3]),
    ("in with quotes", "authors", lambda ask: ask.in_("name", ['Cy (the "Elder")', "Bo Crane"]), [2, 3]),
    ("in nothing", "authors", lambda ask: ask.in_("id", []), []),
    ("contains", "authors", lambda ask: ask.contains("tags", ["prose"]), [1]),
    ("contains with a comma", "authors", lambda ask: ask.contains("tags", ["short, stories"]), [1]),
    ("contains in json", "authors", lambda ask: ask.contains("profile", {"city": "Rome"}), [2]),
    ("contains in a range", "books", lambda ask: ask.contains("pages", "[120,130)"), [2]),
    ("contained by", "authors", lambda ask: ask.contained_by("tags", ["verse", "prose"]), [2, 3]),
    ("contained by json", "authors", lambda ask: ask.contained_by("profile", {"city": "Rome", "x": 1}), [2, 3]),
    ("overlaps", "authors", lambda ask: ask.overlaps("tags", ["verse", "short, stories"]), [1, 2]),
    ("ov of a range", "books", lambda ask: ask.ov("pages", "[90,110]"), [1, 2]),
    ("range gt", "books", lambda ask: ask.range_gt("pages", (50, 150)), [3]),
    ("range gte", "books", lambda ask: ask.range_gte("pages", (99, 150)), [2, 3]),
    ("range lt", "books", lambda ask: ask.range_lt("pages", (150, 250)), [1]),
    ("range lte", "books", lambda ask: ask.range_lte("pages", (150, 200)), [1, 2]),
    ("range adjacent", "books", lambda ask: ask.range_adjacent("pages", (99, 200)), [1, 3]),
    ("fts", "books", lambda ask: ask.fts("words", "cat | rat"), [1, 3]),
    ("plfts", "books", lambda ask: ask.plfts("words", "quiet cat"), [1]),
    ("phfts", "books", lambda ask: ask.phfts("words", "cats quiet"), []),
    ("wfts", "books", lambda ask: ask.wfts("words", "cats or rats"), [1, 3]),
    ("text search", "books", lambda ask: ask.text_search("words", "'run' & 'home'"), [2]),
    (
        "text search of a configuration",
        "books",
        lambda ask: ask.text_search("words", "the running", {"config": "english", "type": "plain"}),
        [2],
    ),
    (
        "web search of text",
        "books",
        lambda ask: ask.text_search("title", "rats or running", {"type": "web_search", "config": "english"}),
        [2, 3],
    ),
    ("match", "authors", lambda ask: ask.match({"id": 1, "is_active": True}), [1]),
    ("or", "authors", lambda ask: ask.or_("id.eq.1,and(id.gt.1,is_active.is.false)"), [1, 2]),
    ("or with quotes", "authors", lambda ask: ask.or_('name.eq."Cy (the \\"Elder\\")",id.eq.1'), [1, 3]),
    ("or with in", "authors", lambda ask: ask.or_("id.in.(1,2),born.is.null"), [1, 2, 3]),
    ("not or", "authors", lambda ask: ask.not_.or_("id.eq.1,id.eq.2"), [3]),
    ("not eq", "authors", lambda ask: ask.not_.eq("id", 1), [2, 3]),
    ("not in", "authors", lambda ask: ask.not_.in_("id", [1, 2]), [3]),
    ("not is", "authors", lambda ask: ask.not_.is_("born", "null"), [1, 2]),
    ("not like", "authors", lambda ask: ask.not_.like("name", "A%"), [2, 3]),
    ("filter", "authors", lambda ask: ask.filter("id", "in", "(1,2)"), [1, 2]),
    ("filter with match", "authors", lambda ask: ask.filter("name", "imatch", "^(a|b)"), [1, 2]),
    ("filter with isdistinct", "authors", lambda ask: ask.filter("mood", "isdistinct", "sad"), [1, 3]),
    ("filter in json", "authors", lambda ask: ask.filter("profile->awards->>0", "eq", "1"), [1]),
    ("a column with a comma", "odd, names", lambda ask: ask.eq("a,b", "a,b"), [2]),
    ("a column with a colon", "odd, names", lambda ask: ask.eq("e:f", "e:f"), [2]),
    ("a column with parentheses", "odd, names", lambda ask: ask.eq("Mixed (case)", "(g)"), [2]),
    ("two filters of one column", "authors", lambda ask: ask.gt("id", 1).lt("id", 3), [2]),
    ("no row of a join", "books", lambda ask: ask.filter("authors", "is", "null"), [4]),
]


@pytest.mark.parametrize(("table", "ask", "wanted"), [case[1:] for case in FILTERS], ids=[case[0] for case in FILTERS])
def test_filters_find_the_rows_that_they_say(books: Client, table: str, ask: Ask, wanted: list[int]) -> None:
    columns = "id, authors()" if table == "books" else "id"
    found = ask(books.from_(table).select(columns)).order("id").execute().data
    assert [row["id"] for row in found] == wanted


# --- pages, counts, forms


def test_pages_are_cut_by_limit_offset_and_range(flights: Client) -> None:
    ask = flights.from_("airlines").select("carrier").order("carrier")
    everyone = [row["carrier"] for row in ask.execute().data]
    cut = flights.from_("airlines").select("carrier").order("carrier")
    assert [row["carrier"] for row in cut.range(2, 4).execute().data] == everyone[2:5]
    further = flights.from_("airlines").select("carrier").order("carrier").limit(2).offset(1)
    assert [row["carrier"] for row in further.execute().data] == everyone[1:3]


def test_rows_are_ordered_with_nulls_where_they_are_wanted(books: Client) -> None:
    ask = books.from_("authors").select("id").order("born", desc=True, nullsfirst=True)
    assert [row["id"] for row in ask.execute().data] == [3, 2, 1]
    ask = books.from_("authors").select("id").order("is_active", nullsfirst=False).order("id", desc=True)
    assert [row["id"] for row in ask.execute().data] == [2, 1, 3]


@pytest.mark.parametrize("method", list(CountMethod))
@pytest.mark.parametrize("is_head", [False, True])
def test_rows_are_counted(flights: Client, method: CountMethod, is_head: bool) -> None:
    found = flights.from_("airlines").select("carrier", count=method, head=is_head).limit(3).execute()
    assert found.count == 16
    assert len(found.data) == (0 if is_head else 3)


def test_a_filtered_count_counts_what_the_filter_finds(books: Client) -> None:
    assert books.from_("books").select("*", count=CountMethod.exact).eq("author", 1).execute().count == 2
    inner = books.from_("books").select("*, authors!inner(*)", count=CountMethod.exact).limit(1)
    assert inner.execute().count == 3


def test_a_page_behind_the_last_row_is_told(flights: Client) -> None:
    error = refused(flights.from_("airlines").select("*", count=CountMethod.exact).range(100, 110).execute)
    assert (error.code, error.message) == ("PGRST103", "Requested range not satisfiable")
    assert error.details == "An offset of 100 was requested, but there are only 16 rows."


def test_a_single_row_is_an_object(flights: Client) -> None:
    found = flights.from_("airlines").select("name").eq("carrier", "UA").single().execute()
    assert found.data == {"name": "United Air Lines Inc."}


@pytest.mark.parametrize(("carrier", "rows"), [("none", 0), ("%", 16)])
def test_a_single_row_that_is_none_or_many_is_refused(flights: Client, carrier: str, rows: int) -> None:
    error = refused(flights.from_("airlines").select("*").like("carrier", carrier).single().execute)
    assert error.code == "PGRST116"
    assert error.message == "Cannot coerce the result to a single JSON object"
    assert error.details == f"The result contains {rows} rows"
    assert error.hint is None


def test_a_row_that_may_be_missing(flights: Client) -> None:
    table = flights.from_("airlines")
    assert table.select("*").eq("carrier", "none").maybe_single().execute() is None
    found = table.select("name").eq("carrier", "UA").maybe_single().execute()
    assert found is not None
    assert found.data == {"name": "United Air Lines Inc."}
    assert refused(table.select("*").maybe_single().execute).code == "406"


def test_csv_has_a_line_of_names(books: Client) -> None:
    text = books.from_("authors").select("id", "name", "born").order("id").csv().execute().data
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "born"],
        ["1", "Ada Berg", "1950-02-03"],
        ["2", "Bo Crane", "1961-07-01"],
        ["3", 'Cy (the "Elder")', ""],
    ]


def test_nulls_are_stripped(books: Client) -> None:
    ask = books.from_("authors").select("id", "born", "mood").eq("id", 3).strip_nulls()
    assert ask.execute().data == [{"id": 3}]
    one = books.from_("authors").select("id", "born", "mood").eq("id", 3).strip_nulls().single()
    assert one.execute().data == {"id": 3}


def test_a_plan_is_told_as_text(by_admin: Client) -> None:
    text = by_admin.from_("books").select("title").eq("id", 1).explain().execute()
    assert "books" in text
    assert "(cost=" in text
    assert "actual time" not in text


def test_a_plan_is_told_as_json(by_admin: Client) -> None:
    (plan,) = by_admin.from_("books").select("title").explain(format="json").execute().data
    assert plan["Plan"]["Node Type"]


def test_a_plan_tells_what_was_asked_of_it(by_admin: Client) -> None:
    ask = by_admin.from_("books").select("title").explain(analyze=True, verbose=True, buffers=True, settings=True)
    text = ask.execute()
    assert "actual time" in text
    assert "Output:" in text
    wal = by_admin.from_("books").select("title").explain(analyze=True, wal=True, format="json").execute().data
    assert "WAL Records" in wal[0]["Plan"]


def test_a_plan_is_for_administrators(books: Client) -> None:
    assert refused(books.from_("books").select("*").explain().execute).code == "PGRST107"


# --- writes


def test_a_row_is_inserted_and_answered(books: Client) -> None:
    made = books.from_("books").insert({"title": "New", "author": 2, "price": 1.5}).execute().data
    assert made == [
        {
            "id": 5,
            "title": "New",
            "author": 2,
            "isbn": None,
            "price": 1.5,
            "pages": None,
            "stock": 7,
            "words": "'new':1",
        }
    ]


def test_an_inserted_row_may_be_answered_in_parts(books: Client) -> None:
    made = books.from_("books").insert({"title": "New", "author": 2}).select("title, authors(name)")
    assert made.single().execute().data == {"title": "New", "authors": {"name": "Bo Crane"}}


def test_an_insert_may_be_answered_with_nothing(books: Client) -> None:
    made = books.from_("shelves").insert({"id": 9, "name": "Attic"}, returning=ReturnMethod.minimal).execute()
    assert made.data == []
    assert books.from_("shelves").select("name").eq("id", 9).execute().data == [{"name": "Attic"}]


def test_many_rows_are_inserted_and_counted(books: Client) -> None:
    made = books.from_("books").insert(
        [{"title": "One", "stock": 1}, {"title": "Two", "price": 2}], count=CountMethod.exact
    )
    answer = made.execute()
    assert [(row["title"], row["stock"], row["price"]) for row in answer.data] == [("One", 1, None), ("Two", None, 2)]
    assert answer.count == 2


def test_what_rows_leave_out_may_be_their_default(books: Client) -> None:
    made = books.from_("books").insert([{"title": "One", "stock": 1}, {"title": "Two"}], default_to_null=False)
    assert [row["stock"] for row in made.execute().data] == [1, 7]


def test_columns_of_odd_names_are_written(books: Client) -> None:
    row = {"id": 3, "a,b": "1", "c.d": "2", "e:f": '"3"', "Mixed (case)": "4"}
    assert books.from_("odd, names").insert([row]).execute().data == [row]
    assert books.from_("odd, names").update({"a,b": "5"}).eq("Mixed (case)", "4").execute().data == [row | {"a,b": "5"}]


def test_documents_and_arrays_are_written(books: Client) -> None:
    row = {"id": 4, "name": "Di", "tags": ['a"b', "c,d", "{}"], "profile": {"deep": [{"er": None}]}, "mood": "sad"}
    made = books.from_("authors").insert(row).select("id", "name", "tags", "profile", "mood").execute().data
    assert made == [row]


def test_an_upsert_changes_what_is_there(books: Client) -> None:
    rows = [{"id": 1, "name": "Door"}, {"id": 9, "name": "Attic"}]
    assert books.from_("shelves").upsert(rows).order("id").execute().data == rows
    assert len(books.from_("shelves").select("*").execute().data) == 4


def test_an_upsert_may_leave_alone_what_is_there(books: Client) -> None:
    rows = [{"id": 1, "name": "Door"}, {"id": 9, "name": "Attic"}]
    assert books.from_("shelves").upsert(rows, ignore_duplicates=True).execute().data == rows[1:]
    assert books.from_("shelves").select("name").eq("id", 1).execute().data == [{"name": "Window"}]


def test_an_upsert_may_go_by_another_key(books: Client) -> None:
    made = books.from_("books").upsert({"isbn": "A-1", "title": "Loud Cats"}, on_conflict="isbn").execute().data
    assert [(row["id"], row["title"], row["price"]) for row in made] == [(1, "Loud Cats", 10.5)]


def test_an_insert_may_be_an_upsert(books: Client) -> None:
    assert books.from_("shelves").insert({"id": 1, "name": "Door"}, upsert=True).execute().data == [
        {"id": 1, "name": "Door"}
    ]


def test_rows_are_changed_and_counted(books: Client) -> None:
    ask = books.from_("books").update({"stock": 0}, count=CountMethod.exact).eq("author", 1).select("id, stock")
    answer = ask.order("id", desc=True).execute()
    assert answer.data == [{"id": 2, "stock": 0}, {"id": 1, "stock": 0}]
    assert answer.count == 2


def test_a_change_of_no_row_answers_with_none(books: Client) -> None:
    assert books.from_("books").update({"stock": 0}).eq("id", 99).execute().data == []
    assert refused(books.from_("books").update({"stock": 0}).eq("id", 99).single().execute).code == "PGRST116"


def test_a_single_change_that_is_many_is_undone(books: Client) -> None:
    assert refused(books.from_("books").update({"stock": 0}).gt("id", 0).single().execute).code == "PGRST116"
    assert books.from_("books").select("*").eq("stock", 7).execute().data != []


def test_rows_are_deleted_and_answered(books: Client) -> None:
    assert books.from_("shelves").delete().in_("id", [2, 3]).select("name").execute().data == [
        {"name": "Cellar"},
        {"name": "Empty"},
    ]
    assert books.from_("shelves").delete(returning=ReturnMethod.minimal).eq("id", 1).execute().data == []
    assert books.from_("shelves").select("*").execute().data == []


def test_a_write_touches_no_more_rows_than_allowed(books: Client) -> None:
    error = refused(books.from_("books").update({"stock": 0}).gt("id", 0).max_affected(3).execute)
    assert error.code == "PGRST124"
    assert books.from_("books").select("*").eq("stock", 0).execute().data == []
    assert len(books.from_("books").delete().gt("id", 0).max_affected(4).execute().data) == 4


# --- functions


def test_a_function_is_called_with_arguments(books: Client) -> None:
    assert books.rpc("add", {"a": 2, "b": 3}).execute().data == 5
    assert books.rpc("add", {"a": 2}, get=True).execute().data == 3


def test_arrays_and_documents_are_arguments(books: Client) -> None:
    for is_get in (False, True):
        numbers: Any = {"numbers": [1, 2, 3]}
        assert books.rpc("sum_of", numbers, get=is_get).execute().data == 6
        document: Any = {"document": {"a": 1, "b": [2]}}
        assert books.rpc("keys_of", document, get=is_get).execute().data == ["a", "b"]


@pytest.mark.parametrize("is_get", [False, True])
def test_rows_of_a_function_are_filtered_like_a_table(books: Client, is_get: bool) -> None:
    arguments: Any = {"writer": 1}
    ask = books.rpc("books_by", arguments, get=is_get, count=CountMethod.exact)
    answer = ask.select("title, authors(name)").order("title", desc=True).limit(1).execute()
    assert answer.data == [{"title": "The Quiet Cats", "authors": {"name": "Ada Berg"}}]
    assert answer.count == 2
    filtered = books.rpc("books_by", arguments, get=is_get).eq("isbn", "A-2").select("id").single()
    assert filtered.execute().data == {"id": 2}


def test_rows_of_a_function_are_counted_alone(books: Client) -> None:
    arguments: Any = {"writer": 1}
    answer = books.rpc("books_by", arguments, head=True, count=CountMethod.exact).execute()
    assert (answer.data, answer.count) == ([], 2)


def test_rows_of_a_function_may_be_csv_or_one_at_most(books: Client) -> None:
    arguments: Any = {"writer": 2}
    assert books.rpc("books_by", arguments).select("id,title").csv().execute().data == 'id,title\n3,"Fat Rats"'
    found = books.rpc("books_by", arguments).select("id").maybe_single().execute()
    assert found is not None
    assert found.data == {"id": 3}
    nobody: Any = {"writer": 9}
    assert books.rpc("books_by", nobody).maybe_single().execute() is None


def test_a_function_may_return_one_row_or_nothing(books: Client) -> None:
    assert books.rpc("first_author", {}).select("name").execute().data == {"name": "Ada Berg"}
    assert books.rpc("nothing", {}).execute().data == []


def test_a_call_that_should_answer_one_row_and_does_not_is_undone(books: Client) -> None:
    amount: Any = {"amount": 1}
    assert refused(books.rpc("restock", amount).single().execute).code == "PGRST116"
    assert books.from_("books").select("id").neq("stock", 7).execute().data == []


def test_a_call_touches_no_more_rows_than_allowed(books: Client) -> None:
    amount: Any = {"amount": 1}
    error = refused(books.rpc("restock", amount).max_affected(3).execute)
    assert (error.code, error.details) == ("PGRST124", "The query affects 4 rows")
    assert books.from_("books").select("id").neq("stock", 7).execute().data == []
    assert len(books.rpc("restock", amount).max_affected(4).execute().data) == 4


def test_a_writing_function_is_not_called_by_get(books: Client) -> None:
    amount: Any = {"amount": 1}
    error = refused(books.rpc("restock", amount, get=True).execute)
    assert error.code == "25006"


# --- schemas, errors


def test_another_schema_is_chosen(books: Client) -> None:
    archive = books.schema("archive")
    assert archive.from_("notes").select("*").execute().data == [{"id": 1, "body": "old"}]
    assert archive.from_("notes").insert({"id": 2, "body": "new"}).execute().data == [{"id": 2, "body": "new"}]
    assert archive.rpc("ping", {}).execute().data == "pong"
    assert refused(archive.from_("books").select("*").execute).code == "PGRST205"


def test_a_schema_that_is_not_exposed_is_refused(books: Client) -> None:
    error = refused(books.schema("rowhouse").from_("users").select("*").execute)
    assert (error.code, error.message) == ("PGRST106", "Invalid schema: rowhouse")
    assert error.hint == "Only the following schemas are exposed: public, library, archive"


ERRORS: list[tuple[str, Callable[[Client], Any], dict[str, object]]] = [
    (
        "an unknown table",
        lambda client: client.from_("bokks").select("*"),
        {"code": "PGRST205", "details": None, "hint": "Perhaps you meant the table 'library.books'"},
    ),
    (
        "an unknown column",
        lambda client: client.from_("books").select("tilte"),
        {"code": "42703", "details": None, "hint": "Perhaps you meant 'title'."},
    ),
    (
        "an unknown column in a filter",
        lambda client: client.from_("books").select("*").eq("tilte", 1),
        {"code": "42703", "details": None, "hint": "Perhaps you meant 'title'."},
    ),
    (
        "an unknown relationship",
        lambda client: client.from_("books").select("*, publishers(*)"),
        {
            "code": "PGRST200",
            "message": "Could not find a relationship between 'books' and 'publishers' in the schema cache",
            "details": "Searched for a foreign key relationship between 'books' and 'publishers' in the schema "
            "'library', but no matches were found.",
        },
    ),
    (
        "an unknown column in a body",
        lambda client: client.from_("shelves").insert({"id": 9, "nmae": "x"}),
        {
            "code": "PGRST204",
            "message": "Could not find the 'nmae' column of 'shelves' in the schema cache",
            "details": None,
        },
    ),
    (
        "an unknown column in many rows",
        lambda client: client.from_("shelves").insert([{"id": 9, "nmae": "x"}]),
        {
            "code": "PGRST204",
            "message": "Could not find the 'nmae' column of 'shelves' in the schema cache",
            "details": None,
        },
    ),
    (
        "an unreadable value",
        lambda client: client.from_("books").select("*").eq("id", "x"),
        {"code": "22P02", "message": 'invalid input syntax for type integer: "x"', "details": None, "hint": None},
    ),
    (
        "an unreadable filter",
        lambda client: client.from_("books").select("*").filter("id", "nope", "1"),
        {"code": "PGRST100"},
    ),
    (
        "a key that is taken",
        lambda client: client.from_("shelves").insert({"id": 1, "name": "x"}),
        {"code": "23505", "details": "Key (id)=(1) already exists.", "hint": None},
    ),
    (
        "a row that refers to none",
        lambda client: client.from_("books").insert({"title": "x", "author": 99}),
        {"code": "23503", "details": 'Key (author)=(99) is not present in table "authors".', "hint": None},
    ),
    (
        "a missing value",
        lambda client: client.from_("shelves").insert({"id": 9}),
        {"code": "23502"},
    ),
    (
        "a broken check",
        lambda client: client.from_("books").insert({"title": "x", "price": -1}),
        {"code": "23514"},
    ),
    (
        "an unknown function",
        lambda client: client.rpc("ad", {}),
        {
            "code": "PGRST202",
            "message": "Could not find the function library.ad without parameters in the schema cache",
            "hint": "Perhaps you meant to call the function library.add",
        },
    ),
    (
        "unknown arguments",
        lambda client: client.rpc("add", {"x": 1}),
        {
            "code": "PGRST202",
            "message": "Could not find the function library.add(x) in the schema cache",
            "details": "Searched for the function library.add with parameter x or with a single unnamed json/jsonb "
            "parameter, but no matches were found in the schema cache.",
        },
    ),
    (
        "an exception that a function raises",
        lambda client: client.rpc("fail", {"reason": "why"}),
        {"code": "P0001", "message": "It is so: why", "details": "In detail", "hint": "Do otherwise"},
    ),
    (
        "a status that a function raises",
        lambda client: client.rpc("teapot", {}),
        {"code": "PT418", "message": "A teapot", "details": "Short and stout", "hint": "Pour"},
    ),
]


@pytest.mark.parametrize(("ask", "wanted"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_errors_come_with_code_message_details_and_hint(
    books: Client, ask: Callable[[Client], Any], wanted: dict[str, object]
) -> None:
    error = refused(ask(books).execute)
    assert {name: getattr(error, name) for name in wanted} == wanted
    assert error.message


def test_a_wrong_key_is_told(library: Service) -> None:
    with SyncPostgrestClient(f"{library.url}/api/v1", headers={"Authorization": "Bearer wrong"}) as client:
        assert refused(client.from_("airlines").select("*").execute).code == "invalid_credential"


def test_a_table_without_a_relationship_is_not_embedded(books: Client) -> None:
    assert refused(books.from_("books").select("*, notes(*)").execute).code == "PGRST200"


def test_the_key_may_come_as_a_header_of_its_own(library: Service) -> None:
    with httpx.Client(base_url=library.url) as session:
        headers = {"X-API-Key": library.keys[Role.EDITOR]}
        client = SyncPostgrestClient(f"{library.url}/api/v1", headers=headers, http_client=session)
        assert len(client.from_("airlines").select("*").execute().data) == 16
