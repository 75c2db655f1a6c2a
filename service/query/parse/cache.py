"""Parsed query strings by their shape. Dashboards ask the same again and again, with other values."""

import re
from dataclasses import replace

from service.catalog.catalog import Catalog
from service.catalog.resource import Resource
from service.query.parse.parameters import Bounds, Parameters, decode_parameters, is_reserved
from service.query.parse.request import Query, parse_item_query, parse_parameters
from service.query.plan import Bind, Comparison, Count, Not, Predicate, ReadPlan, all_of

_MOST_KEPT = 1_000
# Filters whose operand is the rest of the text, whatever it is.
_SIMPLE = re.compile(r"(?:not\.)?(?:eq|neq|gte?|lte?|i?match|isdistinct|cs|cd|ov|sl|sr|nxr|nxl|adj)\.")


class QueryCache:
    """Parses query strings: of the same shape, once for each catalog that a caller may see."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._pages: dict[tuple[Resource, Count | None, Parameters], Query] = {}

    def page(self, catalog: Catalog, resource: Resource, query_string: bytes, *, count: Count | None = None) -> Query:
        """The query of a list. Raises: as `parse_query`."""
        parameters = decode_parameters(query_string)
        shape, values = _cut(parameters)
        key = (resource, count, shape)
        known = self._pages.get(key)
        if known is not None:
            return _fill(known, parameters, values)
        query = parse_parameters(catalog, resource, parameters, self.bounds)
        if count is not None:
            query = replace(query, plan=replace(query.plan, count=count))
        if query.plan.after is not None:  # its cursor belongs to the values as well
            return query
        self._pages[key] = query
        if len(self._pages) > _MOST_KEPT:
            del self._pages[next(iter(self._pages))]
        return query

    def item(self, catalog: Catalog, resource: Resource, query_string: bytes) -> ReadPlan:
        """What is asked of a row. Raises: as `parse_query`."""
        if query_string:
            return parse_item_query(catalog, resource, query_string, self.bounds)
        return ReadPlan(resource)


def _cut(parameters: Parameters) -> tuple[Parameters, dict[int, str]]:
    """The parameters without the values of simple filters, and those values by the parameters' numbers."""
    shape: list[tuple[str, str]] = []
    values: dict[int, str] = {}
    for number, (name, text) in enumerate(parameters):
        operator = None if is_reserved(name) or "." in name else _SIMPLE.match(text)
        if operator is not None:
            shape.append((name, operator[0]))
            values[number] = text[operator.end() :]
        else:
            # No text has a NUL, so this is no shape of a simple filter.
            shape.append((name, text + "\0"))
    return tuple(shape), values


def _fill(query: Query, parameters: Parameters, values: dict[int, str]) -> Query:
    """The query with other values in its simple filters."""
    if not values:
        return query
    filters = tuple(
        (number, _with_value(known, values[number]) if number in values else known) for number, known in query.filters
    )
    plan = query.plan
    filled = ReadPlan(
        plan.resource,
        plan.select,
        all_of(*(predicate for _, predicate in filters)),
        plan.order,
        plan.after,
        plan.limit,
        plan.offset,
        plan.count,
        plan.having,
    )
    return Query(
        filled,
        parameters,
        filters,
        query.limit,
        query.position,
        query.columns,
        query.on_conflict,
    )


def _with_value(known: Predicate, value: str) -> Predicate:
    match known:
        case Not(term=term):
            return Not(_with_value(term, value))
        case Comparison(column=column, operator=operator):
            return Comparison(column, operator, Bind(value))
    raise TypeError(f"{type(known).__name__} is no simple filter")
