"""The application as a process of its own, what it logs, and what it sends elsewhere."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.ports import free_port
from service.core.types import Role
from tests.api.test_operations import is_up
from tests.conftest import Database
from tests.observability.sinks import Sinks, run_sinks
from tests.waiting import until
from tests.webhooks.receiver import Receiver, run_receiver

ROOT = Path(__file__).parents[2]
COLLECTOR_KEY = "collector-key-0123456789"


@dataclass(frozen=True, slots=True)
class Process:
    """A running application."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path
    keys: Mapping[Role, str]

    def client(self, role: Role | None = Role.EDITOR, **headers: str) -> httpx2.Client:
        credential = {"X-API-Key": self.keys[role]} if role else {}
        return httpx2.Client(base_url=self.url, headers=credential | headers, timeout=60)

    def output(self) -> str:
        return self.log.read_text()

    def logged(self, **members: object) -> list[dict[str, Any]]:
        """The lines that have these members."""
        lines = [json.loads(line) for line in self.output().splitlines()]
        return [line for line in lines if members.items() <= line.items()]

    def line(self, **members: object) -> dict[str, Any]:
        """The first of these, as soon as there is one."""
        return until(lambda: self.logged(**members), seen=lambda: self.output()[-3000:])[0]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def run_process(environment: Mapping[str, str], folder: Path, keys: Mapping[Role, str]) -> Iterator[Process]:
    """Serve until the block ends, in this environment alone."""
    port = free_port()
    log = folder / f"{port}.log"
    command = [sys.executable, "-m", "uvicorn", "tests.observability.failing:app", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--no-access-log"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "JWT_SECRET": "s" * 40, "LOG_FORMAT": "json", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        running = Process(process, f"http://127.0.0.1:{port}", log, keys)
        with running.client() as client:
            until(lambda: is_up(client), seen=running.output)
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="package")
def sinks() -> Iterator[Sinks]:
    with run_sinks() as running:
        yield running


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


@pytest.fixture(scope="package")
def watched(
    database: Database,
    keys: dict[Role, str],
    sinks: Sinks,
    receiver: Receiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Process]:
    """With everything on: it traces what a caller traces, and nothing else."""
    environment = {
        "DATABASE_URL": database.service_url,
        "CREDENTIAL_CACHE_SECONDS": "0",
        "JOBS_INSIDE": "true",
        "LOG_LEVEL": "DEBUG",
        "SERVER_TIMING": "administrators",
        "SENTRY_ENVIRONMENT": "staging",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector-key={COLLECTOR_KEY}",
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOWED_HOSTS": f"127.0.0.1:{receiver.port}",
        "WEBHOOK_POLL_SECONDS": "0.02",
        **sinks.environment,
    }
    with run_process(environment, tmp_path_factory.mktemp("watched"), keys) as running:
        yield running
