"""What a real process logs, whatever it is given."""

from collections.abc import Iterator
from secrets import token_urlsafe

import httpx2
import jwt
import pytest

from service.core.types import Role
from service.crud import accounts
from tests.conftest import Database
from tests.observability.conftest import COLLECTOR_KEY, Process
from tests.service_under_test import in_session
from tests.waiting import until
from tests.webhooks.receiver import Receiver, status

WORD = "v3ry-pr1v4te-w0rd"
PERSON = "joan.doe@example.com"
TOKEN = jwt.encode({"sub": WORD}, "k" * 40, algorithm="HS256")
API_KEY = f"rh_01234567_{token_urlsafe(32)}"
URL = f"postgresql://joan:{WORD}@db.example.org/flights"


@pytest.fixture(scope="module")
def joan(database: Database) -> Iterator[str]:
    """Somebody who may do everything; the id."""
    user = in_session(database.service_url, lambda session: accounts.create_user(session, PERSON, WORD, Role.ADMIN))
    yield str(user.id)
    database.execute("delete from rowhouse.users where id = $1", user.id)


@pytest.fixture(scope="module")
def said(watched: Process, database: Database, receiver: Receiver, joan: str) -> str:
    """All that was logged when secrets were thrown at every surface; each of these was reached, and answered so."""
    with watched.client(None) as client, watched.client(Role.ADMIN) as admin:
        _log_in(client)
        _bad_headers(client)
        _values(admin, database)
        _imports(admin)
        _webhooks(admin, receiver, database)
        _admin_forms(client)
        _errors(client)
        client.get("/livez", headers={"X-Request-ID": "the-end"})
    watched.line(event="request", request_id="the-end")
    return watched.output()


def _log_in(client: httpx2.Client) -> None:
    for password, status_code in ((WORD, 200), (f"{WORD}!", 401)):
        answer = client.post("/api/v1/-/auth/token", data={"username": PERSON, "password": password})
        assert answer.status_code == status_code, answer.text
    token = answer.json().get("access_token", "")
    client.post("/api/v1/-/auth/refresh", json={"refresh_token": WORD + token})
    client.post("/api/v1/-/auth/token", content=f"username={PERSON}&password={WORD}")


def _bad_headers(client: httpx2.Client) -> None:
    for headers in (
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"Bearer {WORD}"},
        {"Authorization": f"Basic {WORD}"},
        {"X-API-Key": API_KEY},
        {"X-API-Key": WORD},
        {"Cookie": f"rowhouse_session={WORD}"},
        {"X-Request-ID": TOKEN},
        {"X-Request-ID": API_KEY},
        {"Prefer": f"tx={WORD}"},
        {"traceparent": WORD},
        {"Idempotency-Key": WORD},
    ):
        client.get("/api/v1/airlines/UA", headers=headers)
        client.post("/api/v1/airlines", json={"name": WORD}, headers=headers)
        client.get("/api/v1/-/auth/me", headers=headers)
    client.get(f"/api/v1/airlines/-/changes?ticket={WORD}")


def _values(admin: httpx2.Client, database: Database) -> None:
    admin.get(f"/api/v1/airlines?name=eq.{WORD}")
    admin.get(f"/api/v1/airlines?{WORD}=eq.1")
    admin.get(f"/api/v1/airlines/{WORD}")
    admin.get(f"/api/v1/airlines/{PERSON}")
    admin.get(f"/{WORD}/{PERSON}")
    admin.get(f"/api/v1/flights?id=eq.{WORD}")
    assert admin.post("/api/v1/airlines", json={"carrier": "Z8", "name": WORD}).status_code == 201
    assert admin.post("/api/v1/airlines", json={"carrier": "Z8", "name": WORD}).status_code == 409
    assert admin.post("/api/v1/airlines", json={"carrier": WORD * 20, "name": PERSON, WORD: 1}).status_code == 400
    admin.post("/api/v1/airlines", content=f'{{"carrier": "{WORD}')
    database.execute("delete from airlines where carrier = 'Z8'")


