"""Lists of big tables: pages, search, filters, columns, orders; and what PostgreSQL reads for them."""

import asyncio
import re
from collections.abc import Sequence
from html import unescape
from urllib.parse import parse_qsl, quote, urlsplit

import asyncpg
import httpx2
import orjson
import pytest

from service.core.types import Role
from tests.admin.conftest import MakeOperator, Operator, text_of
from tests.conftest import Database
from tests.service_under_test import Service, run_service
from tests.waiting import until

_LINK = re.compile(r'<a class="button"(?: rel="\w+")? href="([^"]*)"[^>]*>(First|Previous|Next|Last) page</a>')


def keys_of(page: httpx2.Response) -> list[str]:
    return [unescape(key) for key in re.findall(r'<tr data-key="([^"]*)"', page.text)]


def links_of(page: httpx2.Response) -> dict[str, str]:
    return {name: unescape(path) for path, name in _LINK.findall(page.text)}


def cells_of(page: httpx2.Response, column: str) -> list[str]:
    cells = re.findall(rf'<td data-column="{column}"[^>]*>(.*?)</td>', page.text, re.S)
    return [unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in cells]


def span_of(page: httpx2.Response) -> str:
    found = re.search(r'<span id="range">(.*?)</span>', page.text)
    assert found is not None
    return found[1].replace("\N{EN DASH}", "-")


ORDERS = ["", "order=year", "order=year.desc", "order=speed.nullsfirst,seats.desc", "order=speed.desc.nullslast,engine"]


@pytest.mark.parametrize("order", ORDERS)
def test_pages_lead_forward_and_back_through_the_same_rows(admin: Operator, database: Database, order: str) -> None:
    start = f"/admin/planes/list?limit=100&manufacturer=eq.EMBRAER&{order}"
    forward = [admin.get(start)]
    while "Next" in links_of(forward[-1]):
        forward.append(admin.get(links_of(forward[-1])["Next"]))
    rows = [key for page in forward for key in keys_of(page)]
    expected = database.execute("select count(*) from planes where manufacturer = 'EMBRAER'")[0]["count"]
    assert len(rows) == len(set(rows)) == expected
    back = [admin.get(links_of(forward[-1])["Previous"])]
    while "Previous" in links_of(back[-1]):
        answer = admin.http.get(links_of(back[-1])["Previous"], follow_redirects=True)
        back.append(answer)
    assert [keys_of(page) for page in reversed(back)] == [keys_of(page) for page in forward[:-1]]
    last = admin.get(links_of(forward[0])["Last"])
    assert keys_of(last) == rows[-100:]
    assert keys_of(admin.get(links_of(last)["Previous"])) == rows[-200:-100]
    assert "Next" not in links_of(last)


def test_a_page_says_which_rows_it_has_of_how_many(admin: Operator) -> None:
    first = admin.get("/admin/flights/list?limit=25")
    assert re.fullmatch(r"1-25 of about \d{3} \d{3}", span_of(first))
    second = admin.get(links_of(first)["Next"])
    assert span_of(second).startswith("26-50 of about")
    assert span_of(admin.http.get(links_of(second)["Previous"], follow_redirects=True)).startswith("1-25 of")
    assert span_of(admin.get("/admin/flights/list?limit=25&-count=1")) == "1-25 of 336 776"
    assert span_of(admin.get("/admin/flights/list?limit=25&-last=1&-count=1")) == "336 752-336 776 of 336 776"
    assert span_of(admin.get("/admin/airlines/list")) == "1-16 of 16"


@pytest.mark.parametrize(
    "query",
    ["-after=x", "-after=W10", "-after=WzEsIjEiLCIyIl0", "limit=many", "order=nothing", "select=nothing", "offset=x"],
)
def test_an_address_that_cannot_be_read_says_so(admin: Operator, query: str) -> None:
    path = "/admin/nokey/list" if query.startswith("offset") else "/admin/airlines/list"
    answer = admin.http.get(f"{path}?{query}")
    assert answer.status_code in (400, 404), answer.status_code
    assert "Internal" not in answer.text


def test_columns_are_chosen_with_their_order(admin: Operator) -> None:
    answer = admin.get("/admin/planes/list?-col=seats&-col=tailnum&-col=nothing&year=eq.2000", 303)
    assert parse_qsl(urlsplit(answer.headers["location"]).query) == [("year", "eq.2000"), ("select", "seats,tailnum")]
    page = admin.get(answer.headers["location"])
    assert re.findall(r'data-name="(\w+)"', page.text) == ["seats", "tailnum"]


