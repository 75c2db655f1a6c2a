"""Answers of a service that is about to stop."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LastAnswer:
    """Ends each connection with its next answer: who keeps connections opens the next one elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last if scope["type"] == "http" else send)
