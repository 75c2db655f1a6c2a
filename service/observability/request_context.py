"""The request that is being served, for whoever logs something meanwhile."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from structlog.typing import EventDict, WrappedLogger

# The ASGI scope itself: what becomes known of the request is in it, and to set it costs the hot path one call.
serving: ContextVar[Mapping[str, Any] | None] = ContextVar("rowhouse_serving", default=None)

_TOLD = {
    "request_id": "rowhouse.request_id",
    "trace_id": "rowhouse.trace_id",
    "principal": "rowhouse.principal",
}


def route_of(scope: Mapping[str, Any]) -> str | None:
    """The template of the path, as the table plane has set it, or else as FastAPI knows it."""
    return scope.get("rowhouse.route") or getattr(scope.get("route"), "path", None)


def add_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A processor of structlog: says in whose request something was logged."""
    scope = serving.get()
    if scope is not None:
        for name, key in _TOLD.items():
            if name not in event and scope.get(key) is not None:
                event[name] = scope[key]
        if (route := route_of(scope)) is not None:
            event.setdefault("route", route)
    return event
