r"""Lines of a body as COPY may have them: without a mark before them, blank ones behind them, or a `\.` among them."""

import re
from collections.abc import AsyncIterator

from service.core.errors import InvalidBody

_MARK = b"\xef\xbb\xbf"
_END_MARK = re.compile(rb"(?:\A|[\r\n])\\\.[\r\n]")
_MOST_HELD = 1 << 16


async def unmarked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body without the byte order mark that it may begin with."""
    head = b""
    async for chunk in body:
        head += chunk
        if len(head) >= len(_MARK):
            break
    if head := head.removeprefix(_MARK):
        yield head
    async for chunk in body:
        yield chunk


async def without_blank_end(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same up to the last line that has something in it."""
    held = b""
    async for chunk in chunks:
        whole = held + chunk
        text = whole if len(held) > _MOST_HELD else whole.rstrip(b"\r\n")
        held = whole[len(text) :]
        if text:
            yield text
    if held:
        yield b"\r\n" if held.startswith(b"\r\n") else held[:1]


async def without_end_mark(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    r"""The same, where no line is `\.`, behind which PostgreSQL before 18 drops the rest without a word.

    Raises:
        InvalidBody: there is one.
    """
    tail = b"\n"
    async for chunk in chunks:
        if b"\\." in tail + chunk and _END_MARK.search(tail + chunk):
            raise _refused()
        yield chunk
        tail = (tail + chunk)[-3:]
    if tail.endswith((b"\n\\.", b"\r\\.")):
        raise _refused()


def _refused() -> InvalidBody:
    return InvalidBody("A line of the body is `\\.`, which PostgreSQL takes for its end.", hint="Quote the value.")
