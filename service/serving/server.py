"""uvicorn as Rowhouse is served: its options, in one place, and a stop that loses no request."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from service.application import Application
from service.core.settings import Settings
from service.serving import door
from service.serving.websocket import WebSocketProtocol

# So long may a request that is running go on after the listening socket was closed.
REQUEST_SECONDS = 20
# Longer than proxies keep idle connections (60 s as a rule): the one that closes first must be the one that sends.
_KEEP_ALIVE_SECONDS = 75
_LINE_SECONDS = 0.15
_FEED_SECONDS = 0.5
_LAST_SECONDS = 2.0
_STEP_SECONDS = 0.02


def options(settings: Settings) -> dict[str, Any]:
    """Arguments of `uvicorn.Config`, whoever runs it."""
    trusted = settings.server.forwarded_allow_ips
    return {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(trusted),
        "forwarded_allow_ips": trusted,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": REQUEST_SECONDS,
        "ws": WebSocketProtocol,
        "ws_per_message_deflate": False,  # it costs more than it saves where one message goes to many
    }


class Server(uvicorn.Server):
    """Told to stop, it says so to those who probe it, serves on for a while, closes its socket when nobody stands in
    line, sends feeds to other processes, and then waits for the requests that run.

    SIGINT, or a second signal, cuts the first of these short.
    """

    def __init__(self, app: Application, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app
        self._is_in_a_hurry = False
        app.is_stopped_by_server = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._is_in_a_hurry = self._is_in_a_hurry or self.should_exit or sig != signal.SIGTERM
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if not self._app.service.is_draining:
            for listener in self._listeners():
                door.reopen(listener)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.begin_draining()
        self._end_connections_with_their_answer()
        delay = self._app.service.settings.drain_delay
        await self._serve_on(delay)
        for listener in self._listeners():
            door.shut(listener)
        await asyncio.sleep(_LINE_SECONDS)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        if delay and not self._is_in_a_hurry:
            await self._connections_end(_LAST_SECONDS)
        await self._app.service.drain()
        await self._connections_end(_FEED_SECONDS)
        await super().shutdown(sockets)

    async def _serve_on(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while not self._is_in_a_hurry and asyncio.get_running_loop().time() < until:
            await self.on_tick(0)  # a process above must go on hearing of this one
            await asyncio.sleep(_STEP_SECONDS)

    def _end_connections_with_their_answer(self) -> None:
        """Those whose requests began before: a poll would leave its connection to the next feed."""
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)  # a WebSocket has none
            if cycle is not None:
                cycle.keep_alive = False

    async def _connections_end(self, seconds: float) -> None:
        """By themselves: uvicorn would close those on which a request is just coming, and feeds before they were told
        why.
        """
        for _ in range(round(seconds / _STEP_SECONDS)):
            if not self.server_state.connections:
                return
            await asyncio.sleep(_STEP_SECONDS)

    def _listeners(self) -> Iterator[socket.socket]:
        """The sockets themselves: what event loops show of them lacks options."""
        for server in self.servers:
            for shown in server.sockets:
                with socket.socket(fileno=os.dup(shown.fileno())) as listener:
                    yield listener
