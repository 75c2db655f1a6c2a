"""Arrays and ranges as PostgreSQL writes them (manual, chapters 8.15 and 8.17), taken apart and put together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^"\\{},]|\\.)+))\s*(,|\})', re.DOTALL)
_BOUND = r'(?:"((?:[^"\\]|\\.|"")*)"|([^"\\,\[\]()]*))'
_RANGE = re.compile(rf"([\[(]){_BOUND},{_BOUND}([\])])", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)|\"(\")", re.DOTALL)
EMPTY = "empty"


def items_of(text: str) -> list[str | None] | None:
    """The items of an array of one dimension that begins at 1; None where it is another, or none."""
    if text == "{}":
        return []
    if not text.startswith("{"):
        return None
    items: list[str | None] = []
    place = 1
    while found := _ITEM.match(text, place):
        place = found.end()
        items.append(_unescaped(found[1]) if found[1] is not None else _bare(found[2]))
        if found[3] == "}":
            return items if place == len(text) else None
    return None


def array_of(items: Sequence[str]) -> str:
    """The array that has these items."""
    return "{" + ",".join(_quoted_item(item) for item in items) + "}"


@dataclass(frozen=True, slots=True)
class Range:
    """The bounds of a range. `bounds` is how they are written (`[)`), or `empty`; a bound that is empty is none."""

    lower: str
    upper: str
    bounds: str

    @property
    def text(self) -> str:
        if self.bounds == EMPTY:
            return EMPTY
        lower, upper = (_quoted_bound(bound) for bound in (self.lower, self.upper))
        return f"{self.bounds[0]}{lower},{upper}{self.bounds[1]}"


def range_of(text: str) -> Range | None:
    """The bounds of a range; None where it is none, or has a bound that is an empty text."""
    if text == EMPTY:
        return Range("", "", EMPTY)
    found = _RANGE.fullmatch(text)
    if found is None or found[2] == "" or found[4] == "":
        return None
    lower = found[3] if found[2] is None else _unescaped(found[2])
    upper = found[5] if found[4] is None else _unescaped(found[4])
    return Range(lower, upper, found[1] + found[6])


def _bare(text: str) -> str | None:
    """An item without quotes."""
    text = text.strip()
    return None if text.upper() == "NULL" else _unescaped(text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: found[1] or found[2], text)


def _quoted_item(text: str) -> str:
    """As `array_out` writes it."""
    if text and text.upper() != "NULL" and not re.search(r'[{}",\\\s]', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted_bound(text: str) -> str:
    """As `range_out` writes it."""
    if not re.search(r'["\\()\[\],\s]', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
