"""The search of a list: by what the table's indexes find, and by other columns only when that is asked for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from service.admin.fields import Field, Kind
from service.admin.filters import literal, quoted_name, quoted_value
from service.catalog.indexed import Finds
from service.catalog.resource import Resource

_LARGEST = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
# A trigram index finds nothing by less.
_SHORTEST = 3
_SEARCHED = (Kind.TEXT, Kind.INTEGER, Kind.NUMBER, Kind.UUID)


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for, and where: columns with the words for how; `others` are those that no index leads to."""

    text: str = ""
    searched: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()
    condition: tuple[str, str] | None = None
    is_everywhere: bool = False

    @property
    def finds_nothing(self) -> bool:
        """Whether no column could be searched for this text."""
        return bool(self.text) and self.condition is None


def search_of(resource: Resource, fields: Sequence[Field], text: str, *, everywhere: bool) -> Search:
    """How to search a table for a text."""
    text = text.strip()
    if not text:
        return Search()
    terms, searched, others = [], [], []
    for field in fields:
        if field.kind not in _SEARCHED:
            continue
        operator, words = _operator(resource, field, text, everywhere=everywhere)
        if operator is None:
            if field.kind is Kind.TEXT or _fits(field, text):
                others.append(field.name)
            continue
        terms.append(f"{quoted_name(field.name)}.{operator}")
        searched.append((field.name, words))
    condition = ("or", f"({','.join(terms)})") if terms else None
    return Search(text, tuple(searched), tuple(others), condition, everywhere)


def _operator(resource: Resource, field: Field, text: str, *, everywhere: bool) -> tuple[str | None, str]:
    finds = _found_by_indexes(resource, field.name)
    if field.kind is not Kind.TEXT:
        is_searched = _fits(field, text) and (everywhere or Finds.EQUAL in finds)
        return (f"eq.{quoted_value(text)}" if is_searched else None), "is"
    if everywhere or (Finds.SUBSTRING in finds and len(text) >= _SHORTEST):
        return f"ilike.{quoted_value(f'*{literal(text)}*')}", "contains"
    if Finds.PREFIX in finds:
        return f"like.{quoted_value(f'{literal(text)}*')}", "begins with"
    return (f"eq.{quoted_value(text)}" if Finds.EQUAL in finds else None), "is"


def _found_by_indexes(resource: Resource, name: str) -> set[Finds]:
    found: Iterable[Finds] = (finds for one in resource.indexed if one.name == name for finds in one.finds)
    return set(found)


def _fits(field: Field, text: str) -> bool:
    """Whether the text can be a value of a column of numbers or uuids."""
    match field.kind:
        case Kind.UUID:
            try:
                UUID(text)
            except ValueError:
                return False
            return len(text) in (32, 36)
        case Kind.INTEGER:
            most = _LARGEST.get(field.column.base_type, 2**31)
            return _WHOLE.fullmatch(text) is not None and -most <= int(text) < most
        case Kind.NUMBER:
            return _NUMBER.fullmatch(text) is not None
    return False
