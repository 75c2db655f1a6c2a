"""What was done to a row: who, when, from what to what; and the row as it was at a moment."""

from urllib.parse import parse_qsl

from starlette.responses import Response

from service.admin.fields import fields_of
from service.admin.pages.changes import read_log
from service.admin.pages.row import Seen, read_row
from service.admin.reading import encode
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import key_values, row_url
from service.core.errors import Conflict, RowhouseError
from service.core.types import Action


async def show(visit: Visit) -> Response:
    """The changes of the row, the latest first; with `as_of`, the row as it was."""
    resource, key = visit.resource, visit.key
    if not resource.key:
        raise Conflict("This table has no key, so that its rows have no pages of their own.")
    key_values(resource, key)
    given = dict(parse_qsl(visit.request.url.query))
    moment = given.get("as_of")
    log = await read_log(visit, f"{row_url('', resource, key)}/-/history", _cursor(given))
    then, fault = await _then(visit, key, moment) if moment and log.is_tracked else (None, None)
    return await visit.page(
        "row_history.html",
        title=f"History of {resource.name} {key}",
        resource=resource,
        key=key,
        log=log,
        is_first="cursor" not in given,
        next_path=None if log.following is None else f"{_here(visit)}?{encode(log.following)}",
        moment=moment or "",
        then=None if then is None else list(zip(fields_of(resource), then.cells, strict=True)),
        fault=fault,
        is_gone=bool(log.changes) and not log.changes[0].has_after and "cursor" not in given,
        may={action.value: visit.may(resource, action) for action in Action},
        here=_here(visit),
    )


async def _then(visit: Visit, key: str, moment: str) -> tuple[Seen | None, str | None]:
    """The row as it was; or why that is not told."""
    try:
        return await read_row(visit, visit.resource, key, as_of=moment), None
    except RowhouseError as error:
        if status_of(error) not in (400, 404, 409, 410):
            raise
        return None, "There was no such row then." if status_of(error) == 404 else error.message


def _cursor(given: dict[str, str]) -> list[tuple[str, str]]:
    return [("cursor", given["cursor"])] if "cursor" in given else []


def _here(visit: Visit) -> str:
    return visit.of_row(visit.resource, "history", visit.key)
