"""uvicorn's WebSockets, with a way to write what goes to many clients without a task of each having its turn."""

from asyncio import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABNORMAL = 1006  # RFC 6455, section 7.4.1


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Gives the application `scope["rowhouse.write"]`.

    A server's frames bear no mask (RFC 6455, section 5.1) and are not compressed here: they are the same bytes for all.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Behind an answer that the client has not taken, the transport would never say again that it is full."""
        super().connection_made(transport)
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """uvicorn closes without a word to the application, which would go on writing."""
        super().keepalive_timeout()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": _ABNORMAL})

    async def run_asgi(self) -> None:
        self.scope["rowhouse.write"] = self.write  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing is written, where one would have to wait, or all is over."""
        is_open = self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())
        if not is_open or not self.writable.is_set():
            return False
        self.transport.write(frames)
        return True
