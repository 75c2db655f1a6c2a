"""What a scrape gets, on the service's own port or on one of its own."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from wsgiref.simple_server import make_server

from prometheus_client import make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.exposition import ThreadingWSGIServer, _SilentHandler, choose_encoder

from service.observability.metrics import exemplars, multiprocess
from service.observability.metrics.application import Metrics


@dataclass(frozen=True, slots=True)
class _All:
    """The metrics of all processes that count together, with exemplars."""

    metrics: Metrics

    def collect(self) -> Iterator[Metric]:
        folder = multiprocess.directory()
        own = self.metrics.requests.traced()
        if folder is None:
            return exemplars.with_exemplars(self.metrics.registry.collect(), own)
        return exemplars.with_exemplars(multiprocess.families(folder), [*exemplars.read(folder), *own])


def scraped(metrics: Metrics, accept: str) -> tuple[bytes, str]:
    """The metrics, and their media type: OpenMetrics, which has exemplars, where that is accepted."""
    encode, content_type = choose_encoder(accept)
    return encode(_All(metrics)), content_type


class _SharedServer(ThreadingWSGIServer):
    """Every worker listens, and the system picks one: whichever it is tells of all, and there is none whose end would
    leave the port deaf.
    """

    allow_reuse_port = True


class MetricsServer:
    """Serves metrics on a port of their own, from a thread: also while the event loop is stuck."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        kind = ThreadingWSGIServer if multiprocess.directory() is None else _SharedServer
        self._server = make_server(host, port, make_wsgi_app(_All(metrics)), kind, handler_class=_SilentHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
