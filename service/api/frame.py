"""The outermost middleware: what every request gets, whichever plane serves it.

A request id (taken in, or made), its place in a trace, security headers, a problem document for whatever went wrong,
metrics, a log line.
"""

import os
import re
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problem import refuse
from service.core.errors import RowhouseError
from service.core.settings import ServerTiming
from service.core.types import Role
from service.observability.access_log import AccessLog, network_of
from service.observability.masking import is_secret
from service.observability.metrics import Metrics
from service.observability.request_context import route_of, serving
from service.observability.trace_context import TraceContext
from service.observability.tracing import Tracing
from service.observability.trail import Attributes, Kind, Trail, Value, on_trail

_USABLE_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
# What no route took shares one label, so that labels stay few.
_NO_ROUTE = "none"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# Closes a WebSocket (RFC 6455, section 7.4.1).
_INTERNAL_ERROR = 1011
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
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

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        access_log: AccessLog,
        tracing: Tracing,
        timing: ServerTiming,
        root_path: str,
    ) -> None:
        self._app = app
        self._root_path = root_path.rstrip("/")
        self._metrics = metrics
        self._access_log = access_log
        self._tracing = tracing
        self._timing = timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root_path:
            scope["root_path"] = self._root_path
        parent = _identify(scope)
        serving.set(scope)  # a server runs each request in a context of its own
        trail = self._tracing.begin(parent)
        if trail is None and self._timing is not ServerTiming.NOBODY:
            trail = Trail(None, None, None)
        kind = _Exchange if scope["type"] == "http" else _Socket
        exchange = kind(scope, receive, send, trail, self._timing)
        if exchange.method in _WITH_BODY:
            receive = exchange.receive
        self._metrics.begin()
        try:
            if trail is None:
                await self._app(scope, receive, exchange.send)
            else:
                with on_trail(trail):
                    await self._app(scope, receive, exchange.send)
        except Exception as error:
            if exchange.is_gone(error):
                raise
            _error_log.exception("unforeseen_error", error=type(error).__name__)
            exchange.error = type(error).__name__
            await exchange.fail(InternalError("Something went wrong here. The request id finds it in the log."))
        finally:
            self._record(scope, exchange)

    def _record(self, scope: Scope, exchange: "_Exchange") -> None:
        seconds = perf_counter() - exchange.started
        route = route_of(scope) or _NO_ROUTE
        is_stream = "rowhouse.is_stream" in scope  # it is as long as its client likes
        self._metrics.end(
            exchange.method,
            route,
            exchange.status,
            None if is_stream else seconds,
            exchange.received,
            exchange.sent,
            scope.get("rowhouse.trace_id"),
        )
        if exchange.trail is not None:
            exchange.trail.end(*_span_of(scope, exchange, route))
        if not self._access_log.wants(exchange.status, 0.0 if is_stream else seconds):
            return
        client = scope.get("client")
        self._access_log.write(
            {
                "request_id": scope["rowhouse.request_id"],
                "trace_id": scope.get("rowhouse.trace_id"),
                "method": exchange.method,
                "route": route,
                "status": exchange.status,
                "duration_ms": round(seconds * 1000, 3),
                "principal": scope.get("rowhouse.principal"),
                "network": network_of(client[0]) if client else None,
            }
        )


