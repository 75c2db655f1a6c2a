"""A request to the table plane and the answer to it: thin types over ASGI."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Scope, Send

from service.auth.principal import Principal
from service.core.errors import InvalidBody, InvalidQuery, LimitExceeded
from service.query.parse.request import decode_parameters

JSON = b"application/json; charset=utf-8"
_WITHOUT_BODY = (204, 304)
_LARGEST_CHUNK = 1 << 18
_STALLED_SECONDS = 60
_OF_PAGES = frozenset({"order", "limit", "offset", "cursor"})


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The headers by lower-case name, repeated ones joined."""
    listed = scope["headers"]
    headers = dict(listed)
    if len(headers) != len(listed):
        headers = {}
        for name, value in listed:
            headers[name] = b", ".join((headers[name], value)) if name in headers else value
    return headers


def client_address(scope: Scope) -> str:
    """Where the request comes from, as far as the server can tell."""
    return scope["client"][0] if scope.get("client") else ""


@dataclass(slots=True)
class Request:
    """One request, its headers by lower-case name, repeated ones joined by commas (RFC 9110, section 5.3)."""

    scope: Scope
    receive: Receive
    principal: Principal
    headers: Mapping[bytes, bytes]

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def query_string(self) -> bytes:
        return bytes(self.scope["query_string"])

    @property
    def request_id(self) -> str:
        return str(self.scope["rowhouse.request_id"])

    @property
    def prefix(self) -> str:
        """The path prefix under which the service is published."""
        return str(self.scope.get("root_path", ""))

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def media_type(self) -> bytes:
        """What the body is said to be; nothing where nothing is said."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()

    async def body(self, limit: int) -> bytes:
        """The body as sent.

        Raises:
            LimitExceeded: it is longer than `limit` bytes.
            InvalidBody: it broke off.
        """
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit)
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise _broken_off()
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            return body
        parts, size = [message.get("body", b"")], len(message.get("body", b""))
        while message.get("more_body"):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise _broken_off()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
        return b"".join(parts)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes, in parts of no more than a few hundred kilobytes.

        Raises:
            LimitExceeded: it is longer than `limit` bytes, or nothing comes for a while.
            InvalidBody: it broke off.
        """
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit)
        size, has_more = 0, True
        while has_more:
            try:
                async with asyncio.timeout(_STALLED_SECONDS):
                    message = await self.receive()
            except TimeoutError:
                raise LimitExceeded("Nothing more of the body came.", code="body_stalled") from None
            if message["type"] == "http.disconnect":
                raise _broken_off()
            body = message.get("body", b"")
            size += len(body)
            if size > limit:
                raise _too_large(limit)
            for start in range(0, len(body), _LARGEST_CHUNK):
                yield body[start : start + _LARGEST_CHUNK]
            has_more = message.get("more_body", False)


def replayed(body: bytes) -> Receive:
    """What receives a body that was read before."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _broken_off() -> InvalidBody:
    return InvalidBody("The body broke off.")


def _too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(f"The body is larger than {limit} bytes.", code="body_too_large")


def refuse_paging(request: Request, what: str, *, may_order: bool = False) -> None:
    """Raise InvalidQuery for parameters that only a list has."""
    if not request.query_string:
        return
    refused = _OF_PAGES - {"order"} if may_order else _OF_PAGES
    if paging := refused.intersection(name for name, _ in decode_parameters(request.query_string)):
        raise InvalidQuery(f"{what} takes no {', '.join(sorted(paging))}.")


@dataclass(slots=True)
class Answer:
    """Status, body and headers. `body` None sends none."""

    status: int
    body: bytes | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = JSON

    def add(self, name: bytes, value: str) -> None:
        self.headers.append((name, value.encode("latin-1")))

    async def send(self, send: Send, *, is_head: bool) -> None:
        if self.body is not None:
            self.headers.append((b"content-type", self.content_type))
            self.headers.append((b"content-length", b"%d" % len(self.body)))
        elif self.status not in _WITHOUT_BODY:
            self.headers.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if is_head else self.body or b""})
