"""Following the feed, by Server-Sent Events or by WebSocket, and coming back with the last id after a break."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import inf
from time import perf_counter
from typing import Any
from urllib.parse import quote, urlsplit

import gevent
import websocket

from loadtests.load.ledger import Ledger, View, deleted

Event = dict[str, Any]
Open = Callable[[str, Mapping[str, str]], Iterator[Event]]
Report = Callable[[str, str, float, Exception | None], None]
_SILENCE_SECONDS = 60
_BREAK_SECONDS = 1
_CHANGES = ("insert", "update", "delete")
_BROKEN = (OSError, HTTPException, websocket.WebSocketException)


def server_sent_events(url: str, headers: Mapping[str, str]) -> Iterator[Event]:
    """The events of a feed, until it ends.

    Raises:
        OSError, HTTPException: it broke, or was refused.
    """
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(kind(parts.netloc, timeout=_SILENCE_SECONDS)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Accept": "text/event-stream", **headers})
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise ConnectionError(f"The feed answered {answer.status}.")
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))


def web_socket(url: str, headers: Mapping[str, str]) -> Iterator[Event]:
    """The same by WebSocket.

    Raises:
        OSError, WebSocketException: it broke, or was refused.
    """
    address = "ws" + url.removeprefix("http")
    socket = websocket.create_connection(address, header=dict(headers), timeout=_SILENCE_SECONDS)
    with closing(socket):
        while message := socket.recv():
            yield json.loads(message)


class Follower:
    """One client of the feed of this run's own rows. It runs in a greenlet of its own."""

    def __init__(self, transport: str, host: str, headers: Mapping[str, str], ledger: Ledger, report: Report) -> None:
        self._transport = transport
        self._open: Open = web_socket if transport == "WS" else server_sent_events
        self._url = f"{host}/api/v1/planes/-/changes?tailnum=like.{quote(ledger.prefix)}*"
        self._headers = headers
        self._ledger = ledger
        self._report = report
        self._view = View()
        ledger.views.append(self._view)
        self._last_id: str | None = None

    def run(self) -> None:
        """Follow until the greenlet is killed."""
        while True:
            begun, is_up_to_date = perf_counter(), False
            try:
                for event in self._open(self._address, self._headers):
                    if event["type"] == "up-to-date" and not is_up_to_date:
                        is_up_to_date = True
                        self._report(self._transport, "follow begin", perf_counter() - begun, None)
                    self._take(event)
            except _BROKEN as error:
                self._report(self._transport, "follow begin", perf_counter() - begun, error)
            self._view.breaks += 1
            gevent.sleep(_BREAK_SECONDS)

    @property
    def _address(self) -> str:
        return self._url if self._last_id is None else f"{self._url}&cursor={quote(self._last_id)}"

    def _take(self, event: Event) -> None:
        kind = event["type"]
        if kind == "must-refetch":  # a real client reads the rows again; for this one it begins anew
            self._last_id, self._view.since = None, inf
            return
        self._last_id = event.get("id", self._last_id)
        if kind == "up-to-date" and self._view.since == inf:
            self._view.since = perf_counter()
        elif kind in _CHANGES:
            mark = deleted(event["key"]["tailnum"]) if kind == "delete" else event["row"]["model"]
            is_new = self._view.take(event["id"].rpartition(".")[2], mark)
            sent = self._ledger.sent_at(mark)
            if is_new and sent is not None and sent >= self._view.since:
                self._report(self._transport, f"event {kind}", perf_counter() - sent, None)
