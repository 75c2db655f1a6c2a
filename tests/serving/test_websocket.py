"""What is written past an application's `send` is whole, in order, and never where a WebSocket is not open."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from service.serving.websocket import WebSocketProtocol


class _Application:
    """Writes by both ways, and notes what could be written at once."""

    def __init__(self) -> None:
        self.written: list[bool] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        write = scope["rowhouse.write"]
        await receive()
        self.written.append(write(_frame("too early")))
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "1"})
        self.written.append(write(_frame("2") + _frame("3")))
        await send({"type": "websocket.send", "text": "4"})
        self.written.append(write(_frame("5" * 70_000)))
        await send({"type": "websocket.close"})
        self.written.append(write(_frame("too late")))


def _frame(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@pytest.fixture
def application() -> _Application:
    return _Application()


@pytest.fixture
def address(application: _Application) -> Iterator[str]:
    config = uvicorn.Config(
        application, ws=WebSocketProtocol, ws_per_message_deflate=False, log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join(20)


def test_frames_are_written_while_it_is_open(application: _Application, address: str) -> None:
    with connect(address) as client:
        assert [client.recv(20) for _ in range(5)] == ["1", "2", "3", "4", "5" * 70_000]
        with pytest.raises(ConnectionClosedOK):
            client.recv(20)
    assert application.written == [False, True, True, False]
