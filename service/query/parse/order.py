"""`order=`: columns with direction and the place of NULLs."""

from service.catalog.catalog import unknown_column
from service.catalog.resource import Resource
from service.query.parse.reader import Reader
from service.query.plan import ColumnRef, OrderTerm


def parse_order(resource: Resource, text: str) -> tuple[OrderTerm, ...]:
    """`a.desc.nullslast,b`; a column that comes again says nothing new and is left out."""
    reader = Reader(text, "'order'")
    terms: dict[str, OrderTerm] = {}
    while True:
        term = _term(resource, reader)
        terms.setdefault(term.column.name, term)
        if not reader.skip(","):
            break
    reader.expect_end()
    return tuple(terms.values())


def with_tie_breaker(resource: Resource, order: tuple[OrderTerm, ...]) -> tuple[OrderTerm, ...]:
    """Add the primary key behind, so that no two rows are equal in order."""
    named = {term.column.name for term in order}
    return order + tuple(OrderTerm(ColumnRef(name)) for name in resource.key if name not in named)


def _term(resource: Resource, reader: Reader) -> OrderTerm:
    name = reader.name()
    if name not in resource.columns:
        raise unknown_column(resource, name)
    is_descending, nulls_first = False, None
    if reader.skip(".desc"):
        is_descending = True
    else:
        reader.skip(".asc")
    if reader.skip(".nullsfirst"):
        nulls_first = True
    elif reader.skip(".nullslast"):
        nulls_first = False
    return OrderTerm(ColumnRef(name), is_descending, nulls_first)
