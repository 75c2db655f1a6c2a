"""How long a change takes from its commit to a thousand WebSockets, beside a bare fan-out on the same server.

    python -m loadtests.feed_latency
    python -m loadtests.feed_latency --clients 200 --changes 50

Rowhouse has the WebSockets that it is served with. Own writes go through the service; outside ones are made by another
connection, of which nobody tells the service.
The bare application has no database: it hands a text of the same length to all its clients. All clients of a run are
in this one process, so that what they take to read is in the figures of both.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx2
import psutil
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.bench.apps import ROWHOUSE, App
from loadtests.bench.database import Database, prepared
from loadtests.bench.errors import BenchError
from loadtests.bench.process import Running, running

_DATA_DIR = Path(__file__).parents[1] / "build" / "bench"
_BARE = App("bare_feed", "bare", "loadtests.bench.bare_feed:app", "/flights")


class _Served(App):
    """With the WebSockets of `rowhouse serve`, and of Gunicorn's workers."""

    def command(self, port: int) -> list[str]:
        return [*App.command(self, port), "--ws", "service.serving.websocket:WebSocketProtocol"]


_SERVED = _Served(ROWHOUSE.name, ROWHOUSE.title, ROWHOUSE.asgi, ROWHOUSE.flights, environment=ROWHOUSE.environment)
_TARGETS = {"own writes": 20, "outside writes": 300}  # milliseconds, of the median
_SHORTEST = 10  # a frame of a change is longer; what is shorter is the end of one that came in two parts
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: cm93aG91c2Utcm93aG91cw==\r\nSec-WebSocket-Version: 13\r\nX-API-Key: {key}\r\n\r\n"
)


@dataclass(slots=True)
class Crowd:
    """Clients that note when something arrives."""

    size: int
    ready: int = 0
    arrived: list[float] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def connect(self, server: Running, path: str, key: str) -> None:
        """Open all connections, some at a time."""
        host = server.base.removeprefix("http://")
        name, _, port = host.partition(":")
        asked = _HANDSHAKE.format(path=path, host=host, key=key).encode()
        loop = asyncio.get_running_loop()
        for number in range(self.size):
            await loop.create_connection(lambda: _Client(self, asked), name, int(port))
            if number % 100 == 99:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            await self.complete.wait()

    def begin(self) -> None:
        """From now on arrivals are of the next change."""
        self.arrived = []
        self.complete.clear()

    async def all_arrived(self) -> list[float]:
        async with asyncio.timeout(30):
            await self.complete.wait()
        return self.arrived

    def count_ready(self) -> None:
        self.ready += 1
        if self.ready == self.size:
            self.complete.set()

    def count_arrival(self) -> None:
        self.arrived.append(time.perf_counter())
        if len(self.arrived) == self.size:
            self.complete.set()


class _Client(asyncio.Protocol):
    def __init__(self, crowd: Crowd, asked: bytes) -> None:
        self._crowd = crowd
        self._asked = asked
        self._is_ready = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 4"):
            raise BenchError(data.decode(errors="replace"))
        if self._is_ready:
            if data[:1] == b"\x81" and b'"heartbeat"' not in data and len(data) > _SHORTEST:
                self._crowd.count_arrival()
        elif b"up-to-date" in data:
            self._is_ready = True
            self._crowd.count_ready()


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds from the commit to each client, and the server's processor time for each change."""

    milliseconds: list[float]
    processor: float

    def at(self, share: float) -> float:
        return sorted(self.milliseconds)[int((len(self.milliseconds) - 1) * share)]


def main(
    clients: Annotated[int, typer.Option(min=1, help="WebSockets in one process.")] = 1000,
    changes: Annotated[int, typer.Option(min=1, help="Changes of each kind.")] = 30,
    data_dir: Annotated[Path, typer.Option(help="Folder of a PostgreSQL of its own; kept.")] = _DATA_DIR,
) -> None:
    """Measure the live feed's latency."""
    memory, figures = asyncio.run(_measure(clients, changes, data_dir))
    _show(clients, changes, memory, figures)


async def _measure(clients: int, changes: int, data_dir: Path) -> tuple[float, dict[str, Figures]]:
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder, Console(stderr=True).status("") as status:
        async with prepared(data_dir, status.update, is_logged=True) as database:
            status.update("A bare fan-out")
            async with running(_BARE, Path(folder), {}, {}) as bare:
                crowd = Crowd(clients)
                await crowd.connect(bare, "/", "")
                figures["bare fan-out"] = await _rounds(bare, crowd, changes, _patch(bare, ""))
            environment = {
                "DATABASE_URL": database.url,
                "JWT_SECRET": "for this run alone, and nothing is signed by it",
                "FEED_MAX_CONNECTIONS": str(clients + 1),
            }
            async with running(_SERVED, Path(folder), environment, {"X-API-Key": database.key}) as app:
                before, crowd = app.memory, Crowd(clients)
                status.update(f"{clients} clients")
                await crowd.connect(app, "/api/v1/flights/-/changes", database.key)
                memory = (app.memory - before) / clients
                status.update("Own writes")
                figures["own writes"] = await _rounds(app, crowd, changes, _patch(app, database.key))
                status.update("Outside writes")
                figures["outside writes"] = await _rounds(app, crowd, changes, _outside(database))
    return memory, figures


def _patch(server: Running, key: str) -> Callable[[int], Awaitable[None]]:
    client = httpx2.AsyncClient(headers={"X-API-Key": key, "Prefer": "return=minimal"})

    async def change(number: int) -> None:
        answer = await client.patch(server.base + server.app.one_path(1), json={"dep_delay": number})
        answer.raise_for_status()

    return change


def _outside(database: Database) -> Callable[[int], Awaitable[None]]:
    async def change(number: int) -> None:
        await database.connection.execute("update public.flights set dep_delay = $1 where id = 1", number)

    return change


async def _rounds(server: Running, crowd: Crowd, changes: int, change: Callable[[int], Awaitable[None]]) -> Figures:
    process, found = psutil.Process(server.process.pid), list[float]()
    crowd.begin()
    await change(-1000)  # what is done for the first time takes longer
    await crowd.all_arrived()
    before = sum(process.cpu_times()[:2])
    pauses = itertools.cycle((0.15, 0.2, 0.25, 0.3, 0.35))  # so that no rhythm of the service's own is met each time
    for number in range(changes):
        await asyncio.sleep(next(pauses))
        crowd.begin()
        await change(number)
        committed = time.perf_counter()
        found += [(arrived - committed) * 1000 for arrived in await crowd.all_arrived()]
    return Figures(found, (sum(process.cpu_times()[:2]) - before) / changes * 1000)


def _show(clients: int, changes: int, memory: float, figures: dict[str, Figures]) -> None:
    table = Table(box=SIMPLE_HEAD)
    for name in ("", "median", "p95", "slowest", "processor", "target"):
        table.add_column(name, justify="left" if not name else "right")
    for name, one in figures.items():
        target, middle = _TARGETS.get(name), median(one.milliseconds)
        verdict = "" if target is None else f"{target} ms {'met' if middle < target else 'MISSED'}"
        shown = (middle, one.at(0.95), max(one.milliseconds), one.processor)
        table.add_row(name, *(f"{figure:.1f} ms" for figure in shown), verdict)
    console = Console()
    console.print(table)
    console.print(
        f"{clients} clients in one process, {changes} changes of each kind; from the commit, as the writer knows it, "
        f"to each client. Memory of a connection: {memory / 1024:.0f} kB."
    )


if __name__ == "__main__":
    typer.run(main)
