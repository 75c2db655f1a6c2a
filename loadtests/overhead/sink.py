"""A collector of traces and errors on loopback: takes everything, keeps nothing, counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from loadtests.exchange import Asked


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
                asked = await Asked.read(reader, writer)
                self.octets[asked.target] += len(await asked.body())
                self.messages[asked.target] += 1
                await asked.answer(HTTPStatus.OK, {}, ends=False)
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Sink]:
    """A sink on a free port, until the block ends."""
    sink = Sink()
    server = await asyncio.start_server(sink.take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    sink.address = f"{host}:{port}"
    try:
        yield sink
    finally:
        server.close()
