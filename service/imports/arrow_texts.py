"""Values of Arrow as the texts that PostgreSQL reads them from."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pyarrow
import pyarrow.compute as compute
import pyarrow.types as kinds
from pyarrow import csv

from service.catalog.resource import Column, Resource
from service.core.errors import FieldError, InvalidBody

_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
Render = Callable[[Any], Any]


class Texts:
    """Renders batches of a schema. The columns of `nested` become JSON, all others what PostgreSQL writes."""

    def __init__(self, schema: Any, resource: Resource) -> None:
        self._names = list(schema.names)
        targets = [resource.stored.get(name) for name in schema.names]
        types = [_plain_type(field.type) for field in schema]
        self.nested = frozenset(field.name for field, kind in zip(schema, types, strict=True) if _is_nested(kind))
        self._renders = [_render(kind, target) for kind, target in zip(types, targets, strict=True)]
        self._schema = pyarrow.schema([(f"c{place}", pyarrow.large_string()) for place in range(len(self._names))])
        self._options = csv.WriteOptions(include_header=False, quoting_style="needed")

    def csv(self, batch: Any, first_row: int) -> bytes:
        """The rows as COPY takes them: what is NULL is empty, and an empty text is quoted.

        Raises:
            InvalidBody: a text holds what PostgreSQL cannot store; `first_row` is the number of the batch's first row.
        """
        columns = []
        for name, column, render in zip(self._names, batch.columns, self._renders, strict=True):
            texts = render(_plain(column)).cast(pyarrow.large_string())
            _refuse_nul(texts, name, first_row)
            columns.append(texts)
        sink = pyarrow.BufferOutputStream()
        csv.write_csv(pyarrow.record_batch(columns, schema=self._schema), sink, self._options)
        return bytes(sink.getvalue())


def _refuse_nul(texts: Any, name: str, first_row: int) -> None:
    has_nul = compute.match_substring(texts, "\0")
    if compute.any(has_nul).as_py():
        row = first_row + compute.index(has_nul, True).as_py()
        reason = "has a NUL character, which PostgreSQL cannot store"
        raise InvalidBody(f"Row {row}, column {name!r} {reason}.", fields=[FieldError(name, reason, row)], code="22021")


def _plain_type(kind: Any) -> Any:
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return _plain_type(kind.value_type) if kinds.is_dictionary(kind) else kind


def _plain(column: Any) -> Any:
    """Without extension and dictionary around the values."""
    if isinstance(column.type, pyarrow.BaseExtensionType):
        return _plain(column.storage)
    if kinds.is_dictionary(column.type):
        values = column.dictionary
        if kinds.is_string_view(values.type):  # as polars writes them; pyarrow cannot decode these
            column = pyarrow.DictionaryArray.from_arrays(column.indices, values.cast(pyarrow.large_string()))
        return _plain(column.dictionary_decode())
    return column


def _is_nested(kind: Any) -> bool:
    return bool(kinds.is_nested(kind))


def _render(kind: Any, target: Column | None) -> Render:
    """What makes texts of an array of this type, for this column."""
    if _is_nested(kind):
        return _as_json
    if kinds.is_timestamp(kind) and kind.tz is not None:
        return lambda column: column.cast(pyarrow.timestamp(kind.unit, "UTC")).cast(pyarrow.string())
    if kinds.is_duration(kind):
        return lambda column: _durations(column, kind.unit)
    if kind == pyarrow.month_day_nano_interval():
        return lambda column: pyarrow.array([_interval(value) for value in column.to_pylist()], pyarrow.string())
    if kinds.is_float16(kind):
        return lambda column: column.cast(pyarrow.float32()).cast(pyarrow.string())
    if _is_binary(kind):
        return _of_bytes(target)
    return lambda column: column.cast(pyarrow.string())


def _is_binary(kind: Any) -> bool:
    return bool(
        kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_fixed_size_binary(kind)
        or kinds.is_binary_view(kind)
    )


def _of_bytes(target: Column | None) -> Render:
    """Bytes for `bytea`; sixteen of them for a `uuid`; for other columns they are texts."""
    if target is not None and target.base_type == "bytea":
        return lambda column: _each(column, lambda value: "\\x" + value.hex())
    if target is not None and target.base_type == "uuid":  # polars knows no identifiers, but bytes of any length
        return lambda column: _each(
            column, lambda value: str(UUID(bytes=value)) if len(value) == 16 else value.decode()
        )
    return lambda column: column.cast(pyarrow.large_binary()).cast(pyarrow.large_string())


def _each(column: Any, text: Callable[[Any], str]) -> Any:
    texts = [None if value is None else text(value) for value in column.to_pylist()]
    return pyarrow.array(texts, pyarrow.large_string())


def _durations(column: Any, unit: str) -> Any:
    numbers = column.cast(pyarrow.int64())
    if unit == "ns":
        numbers = compute.divide(numbers, 1000)
    else:
        numbers = compute.multiply_checked(numbers, _UNITS[unit])
    return compute.binary_join_element_wise(numbers.cast(pyarrow.string()), "microseconds", " ")


def _interval(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value.months} months {value.days} days {value.nanoseconds // 1000} microseconds"


def _as_json(column: Any) -> Any:
    is_map = kinds.is_map(column.type)
    values = column.to_pylist()
    texts = [None if value is None else orjson.dumps(_jsonable(value, is_map=is_map)).decode() for value in values]
    return pyarrow.array(texts, pyarrow.large_string())


def _jsonable(value: Any, *, is_map: bool = False) -> Any:
    """As `orjson` writes it without losing anything: what JSON has no word for is a text."""
    match value:
        case dict():
            return {name: _jsonable(inner) for name, inner in value.items()}
        case list() if is_map or (value and all(isinstance(item, tuple) and len(item) == 2 for item in value)):
            return {str(name): _jsonable(inner) for name, inner in value}
        case list():
            return [_jsonable(inner) for inner in value]
        case float():
            return value if value - value == 0 else str(value)
        case Decimal():
            return orjson.Fragment(str(value)) if value.is_finite() else str(value)
        case bytes():
            return "\\x" + value.hex()
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds"
        case datetime() | date() | time() | UUID():
            return value.isoformat() if not isinstance(value, UUID) else str(value)
        case None | bool() | int() | str():
            return value
    return str(value)
