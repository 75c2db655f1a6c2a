"""One attempt: a POST to an address that was looked at, bounded in time and size."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic

import httpcore2
import structlog
from httpcore2 import SOCKET_OPTION, AnyIOBackend, AsyncConnectionPool, AsyncNetworkBackend, AsyncNetworkStream

from service import __version__
from service.core.errors import ConfigurationError, TargetRefused
from service.core.settings import WebhookSettings
from service.subscriptions.target import Targets

_log = structlog.get_logger()
_MOST_BYTES = 4096
_FIXED = {
    "content-type": "application/json",
    "user-agent": f"Rowhouse/{__version__}",
    "connection": "close",  # each attempt looks its host up again
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status with the first bytes of the body, or an error in words. `retry_after` is in seconds."""

    seconds: float
    status: int | None = None
    body: str | None = None
    retry_after: float | None = None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to targets that are allowed. No redirect is followed, and no proxy is used."""

    def __init__(self, targets: Targets, settings: WebhookSettings) -> None:
        """Raises ConfigurationError: WEBHOOK_CA_FILE cannot be read."""
        self._targets = targets
        self._connect_seconds = settings.webhook_connect_timeout
        self._seconds = settings.webhook_timeout
        self._pool = AsyncConnectionPool(
            _trust(settings),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_CheckedAddresses(targets),
        )

    async def close(self) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST once. Whatever goes wrong is in the answer."""
        begun = monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after, first = await self._post(url, headers, body)
        except TargetRefused as error:
            return Answer(monotonic() - begun, error=error.message)
        except (TimeoutError, httpcore2.TimeoutException):
            return Answer(monotonic() - begun, error="The receiver took too long.")
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            return Answer(monotonic() - begun, error=_explain(error))
        except Exception:  # an attempt that was not judged would be made again without end
            _log.exception("webhook_attempt_failed")
            return Answer(monotonic() - begun, error="The attempt failed on this side.")
        return Answer(monotonic() - begun, status, _text(first), retry_after)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None, bytes]:
        target = self._targets.read(url)
        # In parts: no second reader of URLs may find another host in it.
        parts = httpcore2.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        fields = {"host": target.authority, **_FIXED, **headers}
        timeouts = {"connect": self._connect_seconds}
        async with self._pool.stream(
            "POST", parts, headers=list(fields.items()), content=body, extensions={"timeout": timeouts}
        ) as response:
            first = b""
            async for chunk in response.aiter_stream():
                first = (first + chunk)[:_MOST_BYTES]
                if len(first) == _MOST_BYTES:
                    break
            return response.status, _retry_after(response.headers), first


class _CheckedAddresses(AsyncNetworkBackend):
    """Connects to addresses that are allowed alone: they are looked up, looked at and connected to in one go."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._network = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own interface)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            *others, last = await self._targets.addresses(host, port)
            for address in others:
                with suppress(httpcore2.ConnectError):
                    return await self._network.connect_tcp(address, port, socket_options=socket_options)
            return await self._network.connect_tcp(last, port, socket_options=socket_options)


def _trust(settings: WebhookSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.webhook_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"WEBHOOK_CA_FILE cannot be read: {error}.") from None


def _explain(error: Exception) -> str:
    """In words that say nothing of our own network."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The receiver's certificate is not believed: {cause.verify_message}."
        if isinstance(cause, ssl.SSLError):
            return "The receiver does not speak TLS as it should."
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore2.ProtocolError):
        return "The receiver does not speak HTTP as it should."
    return "The connection failed or broke."


def _text(first: bytes) -> str:
    return first.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds, of a number or a date (RFC 9110, section 10.2.3)."""
    value = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if value.isascii() and value.isdigit():
        return float(value)
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None
