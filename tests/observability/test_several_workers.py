"""The metrics of several workers are those of the service, whoever answers, and whoever was killed before."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from deploy.ports import free_port
from service.core.types import Role
from tests.conftest import Database
from tests.observability.workers import Gunicorn, Samples, gunicorn, samples_of, value
from tests.waiting import until

_ROUTE = "/api/v1/airlines/{key}"
_COUNTED = ("http_requests_total", "http_request_duration_highr_seconds_count", "http_response_size_bytes_sum")


@pytest.fixture(scope="module")
def service_of_two(
    database: Database, keys: dict[Role, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    environment = {
        "DATABASE_URL": database.service_url,
        "JWT_SECRET": "x" * 40,
        "ACCESS_LOG": "false",
        "METRICS_PORT": str(free_port()),
    }
    with gunicorn(environment, tmp_path_factory.mktemp("metrics") / "of", free_port()) as running:
        yield running


def _ask(running: Gunicorn, key: str, times: int) -> int:
    """So many requests, on connections that both workers take; how many were answered."""
    answered = 0
    for _ in range(times):
        answer = httpx2.get(f"{running.url}/api/v1/airlines/UA", headers={"X-API-Key": key}, timeout=10)
        answered += answer.status_code == 200
    return answered


def _requests(samples: Samples) -> float:
    return value(samples, "http_requests_total", method="GET", status="200", handler=_ROUTE)


def test_all_workers_are_told_of_whoever_answers_also_after_one_was_killed(
    service_of_two: Gunicorn, keys: dict[Role, str]
) -> None:
    running = service_of_two
    sent = _ask(running, keys[Role.VIEWER], 60)
    assert sent == 60
    until(lambda: _requests(running.samples()) == sent)
    assert {_requests(running.samples()) for _ in range(10)} == {sent}  # each scrape goes to either

    before, killed = running.samples(), min(running.workers())
    assert value(before, "rowhouse_pool_connections_max", pool="tables") == 32
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in running.workers())
    lowest = min(_requests(running.samples()) for _ in range(10))
    until(lambda: len(running.serving()) == 2)
    sent += _ask(running, keys[Role.VIEWER], 40)
    until(lambda: _requests(running.samples()) == sent)
    after = running.samples()

    assert lowest >= 60
    for (name, labels), count in before.items():
        if name in _COUNTED:
            assert after[name, labels] >= count, (name, labels)
    assert value(after, "rowhouse_database_up") == 1
    until(lambda: value(running.samples(), "rowhouse_pool_connections_max", pool="tables") == 32)
    assert value(after, "process_start_time_seconds") > value(before, "process_start_time_seconds")
    kept = {path.stem.rpartition("_")[2] for path in running.directory.glob("*.db")}
    assert kept == {"0", *map(str, running.workers())}, "nothing is kept of the dead but what they counted"


def test_metrics_are_on_their_own_port_alone(service_of_two: Gunicorn) -> None:
    assert httpx2.get(f"{service_of_two.url}/metrics").status_code == 404
    assert "rowhouse_build_info" in service_of_two.scrape()


def test_both_formats_tell_the_same(service_of_two: Gunicorn) -> None:
    text = service_of_two.scrape("application/openmetrics-text; version=1.0.0")
    names = {sample.name for family in openmetrics(text) for sample in family.samples}
    assert names == {name for name, _ in samples_of(service_of_two.scrape())}


def test_a_service_that_starts_forgets_the_one_before(tmp_path: Path) -> None:
    code = "from service.observability.metrics import multiprocess; multiprocess.begin_service()"
    (tmp_path / "counter_7.db").write_bytes(b"old")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.glob("*.db"))
