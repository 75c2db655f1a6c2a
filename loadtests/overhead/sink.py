"""A collector of traces and errors on loopback: takes everything, keeps nothing, counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(slots=True)
class Sink:
    """Where it listens, and the messages and bytes that came, by path."""

    address: str = ""
    messages: Counter[str] = field(default_factory=Counter)
    octets: Counter[str] = field(default_factory=Counter)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is closed."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                path = head.split(" ", 2)[1]
                length = await _skip_body(reader, head)
                self.messages[path] += 1
                self.octets[path] += length
                writer.write(_ANSWER)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Sink]:
    sink = Sink()
    server = await asyncio.start_server(sink.take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    sink.address = f"{host}:{port}"
    try:
        yield sink
    finally:
        server.close()


async def _skip_body(reader: asyncio.StreamReader, head: str) -> int:
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "chunked" not in headers.get("transfer-encoding", ""):
        return len(await reader.readexactly(int(headers.get("content-length", "0"))))
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total += size
        await reader.readexactly(size + 2)
    await reader.readuntil(b"\r\n")
    return total
