"""With nothing set nothing is loaded; and what cannot be reached neither stops a start nor holds up an end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.ports import free_port
from service.core.errors import ConfigurationError
from service.core.types import Role
from service.observability.sentry import Sentry
from service.observability.tracing import Tracing
from tests.conftest import Database
from tests.observability.conftest import ROOT, run_process
from tests.service_under_test import settings_from

_LOADED = """
import sys
from service.application import create_app
create_app()
parts = ("opentelemetry.sdk", "opentelemetry.exporter", "sentry_sdk", "requests")
print([name for name in sys.modules if name.startswith(parts)])
"""


def test_without_its_settings_nothing_of_it_is_loaded() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    assert found.stdout.splitlines()[-1] == b"[]"


def test_nobody_there_to_send_to_neither_stops_a_start_nor_holds_up_an_end(
    database: Database, keys: dict[Role, str], tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database.service_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_TRACES_SAMPLER": "always_on",
        "SENTRY_DSN": f"http://public@127.0.0.1:{free_port()}/1",
    }
    with run_process(environment, tmp_path, keys) as running, running.client() as client:
        assert client.get("/api/v1/airlines/UA").status_code == 200
        assert client.post("/fails/words", content=b"x").status_code == 500
        begun = time.monotonic()
        running.stop()
        assert time.monotonic() - begun < 12
    assert running.logged(event="unforeseen_error")


def test_a_dsn_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="SENTRY_DSN"):
        Sentry(settings_from({"SENTRY_DSN": "https://example.org"}))


def test_without_the_extra_tracing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as the import system has what is not there
    with pytest.raises(ConfigurationError, match=r"rowhouse\[tracing\]"):
        Tracing(settings_from({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}))
