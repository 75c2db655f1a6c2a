"""An answer whose body is sent while it is made.

What goes wrong before the first byte is answered like any other error. Later, the body is broken off: it is not ended,
so that the client sees that something is missing (RFC 9112, section 8).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from starlette.types import Receive, Send

from service.api.v1.exchange import Answer
from service.api.v1.feed_end import until_gone
from service.core.errors import RowhouseError
from service.db.copy import Sink

_log = structlog.get_logger()


@dataclass(slots=True)
class Streamed(Answer):
    """`make` is given what sends a piece of the body, and waits until the client has taken enough of it.

    A client that takes nothing for `idle_seconds`, or that has gone, ends it.
    """

    make: Callable[[Sink], Awaitable[None]] = field(kw_only=True)
    receive: Receive = field(kw_only=True)
    idle_seconds: float = field(kw_only=True)
    request_id: str = field(kw_only=True)

    async def send(self, send: Send, *, is_head: bool) -> None:
        """Raises: RowhouseError where nothing was sent yet."""
        self.headers.append((b"content-type", self.content_type))
        body = _Body(self, send)
        if is_head:
            await body.end()
            return
        try:
            async with until_gone(self.receive, "http.disconnect"):
                await self.make(body.take)
                await body.end()
        except TimeoutError:
            _log.warning("export_not_taken", request_id=self.request_id)
        except Exception as error:
            if not body.has_begun:
                raise
            code = error.stable_code if isinstance(error, RowhouseError) else type(error).__name__
            _log.error("export_broken", request_id=self.request_id, code=code)


class _Body:
    def __init__(self, answer: Streamed, send: Send) -> None:
        self._answer = answer
        self._send = send
        self.has_begun = False

    async def take(self, data: bytes) -> None:
        async with asyncio.timeout(self._answer.idle_seconds):
            await self._begin()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._begin()
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            start = {"type": "http.response.start", "status": self._answer.status, "headers": self._answer.headers}
            await self._send(start)
