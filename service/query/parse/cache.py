"""Parsed query strings. Dashboards ask the same again and again, and parsing depends on the text alone."""

from collections import OrderedDict
from dataclasses import replace

from service.catalog.catalog import Catalog
from service.catalog.resource import Resource
from service.query.parse.request import Bounds, Query, parse_item_query, parse_query
from service.query.plan import ReadPlan

_MOST_KEPT = 1_000


class QueryCache:
    """Parses query strings of one catalog, the latest thousand once."""

    def __init__(self, catalog: Catalog, bounds: Bounds) -> None:
        self._catalog = catalog
        self._bounds = bounds
        self._pages: OrderedDict[tuple[Resource, bytes, bool], Query] = OrderedDict()
        self._whole_rows: dict[Resource, ReadPlan] = {}

    def page(self, resource: Resource, query_string: bytes, *, wants_count: bool) -> Query:
        """The query of a list. Raises: as `parse_query`."""
        key = (resource, query_string, wants_count)
        query = self._pages.get(key)
        if query is not None:
            return query
        query = parse_query(self._catalog, resource, query_string, self._bounds)
        if wants_count:
            query = replace(query, plan=replace(query.plan, wants_count=True))
        self._pages[key] = query
        if len(self._pages) > _MOST_KEPT:
            self._pages.popitem(last=False)
        return query

    def item(self, resource: Resource, query_string: bytes) -> ReadPlan:
        """What is asked of a row. Raises: as `parse_query`."""
        if query_string:
            return parse_item_query(self._catalog, resource, query_string, self._bounds)
        if resource not in self._whole_rows:
            self._whole_rows[resource] = ReadPlan(resource)
        return self._whole_rows[resource]
