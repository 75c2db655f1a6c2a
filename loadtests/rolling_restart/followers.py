"""Those who follow through nginx, and go on with their cursor when they are sent away."""

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import orjson
import websockets

_FEED = "/api/v1/parcels/-/changes"
_CHANGES = ("insert", "update", "delete")
_FIRST_PAUSE = 0.05


@dataclass(slots=True)
class Follower:
    """One client of the feed. `seen` are the notes of the changes that it was sent."""

    way: str
    url: str
    trust: ssl.SSLContext
    seen: Counter[str] = field(default_factory=Counter)
    cursor: str = ""
    connections: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    is_up_to_date: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """For ever: each time from where it was."""
        by = {"WebSocket": self._by_socket, "SSE": self._by_events, "poll": self._by_poll}[self.way]
        while True:
            try:
                await by()
            except websockets.InvalidStatus as error:
                self.refused[f"{self.way} {error.response.status_code}"] += 1
            except websockets.ConnectionClosed as error:
                self.endings[f"close {error.rcvd.code if error.rcvd else 'without a word'}"] += 1
            except (OSError, httpx2.TransportError, websockets.WebSocketException, TimeoutError) as error:
                self.endings[f"broken off: {type(error).__name__}"] += 1
            await asyncio.sleep(_FIRST_PAUSE)

    def take(self, event: dict[str, object]) -> None:
        kind = str(event["type"])
        if cursor := event.get("id"):
            self.cursor = str(cursor)
        if kind in _CHANGES:
            row = event["row"]
            assert isinstance(row, dict)
            self.seen[str(row["note"])] += 1
        elif kind == "up-to-date":
            self.is_up_to_date.set()
        elif kind not in ("ready", "heartbeat"):
            self.endings[kind] += 1

    async def _by_socket(self) -> None:
        url = f"{self.url.replace('https', 'wss', 1)}{_FEED}"
        async with websockets.connect(
            f"{url}?cursor={self.cursor}" if self.cursor else url, ssl=self.trust, max_size=None
        ) as socket:
            self.connections += 1
            async for message in socket:
                self.take(orjson.loads(message))

    async def _by_events(self) -> None:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.cursor} if self.cursor else {})
        async with (
            httpx2.AsyncClient(base_url=self.url, verify=self.trust, timeout=httpx2.Timeout(10, read=40)) as client,
            client.stream("GET", _FEED, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                self.refused[f"SSE {answer.status_code}"] += 1
                return
            self.connections += 1
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.take(orjson.loads(line.removeprefix("data: ")))

    async def _by_poll(self) -> None:
        async with httpx2.AsyncClient(base_url=self.url, verify=self.trust, timeout=40) as client:
            answer = await client.get(_FEED, params={"wait": "5"} | ({"cursor": self.cursor} if self.cursor else {}))
        if answer.status_code != 200:
            self.refused[f"poll {answer.status_code}"] += 1
            return
        self.connections += 1
        self.is_up_to_date.set()
        body = answer.json()
        for event in body["events"]:
            self.take(event)
        self.cursor = body["cursor"]
