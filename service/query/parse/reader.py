"""Reads the query language's text from left to right: names, quoted values, lists."""

from service.core.errors import InvalidQuery

_NAME_ENDS = frozenset(".,():!=&>{}")


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

    def name(self) -> str:
        """An identifier, bare or in double quotes."""
        if self.next_is('"'):
            return self.quoted()
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in _NAME_ENDS:
            self._at += 1
        name = self._text[start : self._at].strip()
        if not name:
            raise self.error("expected a name")
        return name

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
        """A value inside parentheses, quoted or up to the next comma or closing parenthesis."""
        return self.quoted() if self.next_is('"') else self.until(",)")

    def items(self) -> list[str]:
        """`(a,b,"c,d")`; `()` is the empty list."""
        self.expect("(")
        if self.skip(")"):
            return []
        values = [self.item()]
        while self.skip(","):
            values.append(self.item())
        self.expect(")")
        return values

    def error(self, problem: str) -> InvalidQuery:
        return InvalidQuery(
            f"{self._what} cannot be read at character {self._at + 1}: {problem}.",
            details=f"{self._text[max(0, self._at - 20) : self._at]}▸{self._text[self._at : self._at + 20]}",
        )
