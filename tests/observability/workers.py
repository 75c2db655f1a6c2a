"""Gunicorn with several workers, each asked by a connection of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.waiting import until

_ROOT = Path(__file__).parents[2]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Gunicorn:
    process: subprocess.Popen[bytes]
    url: str
    metrics_url: str
    directory: Path

    def workers(self) -> set[int]:
        """Those that serve, by their process numbers."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def serving(self) -> set[int]:
        """Those that have begun to count."""
        return {pid for pid in self.workers() if (self.directory / f"exemplars_{pid}.json").exists()}

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def scrape(self, accept: str = "") -> str:
        return httpx2.get(self.metrics_url, headers={"Accept": accept}, timeout=10).text

    def samples(self) -> Samples:
        return samples_of(self.scrape())


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


@contextmanager
def gunicorn(environment: Mapping[str, str], directory: Path, port: int, workers: int = 2) -> Iterator[Gunicorn]:
    """Serve until the block ends. With METRICS_PORT the metrics are there, else at `/metrics`."""
    variables = {"PATH": os.environ["PATH"], "PROMETHEUS_MULTIPROC_DIR": str(directory), **environment}
    command = [sys.executable, "-m", "gunicorn", "service.main:app", "--bind", f"127.0.0.1:{port}"]
    options = ["--workers", str(workers), "--config", "python:tests.observability.gunicorn_conf"]
    told = directory.with_name(f"{directory.name}.log")
    with told.open("wb") as log:
        process = subprocess.Popen([*command, *options], cwd=_ROOT, env=variables, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    apart = environment.get("METRICS_PORT")
    serving = Gunicorn(process, url, f"http://127.0.0.1:{apart}/metrics" if apart else f"{url}/metrics", directory)
    try:
        until(
            lambda: serving.has_ended() or (len(serving.serving()) == workers and _is_ready(url)), 120, told.read_text
        )
        assert not serving.has_ended(), told.read_text()
        yield serving
    finally:
        process.terminate()
        process.wait(60)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
