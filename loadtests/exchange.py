"""HTTP as far as servers of our own on loopback need it: answered as JSON, or passed on byte by byte."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request, and where its body is to be read."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def read(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "Asked":
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":")[::2] for line in lines)
        return cls(method, target, tuple((name.strip(), value.strip()) for name, value in pairs), reader, writer)

    def header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers if name.lower() == wanted), None)

    async def body(self) -> bytes:
        if "chunked" not in (self.header("transfer-encoding") or ""):
            return await self.reader.readexactly(int(self.header("content-length") or 0))
        parts = []
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readuntil(b"\r\n")
        return b"".join(parts)

    async def answer(self, status: HTTPStatus, document: Any, *, ends: bool = True) -> None:
        """`ends`: whether this is the last answer of the connection."""
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        if ends:
            head += "Connection: close\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.writer.drain()

    async def pass_on(self, port: int, target: str, headers: Iterable[tuple[str, str]]) -> None:
        """Send the request on under another target and with other headers, and everything that comes back as it is:
        also what never ends, and what becomes a WebSocket.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        kept = [(name, value) for name, value in headers if name.lower() != "connection"]
        upgrades = self.header("upgrade") is not None
        kept.append(("Connection", "Upgrade" if upgrades else "close"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept)
        writer.write(f"{self.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        there = asyncio.create_task(_copy(self.reader, writer))
        try:
            await _copy(reader, self.writer)
        finally:
            there.cancel()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
