"""The list of a table's rows: its address is a query of the API, with few parameters of the page's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.responses import Response

from service.admin.fields import Field, Kind, fields_of
from service.admin.filters import OPERATORS, conditions_of, filter_parameter, operators_of, quoted_name
from service.admin.plane import header, loaded
from service.admin.reading import Cell, Pairs, cells_of, encode, label_selects, labels_of
from service.admin.visit import Visit
from service.api.v1.paths import key_text, table_url
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.core.types import Action
from service.query.plan import VERSION_COLUMN

PAGE = 50
# Parameters of the page itself begin with a dash, which no column's bare name does.
COUNT, HIDE_FILTERS = "-count", "-filters"
_OF_PAGE = frozenset({"select", "order", "limit", "cursor", "offset", "as_of"})
_SHOWN_AT_FIRST = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list. `key` is as the API's paths write it; None where the table has none."""

    key: str | None
    version: str | None
    path: str | None
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the address asks for."""

    fields: list[Field]
    shown: list[Field]
    order: list[tuple[str, bool]]
    filters: Pairs
    pairs: Pairs

    def without(self, *names: str) -> Pairs:
        """The parameters of the address but for these."""
        return [(name, value) for name, value in self.pairs if name not in names]


def listing_of(resource: Resource, pairs: Pairs) -> Listing:
    """Read the address.

    Raises:
        InvalidQuery: it names a column that is not there.
    """
    fields = fields_of(resource)
    given = dict(pairs)
    shown = _chosen(fields, given.get("select"))
    order = [_order_term(term) for term in given.get("order", "").split(",") if term]
    filters = [(name, value) for name, value in pairs if name not in _OF_PAGE and not name.startswith("-")]
    return Listing(fields, shown, order, filters, pairs)


def _chosen(fields: Sequence[Field], select: str | None) -> list[Field]:
    if not select:
        return list(fields[:_SHOWN_AT_FIRST])
    named = {quoted_name(field.name): field for field in fields}
    chosen = [named[name] for name in select.split(",") if name in named]
    if not chosen:
        raise InvalidQuery("None of the columns that the address names is there.")
    return chosen


def _order_term(text: str) -> tuple[str, bool]:
    name, _, rest = text.partition(".")
    return name, rest.startswith("desc")


def api_query(resource: Resource, listing: Listing, labels: dict[str, str]) -> Pairs:
    """What the API is asked: each value as PostgreSQL's own text, so that nothing is rounded or lost on the way."""
    needed = dict.fromkeys([*resource.key, *(field.name for field in listing.shown)])
    select = [f"{quoted_name(name)}::text" for name in needed]
    if resource.abilities.has_version and VERSION_COLUMN not in resource.columns:
        select.append(VERSION_COLUMN)
    select += label_selects(listing.shown, labels)
    kept = [(name, value) for name, value in listing.pairs if name in ("order", "cursor", "offset", "as_of")]
    return [*listing.filters, *kept, ("select", ",".join(select)), ("limit", str(PAGE))]


async def show(visit: Visit) -> Response:
    """A page of rows."""
    resource = visit.resource
    pairs = parse_qsl(visit.request.url.query, keep_blank_values=True)
    if wanted := filter_parameter(resource, dict(pairs)):
        kept = [pair for pair in pairs if pair[0] not in ("-column", "-operator", "-value", "cursor", "offset")]
        return visit.go(visit.of_table(resource, "list", encode([*kept, wanted])))
    listing = listing_of(resource, pairs)
    labels = labels_of(visit, resource, listing.shown)
    counting = {"1": "exact"}.get(dict(pairs).get(COUNT, ""), "planned")
    answer = await visit.plane.ask(
        "GET",
        table_url("", resource),
        encode(api_query(resource, listing, labels)),
        headers={"prefer": f"count={counting}"},
    )
    rows = [_row(visit, resource, listing, row) for row in loaded(answer.body)]
    return await visit.page(
        "list.html",
        title=resource.name,
        resource=resource,
        listing=listing,
        rows=rows,
        range=Range.of(answer, len(rows), is_exact=counting == "exact"),
        next_path=_next(visit, resource, listing, header(answer, b"link")),
        conditions=conditions_of(resource, listing.filters),
        operators={field.name: operators_of(field.kind) for field in listing.fields},
        operator_words=OPERATORS,
        may={action.value: visit.may(resource, action) for action in Action},
        encode=encode,
        quoted_name=quoted_name,
        Kind=Kind,
    )


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows these are, of how many: `total` is what PostgreSQL estimates unless it `is_exact`."""

    first: int
    last: int
    total: int | None
    is_exact: bool

    @classmethod
    def of(cls, answer: Any, rows: int, *, is_exact: bool) -> "Range":
        """By `Content-Range` (`0-49/336776`)."""
        span, _, total = (header(answer, b"content-range") or "*/*").partition("/")
        first = int(span.partition("-")[0]) if "-" in span else 0
        last = first + rows
        if rows < PAGE:  # the last page: so many there are
            return cls(first + 1, last, last, True)
        return cls(first + 1, last, max(int(total), last) if total.isdigit() else None, is_exact)


def _row(visit: Visit, resource: Resource, listing: Listing, row: dict[str, Any]) -> Row:
    key = key_text(tuple(row[name] for name in resource.key)) if resource.key else None
    cells = cells_of(visit, listing.shown, row)
    path = None if key is None else visit.of_row(resource, "details", key)
    return Row(key, row.get(VERSION_COLUMN), path, cells)


def _next(visit: Visit, resource: Resource, listing: Listing, link: str | None) -> str | None:
    if link is None:
        return None
    following = dict(parse_qsl(urlsplit(link.partition(">")[0].lstrip("<")).query))
    place = [(name, following[name]) for name in ("cursor", "offset") if name in following]
    return visit.of_table(resource, "list", encode([*listing.without("cursor", "offset"), *place]))
