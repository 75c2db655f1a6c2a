"""How the service is watched: a mode is the environment that it is started with."""

from dataclasses import replace

from loadtests.bench.apps import ROWHOUSE, App

_OFF = {"ACCESS_LOG": "false", "LOG_LEVEL": "ERROR", "SERVER_TIMING": "nobody"}
_LOGGED = {"ACCESS_LOG": "true", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}


def modes(sink: str, share: float) -> tuple[App, ...]:
    """Everything off, everything on, and what of it is metrics and the access log alone.

    `sink` is the host and port that take traces and errors; `share` is that of the requests that are traced.
    """
    on = {
        **_LOGGED,
        "SERVER_TIMING": "everybody",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
        "SENTRY_DSN": f"http://{'0' * 32}@{sink}/1",
    }
    return (
        _mode("off", "everything off", _OFF, "loadtests.overhead.unmeasured:app"),
        _mode("some", "metrics, log", _LOGGED | {"SERVER_TIMING": "nobody"}),
        _mode("on", "everything on", on),
    )


def _mode(name: str, title: str, environment: dict[str, str], asgi: str = ROWHOUSE.asgi) -> App:
    return replace(ROWHOUSE, name=name, title=title, asgi=asgi, environment={**ROWHOUSE.environment, **environment})
