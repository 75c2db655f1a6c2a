"""What rows are ordered by, and which of them come behind a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Text, and_, false, or_

from service.catalog.sql_type import SqlType
from service.query.plan import AfterKey, Bind, OrderTerm

# PostgreSQL can group by them, but not order by them.
_UNORDERED = ("xid", "cid", "aclitem")


@dataclass(frozen=True, slots=True)
class SortKey:
    """The value that a term orders by; `read` makes a value of the same type from a bound text."""

    term: OrderTerm
    value: ColumnElement[Any]
    type: SqlType
    read: Callable[[Bind], ColumnElement[Any]]
    may_be_null: bool = True

    @property
    def ordered(self) -> ColumnElement[Any]:
        value = sa.cast(self.value, Text) if self._is_as_text else self.value
        value = value.desc() if self.term.is_descending else value.asc()
        if self.term.nulls_first is None:
            return value
        return value.nulls_first() if self.term.nulls_first else value.nulls_last()

    @property
    def gathered(self) -> ColumnElement[Any]:
        """The value as it is gathered in an array: one that is an array itself is gathered as text."""
        return sa.cast(self.value, Text) if self.type.name.endswith("[]") else self.value

    def equals(self, bind: Bind | None) -> ColumnElement[bool]:
        return self.value.is_(None) if bind is None else self.value == self.read(bind)

    def is_beyond(self, bind: Bind | None) -> ColumnElement[bool]:
        """Whether the value comes behind that one in the order."""
        if bind is None:
            return self.value.is_not(None) if self.term.puts_nulls_first else false()
        here, there = self.value, self.read(bind)
        if self._is_as_text:
            here, there = sa.cast(here, Text), sa.cast(there, Text)
        beyond = here < there if self.term.is_descending else here > there
        return or_(beyond, self.value.is_(None)) if self.may_be_null and not self.term.puts_nulls_first else beyond

    @property
    def _is_as_text(self) -> bool:
        return self.type.name in _UNORDERED


def behind(keys: Sequence[SortKey], after: AfterKey) -> ColumnElement[bool]:
    """Rows that sort behind the given one.

    One row comparison where all keys go the same way and none can be NULL, which an index can serve (PostgreSQL manual,
    chapter 9.25); else key by key: equal so far, and then further on.
    """
    if keys and _is_uniform(keys):
        here = sa.tuple_(*(key.value for key in keys))
        there = sa.tuple_(*(key.read(bind) for key, bind in zip(keys, after.values, strict=True) if bind))
        return here < there if keys[0].term.is_descending else here > there
    steps, equal = [], list[ColumnElement[bool]]()
    for key, bind in zip(keys, after.values, strict=True):
        steps.append(and_(*equal, key.is_beyond(bind)))
        equal.append(key.equals(bind))
    return or_(false(), *steps)


def _is_uniform(keys: Sequence[SortKey]) -> bool:
    return len({key.term.is_descending for key in keys}) == 1 and not any(key.may_be_null for key in keys)
