"""What was deleted of a table, and bringing it back."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from service.admin.fields import label_column
from service.admin.filters import quoted_name
from service.admin.pages.changes import Log, read_log
from service.admin.reading import encode, key_in
from service.admin.visit import Visit
from service.api.problem import status_of
from service.api.v1.paths import row_url, table_url
from service.catalog.resource import DELETED_AT, Resource
from service.core.errors import Conflict, InvalidBody, RowhouseError
from service.core.types import Action

_HIDDEN_AT_MOST = 50
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Hidden:
    """A row that was deleted softly: it is there, and not shown."""

    key: str
    label: str | None
    at: str


async def show(visit: Visit) -> Response:
    """The rows that were removed, by the log; and those that are hidden by their `deleted_at`."""
    resource = visit.resource
    given = dict(parse_qsl(visit.request.url.query))
    pairs = [("cursor", given["cursor"])] if "cursor" in given else []
    log = await read_log(visit, f"{table_url('', resource)}/-/trash", pairs) if resource.key else Log([], None)
    return await visit.page(
        "trash.html",
        title=f"Trash of {resource.name}",
        resource=resource,
        log=log,
        hidden=await _hidden(visit, resource) if resource.key and not pairs else [],
        is_first="cursor" not in given,
        next_path=None if log.following is None else visit.of_table(resource, "trash", encode(log.following)),
        may_restore={
            "removed": visit.may(resource, Action.CREATE),
            "hidden": visit.may(resource, Action.UPDATE),
        },
    )


async def _hidden(visit: Visit, resource: Resource) -> list[Hidden]:
    if not (resource.hides_deleted and DELETED_AT in resource.columns):
        return []
    label = label_column(resource)
    names = dict.fromkeys([*resource.key, *([label] if label else []), DELETED_AT])
    query = [
        (DELETED_AT, "not.is.null"),
        ("select", ",".join(f"{quoted_name(name)}::text" for name in names)),
        ("order", f"{DELETED_AT}.desc"),
        ("limit", str(_HIDDEN_AT_MOST)),
    ]
    rows: list[dict[str, Any]] = await visit.plane.read(table_url("", resource), encode(query))
    return [Hidden(key_in(resource, row), row[label] if label else None, row[DELETED_AT]) for row in rows]


async def restore(visit: Visit) -> Response:
    """Bring the rows back that are ticked, each by itself: what stands in the way of one does not keep the others."""
    resource = visit.resource
    keys = [key for key in visit.form.getlist("key") if isinstance(key, str)]
    if not keys:
        raise InvalidBody("No row is chosen.", hint="Go back, and tick those that are to come back.")
    reasons = []
    for key in keys:
        try:
            await visit.plane.ask("POST", f"{row_url('', resource, key)}/-/restore")
        except RowhouseError as error:
            if status_of(error) in (401, 503):
                raise
            reasons.append(f"{key}: {_reason(error)}")
    if reasons and len(keys) == 1:
        raise Conflict(reasons[0])
    count = len(keys) - len(reasons)
    note = f"{count} {'row is' if count == 1 else 'rows are'} back."
    if reasons:
        note += f" {len(reasons)} not: {'; '.join(reasons[:_MOST_REASONS])}"
    if len(keys) == 1:
        return visit.go(visit.of_row(resource, "details", keys[0]), note)
    return visit.go(visit.of_table(resource, "trash"), note)


def _reason(error: RowhouseError) -> str:
    return "; ".join([error.message, *(one.message for one in error.fields)])
