"""Reads the query language's text from left to right: names, quoted values, lists."""

import re
from collections.abc import Callable
from typing import TypeVar

from service.core.errors import InvalidQuery

T = TypeVar("T")

# As PostgREST: letters (of any script), digits, `_`, `$` and spaces; a dash inside, where it begins no arrow.
_NAME = re.compile(r"(?:[^\W]|[$ \t]|[^\x00-\x7f]|-(?!>))+")
# PostgreSQL's arrays have no more; so a text of many braces is not read to its end for each of them.
_MOST_DIMENSIONS = 6
_SPACE = re.compile(r"[ \t]*")


class Reader:
    """A position in a text.

    Raises (all methods): InvalidQuery, naming the place, where the text does not go on as asked.
    """

    def __init__(self, text: str, what: str) -> None:
        self._text = text
        self._what = what
        self._at = 0

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._text)

    def next_is(self, wanted: str) -> bool:
        return self._text.startswith(wanted, self._at)

    def skip(self, wanted: str) -> bool:
        """Step over `wanted` if it comes next."""
        if not self.next_is(wanted):
            return False
        self._at += len(wanted)
        return True

    def expect(self, wanted: str) -> None:
        if not self.skip(wanted):
            raise self.error(f"expected {wanted!r}")

    def expect_end(self) -> None:
        if not self.is_done:
            raise self.error("did not expect more")

    def skip_space(self) -> None:
        self.match(_SPACE)

    def skip_around(self, wanted: str) -> bool:
        """Step over `wanted` if it comes next, and over the spaces around it."""
        start = self._at
        self.skip_space()
        if not self.skip(wanted):
            self._at = start
            return False
        self.skip_space()
        return True

    def expect_around(self, wanted: str) -> None:
        if not self.skip_around(wanted):
            raise self.error(f"expected {wanted!r}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Step over what the pattern matches here."""
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def attempt(self, read: Callable[[], T]) -> T | None:
        """What `read` reads, or None with nothing read where the text is not so."""
        start = self._at
        try:
            return read()
        except InvalidQuery:
            self._at = start
            return None

    def list_of(self, read: Callable[[], T]) -> list[T]:
        """One or more, parted by commas with spaces around them."""
        self.skip_space()
        found = [read()]
        while self.skip_around(","):
            found.append(read())
        self.skip_space()
        return found

    def name(self) -> str:
        """An identifier, bare or in double quotes; spaces around a bare one do not belong to it."""
        if self.next_is('"'):
            return self.quoted()
        found = self.match(_NAME)
        # As PostgREST: spaces around a dash fall away as well.
        parts = [part.strip() for part in found[0].split("-")] if found else [""]
        if not all(parts):
            raise self.error("expected a name")
        return "-".join(parts)

    def quoted(self) -> str:
        """A text in double quotes; a backslash keeps the next character as it is."""
        self.expect('"')
        characters: list[str] = []
        while not self.is_done:
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(characters)
            if character == "\\" and not self.is_done:
                character = self._text[self._at]
                self._at += 1
            characters.append(character)
        raise self.error("a quoted text is not closed")

    def until(self, ends: str) -> str:
        """A bare text up to any of those characters."""
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in ends:
            self._at += 1
        return self._text[start : self._at]

    def rest(self) -> str:
        text, self._at = self._text[self._at :], len(self._text)
        return text

    def item(self) -> str:
        """A value inside parentheses: quoted, or as it stands up to the next comma or closing parenthesis."""
        quoted = self.attempt(self._quoted_item) if self.next_is('"') else None
        return self.until(",)") if quoted is None else quoted

    def _quoted_item(self) -> str:
        text = self.quoted()
        if not (self.is_done or self.next_is(",") or self.next_is(")")):
            raise self.error("expected ',' or ')' behind a quoted text")
        return text

    def items(self) -> list[str]:
        """`(a,b,"c,d")`; `()` is the empty list."""
        self.expect_around("(")
        if self.skip_around(")"):
            return []
        values = [self.item()]
        while self.skip(","):
            values.append(self.item())
        self.expect_around(")")
        return values

    def array(self) -> str | None:
        """An array as PostgreSQL writes it, `{1,"a}",{2}}`, as it stands; None where no whole one comes next."""
        return self.attempt(self._array) if self.next_is("{") else None

    def _array(self) -> str:
        start, depth = self._at, 0
        while not self.is_done and depth <= _MOST_DIMENSIONS:
            if self.next_is('"'):
                self.quoted()
                continue
            depth += {"{": 1, "}": -1}.get(self._text[self._at], 0)
            self._at += 1
            if depth == 0:
                return self._text[start : self._at]
        raise self.error("an array is not closed")

    def error(self, problem: str) -> InvalidQuery:
        return InvalidQuery(
            f"{self._what} cannot be read at character {self._at + 1}: {problem}.",
            details=f"{self._text[max(0, self._at - 20) : self._at]}▸{self._text[self._at : self._at + 20]}",
        )
