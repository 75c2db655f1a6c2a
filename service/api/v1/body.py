"""Bodies of writes: JSON objects whose names are columns."""

from collections.abc import Mapping, Sequence

import orjson

from service.api.v1.exchange import Request
from service.catalog.catalog import suggest
from service.catalog.resource import Resource
from service.core.errors import FieldError, InvalidBody


async def read_row(request: Request, resource: Resource, limit: int) -> tuple[bytes, dict[str, object]]:
    """One object, also as the bytes of an array.

    The bytes go to PostgreSQL as they came: parsed numbers may have lost digits.

    Raises: as `Request.json`; InvalidBody where it is none, or names what is no column.
    """
    body, value = await request.json(limit)
    if not isinstance(value, dict):
        raise InvalidBody("The body must be one JSON object whose names are columns.")
    _check_names(resource, [value])
    return b"[%b]" % body, value


async def read_rows(request: Request, resource: Resource, limit: int) -> tuple[bytes, list[dict[str, object]]]:
    """One object, or an array of objects that all name the same columns; also as the bytes of an array.

    Raises: as `Request.json`; InvalidBody where it is something else, or names what is no column.
    """
    body, value = await request.json(limit)
    if isinstance(value, dict):
        body, value = b"[%b]" % body, [value]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InvalidBody("The body must be a JSON object, or an array of them, whose names are columns.")
    _check_names(resource, value)
    for number, row in enumerate(value, start=1):
        if row.keys() != value[0].keys():
            raise InvalidBody(
                "All objects must name the same columns.", details=f"Row {number} does not name those of row 1."
            )
    return body, value


def add_members(body: bytes, members: Mapping[str, str]) -> bytes:
    """The array of one object with these members behind: of a name that comes twice PostgreSQL takes the later."""
    rest = body.rpartition(b"}")[0]
    separator = b"" if rest.rstrip().endswith(b"{") else b","
    return rest + separator + orjson.dumps(members)[1:] + b"]"


def _check_names(resource: Resource, rows: Sequence[Mapping[str, object]]) -> None:
    """Raise for names that are no columns, or columns that PostgreSQL computes."""
    columns = resource.columns
    for number, row in enumerate(rows, start=1):
        at = number if len(rows) > 1 else None
        unknown = [FieldError(name, "is no column of this table", at) for name in row if name not in columns]
        if unknown:
            raise InvalidBody(
                f"Table {resource.name!r} has no column {unknown[0].field!r}.",
                hint=suggest(unknown[0].field, columns),
                fields=unknown[:20],
                code="PGRST204",
            )
        computed = [FieldError(name, "is computed", at) for name in row if not columns[name].is_writable]
        if computed:
            raise InvalidBody("Computed columns cannot be written.", fields=computed, code="428C9")
