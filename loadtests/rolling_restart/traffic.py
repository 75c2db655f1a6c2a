"""Those who read and write through nginx: each request is counted, and each failure with its reason."""

import asyncio
import random
import ssl
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

import httpx2

_PARCELS = "/api/v1/parcels"
_PAUSE_SECONDS = 0.02
_PATCHES = 3


@dataclass(slots=True)
class Tally:
    """What was asked and what failed, by method; how long the slowest took; and how many have no answer yet."""

    asked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    running: int = 0


class Traffic:
    """Readers and writers, each one request at a time. `committed` are the changes that were answered with success, and
    `doubtful` those of which nothing is known: their requests failed.
    """

    def __init__(self, url: str, trust: ssl.SSLContext, readers: int, writers: int) -> None:
        self._url = url
        self._trust = trust
        self._readers = readers
        self._writers = writers
        self._ids = count(1)
        self.tally = Tally()
        self.committed: set[str] = set()
        self.doubtful: set[str] = set()
        self.is_over = False

    async def begin_phase(self) -> Tally:
        """Count from now on; returns what was counted before, once all of it has been answered."""
        before, self.tally = self.tally, Tally()
        while before.running:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_SECONDS)
        return before

    async def run(self) -> None:
        """Until `is_over`."""
        limits = httpx2.Limits(max_connections=self._readers + self._writers)
        async with httpx2.AsyncClient(base_url=self._url, verify=self._trust, timeout=40, limits=limits) as client:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._readers):
                    tasks.create_task(self._read(client))
                for _ in range(self._writers):
                    tasks.create_task(self._write(client))

    async def _read(self, client: httpx2.AsyncClient) -> None:
        while not self.is_over:
            path = random.choice(("?limit=20&order=id.desc", "?id=lt.50&select=id,note", "/1"))
            await self._ask(client, "GET", f"{_PARCELS}{path}")

    async def _write(self, client: httpx2.AsyncClient) -> None:
        number = next(self._ids)
        while not self.is_over:
            number = next(self._ids)
            if await self._change(client, "POST", _PARCELS, f"{number}.0", {"id": number}):
                for step in range(1, _PATCHES + 1):
                    await self._change(client, "PATCH", f"{_PARCELS}/{number}", f"{number}.{step}", {})

    async def _change(
        self, client: httpx2.AsyncClient, method: str, path: str, note: str, row: dict[str, object]
    ) -> bool:
        is_done = await self._ask(client, method, path, row | {"note": note})
        (self.committed if is_done else self.doubtful).add(note)
        return is_done

    async def _ask(self, client: httpx2.AsyncClient, method: str, path: str, body: object = None) -> bool:
        tally, started = self.tally, monotonic()
        tally.asked[method] += 1
        tally.running += 1
        try:
            answer = await client.request(method, path, json=body)
            reason = "" if answer.is_success else f"{method} {answer.status_code}: {answer.text[:120]}"
        except httpx2.TransportError as error:
            reason = f"{method} {type(error).__name__}: {error}"
        tally.running -= 1
        tally.slowest = max(tally.slowest, monotonic() - started)
        if reason:
            tally.failed[method] += 1
            tally.reasons[reason] += 1
        await asyncio.sleep(_PAUSE_SECONDS)
        return not reason
