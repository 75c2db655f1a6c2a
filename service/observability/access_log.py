"""One line for each request, or for some of them."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from random import random
from time import time

import orjson
import structlog

from service.core.settings import LogFormat, Settings

_FLUSH_SECONDS = 0.1
_FIRST_ERROR = 400
# So much of an address is that of a network, and of nobody in it.
_BITS = {4: 24, 6: 48}


class AccessLog:
    """Writes lines as JSON, gathered for a tenth of a second: a write each costs as much as finding a row.

    For people they go through structlog, one at a time.
    """

    def __init__(self, settings: Settings) -> None:
        log = settings.log
        self._is_on = log.access_log and logging.getLevelNamesMapping()[log.log_level] <= logging.INFO
        self._is_json = settings.log_format is LogFormat.JSON
        self._share = log.access_log_share
        self._slow_seconds = log.access_log_slow_seconds
        self._waiting: list[tuple[float, Mapping[str, object]]] = []

    def wants(self, status: int, seconds: float) -> bool:
        """Whether a request has a line: of those that went well only some may."""
        if not self._is_on:
            return False
        return self._share == 1 or status >= _FIRST_ERROR or seconds >= self._slow_seconds or random() < self._share  # noqa: S311 (no secret)

    def write(self, fields: Mapping[str, object]) -> None:
        """A line of what is fit to be told: it is not masked again."""
        if not self._is_json:
            structlog.get_logger("access").info("request", **fields)
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        self._waiting.append((time(), fields))

    def flush(self) -> None:
        """Write what has gathered; also when the service stops."""
        waiting, self._waiting = self._waiting, []
        sys.stdout.write(b"".join([_line(at, fields) for at, fields in waiting]).decode())
        sys.stdout.flush()


def _line(at: float, fields: Mapping[str, object]) -> bytes:
    line = {"event": "request", "level": "info", "timestamp": datetime.fromtimestamp(at, UTC), **fields}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str | None:
    """The network that an address is in. The address itself is personal data; who tried to log in from where is kept
    with the security events.
    """
    try:
        version = ip_address(address).version
        return str(ip_network(f"{address}/{_BITS[version]}", strict=False))
    except ValueError:
        return None
