"""The list of a table's rows."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from service.admin.controls import control_of
from service.admin.fields import Kind
from service.admin.filters import OPERATORS, conditions_of, filter_parameter, operators_of, quoted_name
from service.admin.forms import writable
from service.admin.indexes import served_columns, unserved
from service.admin.listing import ANYWAY, COUNT, EVERYTHING, FORM, QUERY, SIZES, Listing, chosen_order, listing_of
from service.admin.pages.export import CHOICES
from service.admin.paging import Page, page_of, place_of, query_of
from service.admin.reading import Cell, Pairs, cells_of, encode, key_in, label_selects, labels_of, value_select
from service.admin.selection import counted, estimated, version_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import table_url
from service.catalog.resource import Resource
from service.core.errors import LimitExceeded
from service.core.states import QUERY_CANCELED
from service.core.types import Action
from service.query.parse.order import plain_column
from service.query.plan import VERSION_COLUMN

# Fewer rows than these are read in milliseconds, index or not.
_FEW = 100_000
# So many are found and sorted in milliseconds.
_FOUND_FIRST = 20_000
_STOPPED = "PostgreSQL was stopped: this took longer than the service allows."


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list. `key` is as the API's paths write it; None where the table has none."""

    key: str | None
    version: str
    path: str | None
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Range:
    """How many rows there are: as PostgreSQL estimates, unless it `is_exact`. `first` is None where it is not known."""

    first: int | None
    last: int | None
    total: int | None
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The rows of a page, or (`unserved`) what no index serves, so that they were not read; `fault` is why they could
    not be.
    """

    listing: Listing
    page: Page
    span: Range
    unserved: tuple[str, ...] = ()
    fault: str = ""
    status: int = 200
    count_fault: str = ""


async def show(visit: Visit) -> Response:
    """A page of rows."""
    resource = visit.resource
    if (chosen := _chosen(visit, resource)) is not None:
        return visit.go(chosen)
    listing = listing_of(resource, visit.request.url.query)
    place = place_of(listing)
    shown = await _read(visit, listing)
    if place.is_back and shown.page.rows and shown.page.previous is None and shown.page.next:
        return visit.go(listing.path(visit, listing.without()))  # it is the first page, and a whole one
    return await _page(visit, shown)


def _chosen(visit: Visit, resource: Resource) -> str | None:
    """Where a form that chooses a filter, columns or an order leads; None where none was sent."""
    given = parse_qs(visit.request.url.query, keep_blank_values=True)
    if not any(name in given for name in FORM):
        return None
    listing = listing_of(resource, visit.request.url.query)
    column, operator = (given.get(name, [""])[0] for name in ("-column", "-operator"))
    added = filter_parameter(resource, column, operator, given.get("-value", []))
    pairs = listing.without(*FORM)
    if "-col" in given:
        names = [name for name in given["-col"] if name in resource.columns]
        pairs = [pair for pair in pairs if pair[0] != "select"]
        pairs += [("select", ",".join(map(quoted_name, names)))] if names else []
    if "-sort" in given:
        names = [name if name in resource.columns else "" for name in given["-sort"]]
        order = chosen_order(names, given.get("-direction", []), given.get("-nulls", []))
        pairs = [pair for pair in pairs if pair[0] != "order"] + ([("order", order)] if order else [])
    return listing.path(visit, [*pairs, *([added] if added else [])])


async def _read(visit: Visit, listing: Listing) -> Shown:
    """The rows, if an index serves what is asked for, or the table is small, or it is asked for anyway."""
    nothing = Shown(listing, Page([], None, None, None, None), Range(None, None, None, False))
    lacking = unserved(listing)
    is_small: bool | None = None
    if listing.search.text and listing.search.others and not listing.search.is_everywhere:
        is_small = await estimated(visit, listing.resource, []) < _FEW
        if is_small:
            listing = listing_of(listing.resource, visit.request.url.query, searches_all=True)
            nothing, lacking = replace(nothing, listing=listing), []
    if listing.search.finds_nothing:
        return nothing
    if lacking and listing.given(ANYWAY) is None and not is_small and EVERYTHING not in dict(listing.pairs):
        rows = await estimated(visit, listing.resource, [])
        if rows >= _FEW:
            return replace(nothing, unserved=tuple(lacking), span=Range(None, None, rows, False))
    try:
        return await _rows(visit, listing)
    except LimitExceeded as error:
        if error.stable_code != QUERY_CANCELED:
            raise
        return replace(nothing, fault=_STOPPED, status=status_of(error))


async def _rows(visit: Visit, listing: Listing) -> Shown:
    place, resource = place_of(listing), listing.resource
    labels = labels_of(visit, resource, listing.shown)
    total = await estimated(visit, resource, [*listing.conditions, *listing.moment])
    are_few = bool(listing.conditions) and total <= _FOUND_FIRST
    query = [*query_of(listing, place, are_few=are_few), ("select", ",".join(_selected(listing, labels)))]
    page = page_of(listing, place, await visit.plane.read(table_url("", resource), encode(query)))
    end = None if page.start is None else page.start + len(page.rows)
    span = Range(page.start, end, max(total, end or 0), False)
    if page.next is None and end is not None:
        return Shown(listing, page, replace(span, total=end, is_exact=True))
    if listing.given(COUNT) is None:
        return Shown(listing, page, span)
    try:
        exact = await counted(visit, listing)
    except LimitExceeded:
        return Shown(
            listing, page, span, count_fault="They are too many to be counted in the time that the service allows."
        )
    if page.start is None:  # the last page: its rows are the last of so many
        span = replace(span, first=max(exact - len(page.rows), 0), last=exact)
    return Shown(listing, page, replace(span, total=exact, is_exact=True))


def _selected(listing: Listing, labels: dict[str, str]) -> list[str]:
    """What is selected: each value as PostgreSQL's own text, so that nothing is rounded or lost on the way."""
    ordered = (plain_column(term) or "" for term in listing.total_order)
    needed = dict.fromkeys([*listing.resource.key, *(field.name for field in listing.shown), *ordered])
    shown = {field.name: field for field in listing.shown if not field.is_key}
    select = [value_select(shown[name]) if name in shown else f"{quoted_name(name)}::text" for name in needed]
    if VERSION_COLUMN not in listing.resource.columns:
        select.append(VERSION_COLUMN)
    return select + label_selects(listing.shown, labels)


