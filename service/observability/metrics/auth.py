"""The metrics of who comes in, and who does not."""

from prometheus_client import CollectorRegistry, Counter

_WAYS = ("API", "back-office")
_FAILURES = ("password", "second_factor", "refresh_token", "api_key", "access_token", "ticket", "link")
_LIMITS = ("requests", "logins")


class AuthMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        logins = Counter("rowhouse_logins_total", "Logins, by where.", ("way",), registry=registry)
        failures = Counter(
            "rowhouse_auth_failures_total",
            "Credentials that were refused, by kind.",
            ("kind",),
            registry=registry,
        )
        limited = Counter(
            "rowhouse_rate_limited_total",
            "Requests refused for their number: of a principal, or of failed logins.",
            ("kind",),
            registry=registry,
        )
        self._logins = {way: logins.labels(way) for way in _WAYS}
        self._failures = {kind: failures.labels(kind) for kind in _FAILURES}
        self._limited = {kind: limited.labels(kind) for kind in _LIMITS}

    def count_login(self, way: str) -> None:
        self._logins[way].inc()

    def count_failure(self, kind: str) -> None:
        self._failures[kind].inc()

    def count_limited(self, kind: str) -> None:
        self._limited[kind].inc()
