"""The rows that an action of a list is about: those that were ticked, each in the version that was seen, or all that
its filter shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.admin.filters import quoted_name, quoted_value
from service.admin.listing import Listing, listing_of
from service.admin.plane import header
from service.admin.reading import Pairs, encode, key_in
from service.admin.visit import Visit
from service.api.v1.paths import key_values, table_url
from service.catalog.resource import Resource
from service.core.errors import InvalidBody
from service.query.plan import VERSION_COLUMN

_ROW, _ALL, _COUNT = "row.", "all", "count"


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of a table: by key (as the API's paths write it) with their versions, or all of the listing.

    `count` is how many they are: of all, what was counted and confirmed.
    """

    listing: Listing
    rows: Mapping[str, str]
    is_all: bool
    count: int

    @property
    def resource(self) -> Resource:
        return self.listing.resource

    @property
    def conditions(self) -> Pairs:
        return self.listing.conditions if self.is_all else [_by_key(self.resource, list(self.rows))]

    @property
    def hidden(self) -> Pairs:
        """What a form carries of it."""
        if self.is_all:
            return [(_ALL, "1"), (_COUNT, str(self.count))]
        return [(_ROW + key, version) for key, version in self.rows.items()]

    @property
    def headers(self) -> dict[str, str]:
        """What makes a write touch these rows as they were seen, or none.

        Of ticked rows the version of each must be among those that were seen. A row that somebody has changed since
        has none of them: they are numbers of transactions that were over when the list was read, or that this operator
        made by editing a cell of it.
        """
        prefer = f"return=minimal, max-affected={self.count}, min-affected={self.count}"
        versions = ", ".join(f'"{version}"' for version in dict.fromkeys(self.rows.values()) if version)
        return {"prefer": prefer} | ({"if-match": versions} if versions and not self.is_all else {})

    async def moved(self, visit: Visit) -> dict[str, str]:
        """Ticked rows that are not as they were seen: by key, what has become of them."""
        names = [f"{quoted_name(name)}::text" for name in self.resource.key]
        query = [*self.conditions, ("select", ",".join([*names, VERSION_COLUMN]))]
        found = await visit.plane.read(table_url("", self.resource), encode(query))
        now = {key_in(self.resource, row): version_in(row) for row in found}
        return {
            key: "was changed" if key in now else "is not there any more, or not yours to see"
            for key, version in self.rows.items()
            if now.get(key) != version
        }


async def selection_of(visit: Visit) -> Selection:
    """What the form selects; all rows of a listing are counted, unless the form says how many were confirmed.

    Raises:
        InvalidBody: nothing was selected.
        LimitExceeded: counting takes too long.
    """
    listing = listing_of(visit.resource, visit.request.url.query)
    if _ALL in visit.form:
        given = visit.form.get(_COUNT)
        is_known = isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 16
        return Selection(listing, {}, True, int(str(given)) if is_known else await counted(visit, listing))
    rows = {
        name.removeprefix(_ROW): str(version) for name, version in visit.form.multi_items() if name.startswith(_ROW)
    }
    if not rows or not visit.resource.key:
        raise InvalidBody("No row was selected.", hint="Tick some rows of the list, or all that it shows.")
    return Selection(listing, rows, False, len(rows))


async def counted(visit: Visit, listing: Listing) -> int:
    """How many rows a listing has, counted one by one. Raises: LimitExceeded."""
    query = encode([*listing.conditions, *listing.moment, ("limit", "0")])
    answer = await visit.plane.ask("GET", table_url("", listing.resource), query, headers={"prefer": "count=exact"})
    return _total(header(answer, b"content-range"))


async def estimated(visit: Visit, resource: Resource, conditions: Pairs) -> int:
    """How many rows of the table meet these conditions, as PostgreSQL thinks."""
    query = encode([*conditions, ("limit", "0")])
    answer = await visit.plane.ask("GET", table_url("", resource), query, headers={"prefer": "count=planned"})
    return _total(header(answer, b"content-range"))


def version_in(row: Mapping[str, Any]) -> str:
    """The version of a row that was read with its tag."""
    return str(row.get(VERSION_COLUMN) or "").strip('"')


def _by_key(resource: Resource, keys: list[str]) -> tuple[str, str]:
    """The filter that selects these rows."""
    values = [key_values(resource, key) for key in keys]
    if len(resource.key) == 1:
        return quoted_name(resource.key[0]), f"in.({','.join(quoted_value(value) for (value,) in values)})"
    names = [quoted_name(name) for name in resource.key]
    rows = (
        f"and({','.join(f'{name}.eq.{quoted_value(value)}' for name, value in zip(names, row, strict=True))})"
        for row in values
    )
    return "or", f"({','.join(rows)})"


def _total(content_range: str | None) -> int:
    return int((content_range or "*/0").partition("/")[2])
