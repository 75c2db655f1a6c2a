"""Rows of CSV (RFC 4180) under a line of names."""

import csv
import re
from collections.abc import AsyncIterator

from service.core.errors import InvalidBody, Rejected
from service.db.transaction import CopyFormat
from service.imports.lines import unmarked, without_blank_end
from service.imports.rows import Rejections, Rows
from service.query.plan import StagedForm

# A quote begins and ends a part in which delimiters and line ends mean nothing, wherever it stands, as in COPY.
_HEADER = re.compile(rb'(?:[^"\r\n]++|"[^"]*+")*+(?:\r\n|\r(?=[^\n])|\n)')
_RECORD = re.compile(rb'(?:[^"\n]++|"[^"]*+")*+\n')
_QUOTED = re.compile(rb'"[^"]*"')
_LONGEST_HEADER = 1 << 20
_LONGEST_RECORD = 1 << 24
_POSTGREST_NULL = "NULL"
_SHOWN = 100


async def open_csv(body: AsyncIterator[bytes], null: str | None, rejections: Rejections) -> Rows:
    """The rows behind the line of names.

    Raises:
        InvalidBody: there is no such line, or it is too long, no UTF-8, or names a column twice.
    """
    header, rest = await _header(unmarked(body))
    names = _names(header)
    lines = max(header.count(b"\n"), 1)
    if rejections.most is None:
        chunks = rest if len(names) == 1 else without_blank_end(rest)
    else:
        chunks = _taken_apart(rest, len(names), lines, rejections)
    return Rows(
        names,
        chunks,
        StagedForm.FIELDS,
        CopyFormat(null=_POSTGREST_NULL if null is None else null),
        empty_is_null=null is None,
        is_numbered=rejections.most is not None,
        lines_before=lines,
    )


async def _header(body: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    head = b""
    async for chunk in body:
        head += chunk
        if found := _HEADER.match(head):
            return found[0], _behind(head[found.end() :], body)
        if len(head) > _LONGEST_HEADER:
            raise InvalidBody("The body must begin with a line of the columns' names.")
    return head, _behind(b"", body)


async def _behind(first: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in body:
        yield chunk


def _names(header: bytes) -> tuple[str, ...]:
    try:
        (names,) = csv.reader([header.decode().rstrip("\r\n")], strict=True)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InvalidBody(
            f"The body is no CSV: its line of names cannot be read ({error}).",
            hint="CSV is UTF-8, and begins with a line of the columns' names.",
        ) from None
    require_distinct(names)
    return tuple(names)


def require_distinct(names: list[str]) -> None:
    """Raise InvalidBody where a name comes twice, or there is none."""
    if not any(names):
        raise InvalidBody("The body names no columns.", hint="It begins with a line of the columns' names.")
    known: set[str] = set()
    for name in names:
        if name in known:
            raise InvalidBody(f"The body names the column {name!r} twice.")
        known.add(name)


async def _taken_apart(
    chunks: AsyncIterator[bytes], width: int, line: int, rejections: Rejections
) -> AsyncIterator[bytes]:
    """Records behind the numbers of the lines on which they end, without those that have not `width` fields."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        records, end = [], 0
        while found := _RECORD.match(rest, end):
            record, end = found[0], found.end()
            line += record.count(b"\n")
            if (numbered := _numbered(record, width, line, rejections)) is not None:
                records.append(numbered)
        rest = rest[end:]
        if len(rest) > _LONGEST_RECORD:
            raise InvalidBody(f"The row that begins on line {line + 1} is too long, or its quote does not end.")
        if records:
            yield b"".join(records)
    if rest and (numbered := _numbered(rest, width, line + 1 + rest.count(b"\n"), rejections)) is not None:
        yield numbered


def _numbered(record: bytes, width: int, line: int, rejections: Rejections) -> bytes | None:
    text = record.rstrip(b"\r\n")
    if not text and width > 1:
        return None
    if reason := _problem(text, width):
        shown = text[: 4 * _SHOWN].decode("utf-8", "replace")
        rejections.add(Rejected(line, None, reason, "PGRST102", shown))
        return None
    return b"%d,%b\n" % (line, text)


def _problem(record: bytes, width: int) -> str | None:
    if b'"' in record:
        if record.count(b'"') % 2:
            return "A quote does not end."
        plain = _QUOTED.sub(b"", record)
    else:
        plain = record
    fields = plain.count(b",") + 1
    if fields != width:
        return f"The line has {fields} fields, and the first line names {width} columns."
    if b"\0" in record:
        return "The line has a NUL character, which PostgreSQL cannot store."
    if b"\r" in plain:
        return "The line has a carriage return outside quotes."
    try:
        record.decode()
    except UnicodeDecodeError:
        return "The line is no UTF-8."
    return None
