"""A feed as Server-Sent Events and by WebSocket."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import closing
from types import TracebackType

from starlette.types import Receive, Scope, Send

from service.api.v1.exchange import headers_of
from service.api.v1.feed_end import ENDINGS, Ending, Events, first_of, until_gone
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


class Patience:
    """What a client may take to take something: behind it, the task that sends gets a TimeoutError.

    It has one timer for all of a client's messages: `asyncio.timeout` makes one for each, which was a quarter of what
    sending one costs.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def __enter__(self) -> None:
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._since = None
        if self._is_over and kind is asyncio.CancelledError:
            assert self._task is not None
            self._task.uncancel()
            raise TimeoutError from None

    def close(self) -> None:
        """Nothing more is sent."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._task is not None:
            self._is_over = True
            self._task.cancel()


async def send_stream(scope: Scope, receive: Receive, send: Send, events: Events) -> None:
    """Server-Sent Events (HTML standard, section 9.2)."""
    first = await first_of(events)
    await send({"type": "http.response.start", "status": 200, "headers": list(_SSE_HEADERS)})
    patience = Patience(_SEND_SECONDS)

    async def write(*frames: bytes) -> None:
        for piece in _pieces(frames):
            with patience:
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
                patience.close()
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
        with closing(Patience(_SEND_SECONDS)) as patience:
            async with until_gone(self._receive, "websocket.disconnect"):
                ending = await self._follow(first, events, patience)
                if ending is not None:
                    await self._write([ending.event()], patience)
                    await self._send({"type": "websocket.close", "code": ending.close, "reason": ending.code})

    async def _follow(self, first: list[Event], events: Events, patience: Patience) -> Ending | None:
        """Send what comes; how it ends, or None where the client takes nothing, and so cannot be told."""
        try:
            await self._write(first, patience)
            async for page in events:
                await self._write(page or [Event("", Kind.HEARTBEAT, b'{"type":"heartbeat"}')], patience)
        except FeedEnded as ended:
            return ENDINGS[ended.reason]
        except RowhouseError:
            return ENDINGS[End.FAILED]
        except TimeoutError:
            return None
        finally:
            await events.aclose()
        return ENDINGS[End.SHUTDOWN]

    async def _write(self, page: list[Event], patience: Patience) -> None:
        for event in page:
            with patience:
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
