"""What one process tells: names, exemplars, sizes, ports, cost."""

from urllib.request import urlopen

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.core import Sample
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_fastapi_instrumentator import Instrumentator

from deploy.ports import free_port
from service.core.errors import ConfigurationError
from service.core.types import Role
from service.observability.metrics import Metrics, MetricsServer, process, scraped
from tests.conftest import Database
from tests.observability.workers import samples_of, value
from tests.service_under_test import Service, run_service
from tests.waiting import until

_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_TRACE = "0af7651916cd43dd8448eb211c80319c"


def _exemplars(metrics: Metrics) -> dict[str, list[Sample]]:
    metrics.sample()
    text, content_type = scraped(metrics, _OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    found: dict[str, list[Sample]] = {}
    for family in openmetrics(text.decode()):
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(sample.name, []).append(sample)
    return found


def test_a_figure_leads_to_the_trace_of_a_request() -> None:
    metrics = Metrics("1")
    metrics.begin()
    metrics.end("GET", "/a", 200, 0.002)
    assert _exemplars(metrics) == {}
    metrics.begin()
    metrics.end("GET", "/a", 503, 0.3, trace_id=_TRACE)
    found = _exemplars(metrics)
    [counted] = found["http_requests_total"]
    assert counted.labels["status"] == "503"
    assert counted.exemplar is not None
    assert counted.exemplar.labels == {"trace_id": _TRACE}
    [by_route] = found["http_request_duration_seconds_bucket"]
    [fine] = found["http_request_duration_highr_seconds_bucket"]
    assert (by_route.labels["le"], fine.labels["le"]) == ("0.5", "0.5")
    assert fine.exemplar is not None
    assert fine.exemplar.value == 0.3


def test_the_plain_format_has_no_exemplars() -> None:
    metrics = Metrics("1")
    metrics.end("GET", "/a", 200, 0.3, trace_id=_TRACE)
    metrics.sample()
    text, content_type = scraped(metrics, "")
    assert content_type.startswith("text/plain")
    assert _TRACE not in text.decode()


def test_names_labels_and_buckets_are_those_of_the_instrumentator() -> None:
    registry = CollectorRegistry()
    app = FastAPI()
    app.get("/a")(lambda: "a")
    Instrumentator(registry=registry, should_group_status_codes=False).instrument(app)
    with TestClient(app) as client:
        client.get("/a")
    metrics = Metrics("1")
    metrics.end("GET", "/a", 200, 0.001, 1, 1)
    metrics.sample()
    ours = {name: {label for label, _ in labels} for name, labels in samples_of(scraped(metrics, "")[0].decode())}
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                assert set(sample.labels) == ours[sample.name], sample.name


def test_sizes_and_statements_and_logins_are_counted(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        before = samples_of(client.get("/metrics").text)
        body = client.get("/api/v1/airlines?select=carrier").content
        client.get("/api/v1/airlines", headers={"X-API-Key": "rh_wrong"})
        client.post("/api/v1/-/auth/token", data={"username": "nobody@example.com", "password": "wrong"})

        def since(name: str, **labels: str) -> float:
            return value(samples_of(client.get("/metrics").text), name, **labels) - value(before, name, **labels)

        assert since("http_response_size_bytes_sum", handler="/api/v1/airlines") >= len(body)
        assert since("http_request_size_bytes_count", handler="/api/v1/-/auth/token") == 1
        assert since("rowhouse_statement_seconds_count", kind="read") >= 1
        assert since("rowhouse_statement_seconds_count", kind="control") >= 1
        assert since("rowhouse_auth_failures_total", kind="api_key") == 1
        assert since("rowhouse_auth_failures_total", kind="password") == 1
        until(lambda: value(samples_of(client.get("/metrics").text), "rowhouse_database_max_connections") > 0)


def test_metrics_have_a_port_of_their_own(database: Database, keys: dict[Role, str]) -> None:
    port = free_port()
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "METRICS_PORT": str(port)}
    with run_service(environment, keys) as service:
        assert httpx2.get(f"{service.url}/metrics").status_code == 404
        until(lambda: "rowhouse_database_up 1.0" in httpx2.get(f"http://127.0.0.1:{port}/metrics").text)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_port_of_the_metrics_answers_whatever_it_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = MetricsServer(Metrics("1"), host, 0)
    server.start()
    try:
        base = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
        for accept in ("application/openmetrics-text; version=abc", "text/plain; version=1.x.y", ";;,", "*/*"):
            answer = httpx2.get(f"{base}/metrics?name[]=up", headers={"accept": accept})
            assert answer.status_code == 200, accept
            assert "rowhouse_build_info" in answer.text, accept
        assert httpx2.get(f"{base}/livez").status_code == 200
        monkeypatch.setattr(process, "_LONGEST_STILL", 0.0)
        assert httpx2.get(f"{base}/livez").status_code == 503
    finally:
        server.stop()


def test_a_scraper_that_asks_for_no_known_version_gets_text(service: Service) -> None:
    with service.client() as client:
        answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=abc"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_port_of_one_process_is_not_shared() -> None:
    server = MetricsServer(Metrics("1"), "127.0.0.1", 0)
    server.start()
    try:
        port = server.port
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"http_requests_inprogress" in answer.read()
        with pytest.raises(ConfigurationError, match=str(port)):
            MetricsServer(Metrics("1"), "127.0.0.1", port)
    finally:
        server.stop()
