"""A feed as Server-Sent Events and by WebSocket."""

import asyncio
from collections.abc import Iterable, Iterator

from starlette.types import Receive, Scope, Send

from service.api.v1.exchange import headers_of
from service.api.v1.feed_end import ENDINGS, Events, first_of, until_gone
from service.core.errors import Forbidden, RowhouseError
from service.events.channel import End, FeedEnded
from service.events.event import Event, Kind

_RETRY_MS = 1000
# A client that takes nothing for so long is taken for gone: it comes back with its last id.
_SEND_SECONDS = 60
# What it must take in that time, of a stream; of a WebSocket it is one message.
_PIECE = 65_536
_SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy must not hold events back
]


async def send_stream(scope: Scope, receive: Receive, send: Send, events: Events) -> None:
    """Server-Sent Events (HTML standard, section 9.2)."""
    first = await first_of(events)
    await send({"type": "http.response.start", "status": 200, "headers": list(_SSE_HEADERS)})

    async def write(*frames: bytes) -> None:
        for piece in _pieces(frames):
            async with asyncio.timeout(_SEND_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})

    await write(b"retry: %d\n\n" % _RETRY_MS)
    if scope["method"] != "HEAD":
        async with until_gone(receive, "http.disconnect"):
            try:
                await write(*(event.frame for event in first))
                async for page in events:
                    await write(*(event.frame for event in page) if page else (b": still here\n\n",))
            except FeedEnded as ended:
                await write(ENDINGS[ended.reason].event().frame)
            except RowhouseError:  # the stream has begun: the client comes back by itself, and is told then
                await write(ENDINGS[End.FAILED].event().frame)
            except TimeoutError:  # what it does not take cannot be ended properly either
                return
            finally:
                await events.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _pieces(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames, many small ones as one, and large ones in parts."""
    piece = bytearray()
    for frame in frames:
        piece += frame
        while len(piece) >= _PIECE:
            yield bytes(piece[:_PIECE])
            del piece[:_PIECE]
    if piece:
        yield bytes(piece)


class Socket:
    """A WebSocket (RFC 6455): one text message an event."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, origins: tuple[str, ...]) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._origins = origins

    async def run(self, events: Events) -> None:
        self._require_origin()
        await self._receive()  # websocket.connect
        first = await first_of(events)
        await self._send({"type": "websocket.accept"})
        ending = ENDINGS[End.SHUTDOWN]
        async with until_gone(self._receive, "websocket.disconnect"):
            try:
                await self._write(first)
                async for page in events:
                    await self._write(page or [Event("", Kind.HEARTBEAT, b'{"type":"heartbeat"}')])
            except FeedEnded as ended:
                ending = ENDINGS[ended.reason]
            except RowhouseError:
                ending = ENDINGS[End.FAILED]
            except TimeoutError:  # what it does not take cannot be closed properly either
                return
            finally:
                await events.aclose()
            await self._write([ending.event()])
            await self._send({"type": "websocket.close", "code": ending.close, "reason": ending.code})

    async def _write(self, page: list[Event]) -> None:
        for event in page:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._send({"type": "websocket.send", "text": event.text})

    def _require_origin(self) -> None:
        """Browsers let any page open a WebSocket: CORS does not hold there.

        Raises:
            Forbidden: the page is of another origin, and not one of those allowed.
        """
        headers = headers_of(self._scope)
        origin = headers.get(b"origin")
        if origin is None:
            return
        text = origin.decode("latin-1")
        is_own = origin.partition(b"://")[2] == headers.get(b"host")
        if not is_own and text not in self._origins:
            raise Forbidden(f"The origin {text!r} is not allowed.", hint="ALLOWED_ORIGINS names those that are.")
