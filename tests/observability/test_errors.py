"""Errors that nobody has foreseen, as a Sentry receives them, of a real process."""

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import httpx2
import pytest

from service import __version__
from service.core.types import Role
from service.crud import accounts
from tests.conftest import Database
from tests.observability.conftest import Process
from tests.observability.sinks import Sinks
from tests.service_under_test import in_session, problem_of
from tests.waiting import until

SECRET = "hunter2-S3CR3T"
PERSON = "jane.doe@example.com"
URL = f"postgresql://jane:{SECRET}@db.example.org/flights"


@pytest.fixture
def client(watched: Process) -> Iterator[httpx2.Client]:
    with watched.client(None) as client:
        yield client


def event(sinks: Sinks, **tags: str) -> dict[str, Any]:
    """The event that has these tags, as soon as it is there."""

    def found() -> list[dict[str, Any]]:
        return [one for one in sinks.events if tags.items() <= one["tags"].items()]

    (one,) = until(found, seen=lambda: [one["tags"] for one in sinks.events])
    return one


def test_an_error_has_its_request_and_where_it_came_from(client: httpx2.Client, sinks: Sinks) -> None:
    trace_id = token_hex(16)
    headers = {"X-Request-ID": "find-this-error", "traceparent": f"00-{trace_id}-{token_hex(8)}-01"}
    answer = client.post(f"/fails/words?q={SECRET}", content=URL, headers=headers)
    assert answer.status_code == 500
    assert problem_of(answer)["code"] == "internal_error"
    sent = event(sinks, request_id="find-this-error")
    assert sent["release"] == f"rowhouse@{__version__}"
    assert sent["environment"] == "staging"
    assert sent["transaction"] == "/fails/{way}"
    assert sent["tags"]["trace_id"] == trace_id
    (error,) = sent["exception"]["values"]
    assert error["type"] == "RuntimeError"
    assert error["value"] == "cannot log in with postgresql://***db.example.org/flights"
    assert error["stacktrace"]["frames"][-1]["function"] == "fails"
    assert [crumb["message"] for crumb in sent["breadcrumbs"]["values"]] == ["about_to_fail"]


def test_an_error_has_the_id_of_its_user_and_no_name(database: Database, watched: Process, sinks: Sinks) -> None:
    user = in_session(database.service_url, lambda session: accounts.create_user(session, PERSON, SECRET, Role.EDITOR))
    with watched.client(None) as client:
        login = {"username": PERSON, "password": SECRET}
        token = client.post("/api/v1/-/auth/token", data=login).json()["access_token"]
        headers = {"X-Request-ID": "of-jane", "Authorization": f"Bearer {token}"}
        assert client.post("/fails/known", headers=headers).status_code == 500
    assert event(sinks, request_id="of-jane")["user"] == {"id": f"user:{user.id}"}
    assert watched.line(event="unforeseen_error", request_id="of-jane")["principal"] == f"user:{user.id}"
    database.execute("delete from rowhouse.users where id = $1", user.id)


def test_nothing_secret_and_nobody_is_in_what_a_sentry_gets(
    client: httpx2.Client, sinks: Sinks, watched: Process
) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}", "X-API-Key": SECRET}
    for way in ("words", "value"):
        body = URL if way == "words" else PERSON + SECRET
        client.post(f"/fails/{way}?token={SECRET}", content=body, headers=headers | {"X-Request-ID": f"secret-{way}"})
        sent = event(sinks, request_id=f"secret-{way}")
        text = json.dumps(sent)
        for secret in (SECRET, PERSON, "example.com", *watched.keys.values()):
            assert secret not in text
        for error in sent["exception"]["values"]:
            assert not any("vars" in frame for frame in error["stacktrace"]["frames"])
        assert "request" not in sent
    kinds = [error["type"] for error in event(sinks, request_id="secret-value")["exception"]["values"]]
    assert kinds == ["UniqueViolationError"]


def test_an_error_of_a_task_that_nobody_awaits_is_sent(client: httpx2.Client, sinks: Sinks) -> None:
    client.post("/fails/task", content=f"password={SECRET}")
    client.post("/fails/task", content=b"password=again")  # the first one is collected

    def words() -> list[str]:
        return [one["exception"]["values"][0]["value"] for one in sinks.events if one["logger"] == "asyncio"]

    until(lambda: "password=***" in words(), seen=words)


def test_an_error_that_was_foreseen_is_not_sent(client: httpx2.Client, sinks: Sinks) -> None:
    assert client.get("/api/v1/airlines", headers={"X-Request-ID": "foreseen"}).status_code == 401
    client.post("/fails/words", content=b"x", headers={"X-Request-ID": "unforeseen"})
    event(sinks, request_id="unforeseen")
    assert not [one for one in sinks.events if one["tags"].get("request_id") == "foreseen"]
