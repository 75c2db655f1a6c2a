"""The outermost middleware: what every request gets, whichever plane serves it.

A request id (taken in, or made), security headers, a problem document for whatever went wrong, metrics, a log line.
"""

import os
import re
from http import HTTPStatus
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem import send_problem
from service.core.errors import RowhouseError
from service.observability.access_log import AccessLog
from service.observability.metrics import Metrics

_USABLE_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
_error_log = structlog.get_logger("error")

# An API and its documents: nothing may frame them, and nothing from elsewhere runs in them.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_CLOSED_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class InternalError(RowhouseError):
    """Something that we did not foresee. Its cause is in the log, under the request id."""

    code = "internal_error"


class Frame:
    """Wraps the application; also the only place where an unforeseen error is caught.

    `root_path` is the prefix under which a proxy publishes the service; a server that knows it sets it itself.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: AccessLog, root_path: str) -> None:
        self._app = app
        self._root_path = root_path.rstrip("/")
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root_path:
            scope["root_path"] = self._root_path
        if scope["type"] != "http":
            scope["rowhouse.request_id"] = _request_id(scope)
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        self._metrics.begin()
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            _error_log.exception("unforeseen_error", request_id=exchange.request_id, error=type(error).__name__)
            await exchange.fail(InternalError("Something went wrong here. The request id finds it in the log."))
        finally:
            self._record(scope, exchange)

    def _record(self, scope: Scope, exchange: "_Exchange") -> None:
        seconds = perf_counter() - exchange.started
        route = scope.get("rowhouse.route") or _template(scope)
        is_stream = "rowhouse.is_stream" in scope  # it is as long as its client likes
        self._metrics.end(
            scope["method"],
            route,
            exchange.status,
            None if is_stream else seconds,
            exchange.received,
            exchange.sent,
            scope.get("rowhouse.trace_id"),
        )
        client = scope.get("client")
        self._access_log.write(
            {
                "request_id": exchange.request_id,
                "method": scope["method"],
                "path": scope["path"],
                "route": route,
                "status": exchange.status,
                "duration_ms": round(seconds * 1000, 3),
                "principal": scope.get("rowhouse.principal"),
                "client": client[0] if client else None,
            }
        )


class _Exchange:
    """One request and its answer, as far as the frame cares."""

    __slots__ = ("_extra", "_has_begun", "_scope", "_send", "received", "request_id", "sent", "started", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = perf_counter()
        self.status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.request_id = _request_id(scope)
        scope["rowhouse.request_id"] = self.request_id
        self.received = _announced(scope)
        self.sent = 0
        self._scope = scope
        self._send = send
        self._has_begun = False
        self._extra = [*SECURITY_HEADERS, (b"x-request-id", self.request_id.encode())]
        if scope["scheme"] == "https":
            self._extra.append(_HSTS)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            self.status = message["status"]
            headers = message["headers"] = [*message.get("headers", ()), *self._extra]
            if not any(name == b"content-security-policy" for name, _ in headers):
                headers.append(_CLOSED_POLICY)
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def fail(self, error: RowhouseError) -> None:
        if self._has_begun:  # too late for another answer: the server cuts the connection, and the client sees it
            raise error
        await send_problem(error, self._scope, self.send)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _USABLE_ID.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(16).hex()


def _announced(scope: Scope) -> int:
    """The bytes of the body, as far as the request says how many they are."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _template(scope: Scope) -> str:
    """The route as FastAPI knows it; what no route took shares one label, so that labels stay few."""
    route = scope.get("route")
    return getattr(route, "path", None) or "none"
