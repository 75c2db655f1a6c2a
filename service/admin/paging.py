"""Pages by keyset, forward and back: a page begins behind, or ends before, a row of its neighbour.

Back is forward in the opposite order, with the rows turned round: PostgreSQL reads the same index from its other end.
Where rows have no key, or their order is by more than columns, pages go by offset.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.admin.listing import AFTER, BEFORE, LAST, Listing, backwards, found_first, written
from service.admin.reading import Pairs
from service.core.errors import InvalidQuery
from service.query.parse.order import plain_column
from service.query.parse.request import cursor_behind

_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page lies: behind (or, if it `is_back`, before) the row with these sort values; without them, at the
    beginning (or the end). `position` is how many rows lie before that place, where that is known.
    """

    is_back: bool
    values: tuple[str | None, ...] | None
    position: int | None

    @property
    def is_first(self) -> bool:
        return not self.is_back and self.values is None and self.position == 0


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a page, in the order of the list: `start` is how many lie before them, where that is known."""

    rows: list[dict[str, Any]]
    start: int | None
    previous: Pairs | None
    next: Pairs | None
    last: Pairs | None


def place_of(listing: Listing) -> Place:
    """The place that the address names.

    Raises:
        InvalidQuery: it cannot be read, or is of another order.
    """
    if not _has_keyset(listing):
        return Place(False, None, _number(listing.given("offset") or "0"))
    if (token := listing.given(AFTER)) is not None:
        return _decoded(listing, token, is_back=False)
    if (token := listing.given(BEFORE)) is not None:
        return _decoded(listing, token, is_back=True)
    is_last = listing.given(LAST) is not None
    return Place(is_last, None, None if is_last else 0)


def query_of(listing: Listing, place: Place, *, are_few: bool) -> Pairs:
    """What the API is asked: one row more than is shown tells whether there are more. `are_few`: the filter leaves so
    few rows that they are best found before they are sorted.
    """
    kept = [*listing.conditions, *listing.moment]
    limit = ("limit", str(listing.size + 1))
    if not _has_keyset(listing):
        offset = [("offset", str(place.position))] if place.position else []
        return [*kept, *listing.order_parameter, *offset, limit]
    order = found_first(listing.resource, listing.total_order) if are_few else listing.total_order
    asked = [*kept, ("order", written(backwards(order) if place.is_back else order))]
    if place.values is None:
        return [*asked, limit]
    return [*asked, ("cursor", cursor_behind(tuple(asked), place.values, 0)), limit]


def page_of(listing: Listing, place: Place, found: Sequence[dict[str, Any]]) -> Page:
    """The page, from what the API has answered."""
    has_more = len(found) > listing.size
    rows = list(found[: listing.size])
    if not _has_keyset(listing):
        return _page_by_offset(listing, place, rows, has_more)
    if place.is_back:
        rows.reverse()
    start = _start(place, len(rows), has_more=has_more)
    is_continued = place.is_back or place.values is not None
    has_previous = bool(rows) and (has_more if place.is_back else is_continued)
    has_next = bool(rows) and (place.values is not None if place.is_back else has_more)
    end = None if start is None else start + len(rows)
    return Page(
        rows,
        start,
        [(BEFORE, _encoded(listing, rows[0], start))] if has_previous else None,
        [(AFTER, _encoded(listing, rows[-1], end))] if has_next else None,
        [(LAST, "1")] if has_next else None,
    )


def _page_by_offset(listing: Listing, place: Place, rows: list[dict[str, Any]], has_more: bool) -> Page:
    start = place.position or 0
    earlier = max(start - listing.size, 0)
    return Page(
        rows,
        start,
        [("offset", str(earlier))] if start else None,
        [("offset", str(start + len(rows)))] if has_more else None,
        None,
    )


def _start(place: Place, rows: int, *, has_more: bool) -> int | None:
    if not place.is_back:
        return place.position
    if not has_more:
        return 0
    return None if place.position is None else max(place.position - rows, 0)


def _has_keyset(listing: Listing) -> bool:
    return bool(listing.resource.key) and listing.order is not None


def _encoded(listing: Listing, row: Mapping[str, Any], position: int | None) -> str:
    values = [row[plain_column(term) or ""] for term in listing.total_order]
    return urlsafe_b64encode(orjson.dumps([position, *values])).decode().rstrip("=")


def _decoded(listing: Listing, token: str, *, is_back: bool) -> Place:
    try:
        position, *values = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        raise _unreadable() from None
    are_values = len(values) == len(listing.total_order) and all(one is None or isinstance(one, str) for one in values)
    is_position = position is None or (type(position) is int and 0 <= position < _MOST)
    if not (are_values and is_position):
        raise _unreadable()
    return Place(is_back, tuple(values), position)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidQuery("`offset` must be a whole number.")
    return int(text)


def _unreadable() -> InvalidQuery:
    return InvalidQuery("The address of this page cannot be read.", hint="Begin again at the first page.")
