"""Bounds the bodies of the control plane, whose forms FastAPI would read however long they are."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem import send_problem
from service.core.errors import LimitExceeded


class BodyLimit:
    """Refuses a request that announces a longer body, and cuts off one that turns out longer."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length[:20]) > self._limit:
            await send_problem(self._error(), scope, send)
            return
        size = 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._error()
            return message

        await self._app(scope, count, send)

    def _error(self) -> LimitExceeded:
        return LimitExceeded(f"The body is larger than {self._limit} bytes.", code="body_too_large")
