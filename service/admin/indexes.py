"""Whether an index serves what a list asks for, so that PostgreSQL need not read the whole table."""

from collections.abc import Sequence

from service.admin.filters import quoted_name
from service.admin.listing import Listing
from service.catalog.indexed import Finds
from service.catalog.resource import Resource
from service.query.parse.order import plain_column

_COMPARED = ("eq.", "in.", "gt.", "gte.", "lt.", "lte.", "is.null")


def unserved(listing: Listing) -> list[str]:
    """What of a list no index serves, in words. A filter that an index serves leaves few rows to filter and to sort."""
    resource = listing.resource
    if listing.search.condition and not listing.search.is_everywhere:
        return []
    if any(_is_served(resource, name, value) for name, value in listing.filters):
        return []
    found = [f"the filter of {name}" for name, _ in listing.filters]
    if listing.search.condition:
        found.append("a search of columns without one")
    return found + _unserved_order(listing)


def _unserved_order(listing: Listing) -> list[str]:
    if listing.order is None:
        return ["this order"]
    if not listing.order:
        return []
    first = listing.order[0]
    name = plain_column(first)
    is_served = any(
        one.name == name and one.serves_order(is_descending=first.is_descending, nulls_first=first.puts_nulls_first)
        for one in listing.resource.indexed
    )
    return [] if is_served else [f"the order by {name}"]


def _is_served(resource: Resource, name: str, value: str) -> bool:
    finds = {found for one in resource.indexed if quoted_name(one.name) == name for found in one.finds}
    sorts = any(one.sorts is not None for one in resource.indexed if quoted_name(one.name) == name)
    if value.startswith(("eq.", "in.")):
        return Finds.EQUAL in finds
    if value.startswith(_COMPARED):
        return sorts
    if value.startswith("like.") and not value.startswith(("like.*", "like.%")):
        return Finds.PREFIX in finds
    return value.startswith(("like.", "ilike.")) and Finds.SUBSTRING in finds


def served_columns(resource: Resource) -> Sequence[str]:
    """The columns by which rows are found fast, as far as the table shows them."""
    return list(dict.fromkeys(one.name for one in resource.indexed if one.name in resource.columns and one.finds))
