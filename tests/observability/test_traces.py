"""Traces as a collector receives them, of a real process."""

from collections.abc import Iterator
from secrets import token_hex

import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.observability.conftest import COLLECTOR_KEY, Process
from tests.observability.sinks import Sinks, Step
from tests.waiting import until
from tests.webhooks.receiver import Receiver

NAME = "/api/v1/airlines/ZT"


@pytest.fixture
def client(watched: Process, database: Database) -> Iterator[httpx2.Client]:
    with watched.client() as client:
        yield client
    database.execute("delete from airlines where carrier like 'Z_'")


@pytest.fixture
def hook(watched: Process, receiver: Receiver, database: Database) -> Iterator[None]:
    """A webhook of the airlines."""
    with watched.client(Role.EDITOR) as client:
        made = client.post("/api/v1/-/webhooks", json={"table": "airlines", "url": receiver.url("/T0K3N-in-path")})
        assert made.status_code == 201, made.text
        receiver.requests.clear()
        yield
    database.execute("delete from rowhouse.webhooks")


def parent(*, is_sampled: bool = True) -> tuple[str, str, str]:
    """The ids of a caller's trace and span, and the header."""
    trace_id, span_id = token_hex(16), token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-0{int(is_sampled)}"


def received(sinks: Sinks, trace_id: str, *kinds_and_names: tuple[str, str]) -> list[Step]:
    """The steps of a trace, as soon as these are among them."""

    def all_there() -> bool:
        return set(kinds_and_names) <= {(step.kind, step.name) for step in sinks.trace(trace_id)}

    until(all_there, seen=lambda: sinks.trace(trace_id))
    return sinks.trace(trace_id)


def the(steps: list[Step], kind: str, name: str) -> Step:
    (found,) = [step for step in steps if (step.kind, step.name) == (kind, name)]
    return found


def test_a_trace_joins_the_callers_span_http_sql_and_the_webhook(
    client: httpx2.Client, sinks: Sinks, receiver: Receiver, hook: None, watched: Process
) -> None:
    trace_id, span_id, traceparent = parent()
    answer = client.post(
        "/api/v1/airlines", json={"carrier": "ZT", "name": "Traced"}, headers={"traceparent": traceparent}
    )
    assert answer.status_code == 201, answer.text
    (request,) = receiver.wait_for(1)
    steps = received(
        sinks, trace_id, ("SERVER", "POST /api/v1/airlines"), ("CLIENT", "INSERT public.airlines"), ("CLIENT", "POST")
    )
    http, sql, delivery = (
        the(steps, "SERVER", "POST /api/v1/airlines"),
        the(steps, "CLIENT", "INSERT public.airlines"),
        the(steps, "CLIENT", "POST"),
    )
    assert http.parent_id == span_id
    assert sql.parent_id == delivery.parent_id == http.span_id
    assert request.headers["traceparent"] == f"00-{trace_id}-{delivery.span_id}-01"
    assert http.service == "rowhouse"
    assert http.attributes | {"network.protocol.version": "1.1"} == {
        "http.request.method": "POST",
        "http.route": "/api/v1/airlines",
        "http.response.status_code": 201,
        "url.path": "/api/v1/airlines",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "user.id": watched.line(trace_id=trace_id)["principal"],
        "rowhouse.request_id": answer.headers["x-request-id"],
    }
    assert sql.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "public.airlines",
    }
    assert delivery.attributes["server.address"] == "127.0.0.1"
    assert delivery.attributes["http.response.status_code"] == 204
    assert not any(step.is_error for step in steps)


def test_nothing_of_a_row_an_address_or_a_secret_is_in_what_a_collector_gets(
    client: httpx2.Client, sinks: Sinks, receiver: Receiver, hook: None, watched: Process
) -> None:
    trace_id, _, traceparent = parent()
    headers = {"traceparent": traceparent}
    client.post("/api/v1/airlines", json={"carrier": "ZV", "name": "V4LU3-in-body"}, headers=headers)
    client.get(NAME + "?name=eq.V4LU3-in-query", headers=headers)
    client.get("/api/v1/airlines/V4LU3-in-key", headers=headers)
    receiver.wait_for(1)
    received(sinks, trace_id, ("CLIENT", "POST"), ("SERVER", "GET /api/v1/airlines/{key}"))
    packets = b"".join(sinks.packets)
    for secret in ("V4LU3", "T0K3N-in-path", COLLECTOR_KEY, *watched.keys.values()):
        assert secret.encode() not in packets
    assert any(header.get("x-collector-key") == COLLECTOR_KEY for header in sinks.headers)


