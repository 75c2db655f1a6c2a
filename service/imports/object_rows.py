"""Rows of NDJSON: a JSON object on each line.

Each line is read here as well as in PostgreSQL, which passes over members that it is not asked for: what would be lost
is refused. Numbers reach PostgreSQL with all their digits, since the line itself is what is copied.
"""

from collections.abc import AsyncIterator

import orjson

from service.core.errors import InvalidBody, Rejected
from service.db.transaction import CopyFormat
from service.imports.lines import unmarked
from service.imports.rows import Rejections, Rows
from service.query.plan import StagedForm

# JSON never holds these as they are (RFC 8259, section 7).
_QUOTE, _DELIMITER = "\x01", "\x02"
_LONGEST_LINE = 1 << 26
_SHOWN = 400


async def open_objects(body: AsyncIterator[bytes], columns: tuple[str, ...] | None, rejections: Rejections) -> Rows:
    """The rows. Without `columns`, each names what the first one names; with them, they may name more, or less.

    Raises:
        InvalidBody: the first line is no object, and none is to be left out.
    """
    reader = _Reader(columns, rejections)
    chunks = reader.numbered(unmarked(body))
    first = await anext(chunks, b"")
    return Rows(
        reader.names or (),
        _behind(first, chunks),
        StagedForm.OBJECTS,
        CopyFormat(null="", delimiter=_DELIMITER, quote=_QUOTE),
        is_numbered=True,
    )


async def _behind(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in chunks:
        yield chunk


class _Reader:
    """Looks at each line, and puts its number before it."""

    def __init__(self, columns: tuple[str, ...] | None, rejections: Rejections) -> None:
        self.names = columns
        self._is_free = columns is not None
        self._keys = frozenset(columns or ())
        self._rejections = rejections
        self._number = 0

    async def numbered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        held: list[bytes] = []
        size = 0
        async for chunk in body:
            held.append(chunk)
            size += len(chunk)
            if size > _LONGEST_LINE:
                raise InvalidBody(f"Line {self._number + 1} is longer than {_LONGEST_LINE} bytes.")
            if b"\n" not in chunk:
                continue
            *lines, rest = b"".join(held).split(b"\n")
            held, size = [rest], len(rest)
            if taken := self._taken(lines):
                yield taken
        if taken := self._taken([b"".join(held)]):
            yield taken

    def _taken(self, lines: list[bytes]) -> bytes:
        taken = []
        for line in lines:
            self._number += 1
            text = line.strip()
            if text and self._is_taken(text):
                # A carriage return within is white space, which COPY would take for the end of the line.
                taken.append(b"%d\x02%b\n" % (self._number, text.replace(b"\r", b" ")))
        return b"".join(taken)

    def _is_taken(self, line: bytes) -> bool:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            value, unread = None, f"The line is no JSON: {error}."
        else:
            unread = ""
        reason = unread or self._problem(value)
        column = None
        if reason is None and b"\\u0000" in line:
            column = next((name for name, member in value.items() if _has_nul(member)), None)
            reason = None if column is None else "has a NUL character, which PostgreSQL cannot store"
        if reason is None:
            return True
        shown = line[:_SHOWN].decode("utf-8", "replace")
        self._rejections.add(Rejected(self._number, column, reason, "22P05" if column else "PGRST102", shown))
        return False

    def _problem(self, value: object) -> str | None:
        if not isinstance(value, dict):
            return "The line is no JSON object whose names are columns."
        if self._is_free:
            return None
        if self.names is None:
            self.names, self._keys = tuple(value), frozenset(value)
        return None if value.keys() == self._keys else "All object keys must match"


def _has_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(_has_nul(inner) or "\0" in name for name, inner in value.items())
    return False