def test_rows_are_sorted_by_several_columns_and_nulls_are_told(admin: Operator, database: Database) -> None:
    form = "-sort=speed&-direction=desc&-nulls=last&-sort=seats&-direction=asc&-nulls=&-sort=&-direction=asc&-nulls="
    answer = admin.get(f"/admin/planes/list?{form}", 303)
    assert parse_qsl(urlsplit(answer.headers["location"]).query) == [("order", "speed.desc.nullslast,seats")]
    page = admin.get(answer.headers["location"])
    expected = database.execute("select tailnum from planes order by speed desc nulls last, seats, tailnum limit 50")
    assert keys_of(page) == [row["tailnum"] for row in expected]
    assert "speed ↓ NULLs last" in text_of(page)


@pytest.mark.parametrize(
    ("form", "filter_", "words"),
    [
        ("-column=carrier&-operator=in&-value=UA%2C+AA", 'carrier=in.("UA","AA")', "carrier is one of UA, AA"),
        ("-column=carrier&-operator=notin&-value=UA&-value=AA", 'carrier=not.in.("UA","AA")', "is none of UA, AA"),
        ("-column=name&-operator=starts&-value=50%25_", "name=like.50\\%\\_*", "name begins with 50%_"),
        ("-column=name&-operator=eq&-value=", "name=eq.", "name is empty"),
        ("-column=name&-operator=null&-value=", "name=is.null", "name is NULL"),
        ("-column=name&-operator=filled&-value=", "name=not.is.null", "name is not NULL"),
    ],
)
def test_filters_are_chosen_and_shown(admin: Operator, form: str, filter_: str, words: str) -> None:
    answer = admin.get(f"/admin/airlines/list?{form}&carrier=neq.XX", 303)
    assert parse_qsl(urlsplit(answer.headers["location"]).query)[-1] == tuple(filter_.split("=", 1))
    page = admin.get(answer.headers["location"])
    text = text_of(page)
    assert words in text
    assert "carrier is not XX" in text
    assert "clear all" in text


def test_what_indexes_find_is_searched_and_the_rest_is_named(admin: Operator) -> None:
    page = admin.get("/admin/flights/list?-q=N14228")
    text = text_of(page)
    assert "Searched: carrier is “N14228”, tailnum is “N14228”" in text
    assert "not searched" not in text
    assert set(cells_of(page, "tailnum") or ["N14228"]) == {"N14228"}
    assert keys_of(page)
    number = admin.get("/admin/flights/list?-q=4711&select=id,tailnum")
    assert keys_of(number) == ["4711"]
    assert "Without an index, and not searched: year, month" in text_of(number)
    everywhere = unescape(re.findall(r'<a href="([^"]*-q-all=1[^"]*)"', number.text)[0])
    assert len(keys_of(admin.get(everywhere))) > 1


def test_a_small_table_is_searched_whole(admin: Operator, database: Database) -> None:
    page = admin.get("/admin/airlines/list?-q=air+lines")
    found = database.execute("select carrier from airlines where name ilike '%air lines%' order by 1")
    assert keys_of(page) == [row["carrier"] for row in found] != []
    assert "not searched" not in text_of(page)
    assert keys_of(admin.get('/admin/airlines/list?-q=no"such,(thing)\\%')) == []


@pytest.mark.parametrize("query", ["order=dep_delay", "flight=eq.1545", "flight=eq.1545&order=id"])
def test_what_no_index_serves_is_read_only_when_asked_for(admin: Operator, query: str) -> None:
    page = admin.get(f"/admin/flights/list?{query}")
    assert keys_of(page) == []
    assert "No index serves" in text_of(page)
    anyway = unescape(re.findall(r'href="([^"]*-anyway=1[^"]*)"', page.text)[0])
    assert len(keys_of(admin.get(anyway))) == 50


def test_a_search_that_takes_too_long_says_so(admin: Operator, database: Database) -> None:
    database.execute(
        "create view dawdling as select n as id, pg_sleep(0.01)::text as waited from generate_series(1, 100000) n"
    )
    database.execute("grant select on dawdling to rowhouse_service")
    try:
        with run_service({"DATABASE_URL": database.service_url, "STATEMENT_TIMEOUT": "0.5"}) as hurried:
            operator = Operator(hurried, email=admin.email)
            operator.log_in()
            answer = operator.http.get("/admin/dawdling/list?-q=nowhere&-q-all=1&select=waited")
            assert answer.status_code == 422
            assert "longer than the service allows" in text_of(answer)
            assert 'id="search-text"' in answer.text  # the page is there to go on with
            operator.http.close()
    finally:
        database.execute("drop view dawdling")


