"""Errors that were not foreseen, sent to Sentry: whatever is logged with an error, or as one.

There is one way to it, the log: who catches an error logs it, wherever that is. The SDK's integrations are left out;
they wrap every request, keep what they see of it, and repeat what is masked here.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from structlog.typing import EventDict

from service import __version__
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.observability.masking import mask
from service.observability.request_context import serving
from service.observability.tracebacks import error_of, is_quoting

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event, Hint

_STOP_SECONDS = 2.0
_CRUMBS = "rowhouse.crumbs"
_MOST_CRUMBS = 20
_ERRORS = ("error", "critical")
_TAGS = ("request_id", "trace_id", "route", "job")
# Where errors are sent must not be asked to send the errors of sending.
_APART = ("sentry_sdk", "urllib3", "opentelemetry")


class Sentry:
    """Nothing without SENTRY_DSN: then the SDK is not even loaded."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError: SENTRY_DSN is none."""
        self._settings = settings.sentry
        self._environment = settings.sentry.sentry_environment or settings.server.environment.value
        self._client: Client | None = None
        if self.is_wanted:
            self._check()

    @property
    def is_wanted(self) -> bool:
        return self._settings.sentry_dsn is not None

    def start(self) -> None:
        """Make the client, in each process anew. Nothing is sent, nor waited for."""
        if self._settings.sentry_dsn is None:
            return
        from sentry_sdk import Client

        self._client = Client(
            dsn=self._settings.sentry_dsn.get_secret_value(),
            release=f"rowhouse@{__version__}",
            environment=self._environment,
            sample_rate=self._settings.sentry_sample_rate,
            default_integrations=False,
            auto_enabling_integrations=False,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
            before_send=_scrubbed,
        )

    async def stop(self) -> None:
        """Send what is left, within two seconds."""
        if self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close, _STOP_SECONDS)

    def report(self, event: EventDict) -> None:
        """What was logged, masked: an error is sent, other things are kept for an error of the same request."""
        if self._client is None or str(event.get("logger", "")).startswith(_APART):
            return
        error = error_of(event.get("exc_info"))
        if error is None and event.get("level") not in _ERRORS:
            _keep(event)
            return
        told, hint = self._told(event, error)
        self._client.capture_event(told, hint)

    def _told(self, event: EventDict, error: BaseException | None) -> "tuple[Event, Hint]":
        from sentry_sdk.utils import event_from_exception

        assert self._client is not None
        told: Event = {"level": event["level"], "message": str(event["event"])}
        hint: Hint = {}
        if error is not None:
            mechanism = {"type": "rowhouse", "handled": True}
            told, hint = event_from_exception(error, self._client.options, mechanism)
            told["level"] = event["level"]
        told["logger"] = str(event.get("logger", "rowhouse"))
        told["tags"] = {name: str(event[name]) for name in _TAGS if event.get(name) is not None}
        told["extra"] = {name: value for name, value in event.items() if name not in (*_TAGS, "exc_info", "level")}
        told["transaction"] = str(event.get("route") or event.get("name") or event["event"])
        if event.get("principal") is not None:
            told["user"] = {"id": str(event["principal"])}
        told["breadcrumbs"] = {"values": list((serving.get() or {}).get(_CRUMBS, ()))}
        return told, hint

    def _check(self) -> None:
        from sentry_sdk.utils import BadDsn, Dsn

        assert self._settings.sentry_dsn is not None
        try:
            Dsn(self._settings.sentry_dsn.get_secret_value())
        except BadDsn:
            raise ConfigurationError("SENTRY_DSN is none: it looks like https://KEY@HOST/PROJECT.") from None


def _keep(event: Mapping[str, Any]) -> None:
    scope = serving.get()
    if isinstance(scope, MutableMapping):
        crumbs = scope.setdefault(_CRUMBS, deque(maxlen=_MOST_CRUMBS))
        said = {name: value for name, value in event.items() if name not in ("event", "level", "timestamp")}
        crumbs.append(
            {"message": event["event"], "level": event["level"], "timestamp": event["timestamp"], "data": said}
        )


def _scrubbed(event: "Event", _: "Hint") -> "Event":
    """The words of errors as in the log: masked, and of libraries that quote values none."""
    for one in event.get("exception", {}).get("values", ()):
        one["value"] = "" if is_quoting(one.get("module")) else mask(str(one.get("value") or ""))
        for frame in one.get("stacktrace", {}).get("frames", ()):
            frame.pop("vars", None)
    return event
