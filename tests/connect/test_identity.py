"""Within Posit Connect: whom its headers make a caller, where links lead to, and what they are elsewhere."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.errors import ConfigurationError
from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service, settings_from

_ME = "/api/v1/-/auth/me"
_PREFIX = "/content/5d2c"
_BASE = {"RStudio-Connect-App-Base-URL": f"https://connect.example.com{_PREFIX}"}


def _visitor(name: object) -> dict[str, str]:
    return {"RStudio-Connect-Credentials": json.dumps({"user": name, "groups": ["all"]})}


@pytest.fixture(scope="module")
def on_connect(database: Database, service: Service) -> Iterator[Service]:
    """The service as Connect starts it; visitors with an account have its rights, others may read."""

    async def make(session: AsyncSession) -> None:
        await accounts.create_user(session, "grace@example.com", "correct horse battery", Role.EDITOR)
        closed = await accounts.create_user(session, "closed@example.com", "correct horse battery", Role.EDITOR)
        closed.is_active = False

    in_session(database.service_url, make)
    believing = {"CONNECT_IDENTITY": "true", "CONNECT_DOMAIN": "example.com", "CONNECT_ROLE": "viewer"}
    with _run(database, service, believing) as running:
        yield running
    database.execute("delete from rowhouse.users where email in ('grace@example.com', 'closed@example.com')")


def _run(database: Database, service: Service, environment: Mapping[str, str]) -> AbstractContextManager[Service]:
    given = {"DATABASE_URL": database.service_url, "JWT_SECRET": "k" * 40, "CREDENTIAL_CACHE_SECONDS": "0"}
    return run_service({"POSIT_PRODUCT": "CONNECT", **given, **environment}, service.keys)


def _me(service: Service, headers: Mapping[str, str]) -> httpx2.Response:
    with service.client(None) as client:
        return client.get(_ME, headers=dict(headers))


@pytest.mark.parametrize("name", ["grace", "GRACE", "grace@example.com"])
def test_a_visitor_is_the_account_of_that_name(on_connect: Service, name: str) -> None:
    assert _me(on_connect, _visitor(name)).json() == {"kind": "user", "name": "grace@example.com", "role": "editor"}


def test_a_visitor_without_an_account_has_the_role_of_all(on_connect: Service) -> None:
    assert _me(on_connect, _visitor("alan")).json() == {"kind": "connect", "name": "alan", "role": "viewer"}


def test_an_account_that_is_closed_gives_nothing(on_connect: Service) -> None:
    assert _me(on_connect, _visitor("closed")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RStudio-Connect-Credentials": "grace"},
        {"RStudio-Connect-Credentials": '["grace"]'},
        _visitor(""),
        _visitor(7),
        _visitor("grace\n"),
        _visitor("g" * 500),
    ],
    ids=["none", "no JSON", "no object", "empty", "a number", "a line end", "too long"],
)
def test_what_names_nobody_is_an_anonymous_caller(on_connect: Service, headers: dict[str, str]) -> None:
    assert _me(on_connect, headers).status_code == 401


def test_two_names_are_none(on_connect: Service) -> None:
    with on_connect.client(None) as client:
        told = [("RStudio-Connect-Credentials", '{"user": "grace"}'), ("RStudio-Connect-Credentials", '{"user": "x"}')]
        assert client.get(_ME, headers=told).status_code == 401


def test_a_key_goes_before_the_visitor_and_connects_own_authorization_is_not_ours(on_connect: Service) -> None:
    key = {"X-API-Key": on_connect.keys[Role.ADMIN], "Authorization": "Key connects-own"}
    assert _me(on_connect, _visitor("grace") | key).json()["kind"] == "key"
    assert _me(on_connect, {"Authorization": "Key connects-own"}).status_code == 401
    assert _me(on_connect, {"Authorization": "Connect grace"}).status_code == 401
    assert _me(on_connect, {"X-API-Key": "Connect grace"} | _visitor("grace")).status_code == 401


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://connect.example.com"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.org"}, 401),
        ({"Origin": "https://evil.example.org"}, 401),
        ({"Origin": "null"}, 401),
    ],
    ids=["no browser", "own page", "other site", "other origin", "no origin"],
)
def test_what_another_site_makes_a_browser_send_is_not_the_visitors(
    on_connect: Service, database: Database, sent: dict[str, str], status: int
) -> None:
    with on_connect.client(None) as client:
        row = {"carrier": "QC", "name": "Connected"}
        answer = client.post("/api/v1/airlines", json=row, headers=_BASE | _visitor("grace") | sent)
    assert answer.status_code == status
    database.execute("delete from airlines where carrier = 'QC'")


def test_who_wrote_is_in_the_log(on_connect: Service, database: Database, service: Service) -> None:
    in_session(database.service_url, lambda s: accounts.grant(s, Role.VIEWER, "airlines", [Action.CREATE], None))
    with on_connect.client(None) as client:
        client.post("/api/v1/airlines", json={"carrier": "QC", "name": "Connected"}, headers=_visitor("alan"))
    (logged,) = database.execute("select actor from rowhouse.changes order by seq desc limit 1")
    assert logged["actor"] == "connect:alan"
    database.execute("delete from airlines where carrier = 'QC'")
    in_session(database.service_url, lambda s: accounts.revoke_grant(s, Role.VIEWER, "airlines", [Action.CREATE]))


def test_tickets_and_links_of_a_visitor_hold(on_connect: Service) -> None:
    with on_connect.client(None, **_BASE, **_visitor("alan")) as client:
        link = client.post("/api/v1/-/links", json={"url": f"{_PREFIX}/api/v1/airlines?format=csv"}).json()["url"]
        ticket = client.post("/api/v1/-/tickets").json()["ticket"]
    assert link.startswith(f"https://connect.example.com{_PREFIX}/api/v1/airlines?")
    with on_connect.client(None, **_BASE) as client:
        assert client.get(link.partition(_PREFIX)[2]).text.startswith("carrier,name")
        feed = client.get("/api/v1/airlines/-/changes", params={"ticket": ticket})
    assert feed.status_code == 200


def test_identity_is_closed_by_default(database: Database, service: Service) -> None:
    with _run(database, service, {}) as closed:
        assert _me(closed, _visitor("grace")).status_code == 401


def test_elsewhere_the_headers_are_nothing(service: Service) -> None:
    assert _me(service, _visitor("grace") | _BASE).status_code == 401
    assert _me(service, {"Authorization": "Connect grace"}).status_code == 401
    with service.client(None) as client:
        assert client.get("/", headers=_BASE, follow_redirects=False).headers["location"] == "/docs"


def test_administrators_have_accounts() -> None:
    with pytest.raises(ConfigurationError, match="CONNECT_ROLE"):
        settings_from({"CONNECT_ROLE": "admin"})


@pytest.mark.parametrize("prefix", ["/content/5d2c", "/content/5d2c/_bundle7", "/vanity"])
@pytest.mark.parametrize("is_stripped", [True, False], ids=["stripped", "kept"])
def test_links_and_cookies_have_the_prefix_of_the_request(on_connect: Service, prefix: str, is_stripped: bool) -> None:
    base = {"RStudio-Connect-App-Base-URL": f"https://connect.example.com{prefix}/"}
    at = "" if is_stripped else prefix
    with on_connect.client(Role.ADMIN, **base) as client:
        home = client.get(f"{at}/", follow_redirects=False)
        page = client.get(f"{at}/api/v1/flights?limit=1&order=id", headers={"Prefer": "count=exact"})
        document = client.get(f"{at}/openapi.json")
        login = client.get(f"{at}/admin/login")
        made = client.post(f"{at}/api/v1/airlines", json={"carrier": "QC", "name": "Connected"})
        client.delete(f"{at}/api/v1/airlines/QC")
    assert home.headers["location"] == f"{prefix}/docs"
    assert page.headers["link"].startswith(f"<{prefix}/api/v1/flights")
    assert document.json()["servers"] == [{"url": prefix}]
    assert f"Path={prefix}/admin;" in login.headers["set-cookie"]
    assert "Secure" in login.headers["set-cookie"]
    assert f'action="{prefix}/admin/login"' in login.text
    assert made.headers["location"] == f"{prefix}/api/v1/airlines/QC"


@pytest.mark.parametrize("told", ["javascript://x/a", "https://h/a b", "https://[", "//evil.example.org/%0d", "a\\b"])
def test_a_base_url_that_is_none_is_passed_over(on_connect: Service, told: str) -> None:
    with on_connect.client(None) as client:
        answer = client.get("/", headers={"RStudio-Connect-App-Base-URL": told}, follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/docs")
    assert "evil" not in answer.headers["location"]
