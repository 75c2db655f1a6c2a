"""Which requests have a line."""

import json
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from service.core.settings import LogFormat
from service.core.types import Role
from service.observability.access_log import AccessLog
from tests.conftest import Database
from tests.observability.conftest import run_process
from tests.service_under_test import settings_from


@pytest.mark.parametrize(
    ("environment", "status", "seconds", "is_wanted"),
    [
        ({}, 200, 0.1, True),
        ({"ACCESS_LOG_SHARE": "0"}, 200, 0.1, False),
        ({"ACCESS_LOG_SHARE": "0"}, 404, 0.1, True),
        ({"ACCESS_LOG_SHARE": "0"}, 503, 0.1, True),
        ({"ACCESS_LOG_SHARE": "0"}, 200, 1.5, True),
        ({"ACCESS_LOG_SHARE": "0", "ACCESS_LOG_SLOW_SECONDS": "2"}, 200, 1.5, False),
        ({"ACCESS_LOG": "false"}, 503, 1.5, False),
        ({"LOG_LEVEL": "WARNING"}, 503, 1.5, False),
    ],
)
def test_errors_and_what_is_slow_are_logged_whatever_the_share(
    environment: dict[str, str], status: int, seconds: float, is_wanted: bool
) -> None:
    assert AccessLog(settings_from(environment)).wants(status, seconds) is is_wanted


def test_a_share_of_what_went_well_is_logged() -> None:
    log = AccessLog(settings_from({"ACCESS_LOG_SHARE": "0.2"}))
    assert 1500 < sum(log.wants(200, 0.1) for _ in range(10_000)) < 2500


def test_a_feed_is_not_slow_it_is_as_long_as_its_client_likes(
    database: Database, keys: dict[Role, str], tmp_path: Path
) -> None:
    rare = {"ACCESS_LOG_SHARE": "0", "ACCESS_LOG_SLOW_SECONDS": "0.5", "DATABASE_URL": database.service_url}
    with run_process(rare, tmp_path, keys) as running, running.client() as client:
        feed = f"{running.url.replace('http', 'ws', 1)}/api/v1/airlines/-/changes"
        with connect(feed, additional_headers={"X-API-Key": keys[Role.EDITOR]}) as socket:
            while json.loads(socket.recv(60))["type"] != "up-to-date":
                pass
            time.sleep(0.6)
        client.get("/nothing")
        running.stop()
    assert {line["status"] for line in running.logged(event="request")} - {503} == {404}


@pytest.mark.parametrize(
    ("environment", "form"),
    [
        ({}, LogFormat.TEXT),
        ({"LOG_FORMAT": "json"}, LogFormat.JSON),
        (
            {"KUBERNETES_SERVICE_HOST": "x", "DATABASE_URL": "postgresql://x@y/z", "JWT_SECRET": "r" * 40},
            LogFormat.JSON,
        ),
    ],
    ids=["development", "set", "production"],
)
def test_production_logs_for_machines_and_development_for_people(
    environment: dict[str, str], form: LogFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settings_from(environment).log_format is form