def test_a_viewers_rows_are_searched_and_counted_alone(operators: MakeOperator) -> None:
    viewer = operators(Role.VIEWER)
    page = viewer.get("/admin/airlines/list?-q=United")
    assert keys_of(page) == ["UA"]
    assert "Edit" not in text_of(page)
    assert "Edit" not in text_of(viewer.get("/admin/airlines/details/UA"))
    assert "data-editable" not in page.text


@pytest.fixture
def sent(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[object]]]:
    """The statements that the table plane sends to PostgreSQL, with their values."""
    assert service.state.runtime is not None
    pool, statements = service.state.runtime.pool, []
    read, run = pool.read, pool.run

    async def told_read(sql, arguments):  # type: ignore[no-untyped-def]
        statements.append((sql, arguments))
        return await read(sql, arguments)

    async def told_run(sql, arguments, unit):  # type: ignore[no-untyped-def]
        statements.append((sql, arguments))
        return await run(sql, arguments, unit)

    monkeypatch.setattr(pool, "read", told_read)
    monkeypatch.setattr(pool, "run", told_run)
    return statements


def scans_of(database: Database, statements: Sequence[tuple[str, Sequence[object]]]) -> list[str]:
    """The large tables that PostgreSQL would read whole for these statements."""

    async def explain() -> list[str]:
        connection = await asyncpg.connect(database.service_url)
        found: list[str] = []
        try:
            for sql, arguments in statements:
                sql = sql.removeprefix("explain (format json) ")
                plan = orjson.loads(await connection.fetchval(f"explain (format json) {sql}", *arguments))[0]["Plan"]
                nodes = [plan]
                while nodes:
                    node = nodes.pop()
                    nodes += node.get("Plans", ())
                    # A count that is planned is only explained: what it would scan is never run.
                    if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "flights":
                        found.append(sql)
        finally:
            await connection.close()
        return found

    return asyncio.run(explain())


def test_no_page_of_a_list_reads_a_whole_table(
    admin: Operator, database: Database, sent: list[tuple[str, Sequence[object]]]
) -> None:
    database.execute("analyze flights")
    first = admin.get("/admin/flights/list")
    second = admin.get(links_of(first)["Next"])
    admin.get(links_of(second)["Previous"], 303)
    admin.get(links_of(first)["Last"])
    for query in (
        "carrier=eq.UA", "carrier=eq.OO", "dest=eq.IAH&arr_delay=gt.300", "tailnum=eq.N14228", "order=time_hour.desc",
        "dest=eq.LEX&order=arr_delay.desc.nullslast", "-q=N14228", "-q=4711", "order=dep_delay", "flight=eq.1545",
    ):  # fmt: skip
        admin.get(f"/admin/flights/list?{quote(query, safe='=&-')}")
    admin.get("/admin/flights/details/4711")
    admin.get("/admin/flights/cell/4711?column=dep_delay")
    run = [(sql, arguments) for sql, arguments in sent if not sql.startswith("explain")]
    assert len(run) > 12
    assert scans_of(database, run) == []
    assert scans_of(database, [("select * from flights", ())]) != []  # it would be seen


def test_pages_of_a_table_without_a_key_go_by_offset(admin: Operator, database: Database) -> None:
    database.execute("create table nokey as select n from generate_series(1, 60) n")
    database.execute("grant select on nokey to rowhouse_service")
    try:
        database.execute("notify rowhouse_reload")
        until(lambda: admin.http.get("/admin/nokey/list").status_code == 200)
        admin.get("/admin/nokey/list?offset=x", 400)
        first = admin.get("/admin/nokey/list?limit=25")
        second = admin.get(links_of(first)["Next"])
        third = admin.get(links_of(second)["Next"])
        numbers = [cells_of(page, "n") for page in (first, second, third)]
        assert [len(page) for page in numbers] == [25, 25, 10]
        assert sorted(int(n) for page in numbers for n in page) == list(range(1, 61))
        assert cells_of(admin.get(links_of(third)["Previous"]), "n") == numbers[1]
        assert "tick-page" not in first.text
    finally:
        database.execute("drop table nokey")
        database.execute("notify rowhouse_reload")
