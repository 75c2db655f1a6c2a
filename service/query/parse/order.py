"""`order=`: columns with direction and the place of NULLs."""

import re
from collections.abc import Hashable, Mapping
from types import MappingProxyType

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.parse.field import Field, read_aggregate, read_cast, read_count, read_field, resolve
from service.query.parse.level import Level, not_embedded
from service.query.parse.reader import Reader
from service.query.plan import Aggregated, ColumnRef, OrderTerm

_DIRECTION = re.compile(r"\.(asc|desc)(?=[., \t]|$)")
_NULLS = re.compile(r"\.nulls(first|last)(?=[, \t]|$)")
_NO_EMBEDS: Mapping[str, Level] = MappingProxyType({})


def parse_order(
    resource: Resource, text: str, embeds: Mapping[str, Level] = _NO_EMBEDS, *, is_grouped: bool = False
) -> tuple[OrderTerm, ...]:
    """`a.desc.nullslast,b->c,embedded(d),e.sum()`; a column that comes again says nothing new and is left out.

    Raises:
        InvalidQuery: by an aggregate where nothing is aggregated, or by what is not embedded, or embedded to-many.
    """
    reader = Reader(text, "'order'")
    terms: dict[Hashable, OrderTerm] = {}
    for term in reader.list_of(lambda: _term(resource, reader, embeds)):
        if isinstance(term.column, Aggregated) and not is_grouped:
            raise InvalidQuery("The order has an aggregate, and 'select' has none.", hint="Select an aggregate, too.")
        terms.setdefault(plain_column(term) or len(terms), term)
    reader.expect_end()
    return tuple(terms.values())


def plain_column(term: OrderTerm) -> str | None:
    """The name of the table's own column that the term orders by, or None where it orders by anything else."""
    match term:
        case OrderTerm(column=ColumnRef(name=name, path=(), cast=None), embedded=None):
            return name
    return None


def with_tie_breaker(resource: Resource, order: tuple[OrderTerm, ...]) -> tuple[OrderTerm, ...]:
    """Add the primary key behind, so that no two rows are equal in order."""
    named = {plain_column(term) for term in order}
    return order + tuple(OrderTerm(ColumnRef(name)) for name in resource.key if name not in named)


def _term(resource: Resource, reader: Reader, embeds: Mapping[str, Level]) -> OrderTerm:
    column, embedded = _column(resource, reader, embeds)
    direction = reader.match(_DIRECTION)
    nulls = reader.match(_NULLS)
    return OrderTerm(
        column,
        is_descending=direction is not None and direction[1] == "desc",
        nulls_first=None if nulls is None else nulls[1] == "first",
        embedded=embedded,
    )


def _column(
    resource: Resource, reader: Reader, embeds: Mapping[str, Level]
) -> tuple[ColumnRef | Aggregated, str | None]:
    count = read_count(reader)
    if count is not None:
        return count, None
    field = read_field(reader)
    if reader.skip("("):
        column = _embedded_column(resource, field, reader, embeds)
        reader.expect(")")
        return column, field.name
    column = resolve(resource, field, read_cast(reader))
    function = read_aggregate(reader)
    if function is not None:
        return Aggregated(function, column), None
    if column.cast is not None:
        raise reader.error("only an aggregate's column may be cast here")
    return column, None


def _embedded_column(resource: Resource, embed: Field, reader: Reader, embeds: Mapping[str, Level]) -> ColumnRef:
    level = None if embed.path else embeds.get(embed.name)
    if level is None:
        raise not_embedded(embed.last_name)
    if level.is_grouped and not level.is_spread:
        raise InvalidQuery(f"{embed.name!r} has aggregates: rows cannot be ordered by one of its columns.")
    if level.relation is None or level.relation.is_many:
        raise InvalidQuery(
            f"A related order on {embed.name!r} is not possible",
            details=f"{resource.name!r} and {embed.name!r} do not form a many-to-one or one-to-one relationship",
            code="PGRST118",
        )
    return resolve(level.resource, read_field(reader))
