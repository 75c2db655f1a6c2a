"""Columns of a new table, from the rows that are to fill it."""

import csv
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson

from service.core.errors import InvalidBody
from service.imports.csv_rows import require_distinct
from service.imports.order import Format

_SAMPLED_BYTES = 16 * 2**20
_LONGEST_NAME = 63
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
# The narrowest comes first; what none takes is a text. Numbers with a zero before them are names of something.
_TYPES: tuple[tuple[str, "re.Pattern[str]"], ...] = (
    ("boolean", re.compile("true|false|TRUE|FALSE")),
    ("bigint", re.compile(r"-?(0|[1-9][0-9]{0,17})")),
    ("numeric", re.compile(r"-?(0|[1-9][0-9]*)")),  # no float keeps so many digits
    (
        "double precision",
        re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]+)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?|NaN|-?Inf(inity)?"),
    ),
    ("date", re.compile(_DATE)),
    ("timestamp with time zone", re.compile(rf"{_DATE}[ T]{_TIME}(Z|[-+][0-9]{{2}}(:?[0-9]{{2}})?)")),
    ("timestamp without time zone", re.compile(rf"{_DATE}[ T]{_TIME}")),
    ("uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)),
)
_TEXT = "text"


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column by its name and its PostgreSQL type."""

    name: str
    type: str


async def infer_lines(form: Format, body: AsyncIterator[bytes], null: str | None) -> list[NewColumn]:
    """The columns of CSV or NDJSON, as its first megabytes have them.

    Raises:
        InvalidBody: it cannot be read, or names what cannot be a column.
    """
    sample = await _sample(body)
    rows = _csv(sample) if form is Format.CSV else _objects(sample)
    names, values = rows
    nulls = {"", "NULL"} if null is None else {null, ""}
    columns = [NewColumn(name, _type(values[place], nulls)) for place, name in enumerate(names)]
    return checked(columns)


def infer_schema(schema: Any) -> list[NewColumn]:
    """The columns of an Arrow schema. Raises: as `infer_lines`."""
    return checked([NewColumn(field.name, _of_arrow(field.type)) for field in schema])


def checked(columns: list[NewColumn]) -> list[NewColumn]:
    """The columns, where PostgreSQL can have them by these names. Raises InvalidBody."""
    require_distinct([column.name for column in columns])
    for column in columns:
        if not column.name or "\0" in column.name or len(column.name.encode()) > _LONGEST_NAME:
            raise InvalidBody(f"{column.name!r} cannot be the name of a column: it is empty, or too long.")
    return columns


async def _sample(body: AsyncIterator[bytes]) -> str:
    """Whole lines of the beginning."""
    head = bytearray()
    is_cut = False
    async for chunk in body:
        head += chunk
        if is_cut := len(head) >= _SAMPLED_BYTES:
            break
    whole = bytes(head[: head.rfind(b"\n") + 1]) if is_cut else bytes(head)
    try:
        return whole.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidBody(f"The file is no UTF-8: {error}.") from None


def _csv(text: str) -> tuple[list[str], list[list[str]]]:
    try:
        reader = csv.reader(StringIO(text, newline=""))
        names = next(reader, [])
        rows = [row for row in reader if len(row) == len(names)]
    except csv.Error as error:
        raise InvalidBody(f"The file is no CSV: {error}.") from None
    return names, [[row[place] for row in rows] for place in range(len(names))]


def _objects(text: str) -> tuple[list[str], list[list[Any]]]:
    try:
        rows = [orjson.loads(line) for line in text.splitlines() if line.strip()]
    except orjson.JSONDecodeError as error:
        raise InvalidBody(f"The file is no NDJSON: {error}.") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidBody("The file has no JSON object on each line.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[row.get(name) for row in rows] for name in names]


def _type(values: Iterable[Any], nulls: set[str]) -> str:
    known = {value if isinstance(value, str) else _written(value) for value in values if value is not None}
    given = known - nulls
    if not given:
        return _TEXT
    if any(isinstance(value, dict | list) for value in values):
        return "jsonb"
    return next((name for name, pattern in _TYPES if all(map(pattern.fullmatch, given))), _TEXT)


def _written(value: object) -> str:
    return orjson.dumps(value).decode()


def _of_arrow(kind: Any) -> str:
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _of_arrow(kind.value_type)
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        inner = _of_arrow(kind.value_type)
        return "jsonb" if inner == "jsonb" else inner if inner.endswith("[]") else f"{inner}[]"
    if kinds.is_nested(kind):
        return "jsonb"
    if kinds.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if kinds.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp without time zone"
    return next((name for name, is_one in _of_kinds(kinds) if any(one(kind) for one in is_one)), _TEXT)


def _of_kinds(kinds: Any) -> Sequence[tuple[str, tuple[Any, ...]]]:
    return (
        ("boolean", (kinds.is_boolean,)),
        ("smallint", (kinds.is_int8, kinds.is_uint8, kinds.is_int16)),
        ("integer", (kinds.is_uint16, kinds.is_int32)),
        ("bigint", (kinds.is_uint32, kinds.is_int64)),
        ("numeric", (kinds.is_uint64,)),
        ("real", (kinds.is_float16, kinds.is_float32)),
        ("double precision", (kinds.is_float64,)),
        ("date", (kinds.is_date,)),
        ("time without time zone", (kinds.is_time,)),
        ("interval", (kinds.is_duration, kinds.is_interval)),
        ("bytea", (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary)),
    )
