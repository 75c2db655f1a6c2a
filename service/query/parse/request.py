"""A query string to a read plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson

from service.catalog.catalog import Catalog, unknown_column
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, UnknownColumn
from service.core.types import Action
from service.query import cursor
from service.query.parse.build import build_plan
from service.query.parse.gather import gather
from service.query.parse.level import Level, build_level
from service.query.parse.parameters import OF_THE_REQUEST, Bounds, Parameters, decode_parameters
from service.query.parse.reader import Reader
from service.query.parse.select import parse_select
from service.query.plan import AfterKey, Bind, Predicate, ReadPlan, all_of

__all__ = [
    "Bounds",
    "Parameters",
    "Query",
    "decode_parameters",
    "parse_filter",
    "parse_item_query",
    "parse_parameters",
    "parse_query",
]

# Parameters that do not decide which rows come in which order; but for `select`, where that groups rows, or names what
# they are ordered by.
_OF_THE_PAGE = frozenset({"select", "limit", "offset", "cursor", "columns", "on_conflict"})
_ALL = 2**63 - 1
_NO_FILTERS = OF_THE_REQUEST | {"order", "limit", "offset", "having"}


@dataclass(frozen=True, slots=True)
class Query:
    """A read plan, and what its next page needs.

    `filters` are those of the table itself, each with the number of its parameter. `position` is how many rows lie
    before the page. `columns` are those that a write takes of its body, `on_conflict` those whose uniqueness decides.
    `own_limit` is the limit that was asked for, whatever may be had.
    """

    plan: ReadPlan
    parameters: Parameters
    filters: tuple[tuple[int, Predicate], ...]
    limit: int
    position: int
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    own_limit: int | None = None

    @property
    def bound_to(self) -> str:
        """A cursor for the next page belongs to this sort and filter."""
        return _bound_to(self.parameters, self.plan)

    @property
    def can_continue(self) -> bool:
        """Whether a cursor can hold a place in its order. Else its pages go by offset."""
        return self.plan.has_keyset


def parse_query(catalog: Catalog, resource: Resource, query_string: bytes, bounds: Bounds) -> Query:
    """The plan of a query string.

    Raises:
        InvalidQuery: it says something that the language does not have.
        RelationNotFound, AmbiguousRelation: a table cannot be embedded as asked.
    """
    return parse_parameters(catalog, resource, decode_parameters(query_string), bounds)


def parse_parameters(catalog: Catalog, resource: Resource, parameters: Parameters, bounds: Bounds) -> Query:
    """The plan of a query string's decoded parameters. Raises: as `parse_query`."""
    given = {name: text for name, text in parameters if name in OF_THE_REQUEST}
    root = build_level(catalog, resource, parse_select(given.get("select", ""), bounds.max_depth))
    sources: list[int] = []
    for number, (name, text) in enumerate(parameters):
        if name not in OF_THE_REQUEST:
            gather(root, name, text, bounds.max_depth)
            sources += [number] * (len(root.where) - len(sources))
    limit = bounds.max_rows if root.limit is None else min(root.limit, bounds.max_rows)
    if not bounds.allows_aggregates and root.has_aggregates:
        raise InvalidQuery("Use of aggregate functions is not allowed", code="PGRST123")
    plan = replace(build_plan(root, bounds.max_rows), limit=Bind(str(limit)))
    after, position = _after(given.get("cursor"), parameters, plan)
    return Query(
        plan=replace(plan, after=after),
        parameters=parameters,
        filters=tuple(zip(sources, root.where, strict=True)),
        limit=limit,
        position=position + (root.offset or 0),
        columns=_names("columns", given.get("columns"), lambda name: _require_in_body(resource, name)),
        on_conflict=_names("on_conflict", given.get("on_conflict"), lambda name: _require_column(resource, name)),
        own_limit=root.limit,
    )


def parse_item_query(catalog: Catalog, resource: Resource, query_string: bytes, bounds: Bounds) -> ReadPlan:
    """The plan of a row's query string: it selects and embeds, and may filter, but has no pages."""
    query = parse_query(catalog, resource, query_string, bounds)
    if query.plan.is_grouped:
        raise InvalidQuery("A row has no aggregates.", hint="Ask the table: ?select=count().")
    return replace(query.plan, order=(), limit=None, offset=None, after=None)


def parse_export(catalog: Catalog, resource: Resource, query_string: bytes, bounds: Bounds) -> Query:
    """The query of all rows that a query string selects: none is cut off but by its own `limit`.

    Raises: as `parse_query`.
    """
    query = parse_query(catalog, resource, query_string, bounds)
    limit = query.own_limit
    plan = replace(query.plan, limit=None if limit is None else Bind(str(limit)))
    return replace(query, plan=plan, limit=_ALL if limit is None else limit)


def plan_of_export(query: Query) -> ReadPlan:
    """Rows that nobody wants in an order, and that are not cut, come as PostgreSQL finds them."""
    plan = query.plan
    is_ordered = plan.limit or plan.offset or plan.after or any(name == "order" for name, _ in query.parameters)
    return plan if is_ordered else replace(plan, order=())


def parse_filter(resource: Resource, text: str, max_depth: int) -> Predicate | None:
    """The filters of a query string over one table, as grants keep them.

    Raises:
        InvalidQuery: it is no filter.
    """
    # Without computed columns: they are functions, which a role may not be granted.
    level = Level(replace(resource, computed={}), ())
    for name, value in decode_parameters(text.encode()):
        if name in _NO_FILTERS:
            raise InvalidQuery(f"{name!r} is no filter.")
        gather(level, name, value, max_depth)
    return all_of(*level.where)


def cursor_behind(parameters: Parameters, values: Sequence[str | None], position: int) -> str:
    """The cursor that continues a query of plain columns behind a row, whose sort values these are as text; `position`
    is how many rows lie before the page.
    """
    bound_to = cursor.fingerprint([item for item in parameters if item[0] not in _OF_THE_PAGE])
    return cursor.encode(bound_to, orjson.dumps(values), position)


def _bound_to(parameters: Parameters, plan: ReadPlan) -> str:
    is_by_select = plan.is_grouped or any(term.embedded is not None for term in plan.order)
    passed_over = _OF_THE_PAGE - {"select"} if is_by_select else _OF_THE_PAGE
    return cursor.fingerprint([item for item in parameters if item[0] not in passed_over])


def _after(token: str | None, parameters: Parameters, plan: ReadPlan) -> tuple[AfterKey | None, int]:
    if token is None:
        return None, 0
    if not plan.has_keyset:
        raise InvalidQuery("No cursor leads through rows without a key.", hint="Page by limit and offset.")
    return cursor.decode(token, _bound_to(parameters, plan), plan.resource, plan.order)


def _names(parameter: str, text: str | None, require: Callable[[str], None]) -> tuple[str, ...] | None:
    """The names of a parameter that lists columns, each once."""
    if text is None:
        return None
    reader = Reader(text, f"{parameter!r}")
    names = tuple(dict.fromkeys(reader.list_of(reader.name)))
    reader.expect_end()
    for name in names:
        require(name)
    return names


def _require_in_body(resource: Resource, name: str) -> None:
    if name not in resource.in_bodies(Action.CREATE, Action.UPDATE):
        message = f"Could not find the '{name}' column of '{resource.table.name}' in the schema cache"
        raise UnknownColumn(message, hint=unknown_column(resource, name).hint, code="PGRST204")


def _require_column(resource: Resource, name: str) -> None:
    if name not in resource.columns:
        raise unknown_column(resource, name)
