"""Plans: equal by shape, values apart, each bind in one place."""

import pytest

from service.catalog.catalog import Catalog
from service.core.errors import InvalidQuery
from service.crud.statements import StatementCache
from service.query import cursor
from service.query.compile.read import compile_item, compile_list
from service.query.parse.cache import QueryCache
from service.query.parse.request import Bounds, parse_query
from service.query.plan import (
    And,
    Bind,
    ColumnRef,
    Comparison,
    Operator,
    ReadPlan,
)
from service.query.walk import binds, fresh

BOUNDS = Bounds(max_rows=100, max_depth=5)


def plan_of(catalog: Catalog, query: str) -> ReadPlan:
    return parse_query(catalog, catalog.get("flights"), query.encode(), BOUNDS).plan


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("dest=eq.SFO", "dest=eq.LAX", True),
        ("dest=in.(SFO)", "dest=in.(LAX,SEA)", True),
        ("limit=5", "limit=6", True),
        ("dest=eq.SFO", "dest=neq.SFO", False),
        ("dest=eq.SFO", "origin=eq.SFO", False),
        ("dep_time=is.null", "dep_time=is.not_null", False),
        ("order=dest", "order=dest.desc", False),
        ("select=id", "select=dest", False),
        ("select=airline(name)&airline.name=eq.a", "select=airline(name)&airline.name=eq.b", True),
        ("offset=1", "", False),
    ],
)
def test_plans_are_equal_by_shape(catalog: Catalog, one: str, other: str, are_alike: bool) -> None:
    first, second = plan_of(catalog, one), plan_of(catalog, other)
    assert (first == second) is are_alike
    assert (hash(first) == hash(second)) is are_alike


def test_one_statement_serves_a_shape_with_the_values_of_each(catalog: Catalog) -> None:
    statements = StatementCache()
    query = "select=id,airline(name)&airline.name=like.{}*&dest=eq.{}&carrier=in.({})&limit={}"
    first = plan_of(catalog, query.format("U", "SFO", "UA", 1))
    second = plan_of(catalog, query.format("A", "LAX", "AA,B6", 2))
    statement = statements.get(compile_list, first)
    assert statements.get(compile_list, second) is statement
    assert sorted(map(str, statement.arguments(second, "e"))) == ["2", "A%", "LAX", "['AA', 'B6']"]
    assert "SFO" not in statement.sql
    assert "LAX" not in statement.sql


def test_a_cursor_is_held_to_its_filter_whatever_was_parsed_before(catalog: Catalog) -> None:
    queries, flights = QueryCache(BOUNDS), catalog.get("flights")
    bound_to = queries.page(catalog, flights, b"dest=eq.SFO", count=None).bound_to
    after = b"&cursor=" + cursor.encode(bound_to, b'["1"]', 1).encode()
    assert queries.page(catalog, flights, b"dest=eq.SFO" + after, count=None).position == 1
    with pytest.raises(InvalidQuery, match="another sort or filter"):
        queries.page(catalog, flights, b"dest=eq.LAX" + after, count=None)


def test_a_bind_may_stand_in_one_place_only(catalog: Catalog) -> None:
    comparison = Comparison(ColumnRef("dest"), Operator.EQ, Bind("SFO"))
    twice = ReadPlan(catalog.get("flights"), where=And((comparison, comparison)))
    with pytest.raises(ValueError, match="two places"):
        compile_item(twice)
    renewed = fresh(comparison)
    assert renewed == comparison
    assert renewed is not None
    once_each = ReadPlan(catalog.get("flights"), where=And((comparison, renewed)))
    assert compile_item(once_each).arguments(once_each, "e") == ["SFO", "SFO"]


def test_every_value_of_a_plan_is_found(catalog: Catalog) -> None:
    plan = plan_of(
        catalog,
        "select=id,airline(name,flights(id))&airline.name=eq.1&airline.flights.limit=2&or=(id.eq.3,not.and(id.gt.4,id.lt.5))"
        "&dest=in.(6,7)&limit=8&offset=9",
    )
    assert [bind.value for bind in binds(plan)] == ["2", "1", "3", "4", "5", ["6", "7"], "8", "9"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dest=eq.SFO", "dest=eq.LAX"),
        ("dest=not.eq.SFO&id=gt.1&limit=5", "dest=not.eq.LAX&id=gt.22&limit=5"),
        ("not.or=(id.eq.1,id.eq.2)&dest=eq.SFO", "not.or=(id.eq.1,id.eq.2)&dest=eq.LAX"),
        ("or=(id.eq.1,id.eq.2)&dest=eq.SFO", "or=(id.eq.3,id.eq.4)&dest=eq.SFO"),
        ("select=id,airline(name)&airline.name=eq.a&dest=eq.b", "select=id,airline(name)&airline.name=eq.c&dest=eq.d"),
        ("dest=eq.", "dest=eq.in.(a,b)"),
        ("dest=in.(SFO)", "dest=in.(LAX,SEA)"),
    ],
)
def test_a_shape_is_parsed_once_and_filled_with_the_values_of_each(catalog: Catalog, before: str, after: str) -> None:
    queries = QueryCache(BOUNDS)
    flights = catalog.get("flights")
    for query in (before, after, before):
        cached = queries.page(catalog, flights, query.encode(), count=None)
        parsed = parse_query(catalog, flights, query.encode(), BOUNDS)
        assert cached.plan == parsed.plan
        assert [bind.value for bind in binds(cached.plan)] == [bind.value for bind in binds(parsed.plan)]
        assert (cached.bound_to, cached.parameters) == (parsed.bound_to, parsed.parameters)
