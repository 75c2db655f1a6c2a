"""Filters as people choose them, and as the query language writes them."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.admin.fields import Kind, fields_of
from service.catalog.resource import Resource
from service.core.errors import InvalidQuery, UnknownColumn
from service.query.parse.parameters import is_reserved
from service.query.parse.reader import Reader

# What each operator is called; `{}` is where the value goes in the query language.
OPERATORS: Mapping[str, tuple[str, str]] = {
    "eq": ("is", "eq.{}"),
    "neq": ("is not", "neq.{}"),
    "in": ("is one of", "in.({})"),
    "notin": ("is none of", "not.in.({})"),
    "contains": ("contains", "ilike.*{}*"),
    "starts": ("begins with", "like.{}*"),
    "gt": ("is more than", "gt.{}"),
    "gte": ("is at least", "gte.{}"),
    "lt": ("is less than", "lt.{}"),
    "lte": ("is at most", "lte.{}"),
    "after": ("is after", "gt.{}"),
    "from": ("is from", "gte.{}"),
    "before": ("is before", "lt.{}"),
    "until": ("is until", "lte.{}"),
    "holds": ("holds", "cs.{}"),
    "overlaps": ("overlaps", "ov.{}"),
    "true": ("is true", "is.true"),
    "false": ("is false", "is.false"),
    "null": ("is NULL", "is.null"),
    "filled": ("is not NULL", "not.is.null"),
}
_NULLS = ("null", "filled")
_EQUAL = ("eq", "neq")
_AMONG = ("in", "notin")
_ORDERED = (*_EQUAL, *_AMONG, "gt", "gte", "lt", "lte", *_NULLS)
_TIMES = (*_EQUAL, "after", "from", "before", "until", *_NULLS)
_OPERATORS_OF: Mapping[Kind, Sequence[str]] = {
    Kind.BOOLEAN: ("true", "false", *_NULLS),
    Kind.INTEGER: _ORDERED,
    Kind.NUMBER: _ORDERED,
    Kind.TEXT: ("eq", "contains", "starts", "neq", *_AMONG, *_NULLS),
    Kind.DATE: _TIMES,
    Kind.TIME: _TIMES,
    Kind.TIMESTAMP: _TIMES,
    Kind.TIMESTAMP_ZONED: _TIMES,
    Kind.INTERVAL: _ORDERED,
    Kind.UUID: (*_EQUAL, *_AMONG, *_NULLS),
    Kind.ENUM: (*_AMONG, *_EQUAL, *_NULLS),
    Kind.JSON: ("holds", *_NULLS),
    Kind.BYTES: _NULLS,
    Kind.ARRAY: ("holds", "overlaps", *_EQUAL, *_NULLS),
    Kind.RANGE: ("holds", "overlaps", *_EQUAL, *_NULLS),
    Kind.OTHER: (*_EQUAL, *_NULLS),
}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {form.replace("{}", ""): words for words, form in reversed(list(OPERATORS.values())) if "*" not in form}


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter as it is shown, and the parameter that it is."""

    column: str
    words: str
    value: str
    parameter: tuple[str, str]

    @property
    def is_of_empty(self) -> bool:
        """Whether it asks for the empty text, which must not look like nothing."""
        return self.parameter[1].endswith(".") and not self.value


def quoted_name(name: str) -> str:
    """A column as the query language writes it."""
    if _PLAIN.fullmatch(name) and not is_reserved(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def operators_of(kind: Kind) -> Sequence[str]:
    """What can be asked of a column of this kind."""
    return _OPERATORS_OF[kind]


def filter_parameter(
    resource: Resource, name: str | None, operator: str, values: Sequence[str]
) -> tuple[str, str] | None:
    """The filter that was chosen in the form, as a parameter; None where none was. Of several values, each is one, or
    a line of them, parted by commas as in CSV.

    Raises:
        UnknownColumn: the table has no such column.
        InvalidQuery: the column cannot be asked so, or a value is missing.
    """
    if not name:
        return None
    field = next((field for field in fields_of(resource) if field.name == name), None)
    if field is None:
        raise UnknownColumn(f"There is no column {name!r}.")
    value = values[0] if values else ""
    if operator not in operators_of(field.kind):
        raise InvalidQuery(f"{name!r} cannot be filtered so.")
    form = OPERATORS[operator][1]
    if "{}" in form and not value and field.kind is not Kind.TEXT:
        raise InvalidQuery("The filter needs a value.")
    if operator in _AMONG:
        listed = values if len(values) > 1 else next(csv.reader([value], skipinitialspace=True), [])
        value = ",".join(map(quoted_value, listed))
    elif "*" in form:
        value = literal(value)
    return quoted_name(name), form.replace("{}", value)


def conditions_of(resource: Resource, filters: Sequence[tuple[str, str]]) -> list[Condition]:
    """Filters as people read them; what was written by hand is shown as it stands."""
    names = {quoted_name(name): name for name in resource.columns}
    return [_condition(names.get(name, name), (name, value)) for name, value in filters]


def _condition(column: str, parameter: tuple[str, str]) -> Condition:
    text = parameter[1]
    if text.startswith("ilike.*") and text.endswith("*") and len(text) > 7:
        return Condition(column, "contains", _unescaped(text[7:-1]), parameter)
    if text.startswith("like.") and text.endswith("*"):
        return Condition(column, "begins with", _unescaped(text[5:-1]), parameter)
    if text.startswith(("in.(", "not.in.(")):
        operator, _, listed = text.partition("in.")
        items = Reader(listed, "The filter").items()
        return Condition(column, OPERATORS["notin" if operator else "in"][0], ", ".join(items), parameter)
    if text in _WORDS:
        return Condition(column, _WORDS[text], "", parameter)
    operator, _, value = text.partition(".")
    words = _WORDS.get(f"{operator}.")
    return Condition(column, words or "", value if words else text, parameter)


def quoted_value(value: str) -> str:
    """A value inside parentheses of the query language."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(value: str) -> str:
    """A text in which no character stands for others."""
    return re.sub(r"([\\%_])", r"\\\1", value)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)
