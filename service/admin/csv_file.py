"""CSV files as spreadsheets write them: how one begins, and what makes the CSV of the API of it on its way."""

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Message, Receive

from service.core.errors import InvalidBody

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CHARSETS = ("utf-8", "utf-16-le", "utf-16-be", "windows-1252")
DELIMITERS = (",", ";", "\t", "|")
_SHOWN = 8
# Characters of one record. A quote that does not end would have the rest of the file kept in memory.
_LONGEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a file begins: its columns' names, its first rows, and after how many bytes these begin."""

    charset: str
    delimiter: str
    names: list[str]
    rows: list[list[str]]
    skip: int


def read_beginning(data: bytes, *, is_whole: bool) -> Beginning:
    """Look at the first bytes of a file.

    Raises:
        InvalidBody: they are no CSV.
    """
    charset, mark = _charset(data)
    text = data[mark:].decode(charset, "ignore")
    if not text.strip():
        raise InvalidBody("The file is empty.", hint="It must begin with a line of the columns' names.")
    if "\0" in text:
        raise InvalidBody("This is no CSV file.", hint="Spreadsheets have “Save as … CSV” for it.")
    delimiter = max(DELIMITERS, key=_first_line(text).count)
    records = _records(text, is_whole=is_whole)
    if not records:
        raise InvalidBody("The file's first line is too long, or its quote does not end.")
    try:
        names, *rows = csv.reader(io.StringIO("".join(records[: _SHOWN + 1]), newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise InvalidBody(f"The file is no CSV: {error}.") from None
    skip = mark + len(records[0].encode(charset))
    return Beginning(charset, delimiter, names, rows, skip)


def _charset(data: bytes) -> tuple[str, int]:
    for mark, charset in _BOMS:
        if data.startswith(mark):
            return charset, len(mark)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # it may end amid a character
    except UnicodeDecodeError:
        return "windows-1252", 0
    return "utf-8", 0


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").partition("\n")[0]


def _records(text: str, *, is_whole: bool) -> list[str]:
    """The whole records of a text, with their line ends."""
    splitter = _Splitter()
    records = splitter.records(text)
    return [*records, splitter.rest] if is_whole and splitter.rest else records


class _Splitter:
    """Cuts texts into records: a line end within quotes is none."""

    def __init__(self) -> None:
        self.rest = ""
        self._looked = 0
        self._is_quoted = False

    def records(self, text: str) -> list[str]:
        self.rest += text
        found, begin = [], 0
        while (end := self.rest.find("\n", self._looked)) >= 0:
            self._is_quoted ^= bool(self.rest.count('"', self._looked, end) % 2)
            self._looked = end + 1
            if not self._is_quoted:
                found.append(self.rest[begin : end + 1])
                begin = end + 1
        self.rest, self._looked = self.rest[begin:], self._looked - begin
        return found


class _Recoder:
    """Makes UTF-8 with commas of another charset and another delimiter."""

    def __init__(self, charset: str, delimiter: str) -> None:
        self._decoder = codecs.getincrementaldecoder(charset)("strict")
        self._delimiter = delimiter
        self._splitter = _Splitter()

    def recoded(self, data: bytes, *, is_last: bool) -> bytes:
        try:
            text = self._decoder.decode(data, is_last)
        except UnicodeDecodeError as error:
            raise InvalidBody(f"The file is not in the charset {error.encoding}.") from None
        records = self._splitter.records(text)
        if len(self._splitter.rest) > _LONGEST:
            raise InvalidBody("A record of the file is too long, or its quote does not end.")
        if is_last:
            records.append(self._splitter.rest)
        written = io.StringIO(newline="")
        try:
            rows = csv.reader(io.StringIO("".join(records), newline=""), delimiter=self._delimiter)
            csv.writer(written, lineterminator="\n").writerows(rows)
        except csv.Error as error:
            raise InvalidBody(f"The file is no CSV: {error}.") from None
        return written.getvalue().encode()


def recast(receive: Receive, names: Sequence[str], beginning: Beginning) -> Receive:
    """What receives a body as the API wants it: with these names in place of its first line, UTF-8, with commas."""
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(names)
    left, pending = beginning.skip, head.getvalue().encode()
    is_plain = beginning.charset == "utf-8" and beginning.delimiter == ","
    recoder = None if is_plain else _Recoder(beginning.charset, beginning.delimiter)

    async def received() -> Message:
        nonlocal left, pending
        message = await receive()
        if message["type"] != "http.request":
            return message
        body: bytes = message.get("body", b"")
        dropped = min(left, len(body))
        left, body = left - dropped, body[dropped:]
        if recoder is not None:
            body = recoder.recoded(body, is_last=not message.get("more_body", False))
        body, pending = pending + body, b""
        return {**message, "body": body}

    return received
