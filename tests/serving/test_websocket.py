"""What is written past an application's `send` is whole, in order, and never where a WebSocket is not open."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from service.serving.websocket import WebSocketProtocol
from tests.waiting import until


class _Application:
    """Writes by both ways, and notes what could be written at once, and what it was told at last."""

    def __init__(self) -> None:
        self.written: list[bool] = []
        self.told = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": _LARGE})
        elif scope["path"] == "/waits":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "bytes": _LARGE})
            self.told = (await receive())["type"]
        else:
            await self._write(scope, receive, send)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
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


_LARGE = bytes(20_000_000)
_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: cm93aG91c2Utcm93aG91cw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def _frame(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@pytest.fixture
def application() -> _Application:
    return _Application()


@pytest.fixture
def address(application: _Application) -> Iterator[str]:
    config = uvicorn.Config(
        application,
        ws=WebSocketProtocol,
        ws_per_message_deflate=False,
        ws_ping_interval=0.2,
        ws_ping_timeout=0.2,
        log_config=None,
        lifespan="off",
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


def test_an_upgrade_behind_an_answer_that_is_not_taken_is_cut_off(address: str) -> None:
    """What is written there would pile up: nothing tells that the client takes nothing."""
    with _raw(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(10, socket.MSG_PEEK)
        client.sendall(_UPGRADE.format(path="/").encode())
        taken = bytearray()
        with suppress(ConnectionResetError):
            while data := client.recv(1_000_000):
                taken += data
        assert b"101 Switching" not in taken
        assert len(taken) < len(_LARGE)


def test_who_does_not_answer_pings_is_told_of_as_gone(application: _Application, address: str) -> None:
    with _raw(address) as client:
        client.sendall(_UPGRADE.format(path="/waits").encode())
        until(lambda: application.told, seconds=20)
    assert application.told == "websocket.disconnect"


def _raw(address: str) -> socket.socket:
    host, port = address.removeprefix("ws://").rstrip("/").split(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    return client
