"""PostgreSQL's types as Arrow's.

What Arrow has no type for goes as PostgreSQL's text of it, or as JSON where that is what it holds. A value that its
type cannot hold (a time at infinity, `NaN` in a decimal) is refused, never changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from service.catalog.result_column import ResultColumn
from service.formats import arrow_values
from service.formats.format import Format

# The most digits that DuckDB and polars read.
_MOST_DIGITS = 38
_TEXT = pa.string()
_PLAIN: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "bool": pa.bool_(),
        "int2": pa.int16(),
        "int4": pa.int32(),
        "int8": pa.int64(),
        "oid": pa.uint32(),
        "float4": pa.float32(),
        "float8": pa.float64(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
)


@dataclass(frozen=True, slots=True)
class ArrowType:
    """`type` is what a column becomes, `read` what it is read as first; `convert` leads from one to the other."""

    type: pa.DataType
    read: pa.DataType
    convert: Callable[[pa.Array], pa.Array] | None = None

    def of(self, values: pa.Array) -> pa.Array:
        return values if self.convert is None else self.convert(values)


def arrow_type(column: ResultColumn, form: Format) -> ArrowType:
    """The type of a column. Parquet has no intervals of months, days and seconds: they are texts in it (ISO 8601)."""
    if column.is_array:
        return _list(column, form)
    if column.labels:
        return _enum(column.labels)
    match column.type:
        case "numeric":
            decimal = _decimal(column)
            return ArrowType(decimal, decimal)
        case "uuid":
            return ArrowType(pa.uuid(), _TEXT, arrow_values.uuids)
        case "bytea":
            return ArrowType(pa.binary(), _TEXT, arrow_values.binaries)
        case "interval" if form is Format.ARROW:
            return ArrowType(pa.month_day_nano_interval(), _TEXT, arrow_values.intervals)
    plain = _PLAIN.get(column.type, _TEXT) if column.kind == "b" else _TEXT
    return ArrowType(plain, plain)


def _enum(labels: tuple[str, ...]) -> ArrowType:
    known = pa.array(labels, _TEXT)
    return ArrowType(pa.dictionary(pa.int32(), _TEXT), _TEXT, lambda values: arrow_values.dictionary(values, known))


def _decimal(column: ResultColumn) -> pa.DataType:
    if column.precision is None or column.scale is None:
        return _TEXT
    scale = max(column.scale, 0)
    digits = max(column.precision - min(column.scale, 0), scale)
    return pa.decimal128(digits, scale) if digits <= _MOST_DIGITS else _TEXT


def _list(column: ResultColumn, form: Format) -> ArrowType:
    """Arrays are read as JSON of texts. Where their dimensions differ, they stay JSON."""
    if column.kind == "p" or column.dimensions is None:
        return ArrowType(_TEXT, _TEXT)
    element = arrow_type(
        ResultColumn(column.name, column.type, column.kind, precision=column.precision, scale=column.scale), form
    )
    kind = element.type
    for _ in range(column.dimensions):
        kind = pa.list_(kind)
    depth = column.dimensions
    return ArrowType(kind, _TEXT, lambda values: arrow_values.lists(values, depth, element.read, element.convert))
