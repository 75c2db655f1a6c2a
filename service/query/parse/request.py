"""A query string to a read plan."""

from dataclasses import dataclass, field, replace
from urllib.parse import unquote_to_bytes

from service.catalog.catalog import Catalog, unknown_column
from service.catalog.resource import Relation, Resource
from service.core.errors import InvalidQuery
from service.query import cursor
from service.query.parse.condition import parse_condition, parse_logic
from service.query.parse.order import parse_order, with_tie_breaker
from service.query.parse.reader import Reader
from service.query.parse.select import WrittenColumn, WrittenEmbed, WrittenItem, parse_select
from service.query.plan import (
    VERSION_COLUMN,
    AllColumns,
    Bind,
    ColumnRef,
    Embedded,
    OrderTerm,
    Predicate,
    ReadPlan,
    Selected,
    SelectItem,
    all_of,
)

Parameters = tuple[tuple[str, str], ...]
_LARGEST = 2**63 - 1
# Parameters that do not decide which rows come in which order.
_OF_THE_PAGE = frozenset({"select", "limit", "offset", "cursor"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request may ask for."""

    max_rows: int
    max_depth: int


@dataclass(frozen=True, slots=True)
class Query:
    """A read plan, and what its next page needs.

    `filters` are those of the table itself, each with the number of its parameter. `position` is how many rows lie
    before the page.
    """

    plan: ReadPlan
    parameters: Parameters
    filters: tuple[tuple[int, Predicate], ...]
    limit: int
    position: int

    @property
    def bound_to(self) -> str:
        """A cursor for the next page belongs to this sort and filter."""
        return _bound_to(self.parameters)


@dataclass(slots=True)
class _Node:
    """A table of the request while its parameters are gathered."""

    resource: Resource
    items: tuple[WrittenItem, ...]
    relation: Relation | None = None
    where: list[Predicate] = field(default_factory=list)
    order: tuple[OrderTerm, ...] = ()
    limit: int | None = None
    offset: int | None = None
    children: dict[str, "_Node"] = field(default_factory=dict)


def parse_query(catalog: Catalog, resource: Resource, query_string: bytes, bounds: Bounds) -> Query:
    """The plan of a query string.

    Raises:
        InvalidQuery: it says something that the language does not have.
        RelationNotFound, AmbiguousRelation: a table cannot be embedded as asked.
    """
    return parse_parameters(catalog, resource, decode_parameters(query_string), bounds)


def parse_parameters(catalog: Catalog, resource: Resource, parameters: Parameters, bounds: Bounds) -> Query:
    """The plan of a query string's decoded parameters. Raises: as `parse_query`."""
    given = {name: text for name, text in parameters if name in ("select", "cursor")}
    root = _node(catalog, resource, parse_select(given.get("select", ""), bounds.max_depth), None)
    sources: list[int] = []
    for number, (name, text) in enumerate(parameters):
        if name not in ("select", "cursor"):
            _apply(root, name, text, bounds)
            sources += [number] * (len(root.where) - len(sources))
    limit = bounds.max_rows if root.limit is None else min(root.limit, bounds.max_rows)
    order = with_tie_breaker(resource, root.order)
    after, position = None, 0
    if "cursor" in given:
        after, position = cursor.decode(given["cursor"], _bound_to(parameters), resource, order)
    plan = replace(_plan(root, bounds), order=order, limit=Bind(str(limit)), after=after)
    return Query(plan, parameters, tuple(zip(sources, root.where, strict=True)), limit, position + (root.offset or 0))


def _bound_to(parameters: Parameters) -> str:
    return cursor.fingerprint([item for item in parameters if item[0] not in _OF_THE_PAGE])


def parse_item_query(catalog: Catalog, resource: Resource, query_string: bytes, bounds: Bounds) -> ReadPlan:
    """The plan of a row's query string: it selects and embeds, and may filter, but has no pages."""
    query = parse_query(catalog, resource, query_string, bounds)
    return replace(query.plan, order=(), limit=None, offset=None, after=None)


def parse_filter(resource: Resource, text: str, max_depth: int) -> Predicate | None:
    """The filters of a query string over one table, as grants keep them.

    Raises:
        InvalidQuery: it is no filter.
    """
    node = _Node(resource, ())
    for name, value in decode_parameters(text.encode()):
        if name in ("select", "order", "limit", "offset", "cursor"):
            raise InvalidQuery(f"{name!r} is no filter.")
        _apply(node, name, value, Bounds(1, max_depth))
    return all_of(*node.where)


def decode_parameters(query_string: bytes) -> Parameters:
    """Names and values in order, percent-decoded as UTF-8."""
    try:
        pairs = (part.partition(b"=") for part in query_string.split(b"&") if part)
        return tuple((_decode(name), _decode(value)) for name, _, value in pairs)
    except UnicodeDecodeError:
        raise InvalidQuery("The query string is not UTF-8.", hint="Percent-encode it as UTF-8.") from None


def _decode(part: bytes) -> str:
    text = unquote_to_bytes(part.replace(b"+", b" ")).decode()
    if "\x00" in text:
        raise InvalidQuery("The query string has a NUL character, which PostgreSQL cannot store.")
    return text


def _node(catalog: Catalog, resource: Resource, items: tuple[WrittenItem, ...], relation: Relation | None) -> _Node:
    node = _Node(resource, items, relation)
    for item in items:
        if isinstance(item, WrittenEmbed):
            way = catalog.relation(resource, item.target, item.hint)
            if item.alias in node.children:
                raise InvalidQuery(f"{item.alias!r} is selected twice.", hint=f"Rename one: other:{item.target}(…).")
            node.children[item.alias] = _node(catalog, catalog.get(way.target), item.items, way)
    return node


def _apply(root: _Node, name: str, text: str, bounds: Bounds) -> None:
    """Put one parameter where it belongs: `airline.name=eq.x` is the filter `name=eq.x` of the embedded `airline`."""
    *path, last = _segments(name)
    is_negated = bool(path) and path[-1] == "not" and last in ("and", "or")
    node = _find(root, path[:-1] if is_negated else path)
    match last:
        case "and" | "or":
            node.where.append(
                parse_logic(node.resource, text, is_or=last == "or", is_negated=is_negated, max_depth=bounds.max_depth)
            )
        case "order":
            node.order = parse_order(node.resource, text) if text else ()
        case "limit":
            node.limit = _number(last, text)
        case "offset":
            node.offset = _number(last, text)
        case _:
            node.where.append(parse_condition(node.resource, last, text))


def _segments(name: str) -> list[str]:
    reader = Reader(name, "The parameter's name")
    segments = [reader.name()]
    while reader.skip("."):
        segments.append(reader.name())
    reader.expect_end()
    return segments


def _find(node: _Node, path: list[str]) -> _Node:
    for segment in path:
        if segment not in node.children:
            raise InvalidQuery(
                f"{segment!r} is not embedded here.",
                hint=f"Embed it first: select=*,{segment}(*).",
                code="PGRST108",
            )
        node = node.children[segment]
    return node


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= _LARGEST and len(text) < 20):
        raise InvalidQuery(f"{name!r} must be a whole number, not negative.")
    return int(text)


def _plan(node: _Node, bounds: Bounds) -> ReadPlan:
    order = with_tie_breaker(node.resource, node.order) if node.order or node.limit is not None else ()
    return ReadPlan(
        resource=node.resource,
        select=_select(node, bounds),
        where=all_of(*node.where),
        order=order,
        limit=None if node.limit is None else Bind(str(node.limit)),
        offset=None if node.offset is None else Bind(str(node.offset)),
    )


def _select(node: _Node, bounds: Bounds) -> tuple[SelectItem, ...]:
    """The items, each name once: JSON objects with a name twice are read differently by different clients."""
    items: list[SelectItem] = []
    names: dict[str, SelectItem] = {}
    for item in (_item(node, written, bounds) for written in node.items):
        if isinstance(item, AllColumns):
            given: dict[str, SelectItem] = {name: Selected(ColumnRef(name), name) for name in node.resource.columns}
        else:
            given = {item.alias: item}
        if all(names.get(name) == same for name, same in given.items()):
            continue
        if taken := next((name for name in given if name in names), None):
            raise InvalidQuery(f"{taken!r} is selected twice.", hint=f"Rename one: other:{taken}.")
        names |= given
        items.append(item)
    return tuple(items)


def _item(node: _Node, item: WrittenItem, bounds: Bounds) -> SelectItem:
    if isinstance(item, WrittenColumn):
        return _column(node.resource, item)
    child = node.children[item.alias]
    assert child.relation is not None
    is_bounded = not child.relation.is_many or (child.limit is not None and child.limit <= bounds.max_rows)
    at_most = None if is_bounded else Bind(str(bounds.max_rows))
    return Embedded(child.relation, item.alias, _plan(child, bounds), item.is_inner, at_most)


def _column(resource: Resource, item: WrittenColumn) -> SelectItem:
    if item.name == "*":
        return AllColumns()
    if item.name not in resource.columns and item.name != VERSION_COLUMN:
        raise unknown_column(resource, item.name)
    return Selected(ColumnRef(item.name, item.cast), item.alias or item.name)
