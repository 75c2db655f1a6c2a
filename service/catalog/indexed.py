"""Columns that an index leads to: what can be found by them, and in which order, without reading the whole table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import asyncpg

_TRIGRAMS = ("gin_trgm_ops", "gist_trgm_ops")
_PATTERNS = "text_pattern_ops"
_TEXTS = "text_ops"


class Finds(StrEnum):
    """What an index finds of a column: a value, texts that begin so, or texts that contain it."""

    EQUAL = "equal"
    PREFIX = "prefix"
    SUBSTRING = "substring"


@dataclass(frozen=True, slots=True)
class Indexed:
    """A column that a whole index begins with. `sorts` is the order of its entries, where they have one: whether it
    descends, and whether NULLs come first; they are read backwards as well.
    """

    name: str
    finds: frozenset[Finds]
    sorts: tuple[bool, bool] | None

    def serves_order(self, *, is_descending: bool, nulls_first: bool) -> bool:
        """Whether rows can be read in that order."""
        if self.sorts is None:
            return False
        return self.sorts in ((is_descending, nulls_first), (not is_descending, not nulls_first))


def found_indexed(rows: Iterable[asyncpg.Record]) -> Mapping[int, list[Indexed]]:
    """The columns that indexes lead to, by the relation's object id."""
    found: dict[int, list[Indexed]] = defaultdict(list)
    for row in rows:
        finds = frozenset(_finds(row))
        sorts = (row["is_descending"], row["nulls_first"]) if _is_sorted(row) else None
        if finds or sorts:
            found[row["relation"]].append(Indexed(row["column"], finds, sorts))
    return found


def _is_sorted(row: asyncpg.Record) -> bool:
    return bool(row["method"] == "btree" and row["is_default"] and row["is_same_collation"])


def _finds(row: asyncpg.Record) -> Iterable[Finds]:
    """PostgreSQL manual, chapters 11.2, 11.10 and F.35: a comparison takes an index of its own collation alone, but a
    prefix any whose order is that of bytes.
    """
    if row["operators"] in _TRIGRAMS:
        yield from (Finds.PREFIX, Finds.SUBSTRING)
        return
    if row["method"] not in ("btree", "hash"):
        return
    if row["is_same_collation"]:
        yield Finds.EQUAL
    if row["method"] == "btree" and (row["family"] == _PATTERNS or (row["family"] == _TEXTS and row["is_by_bytes"])):
        yield Finds.PREFIX
