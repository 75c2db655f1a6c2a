"""WebSockets are seen as requests are."""

import json

import httpx2
import pytest
import websockets
from websockets.sync.client import connect

from service.core.types import Role
from tests.observability.conftest import Process

_FEED = "/api/v1/airlines/-/changes"
_ROUTE = "/api/v1/{table}/-/changes"


def test_one_that_was_open_is_counted_logged_and_traced(watched: Process) -> None:
    headers = {"X-API-Key": watched.keys[Role.ADMIN], "X-Request-ID": "a-socket"}
    timed = _timed(watched)
    with connect(_address(watched, f"{_FEED}?name=neq.Mistral"), additional_headers=headers) as socket:
        while json.loads(socket.recv(60))["type"] != "up-to-date":
            pass
    line = watched.line(event="request", request_id="a-socket")
    assert (line["method"], line["route"], line["status"]) == ("GET", _ROUTE, 101)
    assert line["principal"]
    assert "Mistral" not in watched.output()
    assert "WebSocket /" not in watched.output()  # nobody else tells of it, with its query string and address
    assert f'http_requests_total{{handler="{_ROUTE}",method="GET",status="101"}}' in _metrics(watched)
    assert _timed(watched) == timed  # it was as long as its client liked


def test_one_that_is_refused_is_told_why_and_counted(watched: Process) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused, connect(_address(watched, _FEED)):
        pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["x-content-type-options"] == "nosniff"
    request_id = refused.value.response.headers["x-request-id"]
    assert watched.line(event="request", request_id=request_id)["status"] == 401
    assert "without completing handshake" not in watched.output()  # it is no error


@pytest.mark.parametrize("when", ["now", "later"])
def test_one_that_fails_is_closed_and_reported(watched: Process, when: str) -> None:
    headers = {"X-Request-ID": f"fails-{when}"}
    address = _address(watched, f"/fails/{when}")
    if when == "now":
        with pytest.raises(websockets.InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 500
    else:
        with connect(address, additional_headers=headers) as socket, pytest.raises(websockets.ConnectionClosed):
            socket.recv(60)
        assert socket.close_code == 1011
    assert watched.line(event="unforeseen_error", request_id=f"fails-{when}")["error"] == "RuntimeError"
    assert "Exception in ASGI application" not in watched.output()


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/static/x", "/assets/x", "/admin", "/admin/static/x", "/metrics", "/nothing"]
)
def test_where_no_websocket_is_there_is_none(watched: Process, path: str) -> None:
    request_id = f"nowhere{path.replace('/', '-')}"
    refused = pytest.raises(websockets.InvalidStatus)
    with refused as told, connect(_address(watched, path), additional_headers={"X-Request-ID": request_id}):
        pass
    assert told.value.response.status_code in (401, 403, 404)
    assert watched.line(event="request", request_id=request_id)["status"] < 500
    assert not watched.logged(event="unforeseen_error", request_id=request_id)


def _address(watched: Process, path: str) -> str:
    return watched.url.replace("http", "ws", 1) + path


def _timed(watched: Process) -> float:
    count = f'http_request_duration_seconds_count{{handler="{_ROUTE}",method="GET"}}'
    return sum(float(line.split()[-1]) for line in _metrics(watched).splitlines() if line.startswith(count))


def _metrics(watched: Process) -> str:
    return httpx2.get(f"{watched.url}/metrics").text
