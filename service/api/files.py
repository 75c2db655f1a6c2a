"""Static files."""

from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send


class Files(StaticFiles):
    """Over HTTP alone: what is mounted is asked for WebSockets too, and Starlette's files take none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await super().__call__(scope, receive, send)
