"""Within Posit Connect: where it publishes the service, and who it says is visiting.

Connect puts these headers on every request that it lets through, over whatever a client has sent under their names.
Elsewhere anybody could send them, so that this stands in the way only where `POSIT_PRODUCT` says that we are there.
"""

import json
import re
from urllib.parse import SplitResult, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from service.auth.connect_user import ConnectUser

_BASE_URL = b"rstudio-connect-app-base-url"
_VISITOR = b"rstudio-connect-credentials"
# Connect's own: `Authorization` is its API key, the token a credential for its server. Neither is for us, nor for logs.
_NOT_OURS = (b"authorization", _VISITOR, b"posit-connect-user-session-token")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_OWN = (b"same-origin", b"none")
_LONGEST_NAME = 320
_SECURE = {"http": "https", "ws": "wss"}


class PositConnect:
    """Tells the application its prefix, the scheme and host that visitors see, and the visitor."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        base = _base_of(_only(headers, _BASE_URL))
        if base is not None:
            scope["root_path"] = base.path.rstrip("/")
            if base.scheme == "https":
                scope["scheme"] = _SECURE.get(scope["scheme"], scope["scheme"])
        visitor = _visitor_of(_only(headers, _VISITOR))
        kept = [(name, value) for name, value in headers if name not in _NOT_OURS]
        if base is not None and base.netloc:
            kept = [(name, value) for name, value in kept if name != b"host"] + [(b"host", base.netloc.encode())]
        if visitor is not None and _is_of_own_page(scope, base):
            kept.append((b"authorization", visitor.authorization.encode()))
        scope["headers"] = kept
        await self._app(scope, receive, send)


def _only(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """A header that came once. Of two, one is not Connect's."""
    values = [value for name, value in headers if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else None


def _base_of(text: str | None) -> SplitResult | None:
    """The address of this content: a URL, or its path alone."""
    try:
        base = urlsplit(text or "")
    except ValueError:
        return None
    is_usable = _PATH.fullmatch(base.path.rstrip("/")) and base.scheme in ("", "http", "https")
    return base if text and is_usable else None


def _visitor_of(text: str | None) -> ConnectUser | None:
    try:
        told = json.loads(text or "null")
    except ValueError:
        return None
    name = told.get("user") if isinstance(told, dict) else None
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        return None
    return ConnectUser(name)


def _is_of_own_page(scope: Scope, base: SplitResult | None) -> bool:
    """Whether the visitor meant it. Connect knows visitors by a cookie, which browsers send along with what other sites
    make them send: with a write, or a WebSocket, they say where it comes from.
    """
    if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
        return True
    told: dict[bytes, bytes] = dict(scope["headers"])
    if told.get(b"sec-fetch-site", b"same-origin") not in _OWN:
        return False
    origin, host = told.get(b"origin"), base.netloc if base is not None and base.netloc else None
    if origin is None:
        return True
    return urlsplit(origin.decode("latin-1")).netloc == (host or told.get(b"host", b"").decode("latin-1"))
