"""What a scrape gets, on the service's own port or on one of its own."""

import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client.core import Metric
from prometheus_client.exposition import ThreadingWSGIServer, _SilentHandler, choose_encoder

from service.core.errors import ConfigurationError
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
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    return encode(_All(metrics)), content_type


class MetricsServer:
    """Serves metrics on a port of their own, from a thread: also while the event loop is stuck, which `/livez` says."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Raises: ConfigurationError, where that port cannot be listened on."""
        self._metrics = metrics
        try:
            self._server = make_server(host, port, self._answer, _kind_of_server(host, port), _SilentHandler)
        except OSError as error:
            told = f"The port of the metrics, {port} on {host}, cannot be listened on: {error.strerror}."
            raise ConfigurationError(told) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/livez":
            status = HTTPStatus.OK if self._metrics.process.is_turning() else HTTPStatus.SERVICE_UNAVAILABLE
            body, content_type = f"{status.phrase}\n".encode(), "text/plain; charset=utf-8"
        else:
            status = HTTPStatus.OK
            body, content_type = scraped(self._metrics, environ.get("HTTP_ACCEPT", ""))
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        start(f"{status.value} {status.phrase}", headers)
        return [body]

    @property
    def port(self) -> int:
        return self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _kind_of_server(host: str, port: int) -> type[ThreadingWSGIServer]:
    """Where several workers count together, every one listens, and the system picks one: whichever it is tells of all,
    and there is none whose end would leave the port deaf.
    """

    class Server(ThreadingWSGIServer):
        address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        allow_reuse_port = multiprocess.directory() is not None

    return Server
