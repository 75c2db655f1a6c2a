"""What is said of a row or filter that PostgreSQL refused.

PostgreSQL judges every value, so that each of its types is accepted as it accepts it. Pydantic explains: it names the
fields at fault, all of them, where PostgreSQL stops at the first and does not name it. What Pydantic does not know is
passed over.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from service.catalog.resource import Column, Resource
from service.core.errors import FieldError
from service.schemas.types import python_type

_MOST_ERRORS = 20


@lru_cache(maxsize=16384)
def _adapter(column: Column) -> "TypeAdapter[Any]":
    # PostgreSQL takes a number for a text.
    return TypeAdapter(python_type(column), config=ConfigDict(coerce_numbers_to_str=True))


def explain_rows(resource: Resource, rows: Sequence[Mapping[str, object]]) -> list[FieldError]:
    """The fields of the rows that cannot be what their columns are, at most twenty. Rows count from 1."""
    found: list[FieldError] = []
    for number, row in enumerate(rows, start=1):
        for name, value in row.items():
            if name in resource.stored and (message := _problem(resource.stored[name], value)):
                found.append(FieldError(name, message, number if len(rows) > 1 else None))
                if len(found) == _MOST_ERRORS:
                    return found
    return found


def explain_values(resource: Resource, values: Iterable[tuple[str, str]]) -> list[FieldError]:
    """The filters (column, value) whose values cannot be compared with their columns."""
    return [
        FieldError(name, message)
        for name, value in values
        if name in resource.columns and (message := _problem(resource.columns[name], value))
    ]


def _problem(column: Column, value: object) -> str | None:
    if value is None:
        return None if column.is_nullable else "must have a value"
    if isinstance(value, str) and "\x00" in value:
        return "has a NUL character, which PostgreSQL cannot store"
    try:
        _adapter(column).validate_python(value)
    except ValidationError as error:
        if value == "NA":
            return 'is the text NA; R must send missing values as null: toJSON(…, na = "null")'
        return error.errors(include_url=False, include_input=False)[0]["msg"]
    return None
