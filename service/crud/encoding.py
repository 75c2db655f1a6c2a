"""From what COPY sends, in many small pieces, to what the client is sent."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from service.db.copy import Sink
from service.formats.encoder import Encoder

_PIECE = 64 * 2**10
_AT_ONCE = 16


class Gathering:
    """Passes bytes on in pieces of a size."""

    def __init__(self, sink: Sink, size: int = _PIECE) -> None:
        self._sink = sink
        self._wanted = size
        self._parts: list[bytes] = []
        self._size = 0

    async def take(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self._wanted:
            await self.end()

    async def end(self) -> None:
        if self._parts:
            data, self._parts, self._size = b"".join(self._parts), [], 0
            await self._sink(data)


class Encoding:
    """Has a block of rows encoded in a thread while the next is gathered."""

    def __init__(self, encoder: Encoder, sink: Sink) -> None:
        self._encoder = encoder
        self._sink = sink
        self._running: asyncio.Task[list[bytes]] | None = None

    async def take(self, block: bytes) -> None:
        await self._finish()
        self._start(self._encoder.encode(block))

    async def end(self) -> None:
        await self._finish()
        rest = iter(self._encoder.end())
        has_more = True
        while has_more:
            self._start(islice(rest, _AT_ONCE))
            has_more = await self._finish()

    async def close(self) -> None:
        """Let go of everything, once the thread is done."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        self._encoder.close()

    def _start(self, pieces: Iterable[bytes]) -> None:
        self._running = asyncio.create_task(asyncio.to_thread(list, pieces))

    async def _finish(self) -> bool:
        """Send what the thread has made; False where that is nothing."""
        if self._running is None:
            return False
        pieces = await asyncio.shield(self._running)  # a thread cannot be cancelled
        self._running = None
        for piece in pieces:
            await self._sink(piece)
        return bool(pieces)
