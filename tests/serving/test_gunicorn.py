"""Gunicorn with Rowhouse's workers: reload, drain, a worker that is killed, what is left behind."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import websockets
from websockets.sync.client import ClientConnection, connect

from service.core.types import Role
from service.db.embedded import EmbeddedPostgres
from tests.conftest import Database, copy_database
from tests.service_under_test import make_keys, run_service
from tests.serving.conftest import Gunicorn, gunicorn
from tests.waiting import until

_FEED = "/api/v1/airlines/-/changes"


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Database:
    """One that no other service is connected to: what is left of ours is counted."""
    return copy_database(postgres, f"gunicorn_{worker_id}", shared_folder)


@pytest.fixture(scope="module")
def keys(database: Database) -> dict[Role, str]:
    return make_keys(database.service_url)


@pytest.fixture(scope="module")
def running(database: Database, keys: dict[Role, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """An empty PROMETHEUS_MULTIPROC_DIR counts as none, and leaves a folder of its own to each master."""
    folder, settings = tmp_path_factory.mktemp("gunicorn"), {"PROMETHEUS_MULTIPROC_DIR": ""}
    with gunicorn(database, keys, folder, DRAIN_DELAY_SECONDS="1.5", **settings) as started:
        yield started


def test_what_it_says_is_json_with_the_pool_that_each_worker_has(running: Gunicorn) -> None:
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    pools = [line for line in lines if line["event"] == "pool"]
    assert {line["processes"] for line in pools} == {2}
    assert any(line["event"].startswith("Starting gunicorn") for line in lines)


def test_hang_up_of_the_master_brings_new_workers_and_of_a_worker_reads_the_tables_again(running: Gunicorn) -> None:
    before, begun = running.workers(), running.says("Application startup complete")
    os.kill(min(before), signal.SIGHUP)
    until(lambda: running.says("catalog_reloaded") == 1)
    assert running.workers() == before
    with running.client() as client:
        running.process.send_signal(signal.SIGHUP)
        statuses = set()
        while running.says("Application startup complete") < begun + 2 or running.workers() & before:
            statuses.add(client.get("/api/v1/airlines/UA").status_code)
    assert statuses == {200}
    assert len(running.workers()) == 2


def test_a_worker_that_was_killed_is_replaced_and_its_metrics_go_with_it(running: Gunicorn) -> None:
    [folder] = running.log.parent.glob("rowhouse-metrics-*")
    lost, begun = min(running.workers()), running.says("Application startup complete")
    (folder / f"gauge_liveall_{lost}.db").touch()
    os.kill(lost, signal.SIGKILL)
    running.have_begun(begun + 1)
    assert lost not in running.workers()
    assert not list(folder.glob(f"gauge_live*_{lost}.db"))
    with running.client() as client:
        assert client.get("/api/v1/airlines/UA").status_code == 200


def test_told_to_stop_it_serves_on_while_it_says_so_and_leaves_nothing(running: Gunicorn, database: Database) -> None:
    """The last test of this instance."""
    with (
        running.client() as client,
        connect(
            f"ws://127.0.0.1:{running.port}{_FEED}", additional_headers={"X-API-Key": running.keys[Role.ADMIN]}
        ) as socket,
    ):
        assert json.loads(socket.recv())["type"] == "ready"
        assert "connection" not in client.get("/readyz").headers
        running.process.send_signal(signal.SIGTERM)
        until(lambda: client.get("/readyz").status_code == 503)
        # The workers hear of it one after the other.
        until(lambda: client.get("/api/v1/airlines/UA").raise_for_status().headers.get("connection") == "close")
        assert client.get("/livez").status_code == 200
        seen = [json.loads(message)["type"] for message in _until_closed(socket)]
    assert seen[-1] == "reconnect"
    assert socket.close_code == 1012
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{running.url}/livez")
    assert running.process.wait(60) == 0
    assert not list(running.log.parent.glob("rowhouse-metrics-*"))
    left = database.execute_as_superuser(
        "select application_name, query from pg_stat_activity where datname = $1 and application_name like 'rowhouse%'",
        database.name,
    )
    assert left == []


def _until_closed(socket: ClientConnection) -> Iterator[str]:
    try:
        while True:
            yield str(socket.recv(60))
    except websockets.ConnectionClosed:
        return


def test_told_to_be_quick_it_does_not_serve_on(database: Database, keys: dict[Role, str], tmp_path: Path) -> None:
    with gunicorn(database, keys, tmp_path, DRAIN_DELAY_SECONDS="60", WEB_CONCURRENCY="1") as running:
        started = time.monotonic()
        running.stop(signal.SIGINT)
        assert time.monotonic() - started < 15


def test_a_pool_that_is_too_large_for_the_database_is_lowered(
    database: Database, keys: dict[Role, str], tmp_path: Path
) -> None:
    database.execute_as_superuser(f"alter database {database.name} connection limit 60")
    try:
        environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "WEB_CONCURRENCY": "2"}
        with run_service(environment, keys) as service:
            assert service.state.connected().pool.most == 60 // 2 - 19
    finally:
        database.execute_as_superuser(f"alter database {database.name} connection limit -1")
