"""Exports of what a list shows: the rows that its filter selects, its columns, its order; by the API, without an end
that is cut off.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.admin.filters import quoted_name
from service.admin.listing import Listing, listing_of
from service.admin.reading import Pairs, encode
from service.admin.selection import selection_of
from service.admin.visit import Visit
from service.api.v1.exchange import Answer
from service.api.v1.export import disposition
from service.api.v1.paths import table_url
from service.core.errors import InvalidQuery
from service.formats.format import Format

AS = "-as"
# The first is what is offered first.
CHOICES: Mapping[Format, str] = {
    Format.SHEET: "CSV for spreadsheets (no formulas)",
    Format.CSV: "CSV, plain",
    Format.NDJSON: "NDJSON",
    Format.ARROW: "Arrow",
    Format.PARQUET: "Parquet",
}


class Passed(Response):
    """An answer of the table plane, sent as it comes."""

    def __init__(self, answer: Answer, name: str) -> None:
        super().__init__(status_code=answer.status)
        del self.headers["content-length"]
        self._answer = answer
        kept = [item for item in answer.headers if item[0] != b"content-disposition"]
        self._answer.headers = [*kept, (b"content-disposition", disposition(name).encode("latin-1"))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answer.headers += self.raw_headers
        await self._answer.send(send, is_head=False)


async def export(visit: Visit) -> Response:
    """All rows of the list that the address names."""
    listing = listing_of(visit.resource, visit.request.url.query)
    return await exported(visit, listing, listing.conditions, listing.given(AS))


async def export_selected(visit: Visit) -> Response:
    """The rows that were ticked, or all."""
    selection = await selection_of(visit)
    return await exported(visit, selection.listing, selection.conditions, str(visit.form.get("as", "")))


async def exported(visit: Visit, listing: Listing, conditions: Pairs, wanted: str | None) -> Response:
    """A file of these rows.

    Raises:
        InvalidQuery: there is no such format.
    """
    form = next((one for one in CHOICES if one.value == (wanted or Format.SHEET)), None)
    if form is None:
        raise InvalidQuery(f"There is no format {wanted!r}.", hint=f"The formats are {', '.join(CHOICES)}.")
    columns = ",".join(quoted_name(field.name) for field in listing.shown)
    query = [*conditions, *listing.moment, *listing.order_parameter, ("select", columns)]
    path = table_url("", listing.resource)
    headers = {"accept": form.media_type}
    answer = await visit.plane.stream("GET", path, encode(query), visit.request.receive, headers)
    visit.request.scope["rowhouse.is_stream"] = True
    time = datetime.now(UTC).strftime("%Y-%m-%d %H.%M.%S")
    return Passed(answer, f"{listing.resource.name} {time}{form.suffix}")
