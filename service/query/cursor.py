"""Keyset cursors: where the next page begins, bound to the sort and filter that they were made for.

A cursor grants nothing: its values are bound like any others, and policy holds on every page.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import orjson

from service.catalog.resource import Resource
from service.core.errors import InvalidQuery
from service.query.plan import AfterKey, Bind, ColumnRef, OrderTerm

_MOST_ROWS = 2**53


def fingerprint(parameters: Sequence[tuple[str, str]]) -> str:
    """A short hash of the parameters that decide which rows come in which order."""
    return hashlib.blake2s(orjson.dumps(sorted(parameters)), digest_size=6).hexdigest()


def encode(bound_to: str, last_key: bytes, position: int) -> str:
    """The token for the page behind a row.

    `last_key` is a JSON array of the row's sort values as text; `position` is how many rows lie before the page.
    """
    return urlsafe_b64encode(orjson.dumps([bound_to, orjson.loads(last_key), position])).decode().rstrip("=")


def decode(token: str, bound_to: str, resource: Resource, order: tuple[OrderTerm, ...]) -> tuple[AfterKey, int]:
    """Where to begin, and how many rows lie before.

    Raises:
        InvalidQuery: no cursor of ours, or one for another sort or filter.
    """
    try:
        found, values, position = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        raise _unusable("The cursor cannot be read.") from None
    if found != bound_to:
        raise _unusable("The cursor belongs to another sort or filter.")
    is_count = type(position) is int and 0 <= position < _MOST_ROWS
    if not (isinstance(values, list) and is_count and len(values) == len(order)):
        raise _unusable("The cursor cannot be read.")
    for value, term in zip(values, order, strict=True):
        is_null_allowed = _may_be_null(resource, term)
        if not isinstance(value, str) and not (value is None and is_null_allowed):
            raise _unusable("The cursor cannot be read.")
    return AfterKey(tuple(None if value is None else Bind(value) for value in values)), position


def _may_be_null(resource: Resource, term: OrderTerm) -> bool:
    match term:
        case OrderTerm(column=ColumnRef(name=name, path=()), embedded=None) if name in resource.columns:
            return resource.columns[name].is_nullable
    return True


def _unusable(message: str) -> InvalidQuery:
    return InvalidQuery(message, hint="Begin again without `cursor`, and follow the links with rel=next.")
