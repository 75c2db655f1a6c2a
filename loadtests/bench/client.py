"""Single requests, outside the load."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


async def ask(base: str, method: str, path: str, *, headers: Mapping[str, str], body: str = "") -> Reply:
    """Send one request over a connection of its own.

    Raises:
        OSError: nobody listens, or the connection broke.
    """
    return await asyncio.to_thread(_ask, base, method, path, headers, body)


def _ask(base: str, method: str, path: str, headers: Mapping[str, str], body: str) -> Reply:
    connection = HTTPConnection(urlsplit(base).netloc, timeout=20)
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())
    finally:
        connection.close()
