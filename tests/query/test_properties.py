"""What holds for any text: of query strings, quoted values, cursors and the URLs of rows."""

from urllib.parse import quote_from_bytes

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.api.v1.paths import PREFIX, item_url, key_values, parse_path
from service.catalog.catalog import Catalog
from service.core.errors import InvalidQuery, RowhouseError
from service.query import cursor
from service.query.parse.order import parse_order, with_tie_breaker
from service.query.parse.request import Bounds, parse_query
from service.query.walk import binds

BOUNDS = Bounds(max_rows=100, max_depth=5)
# The same examples on every run: a failure is found again, and nobody's run fails by chance.
examples = settings(derandomize=True, max_examples=300, deadline=None)
# PostgreSQL stores no NUL, so no value has one.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
# Any bytes rarely get far into a parser: these are parameters that it takes, with pieces put in anywhere.
_PARAMETERS = (
    b"select=id,code:carrier,dep_time::text,_etag,airline(name),airports!origin!inner(*)", b"order=dest.desc.nullslast",
    b"limit=5", b"offset=%35", b"dest=eq.SFO", b"id=not.in.(1,%222%22)", b"dep_time=is.null", b"dest=like.S*",
    b"or=(id.eq.1,not.and(dest.in.(a,b),origin.neq.c))", b"not.and=(id.gt.1)", b"select=airline(name)&airline.limit=1",
    b"select=*&id=lt.5&limit=1", b"cursor=WyIiLFtdLDBd", b"select=airline()&airline=not.is.null", b"columns=id,dest",
    b"select=dest,count(),x:dep_delay::numeric(5,2).avg()::int&having=(count().gt.1,or(id.max().lt.2))&order=count()",
    b"select=tz->a->-1->>b,...airline(n:name)&order=airline(name).desc", b"id=like(any).{a*,b}", b"on_conflict=id",
    b"dest=fts(english).a", b"or=(dest.eq(all).{1,{2}},airline.is.null)", b"not.and=(dest.in.(a),id.is.not_null)",
)  # fmt: skip
_PIECES = (
    b"(", b")", b",", b":", b"!", b"&", b"=", b"+", b"*", b'"', b"\\", b".", b"%", b"%00", b"%ff", b"%22", b"not.",
    b"-1", b"null", b"9" * 20, b"airline", b"::", b"\xc3\xa9", b"\xff", b"{", b"}", b"->", b"...", b"count()", b"",
)  # fmt: skip


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    query = b"&".join(draw(st.lists(st.sampled_from(_PARAMETERS), min_size=1, max_size=3)))
    for piece in draw(st.lists(st.sampled_from(_PIECES), max_size=3)):
        at = draw(st.integers(0, len(query)))
        query = query[:at] + piece + query[at + draw(st.integers(0, 3)) :]
    return query


def quote(text: str) -> str:
    """The text in double quotes, as the query language reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bound_values(catalog: Catalog, name: str, condition: str) -> list[object]:
    """The values that a parameter of flights binds, besides the limit of the page."""
    query = f"{name}={quote_from_bytes(condition.encode())}".encode()
    *values, limit = (bind.value for bind in binds(parse_query(catalog, catalog.get("flights"), query, BOUNDS).plan))
    assert limit == str(BOUNDS.max_rows)
    return values


@examples
@given(query_string=st.binary() | nearly_right())
@example(query_string=b"cursor=e30")
@example(query_string=b"or=(" + b"and(" * 5000)
@example(query_string=b"limit=" + b"9" * 5000)
def test_any_query_string_is_read_or_refused_in_words(catalog: Catalog, query_string: bytes) -> None:
    try:
        query = parse_query(catalog, catalog.get("flights"), query_string, BOUNDS)
    except RowhouseError:
        return
    assert 0 <= query.limit <= BOUNDS.max_rows


@examples
@given(values=st.lists(texts, min_size=1, max_size=3))
def test_quoted_values_of_a_list_are_bound_as_they_were(catalog: Catalog, values: list[str]) -> None:
    assert bound_values(catalog, "dest", f"in.({','.join(map(quote, values))})") == [values]


@examples
@given(one=texts, other=texts)
def test_quoted_values_in_logic_are_bound_as_they_were(catalog: Catalog, one: str, other: str) -> None:
    assert bound_values(catalog, "or", f"(dest.eq.{quote(one)},not.and(origin.neq.{quote(other)}))") == [one, other]


@examples
@given(value=texts)
def test_a_value_that_is_a_parameter_of_its_own_needs_no_quotes(catalog: Catalog, value: str) -> None:
    assert bound_values(catalog, "dest", f"eq.{value}") == [value]


@examples
@given(delay=st.none() | texts, identifier=texts, position=st.integers(0, 2**53 - 1))
def test_a_cursor_leads_to_where_it_was_made(
    catalog: Catalog, delay: str | None, identifier: str, position: int
) -> None:
    flights = catalog.get("flights")
    order = with_tie_breaker(flights, parse_order(flights, "dep_delay.desc"))
    bound_to = cursor.fingerprint([("order", "dep_delay.desc")])
    token = cursor.encode(bound_to, orjson.dumps([delay, identifier]), position)
    after, found = cursor.decode(token, bound_to, flights, order)
    assert [bind.value if bind else None for bind in after.values] == [delay, identifier]
    assert found == position


@examples
@given(parameters=st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_a_cursor_serves_no_other_sort_or_filter(catalog: Catalog, parameters: list[tuple[str, str]]) -> None:
    flights = catalog.get("flights")
    token = cursor.encode(cursor.fingerprint(parameters), b'["1"]', 5)
    with pytest.raises(InvalidQuery, match="another sort or filter"):
        cursor.decode(token, cursor.fingerprint([]), flights, with_tie_breaker(flights, ()))


@examples
@given(values=st.lists(texts, min_size=1, max_size=1), position=st.integers(-(2**63), 2**64 - 1))
@example(values=["1"], position=-1)
@example(values=["1"], position=2**64 - 1)
def test_a_forged_cursor_is_refused_or_leads_to_a_next_one(catalog: Catalog, values: list[str], position: int) -> None:
    flights = catalog.get("flights")
    forged = cursor.encode("", orjson.dumps(values), position)
    try:
        _, found = cursor.decode(forged, "", flights, with_tie_breaker(flights, ()))
    except InvalidQuery:
        return
    assert found >= 0
    assert cursor.encode("", orjson.dumps(values), found + 1)


@pytest.mark.parametrize("table", ["airlines", "weather"])
@examples
@given(texts_of_key=st.lists(texts, min_size=2, max_size=2))
@example(texts_of_key=["-", "."])
@example(texts_of_key=["..", ""])
@example(texts_of_key=['"', "\\"])
def test_the_url_of_a_row_leads_to_it(catalog: Catalog, table: str, texts_of_key: list[str]) -> None:
    resource = catalog.get(table)
    values = tuple(texts_of_key[: len(resource.key)])
    url = item_url("/published/under", resource, values)
    assert url.isascii()
    path = parse_path(url.removeprefix("/published/under").encode())
    assert path is not None
    assert path.table == table
    assert path.key is not None
    assert key_values(resource, path.key) == values


@examples
@given(rest=st.binary())
def test_any_path_is_read_or_refused_in_words(catalog: Catalog, rest: bytes) -> None:
    weather = catalog.get("weather")
    try:
        path = parse_path(PREFIX.encode() + rest)
        values = None if path is None or path.key is None else key_values(weather, path.key)
    except RowhouseError:
        return
    assert values is None or len(values) == len(weather.key)