def test_what_sqlalchemy_runs_is_in_the_trace(client: httpx2.Client, sinks: Sinks) -> None:
    trace_id, _, traceparent = parent()
    assert client.get("/api/v1/-/webhooks", headers={"traceparent": traceparent}).status_code == 200
    steps = received(sinks, trace_id, ("SERVER", "GET /api/v1/-/webhooks"), ("CLIENT", "SELECT rowhouse.webhooks"))
    http = the(steps, "SERVER", "GET /api/v1/-/webhooks")
    assert {step.parent_id for step in steps if step.kind == "CLIENT"} == {http.span_id}


def test_a_job_goes_on_with_the_trace_of_the_request_that_asked_for_it(
    client: httpx2.Client, sinks: Sinks, watched: Process
) -> None:
    trace_id, _, traceparent = parent()
    answer = client.post(
        "/api/v1/airlines",
        content=b"carrier,name\nZJ,Later\n",
        headers={"traceparent": traceparent, "content-type": "text/csv", "prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    steps = received(sinks, trace_id, ("CONSUMER", "process import_rows"), ("CLIENT", "INSERT public.airlines"))
    http, job = the(steps, "SERVER", "POST /api/v1/airlines"), the(steps, "CONSUMER", "process import_rows")
    assert job.parent_id == http.span_id
    assert job.attributes["messaging.message.id"] == answer.json()["id"]
    assert the(steps, "CLIENT", "INSERT public.airlines").parent_id == job.span_id
    assert watched.line(event="job_ended", job=answer.json()["id"])["trace_id"] == trace_id


def test_an_error_shows_in_its_span(client: httpx2.Client, sinks: Sinks) -> None:
    trace_id, _, traceparent = parent()
    client.post("/fails/words", content=b"x", headers={"traceparent": traceparent})
    client.get("/api/v1/airlines?carrier=eq.1&select=name::int", headers={"traceparent": traceparent})
    steps = received(sinks, trace_id, ("SERVER", "POST /fails/{way}"), ("SERVER", "GET /api/v1/airlines"))
    failed, refused = the(steps, "SERVER", "POST /fails/{way}"), the(steps, "SERVER", "GET /api/v1/airlines")
    assert (failed.is_error, failed.attributes["error.type"]) == (True, "RuntimeError")
    assert not refused.is_error


@pytest.mark.parametrize(
    "header",
    [
        "{trace}",
        "00-{trace}-{span}",
        "00-{trace}-{span}-1",
        "00-{upper}-{span}-01",
        "00-00000000000000000000000000000000-{span}-01",
        "00-{trace}-0000000000000000-01",
        "ff-{trace}-{span}-01",
        "00-{trace}-{span}-01-more",
        "00-{trace}-{span}-01,00-{trace}-{span}-01",
        "00-{trace}-{span}-01\u00e9",
    ],
)
def test_a_traceparent_that_is_not_well_formed_says_nothing(
    client: httpx2.Client, watched: Process, header: str
) -> None:
    trace_id = "a" * 24 + token_hex(4)
    sent = header.format(trace=trace_id, upper=trace_id.upper(), span="b" * 16)
    answer = client.get("/api/v1/airlines/UA", headers=[(b"traceparent", sent.encode("latin-1"))])
    assert answer.status_code == 200
    line = watched.line(event="request", request_id=answer.headers["x-request-id"])
    assert line["trace_id"] is None


def test_a_trace_that_its_caller_does_not_record_is_logged_and_not_recorded(
    client: httpx2.Client, sinks: Sinks, receiver: Receiver, hook: None, watched: Process
) -> None:
    quiet, _, unsampled = parent(is_sampled=False)
    loud, _, sampled = parent()
    client.post("/api/v1/airlines", json={"carrier": "ZQ", "name": "Q"}, headers={"traceparent": unsampled})
    client.post("/api/v1/airlines", json={"carrier": "ZL", "name": "L"}, headers={"traceparent": sampled})
    requests = {request.row["carrier"]: request for request in receiver.wait_for(2)}
    assert "traceparent" not in requests["ZQ"].headers
    assert requests["ZL"].headers["traceparent"].split("-")[1] == loud
    received(sinks, loud, ("CLIENT", "POST"))
    assert sinks.trace(quiet) == []
    assert watched.line(event="request", trace_id=quiet)["status"] == 201


def test_a_request_without_a_traceparent_is_sampled_by_the_setting(client: httpx2.Client, watched: Process) -> None:
    answer = client.get("/api/v1/airlines/UA")
    assert watched.line(event="request", request_id=answer.headers["x-request-id"])["trace_id"] is None


def test_administrators_alone_are_told_how_long_the_stages_took(watched: Process) -> None:
    with watched.client(Role.ADMIN) as admin, watched.client(Role.EDITOR) as editor:
        told = admin.get("/api/v1/airlines?limit=1").headers["server-timing"]
        assert "server-timing" not in editor.get("/api/v1/airlines?limit=1").headers
    took = {part.partition(";dur=")[0]: float(part.partition(";dur=")[2]) for part in told.split(", ")}
    assert set(took) == {"auth", "pool", "db", "total"}
    assert 0 < took["db"] < took["total"]