class _Exchange:
    """One request and its answer, as far as the frame cares."""

    __slots__ = (
        "_extra",
        "_has_begun",
        "_receive",
        "_scope",
        "_send",
        "_timing",
        "error",
        "method",
        "received",
        "sent",
        "started",
        "status",
        "trail",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, trail: Trail | None, timing: ServerTiming) -> None:
        self.started = perf_counter()
        self.method = self._method_of(scope)
        self.status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.received = 0
        self.sent = 0
        self.error: str | None = None
        self.trail = trail
        self._timing = timing
        if trail is not None and trail.context is not None:
            scope["rowhouse.trace_id"] = trail.context.trace_id
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_begun = False
        self._extra = [*SECURITY_HEADERS, (b"x-request-id", scope["rowhouse.request_id"].encode())]
        if scope["scheme"] == "https":
            self._extra.append(_HSTS)

    async def receive(self) -> Message:
        """Count what comes, whatever was announced."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def fail(self, error: RowhouseError) -> None:
        if self._has_begun:  # too late for another answer: the server cuts the connection, and the client sees it
            raise error
        await refuse(error, self._scope, self.send)

    def is_gone(self, error: Exception) -> bool:
        """Whether nothing is wrong but that the client has gone: of that a server tells nothing here."""
        return False

    def _begin(self, message: Message) -> None:
        self._has_begun = True
        self.status = message["status"]
        headers = message["headers"] = [*message.get("headers", ()), *self._extra]
        if not any(name == b"content-security-policy" for name, _ in headers):
            headers.append(_CLOSED_POLICY)
        if self.trail is not None and self._tells_timing():
            headers.append((b"server-timing", _timing_of(self.trail, perf_counter() - self.started)))

    def _method_of(self, scope: Scope) -> str:
        """Anybody can make up methods, and labels must stay few."""
        return scope["method"] if scope["method"] in _METHODS else "_OTHER"

    def _tells_timing(self) -> bool:
        if self._timing is ServerTiming.ADMINISTRATORS:
            return self._scope.get("rowhouse.role") is Role.ADMIN
        return self._timing is ServerTiming.EVERYBODY


class _Socket(_Exchange):
    """A WebSocket: asked for by a GET (RFC 6455, section 4.1) and refused as that is, or open for as long as its client
    likes. What is sent is counted in characters; of frames, in bytes.
    """

    __slots__ = ("_has_ended", "_unsent", "_write")

    def __init__(self, scope: Scope, receive: Receive, send: Send, trail: Trail | None, timing: ServerTiming) -> None:
        super().__init__(scope, receive, send, trail, timing)
        self._has_ended = False
        self._unsent: OSError | None = None
        self._write: Callable[[bytes], bool] | None = scope.get("rowhouse.write")
        if self._write is not None:
            scope["rowhouse.write"] = self.write

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.http.response.start":
                self._begin(message)
                self._has_ended = True  # refused, as far as more than its body goes
            case "websocket.accept":
                self._has_begun = True
                self.status = int(HTTPStatus.SWITCHING_PROTOCOLS)
                self._scope["rowhouse.is_stream"] = True
            case "websocket.close":
                self._has_ended = True
                if not self._has_begun:
                    self.status = int(HTTPStatus.FORBIDDEN)  # so a server says it (ASGI, Close)
            case _:
                self.sent += len(message.get("text") or message.get("bytes") or message.get("body") or b"")
        try:
            await self._send(message)
        except OSError as error:  # as servers raise it where the client has gone (ASGI, Send)
            self._unsent = error
            raise

    def write(self, frames: bytes) -> bool:
        """Past `send`, if it can be done at once."""
        assert self._write is not None
        is_written = self._write(frames)
        if is_written:
            self.sent += len(frames)
        return is_written

    async def fail(self, error: RowhouseError) -> None:
        if self._has_ended:
            return
        if self._has_begun:
            await self.send({"type": "websocket.close", "code": _INTERNAL_ERROR, "reason": error.stable_code})
        else:
            await super().fail(error)

    def is_gone(self, error: Exception) -> bool:
        return error is self._unsent

    def _method_of(self, scope: Scope) -> str:
        return "GET"


def _identify(scope: Scope) -> TraceContext | None:
    """Give the request its id, and the trace that it came with; returns its place in that."""
    request_id, came_with = None, b""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _USABLE_ID.fullmatch(value) and not is_secret(value.decode("ascii")):
            request_id = value.decode("ascii")
        elif name == b"traceparent":
            came_with = came_with + b"," + value if came_with else value  # two of them are none
    scope["rowhouse.request_id"] = request_id or os.urandom(16).hex()
    parent = TraceContext.read(came_with.decode("latin-1")) if came_with else None
    if parent is not None:
        scope["rowhouse.trace_id"] = parent.trace_id
    return parent


def _span_of(scope: Scope, exchange: _Exchange, route: str) -> tuple[str, Kind, Attributes, str | None]:
    """By OpenTelemetry's semantic conventions for spans of HTTP servers. Query strings hold values and paths keys: of
    the one nothing is told, of the other its template.
    """
    method = exchange.method
    attributes: dict[str, Value] = {
        "http.request.method": method,
        "http.response.status_code": exchange.status,
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "rowhouse.request_id": scope["rowhouse.request_id"],
    }
    if route != _NO_ROUTE:
        attributes["http.route"] = attributes["url.path"] = route
    if scope.get("rowhouse.principal"):
        attributes["user.id"] = scope["rowhouse.principal"]
    error = exchange.error or (str(exchange.status) if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None)
    name = "HTTP" if method == "_OTHER" else method
    return name if route == _NO_ROUTE else f"{name} {route}", Kind.SERVER, attributes, error


def _timing_of(trail: Trail, total: float) -> bytes:
    """As the header `Server-Timing` has it, in milliseconds."""
    seconds = (*trail.stages.values(), total)
    return (_form_of(*trail.stages) % tuple([each * 1000 for each in seconds])).encode()


@lru_cache(maxsize=256)
def _form_of(*stages: str) -> str:
    return ", ".join(f"{stage};dur=%.2f" for stage in (*stages, "total"))