def _imports(admin: httpx2.Client) -> None:
    rows = f"carrier,name\n{WORD * 20},{PERSON}\n".encode()
    for prefer in ("return=minimal", "respond-async"):
        headers = {"content-type": "text/csv", "prefer": prefer}
        answer = admin.post(f"/api/v1/flights?columns={WORD}", content=rows, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        answer = admin.post("/api/v1/planes", content=b"tailnum,year\nN0,%s\n" % WORD.encode(), headers=headers)
    assert answer.status_code == 202, answer.text
    job = answer.headers["location"]
    until(lambda: admin.get(job).json()["state"] == "dead", seen=lambda: admin.get(job).text)


def _webhooks(admin: httpx2.Client, receiver: Receiver, database: Database) -> None:
    receiver.answers.append(status(500, WORD.encode(), x_secret=WORD))
    for url in (f"https://joan:{WORD}@example.com/", f"http://127.0.0.1:1/{WORD}", receiver.url(f"/{WORD}?{WORD}")):
        answer = admin.post("/api/v1/-/webhooks", json={"table": "airlines", "url": url, "description": WORD})
    answer = admin.post("/api/v1/-/webhooks", json={"table": "airlines", "url": receiver.url(f"/{WORD}?{WORD}")})
    assert answer.status_code == 201, answer.text
    receiver.requests.clear()
    made = answer.json()["id"]
    assert admin.post(f"/api/v1/-/webhooks/{made}/test").status_code == 202
    receiver.wait_for(1)
    database.execute("delete from rowhouse.webhooks")
    receiver.answers.clear()


def _admin_forms(client: httpx2.Client) -> None:
    assert client.get("/admin/login").status_code == 200
    for _ in range(2):
        client.post("/admin/login", data={"username": PERSON, "password": WORD, "token": WORD})
    client.get(f"/admin/airlines/list?q={WORD}", headers={"Cookie": f"rowhouse_session={WORD}"})


def _errors(client: httpx2.Client) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"a={WORD}", "X-API-Key": API_KEY}
    for way in ("words", "value", "library", "task", "task"):
        for content in (URL, f"password={WORD} {TOKEN} {API_KEY} {PERSON}", f'{{"secret": "{WORD}"}}'):
            client.post(f"/fails/{way}?{WORD}", content=content, headers=headers)
    client.post("/fails/value", content=WORD)


def test_no_secret_and_no_person_is_in_what_is_logged(said: str, watched: Process) -> None:
    for secret in (WORD, PERSON, TOKEN, API_KEY, COLLECTOR_KEY, "s" * 40, *watched.keys.values()):
        lines = [line for line in said.splitlines() if secret in line]
        assert lines == []


def test_what_went_wrong_is_there_all_the_same(said: str, watched: Process) -> None:
    failed = watched.logged(event="unforeseen_error", error="UniqueViolationError")[0]
    assert failed["exception"][0]["type"] == "asyncpg.exceptions.UniqueViolationError"
    assert failed["exception"][0]["message"] == "23505"
    assert "_write" in [frame["function"] for frame in failed["exception"][0]["frames"]]
    assert watched.logged(event="connecting to postgresql://***db.example.org/flights", logger="some.library")
    assert watched.logged(event="about_to_fail", password="***")


def test_each_line_of_a_request_has_its_id_and_its_access_line_the_rest(said: str, watched: Process) -> None:
    with watched.client(Role.VIEWER) as client:
        answer = client.get("/api/v1/airlines/UA", headers={"X-Request-ID": "find-me"})
    line = watched.line(event="request", request_id="find-me")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/airlines/{key}", 200)
    assert line["principal"] == f"key:{watched.keys[Role.VIEWER][:11]}"
    assert line["network"] == "127.0.0.0/24"
    assert 0 < line["duration_ms"] < 10_000
    assert answer.headers["x-request-id"] == "find-me"
    told = watched.logged(event="about_to_fail")
    assert told
    ids = {one["request_id"] for one in watched.logged(event="request")}
    assert {one["request_id"] for one in told} <= ids


def test_a_user_is_logged_by_id(said: str, watched: Process, joan: str) -> None:
    with watched.client(None) as client:
        token = client.post("/api/v1/-/auth/token", data={"username": PERSON, "password": WORD}).json()["access_token"]
        client.get("/api/v1/airlines", headers={"Authorization": f"Bearer {token}", "X-Request-ID": "joans"})
    assert watched.line(event="request", request_id="joans")["principal"] == f"user:{joan}"
