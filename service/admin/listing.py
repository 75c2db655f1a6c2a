"""What the address of a list asks for: it is a query of the API, with few parameters of the page's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from service.admin.fields import Field, fields_of
from service.admin.filters import quoted_name
from service.admin.reading import Pairs, encode
from service.admin.search import Search, search_of
from service.admin.visit import Visit
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.parse.order import parse_order, plain_column, with_tie_breaker
from service.query.parse.reader import Reader
from service.query.plan import ColumnRef, OrderTerm

SIZES = (25, 50, 100, 250)
_SIZE = 50
_SHOWN_AT_FIRST = 12
_OF_PAGE = frozenset({"select", "order", "limit", "cursor", "offset", "as_of"})
# Parameters of the page itself begin with a dash, which no column's bare name does.
COUNT, QUERY, EVERYTHING, ANYWAY = "-count", "-q", "-q-all", "-anyway"
AFTER, BEFORE, LAST = "-after", "-before", "-last"
PLACE = (AFTER, BEFORE, LAST, "cursor", "offset")
# Forms that choose columns, an order or a filter, and are turned into parameters of the API.
FORM = ("-column", "-operator", "-value", "-col", "-sort", "-direction", "-nulls")


@dataclass(frozen=True, slots=True)
class Listing:
    """The columns shown, the order that was chosen (None: by what is no column), filters and search, rows of a page."""

    resource: Resource
    fields: list[Field]
    shown: list[Field]
    order: tuple[OrderTerm, ...] | None
    filters: Pairs
    search: Search
    size: int
    pairs: Pairs

    def given(self, name: str) -> str | None:
        return next((value for given, value in self.pairs if given == name), None)

    def without(self, *names: str) -> Pairs:
        """The parameters of the address but for these; one that leads to another page goes with any."""
        return [(name, value) for name, value in self.pairs if name not in (*names, *PLACE)]

    @property
    def conditions(self) -> Pairs:
        """What rows must meet: the filters, and what is searched for."""
        return self.filters + ([self.search.condition] if self.search.condition else [])

    @property
    def total_order(self) -> tuple[OrderTerm, ...]:
        """The order with the key behind."""
        return with_tie_breaker(self.resource, self.order or ())

    @property
    def order_parameter(self) -> Pairs:
        if self.order is None:
            return [("order", self.given("order") or "")]
        return [("order", written(self.total_order))] if self.total_order else []

    @property
    def moment(self) -> Pairs:
        """The moment of the past that is looked at."""
        return [pair for pair in self.pairs if pair[0] == "as_of"]

    @property
    def is_past(self) -> bool:
        return bool(self.moment)

    def path(self, visit: Visit, pairs: Pairs, page: str = "list") -> str:
        return visit.of_table(self.resource, page, encode(pairs))


def listing_of(resource: Resource, query: str, *, searches_all: bool = False) -> Listing:
    """Read the address. With `searches_all`, texts are searched for in columns without an index, too.

    Raises:
        InvalidQuery: it names a column that is not there, or cannot be read.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    fields = fields_of(resource)
    terms = parse_order(resource, given["order"]) if given.get("order") else ()
    filters = [(name, value) for name, value in pairs if name not in _OF_PAGE and not name.startswith("-")]
    is_plain = all(plain_column(term) in resource.columns for term in terms)
    return Listing(
        resource,
        fields,
        _chosen(fields, given.get("select")),
        terms if is_plain else None,
        filters,
        search_of(resource, fields, given.get(QUERY, ""), everywhere=searches_all or EVERYTHING in given),
        _size(given.get("limit")),
        pairs,
    )


def _size(text: str | None) -> int:
    if not text:
        return _SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise InvalidQuery("`limit` must be a whole number.")
    return min(max(int(text), 1), SIZES[-1])


def _chosen(fields: Sequence[Field], select: str | None) -> list[Field]:
    if not select:
        return list(fields[:_SHOWN_AT_FIRST])
    named = {field.name: field for field in fields}
    reader = Reader(select, "'select'")
    names = dict.fromkeys(reader.list_of(reader.name))
    reader.expect_end()
    chosen = [named[name] for name in names if name in named]
    if not chosen:
        raise InvalidQuery("None of the columns that the address names is there.")
    return chosen


def written(terms: Sequence[OrderTerm]) -> str:
    """An order of plain columns, as the query language writes it."""
    return ",".join(map(_written, terms))


def _written(term: OrderTerm) -> str:
    nulls = "" if term.nulls_first is None else ".nullsfirst" if term.nulls_first else ".nullslast"
    return quoted_name(plain_column(term) or "") + (".desc" if term.is_descending else "") + nulls


def backwards(terms: Sequence[OrderTerm]) -> tuple[OrderTerm, ...]:
    """The opposite order, NULLs and all."""
    return tuple(
        OrderTerm(term.column, not term.is_descending, None if term.nulls_first is None else not term.nulls_first)
        for term in terms
    )


def found_first(resource: Resource, terms: Sequence[OrderTerm]) -> tuple[OrderTerm, ...]:
    """The same order, written so that PostgreSQL finds the rows before it sorts them: NULLs of columns that have none
    are put at the end where no index has them. To find few rows among millions it would else often walk along the key,
    hoping to meet them soon.
    """
    columns = resource.columns
    return tuple(
        term if columns[plain_column(term) or ""].is_nullable else replace(term, nulls_first=not term.puts_nulls_first)
        for term in terms
    )


def chosen_order(names: Sequence[str], directions: Sequence[str], nulls: Sequence[str]) -> str:
    """The order that was chosen in the form, where several columns may be."""
    terms: dict[str, OrderTerm] = {}
    for name, direction, place in zip(names, directions, nulls, strict=False):
        nulls_first = {"first": True, "last": False}.get(place)
        if name:
            terms.setdefault(name, OrderTerm(ColumnRef(name), direction == "desc", nulls_first))
    return written(tuple(terms.values()))
