"""The least that a fan-out to WebSockets can be on uvicorn: whoever asks for a row makes all clients get a text."""

import asyncio

from starlette.types import Receive, Scope, Send

_TEXT = "x" * 400  # about as long as the change of an airline


class _Client:
    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.woken = asyncio.Event()


class BareFeed:
    """An ASGI application without routes, rights or log."""

    def __init__(self) -> None:
        self._clients: set[_Client] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await self._follow(receive, send)
        else:
            self._tell(scope["method"] == "PATCH")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    def _tell(self, is_change: bool) -> None:
        for client in self._clients if is_change else ():
            client.waiting.append(_TEXT)
            client.woken.set()

    async def _follow(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "up-to-date"})
        client = _Client()
        self._clients.add(client)
        gone = asyncio.create_task(_gone(receive, asyncio.current_task()))
        try:
            while True:
                await client.woken.wait()
                client.woken.clear()
                texts, client.waiting = client.waiting, []
                for text in texts:
                    await send({"type": "websocket.send", "text": text})
        except asyncio.CancelledError:
            return
        finally:
            gone.cancel()
            self._clients.discard(client)


async def _gone(receive: Receive, following: "asyncio.Task[None] | None") -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
    if following is not None:
        following.cancel()


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


app = BareFeed()
