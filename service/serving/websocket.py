"""uvicorn's WebSockets, with a way to write what goes to many clients without a task of each having its turn."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Gives the application `scope["rowhouse.write"]`.

    A server's frames bear no mask (RFC 6455, section 5.1) and are not compressed here: they are the same bytes for all.
    """

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
