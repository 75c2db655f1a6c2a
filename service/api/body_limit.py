"""Bounds the bodies of the control plane, whose forms FastAPI would read however long they are."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem import send_problem
from service.core.errors import LimitExceeded


class BodyLimit:
    """Refuses a request that announces a longer body, and cuts off one that turns out longer.

    What `is_streamed` goes by: its handler reads it part by part, with a bound of its own.
    """

    def __init__(self, app: ASGIApp, limit: int, is_streamed: Callable[[Scope], bool]) -> None:
        self._app = app
        self._is_streamed = is_streamed
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_streamed(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except LimitExceeded as error:
            await send_problem(error, scope, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body: an error raised while FastAPI reads it would be taken for one in its form."""
        too_large = LimitExceeded(f"The body is larger than {self._limit} bytes.", code="body_too_large")
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length[:20]) > self._limit:
            raise too_large
        parts, size, has_more = [], 0, True
        while has_more:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit:
                raise too_large
            has_more = message.get("more_body", False)
        return b"".join(parts)
