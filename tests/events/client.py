"""Follows a feed as clients do."""

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2

from service.core.types import Role
from tests.service_under_test import Service

Event = dict[str, Any]


class Stream:
    """Server-Sent Events as they arrive, read by a thread."""

    def __init__(self, client: httpx2.Client, url: str, headers: dict[str, str]) -> None:
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._client = client
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._read, args=(url, headers), daemon=True)
        self._thread.start()

    def next(self, *kinds: str, seconds: float = 60) -> Event:
        """The next event, or the next of these kinds."""
        while True:
            event = self._events.get(timeout=seconds)
            assert event is not None, "the feed has ended"
            if not kinds or event["type"] in kinds:
                return event

    def change(self) -> Event:
        return self.next("insert", "update", "delete")

    def silent_for(self, seconds: float) -> bool:
        try:
            self._events.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def ended(self, seconds: float = 60) -> bool:
        """Whether nothing more comes."""
        while self._events.get(timeout=seconds) is not None:
            pass
        return True

    def stop(self) -> None:
        """Hang up, which ends the thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._client.close()

    def _read(self, url: str, headers: dict[str, str]) -> None:
        try:
            with self._client.stream("GET", url, headers={"Accept": "text/event-stream"} | headers) as response:
                assert response.status_code == 200, response.read()
                self._socket = response.extensions["network_stream"].get_extra_info("socket")
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        self._events.put(json.loads(line.removeprefix("data: ")))
        except httpx2.HTTPError:
            pass
        finally:
            self._events.put(None)


@contextmanager
def following(
    service: Service, url: str, role: Role | None = Role.ADMIN, *, last_id: str | None = None, key: str | None = None
) -> Iterator[Stream]:
    """A feed that is up to date when the block begins."""
    client = service.client(role) if key is None else service.client(None, **{"X-API-Key": key})
    stream = Stream(client, url, {} if last_id is None else {"Last-Event-ID": last_id})
    try:
        yield stream
    finally:
        stream.stop()
