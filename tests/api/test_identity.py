"""Logins, keys, and what an invalid credential may not become."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import jwt
import pytest

from service.core.types import Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
AUTH = "/api/v1/-/auth"


@pytest.fixture(scope="module")
def user(database: Database) -> str:
    in_session(database.service_url, lambda session: accounts.create_user(session, EMAIL, PASSWORD, Role.EDITOR))
    return EMAIL


@pytest.fixture
def anonymous(service: Service) -> Iterator[httpx2.Client]:
    with service.client(None) as client:
        yield client


def log_in(client: httpx2.Client, email: str = EMAIL, password: str = PASSWORD) -> httpx2.Response:
    return client.post(f"{AUTH}/token", data={"username": email, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_login_gives_a_token_that_serves(anonymous: httpx2.Client, user: str) -> None:
    answer = log_in(anonymous, "ADA@example.com")
    tokens = answer.json()
    me = anonymous.get(f"{AUTH}/me", headers=bearer(tokens["access_token"]))
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    assert me.json() == {"kind": "user", "name": EMAIL, "role": "editor"}
    assert anonymous.get("/api/v1/airlines/UA", headers=bearer(tokens["access_token"])).status_code == 200


def test_a_refresh_token_is_good_for_one_refresh(anonymous: httpx2.Client, user: str) -> None:
    first = log_in(anonymous).json()
    second = anonymous.post(f"{AUTH}/refresh", data={"refresh_token": first["refresh_token"]}).json()
    replayed = anonymous.post(f"{AUTH}/refresh", data={"refresh_token": first["refresh_token"]})
    after = anonymous.post(f"{AUTH}/refresh", data={"refresh_token": second["refresh_token"]})
    assert second["refresh_token"] != first["refresh_token"]
    assert replayed.status_code == after.status_code == 401
    for tokens in (first, second):
        refused = anonymous.get("/api/v1/airlines/UA", headers=bearer(tokens["access_token"]))
        assert refused.status_code == 401


def test_of_two_refreshes_at_once_one_counts(anonymous: httpx2.Client, service: Service, user: str) -> None:
    token = log_in(anonymous).json()["refresh_token"]

    def refresh(_: int) -> int:
        with service.client(None) as client:
            return client.post(f"{AUTH}/refresh", data={"refresh_token": token}).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(refresh, range(4)))
    assert statuses == [200, 401, 401, 401]


def test_logging_out_ends_the_access_token_too(anonymous: httpx2.Client, user: str) -> None:
    tokens = log_in(anonymous).json()
    assert anonymous.post(f"{AUTH}/logout", data={"refresh_token": tokens["refresh_token"]}).status_code == 204
    assert anonymous.get(f"{AUTH}/me", headers=bearer(tokens["access_token"])).status_code == 401
    assert anonymous.post(f"{AUTH}/logout", data={"refresh_token": "unknown"}).status_code == 204


def test_wrong_name_and_wrong_password_are_answered_alike(anonymous: httpx2.Client, user: str) -> None:
    wrong_password, wrong_name = log_in(anonymous, password="wrong"), log_in(anonymous, "nobody@example.com")
    assert wrong_password.status_code == wrong_name.status_code == 401
    assert problem_of(wrong_password)["detail"] == problem_of(wrong_name)["detail"]


def test_a_closed_account_is_out(anonymous: httpx2.Client, database: Database, user: str) -> None:
    token = log_in(anonymous).json()["access_token"]
    database.execute("update rowhouse.users set is_active = false")
    try:
        assert anonymous.get(f"{AUTH}/me", headers=bearer(token)).status_code == 401
        assert log_in(anonymous).status_code == 401
    finally:
        database.execute("update rowhouse.users set is_active = true")


def test_failed_logins_are_throttled(database: Database, shared_folder: object) -> None:
    environment = {"DATABASE_URL": database.service_url, "LOGIN_RATE_LIMIT": "3", "JWT_SECRET": "x" * 40}
    with run_service(environment) as fresh, fresh.client(None) as client:
        statuses = [log_in(client, "someone@example.com", "wrong").status_code for _ in range(4)]
        refused = log_in(client, "someone@example.com", "wrong")
    assert statuses == [401, 401, 401, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_attempts_at_once_do_not_slip_by(database: Database) -> None:
    environment = {"DATABASE_URL": database.service_url, "LOGIN_RATE_LIMIT": "3", "JWT_SECRET": "x" * 40}
    with run_service(environment) as fresh:

        def attempt(_: int) -> int:
            with fresh.client(None) as client:
                return log_in(client, "someone@example.com", "wrong").status_code

        with ThreadPoolExecutor(8) as threads:
            statuses = sorted(threads.map(attempt, range(8)))
    assert statuses == [401] * 3 + [429] * 5


def test_right_logins_are_not_counted(database: Database, user: str) -> None:
    environment = {"DATABASE_URL": database.service_url, "LOGIN_RATE_LIMIT": "2", "JWT_SECRET": "x" * 40}
    with run_service(environment) as fresh, fresh.client(None) as client:
        assert [log_in(client).status_code for _ in range(4)] == [200] * 4


def test_a_form_that_no_text_can_hold_is_refused(anonymous: httpx2.Client) -> None:
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n+2AA-\r\n' for name in ("username", "password")
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b; charset=utf-7"}
    answer = anonymous.post(f"{AUTH}/token", content=parts + "--b--\r\n", headers=headers)
    assert answer.status_code in (400, 401)
    problem_of(answer)


def forged(claims: dict[str, object], secret: str = "y" * 40, algorithm: str = "HS256") -> str:
    return jwt.encode({"iss": "rowhouse", "aud": "rowhouse"} | claims, secret, algorithm=algorithm)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "rh_00000000_wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "nonsense"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": ""},
        {"Authorization": "Bearer rh_00000000_wrong"},
        {"Authorization": "Bearer " + forged({"sub": "00000000-0000-0000-0000-000000000000", "exp": time.time() + 60})},
        {"Authorization": "Bearer " + forged({"sub": "x"}, secret="", algorithm="none")},
    ],
    ids=lambda headers: str(headers)[:40],
)  # fmt: skip
def test_an_invalid_credential_is_never_anonymous(database: Database, headers: dict[str, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "ANONYMOUS_ROLE": "admin", "JWT_SECRET": "x" * 40}
    with run_service(environment) as open_to_all, open_to_all.client(None) as client:
        assert client.get("/api/v1/airlines/UA").status_code == 200
        for path in ("/api/v1/airlines/UA", "/api/v1/-/tables"):
            refused = client.get(path, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"


def test_an_api_key_serves_in_either_header(service: Service) -> None:
    key = service.keys[Role.VIEWER]
    with service.client(None) as client:
        assert client.get("/api/v1/airlines/UA", headers={"X-API-Key": key}).status_code == 200
        assert client.get("/api/v1/airlines/UA", headers=bearer(key)).status_code == 200


def test_keys_are_kept_as_hashes_and_end_when_revoked_or_expired(service: Service, database: Database) -> None:
    new = in_session(database.service_url, lambda session: accounts.create_key(session, "short", Role.VIEWER, 1))
    with service.client(None, **{"X-API-Key": new.key}) as client:
        assert client.get("/api/v1/airlines/UA").status_code == 200
        kept = database.execute("select * from rowhouse.api_keys where id = $1", new.id)[0]
        assert kept["last_used_at"] is not None
        assert new.key not in str(tuple(kept))
        database.execute("update rowhouse.api_keys set expires_at = now() where id = $1", new.id)
        assert "expired" in problem_of(client.get("/api/v1/airlines/UA"))["detail"]
        database.execute("update rowhouse.api_keys set expires_at = null, revoked_at = now() where id = $1", new.id)
        assert client.get("/api/v1/airlines/UA").status_code == 401
