"""Bodies of writes: rows as JSON, CSV or a form, whose names are columns."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson

from service.api.v1.exchange import Request
from service.catalog.catalog import unwritable
from service.catalog.resource import Resource
from service.core.errors import InvalidBody, UnsupportedMediaType
from service.core.types import Action

_FORM = b"application/x-www-form-urlencoded"
_CSV = b"text/csv"
_JSON = (b"", b"application/json", b"application/vnd.pgrst.object+json", b"application/vnd.pgrst.array+json")
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Payload:
    """The rows as the bytes of a JSON array, and as parsed. The bytes go to PostgreSQL: parsed numbers may have lost
    digits.
    """

    body: bytes
    rows: Sequence[Row]
    is_array: bool


async def read_payload(
    request: Request,
    resource: Resource,
    columns: tuple[str, ...] | None,
    limit: int,
    *actions: Action,
) -> Payload:
    """One row, or an array of rows that all name the same columns; with `columns`, what else they name is left. It is
    for these actions, all of which have to be allowed to set them.

    Raises:
        UnsupportedMediaType: it is neither JSON nor CSV nor a form.
        LimitExceeded: it is longer than `limit` bytes.
        InvalidBody: it cannot be read, or names what is no column.
        Forbidden: it names what the caller may not set.
    """
    payload = _rows(await request.body(limit), request.media_type)
    if columns is not None:
        if error := unwritable(resource, (name for name in columns if name not in resource.key), actions):
            raise error
        return payload
    # An array may name the keys of rows that are there: whether it sets them, its plan tells.
    told_by = resource.key if payload.is_array and Action.CREATE not in actions else ()
    _check_names(resource, payload.rows, actions, told_by)
    for number, row in enumerate(payload.rows, start=1):
        if row.keys() != payload.rows[0].keys():
            raise InvalidBody("All object keys must match", details=f"Row {number} does not name the columns of row 1.")
    return payload


async def read_row(
    request: Request, resource: Resource, limit: int, *actions: Action
) -> tuple[bytes, dict[str, object]]:
    """One object, also as the bytes of an array. Raises: as `read_payload`; InvalidBody where it is none."""
    payload = await read_payload(request, resource, None, limit, *actions)
    if len(payload.rows) != 1 or payload.is_array:
        raise InvalidBody("The body must be one JSON object whose names are columns.")
    return payload.body, dict(payload.rows[0])


def _rows(body: bytes, media_type: bytes) -> Payload:
    if media_type == _CSV:
        rows = rows_from_csv(body)
        return Payload(orjson.dumps(rows), rows, is_array=True)
    if media_type == _FORM:
        row = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return Payload(orjson.dumps([row]), [row], is_array=False)
    if media_type not in _JSON:
        raise UnsupportedMediaType("The body must be JSON.", hint="Send Content-Type: application/json.")
    value = parse_json(body)
    if isinstance(value, dict):
        return Payload(b"[%b]" % body, [value], is_array=False)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InvalidBody("The body must be a JSON object, or an array of them, whose names are columns.")
    return Payload(body, value, is_array=True)


def parse_json(body: bytes) -> object:
    """The body as JSON.

    Raises:
        InvalidBody: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = 'R writes a numeric NA as NaN or "NA" unless told otherwise: toJSON(…, na = "null").'
        message = "Empty or invalid json" if not body.strip() else f"The body is no JSON: {error}."
        raise InvalidBody(message, hint=hint if b"NaN" in body else None) from None


def rows_from_csv(body: bytes) -> list[dict[str, object]]:
    """Rows under a line of names; the word NULL stands for no value."""
    try:
        names, *lines = csv.reader(io.StringIO(body.decode(), newline=""), strict=True)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InvalidBody(f"The body is no CSV: {error}.") from None
    lines = [line for line in lines if line]
    if any(len(line) != len(names) for line in lines):
        raise InvalidBody("All lines must have same number of fields")
    return [{name: None if text == "NULL" else text for name, text in zip(names, line, strict=True)} for line in lines]


def add_members(body: bytes, members: Mapping[str, str]) -> bytes:
    """The array of one object with these members behind: of a name that comes twice PostgreSQL takes the later."""
    rest = body.rpartition(b"}")[0]
    separator = b"" if rest.rstrip().endswith(b"{") else b","
    return rest + separator + orjson.dumps(members)[1:] + b"]"


def _check_names(resource: Resource, rows: Sequence[Row], actions: Sequence[Action], told_by: Sequence[str]) -> None:
    """Raise for names that are no columns, or columns that PostgreSQL computes, or that may not be set."""
    for number, row in enumerate(rows, start=1):
        names = (name for name in row if name not in told_by) if resource.settable else row
        if error := unwritable(resource, names, actions, number if len(rows) > 1 else None):
            raise error