async def _page(visit: Visit, shown: Shown) -> Response:
    listing = shown.listing
    resource = listing.resource
    may = {action.value: visit.may(resource, action) for action in Action}
    if listing.is_past:
        may |= {"update": False, "delete": False}
    return await visit.page(
        "list.html",
        shown.status,
        title=resource.name,
        resource=resource,
        listing=listing,
        shown=shown,
        rows=[_row(visit, listing, row) for row in shown.page.rows],
        span=shown.span,
        links=_links(visit, shown),
        conditions=conditions_of(resource, listing.filters),
        operators={field.name: operators_of(field.kind) for field in listing.fields},
        operator_words=OPERATORS,
        served=served_columns(resource),
        may=may,
        address=encode(listing.without(COUNT)),
        sorted_by=_sorted_by(listing),
        editable=_editable(listing) if may["update"] else frozenset(),
        sizes=SIZES,
        exports=CHOICES,
        encode=encode,
        quoted_name=quoted_name,
        control_of=control_of,
        Kind=Kind,
        QUERY=QUERY,
    )


def _links(visit: Visit, shown: Shown) -> dict[str, str]:
    """Where the page leads, by names; what is not there is left out."""
    listing, page = shown.listing, shown.page
    kept = listing.without()
    places: dict[str, Pairs | None] = {
        "first": [] if page.previous is not None else None,
        "previous": page.previous,
        "next": page.next,
        "last": page.last,
        "anyway": [(ANYWAY, "1")],
    }
    links = {name: listing.path(visit, [*kept, *place]) for name, place in places.items() if place is not None}
    here = [pair for pair in listing.pairs if pair[0] != COUNT]
    links["count"] = listing.path(visit, [*here, (COUNT, "1")])
    links["everywhere"] = listing.path(visit, [*listing.without(EVERYTHING), (EVERYTHING, "1")])
    links["clear"] = listing.path(visit, [pair for pair in kept if pair[0] in ("select", "order", "limit")])
    return links


def _sorted_by(listing: Listing) -> dict[str, tuple[int, bool, bool]]:
    """The columns that rows are sorted by: place, whether descending, whether NULLs come first."""
    return {
        plain_column(term) or "": (number, term.is_descending, term.puts_nulls_first)
        for number, term in enumerate(listing.order or (), start=1)
    }


def _editable(listing: Listing) -> frozenset[str]:
    """The columns that are edited in their cells. The key names the row, and files are large: they are changed on a
    page of their own.
    """
    settable = {one.name for one in writable(listing.resource) if not control_of(one).is_file}
    return frozenset(one.name for one in listing.shown if one.name in settable and not one.is_key)


def _row(visit: Visit, listing: Listing, row: dict[str, Any]) -> Row:
    resource = listing.resource
    key = key_in(resource, row) if resource.key else None
    cells = cells_of(visit, listing.shown, row)
    path = None if key is None else visit.of_row(resource, "details", key)
    return Row(key, version_in(row), path, cells)
