"""An answer from a file: whole or in part, under the conditions of RFC 9110, section 13."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate

from starlette.types import Send

from service.api.v1.byte_range import ByteRange, byte_range
from service.api.v1.conditional import matches, strong_tags
from service.api.v1.exchange import Answer, Request
from service.api.v1.feed_end import until_gone
from service.core.errors import PreconditionFailed
from service.crud.export_files import ExportFile

_PIECE = 256 * 2**10


@dataclass(slots=True)
class FileAnswer(Answer):
    """`open` makes or finds the file, for as long as the client waits for it."""

    open: Callable[[], Awaitable[ExportFile]] = field(kw_only=True)
    name: str = field(kw_only=True)
    request: Request = field(kw_only=True)
    idle_seconds: float = field(kw_only=True)

    async def send(self, send: Send, *, is_head: bool) -> None:
        """Raises: RowhouseError where nothing was sent yet."""
        async with until_gone(self.request.receive, "http.disconnect"):
            file = await self.open()
            try:
                with suppress(TimeoutError):  # nobody takes it: it stays unfinished, and the server ends it
                    await self._answer(file, send, is_head=is_head)
            finally:
                file.close()

    async def _answer(self, file: ExportFile, send: Send, *, is_head: bool) -> None:
        tag = f'"{self.name[:16]}-{file.made_at:x}"'
        part = self._part(file, tag)
        self.headers += [
            (b"accept-ranges", b"bytes"),
            (b"etag", tag.encode()),
            (b"last-modified", formatdate(file.made_at / 1e9, usegmt=True).encode()),
        ]
        if (none_match := self.request.header(b"if-none-match")) is not None and matches(none_match, tag):
            await send({"type": "http.response.start", "status": 304, "headers": self.headers})
            await send({"type": "http.response.body", "body": b""})
            return
        status, shown = 200, ByteRange(0, file.size - 1)
        if part is not None:
            status, shown = 206, part
            self.add(b"content-range", f"bytes {part.first}-{part.last}/{file.size}")
        self.add(b"content-length", str(shown.length))
        self.headers.append((b"content-type", self.content_type))
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        start, end = shown.first, shown.last + 1
        while start < end and not is_head:
            data = await asyncio.to_thread(file.read, start, min(_PIECE, end - start))
            async with asyncio.timeout(self.idle_seconds):
                await send({"type": "http.response.body", "body": data, "more_body": True})
            start += len(data)
        await send({"type": "http.response.body", "body": b""})

    def _part(self, file: ExportFile, tag: str) -> ByteRange | None:
        """What is asked of the file; None for all of it.

        Raises:
            PreconditionFailed: it is not the file that `If-Match` names.
            RangeNotSatisfiable: it has no such bytes.
        """
        if_match, if_range = self.request.header(b"if-match"), self.request.header(b"if-range")
        if if_match is not None and strong_tags(if_match) != ["*"] and tag.strip('"') not in strong_tags(if_match):
            raise PreconditionFailed("The file is not the one that If-Match names.")
        header = self.request.header(b"range")
        is_current = if_range is None or if_range.strip() == tag
        return byte_range(header, file.size) if header is not None and is_current else None
