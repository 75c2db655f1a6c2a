"""`select=`: columns, renames, casts, aggregates and embedded tables, as they were written."""

from dataclasses import dataclass

from service.core.errors import InvalidQuery, LimitExceeded
from service.query.parse.field import Field, read_aggregate, read_cast, read_count, read_path
from service.query.parse.reader import Reader
from service.query.plan import Aggregate

_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """`alias:field::cast.aggregate()::cast`. Without a field it is `count()`; the field `*` stands for all columns.

    `is_old`: it is `count` as it was written before PostgREST had aggregates, which is allowed without them.
    """

    field: Field | None
    alias: str
    cast: str | None = None
    aggregate: Aggregate | None = None
    aggregate_cast: str | None = None
    is_old: bool = False


@dataclass(frozen=True, slots=True)
class WrittenEmbed:
    """`alias:target!hint!inner(items)`, or `...target!hint(items)`. Without items it is joined, but not shown."""

    target: str
    alias: str
    hint: str | None
    is_inner: bool
    items: tuple["WrittenItem", ...]
    is_spread: bool = False


WrittenItem = WrittenColumn | WrittenEmbed
EVERYTHING = WrittenColumn(Field("*"), "*")


def parse_select(text: str, max_depth: int) -> tuple[WrittenItem, ...]:
    """The items of `select=`; an empty text selects everything."""
    if not text:
        return (EVERYTHING,)
    reader = Reader(text, "'select'")
    items = _items(reader, max_depth)
    reader.expect_end()
    return items


def _items(reader: Reader, depth: int) -> tuple[WrittenItem, ...]:
    return tuple(reader.list_of(lambda: _item(reader, depth)))


def _item(reader: Reader, depth: int) -> WrittenItem:
    if reader.skip("..."):
        return _embed(reader, reader.name(), None, depth, is_spread=True)
    if reader.skip("*"):
        return EVERYTHING
    alias = reader.attempt(lambda: _alias(reader))
    count = read_count(reader)
    if count is not None:
        return WrittenColumn(None, _short(alias or count.function), None, count.function, read_cast(reader))
    name = reader.name()
    if reader.next_is("(") or reader.next_is("!"):
        return _embed(reader, name, alias, depth)
    return _column(reader, name, alias)


def _alias(reader: Reader) -> str:
    name = reader.name()
    if reader.next_is("::"):
        raise reader.error("expected a name")
    reader.expect(":")
    reader.skip_space()
    return name


def _short(alias: str) -> str:
    """A name that PostgreSQL would not cut (manual, chapter 4.1.1)."""
    if len(alias.encode()) > _LONGEST_NAME:
        raise InvalidQuery(f"A name has at most {_LONGEST_NAME} bytes; {alias[:20]!r}… has more.")
    return alias


def _column(reader: Reader, name: str, alias: str | None) -> WrittenColumn:
    field = Field(name, read_path(reader))
    cast = read_cast(reader)
    aggregate = read_aggregate(reader)
    aggregate_cast = read_cast(reader) if aggregate else None
    return WrittenColumn(field, _short(alias or aggregate or field.last_name), cast, aggregate, aggregate_cast)


def _embed(reader: Reader, target: str, alias: str | None, depth: int, *, is_spread: bool = False) -> WrittenEmbed:
    if depth == 0:
        raise LimitExceeded("Tables are embedded more deeply than the service allows.")
    hint, is_inner = None, False
    while reader.skip("!"):
        word = reader.name()
        if word == "inner":
            is_inner = True
        elif word != "left":
            hint = word
    reader.expect("(")
    reader.skip_space()
    items = () if reader.next_is(")") else _items(reader, depth - 1)
    reader.expect(")")
    return WrittenEmbed(target, _short(alias or target), hint, is_inner, items, is_spread)
