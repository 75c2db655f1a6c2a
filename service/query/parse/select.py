"""`select=`: columns, renames, casts and embedded tables, as they were written."""

from dataclasses import dataclass

from service.core.errors import InvalidQuery, LimitExceeded
from service.query.parse.reader import Reader

# Only these: a type's name stands in the SQL as it is.
CASTS = frozenset(
    {
        "bigint", "boolean", "bytea", "char", "date", "double precision", "float4", "float8", "inet", "int", "int2",
        "int4", "int8", "integer", "interval", "json", "jsonb", "numeric", "real", "smallint", "text", "time",
        "timestamp", "timestamptz", "uuid", "varchar",
    }
)  # fmt: skip

_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """`alias:name::cast`; the name `*` stands for all columns."""

    name: str
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenEmbed:
    """`alias:target!hint!inner(items)`"""

    target: str
    alias: str
    hint: str | None
    is_inner: bool
    items: tuple["WrittenItem", ...]


WrittenItem = WrittenColumn | WrittenEmbed


def parse_select(text: str, max_depth: int) -> tuple[WrittenItem, ...]:
    """The items of `select=`; an empty text selects everything."""
    if not text:
        return (WrittenColumn("*"),)
    reader = Reader(text, "'select'")
    items = _items(reader, max_depth)
    reader.expect_end()
    return items


def _items(reader: Reader, depth: int) -> tuple[WrittenItem, ...]:
    items = [_item(reader, depth)]
    while reader.skip(","):
        items.append(_item(reader, depth))
    return tuple(items)


def _item(reader: Reader, depth: int) -> WrittenItem:
    if reader.skip("*"):
        return WrittenColumn("*")
    name, alias = reader.name(), None
    if not reader.next_is("::") and reader.skip(":"):
        name, alias = reader.name(), _alias(name)
    if reader.next_is("(") or reader.next_is("!"):
        return _embed(reader, name, alias, depth)
    return WrittenColumn(name, alias, _cast(reader))


def _alias(name: str) -> str:
    """A name that PostgreSQL would not cut (manual, chapter 4.1.1)."""
    if len(name.encode()) > _LONGEST_NAME:
        raise InvalidQuery(f"A name has at most {_LONGEST_NAME} bytes; {name[:20]!r}… has more.")
    return name


def _cast(reader: Reader) -> str | None:
    if not reader.skip("::"):
        return None
    name = reader.until(",()").strip().lower()
    if name not in CASTS:
        raise InvalidQuery(f"A column cannot be cast to {name[:32]!r}.", hint=f"Known: {', '.join(sorted(CASTS))}.")
    return name


def _embed(reader: Reader, target: str, alias: str | None, depth: int) -> WrittenEmbed:
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
    items = () if reader.next_is(")") else _items(reader, depth - 1)
    reader.expect(")")
    return WrittenEmbed(target, alias or target, hint, is_inner, items or (WrittenColumn("*"),))
