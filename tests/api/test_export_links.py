"""Parquet in ranges, and signed links: for tools that read by URL."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import jwt
import polars as pl
import pytest
from pyarrow import parquet
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service

_READ = "/api/v1/planes?select=tailnum,year,model&order=tailnum&format=parquet"
_PLANES = 3322


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def served(database: Database, keys: dict[Role, str], shared_folder: Path, folder: Path) -> Iterator[Service]:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "EXPORT_DIR": str(folder),
        "EXPORT_DISK_BYTES": str(2**20),
        "JWT_SECRET": "x" * 40,
    }
    with run_service(environment, keys) as running:
        yield running


@pytest.fixture
def client(served: Service) -> Iterator[httpx2.Client]:
    with served.client(Role.VIEWER) as client:
        yield client


def _link(client: httpx2.Client, url: str = _READ) -> str:
    answer = client.post("/api/v1/-/links", json={"url": url})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["expires_in"] == 300
    return str(answer.json()["url"])


def test_parts_are_of_the_file_that_head_tells_of(client: httpx2.Client) -> None:
    head = client.head(_READ)
    size = int(head.headers["content-length"])
    assert (head.status_code, head.content, head.headers["accept-ranges"]) == (200, b"", "bytes")
    body = b""
    while len(body) < size:
        part = client.get(_READ, headers={"range": f"bytes={len(body)}-{len(body) + 9999}"})
        last = min(len(body) + 9999, size - 1)
        assert (part.status_code, part.headers["content-range"]) == (206, f"bytes {len(body)}-{last}/{size}")
        assert part.headers["etag"] == head.headers["etag"]
        body += part.content
    assert parquet.read_table(io.BytesIO(body)).num_rows == _PLANES
    assert client.get(_READ, headers={"range": "bytes=-4"}).content == b"PAR1"
    assert client.get(_READ, headers={"range": f"bytes={size - 4}-"}).content == b"PAR1"


def test_conditions(client: httpx2.Client) -> None:
    head = client.head(_READ)
    tag, size = head.headers["etag"], head.headers["content-length"]
    assert client.get(_READ, headers={"range": "bytes=0-3", "if-range": tag}).content == b"PAR1"
    whole = client.get(_READ, headers={"range": "bytes=0-3", "if-range": '"another"'})
    assert (whole.status_code, whole.headers["content-length"]) == (200, size)
    assert client.get(_READ, headers={"range": "bytes=0-3", "if-match": tag}).status_code == 206
    assert client.get(_READ, headers={"range": "bytes=0-3", "if-match": '"another"'}).status_code == 412
    assert client.get(_READ, headers={"range": "bytes=0-3", "if-none-match": tag}).status_code == 304
    beyond = client.get(_READ, headers={"range": f"bytes={size}-"})
    assert (problem_of(beyond)["status"], beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_a_new_read_sees_new_rows_and_one_that_goes_on_the_old(
    client: httpx2.Client, database: Database, folder: Path
) -> None:
    read = "/api/v1/airlines?select=carrier,name&format=parquet"
    first = client.head(read)
    database.execute("update airlines set name = name || repeat('!', 100) where carrier = 'UA'")
    try:
        for path in folder.iterdir():  # it was read a minute ago
            os.utime(path, (path.stat().st_atime - 60, path.stat().st_mtime - 60))
        tag = client.get(read, headers={"range": "bytes=0-3"}).headers["etag"]
        assert client.get(read, headers={"range": "bytes=4-9"}).headers["etag"] == tag
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime - 60, path.stat().st_mtime))
        assert client.head(read).headers["content-length"] != first.headers["content-length"]
    finally:
        database.execute("update airlines set name = rtrim(name, '!') where carrier = 'UA'")


def test_a_file_belongs_to_its_reader(served: Service, client: httpx2.Client, folder: Path) -> None:
    client.head(_READ)
    count = len(list(folder.iterdir()))
    with served.client(Role.EDITOR) as editor:
        editor.head(_READ)
    assert len(list(folder.iterdir())) == count + 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_what_does_not_fit_is_refused_and_leaves_nothing(client: httpx2.Client, folder: Path) -> None:
    before = set(folder.iterdir())
    problem = problem_of(client.get("/api/v1/flights?format=parquet", headers={"range": "bytes=0-3"}))
    assert (problem["status"], problem["code"]) == (400, "no_room")
    assert set(folder.iterdir()) == before
    whole = client.get("/api/v1/flights?select=id&limit=20000&format=parquet")
    assert parquet.read_table(io.BytesIO(whole.content)).num_rows == 20_000


def test_a_folder_that_is_open_to_others_is_not_used(
    database: Database, keys: dict[Role, str], shared_folder: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "EXPORT_DIR": str(tmp_path),
    }
    with run_service(environment, keys) as running, running.client(Role.VIEWER) as viewer:
        assert viewer.head(_READ).status_code == 503
        assert viewer.get(_READ).status_code == 200


def test_a_link_needs_no_credential(served: Service, client: httpx2.Client) -> None:
    link = _link(client)
    assert pl.read_parquet(link).shape == (_PLANES, 3)
    assert pl.scan_parquet(link).select(pl.col("year").max()).collect().item() == 2013
    with served.client(None) as nobody:
        assert nobody.get(link).status_code == 200
        assert nobody.get(_READ).status_code == 401


@pytest.mark.parametrize("form", ["csv", "ndjson", "columns", "arrow", "json"])
def test_a_link_may_be_of_any_format(served: Service, client: httpx2.Client, form: str) -> None:
    link = _link(client, f"/api/v1/airlines?carrier=in.(UA,AA)&order=carrier&format={form}")
    with served.client(None) as nobody:
        assert nobody.get(link).status_code == 200


def test_a_link_is_the_same_however_it_is_encoded(served: Service, client: httpx2.Client) -> None:
    link = _link(client, "/api/v1/airlines?carrier=in.(UA,AA)&name=like.*%20*&format=csv")
    with served.client(None) as nobody:
        other = link.replace("(", "%28").replace(",", "%2C").replace("%20", "+")
        assert nobody.get(link).text == nobody.get(other).text != ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/planes?", "/airlines?"),
        ("/planes?", "/planes/N10156?"),
        ("select=tailnum,year,model", "select=*"),
        ("&link=", "&limit=1&link="),
        ("order=tailnum&", ""),
        ("link=rhl_", "link=rhl_x"),
    ],
)
def test_a_link_is_good_for_one_read(served: Service, client: httpx2.Client, before: str, after: str) -> None:
    link = _link(client)
    assert before in link
    with served.client(None) as nobody:
        assert problem_of(nobody.get(link.replace(before, after)))["status"] == 401


@pytest.mark.parametrize(("method", "headers"), [("DELETE", {}), ("PATCH", {}), ("GET", {"accept-profile": "public"})])
def test_a_link_does_nothing_else(served: Service, client: httpx2.Client, method: str, headers: dict[str, str]) -> None:
    link = _link(client)
    with served.client(None) as nobody:
        assert nobody.request(method, link, headers=headers).status_code == 401


def test_a_link_ends(served: Service, client: httpx2.Client) -> None:
    with served.client(None) as nobody:
        token = _link(client).partition("rhl_")[2]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert set(claims) == {"aud", "exp", "kind", "id", "login", "read"}
        # The service's own secret signs no links.
        forged = jwt.encode(claims, "x" * 40, algorithm="HS256")
        assert nobody.get(f"{_READ}&link=rhl_{forged}").status_code == 401
        expired = jwt.encode(claims | {"exp": 1}, served.state.connected().links._key, algorithm="HS256")
        problem = problem_of(nobody.get(f"{_READ}&link=rhl_{expired}"))
        assert (problem["status"], problem["message"]) == (401, "The link has expired.")


def test_rights_are_those_of_the_moment(served: Service, database: Database) -> None:
    async def make(session: AsyncSession) -> accounts.NewKey:
        return await accounts.create_key(session, "for a link", Role.VIEWER, None)

    async def revoke_grant(session: AsyncSession) -> int:
        return await accounts.revoke_grant(session, Role.VIEWER, "planes", [Action.READ])

    async def grant(session: AsyncSession) -> None:
        await accounts.grant(session, Role.VIEWER, "planes", [Action.READ], None)

    made = in_session(database.service_url, make)
    with served.http({"X-API-Key": made.key}) as client, served.client(None) as nobody:
        link = _link(client)
        assert nobody.head(link).status_code == 200
        in_session(database.service_url, revoke_grant)
        try:
            assert nobody.get(link, headers={"range": "bytes=0-3"}).status_code == 404
        finally:
            in_session(database.service_url, grant)
        assert nobody.get(link, headers={"range": "bytes=0-3"}).status_code == 206
        in_session(database.service_url, lambda session: accounts.revoke_key(session, made.prefix))
        assert problem_of(nobody.get(link, headers={"range": "bytes=0-3"}))["status"] == 401


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api/v1/no_such_table?format=csv", 404),
        ("/api/v1/airlines/UA", 400),
        ("/api/v1/rpc/f", 400),
        ("http://[", 400),
        ("", 400),
        ("/api/v1/airlines?format=xlsx", 400),
        ("/api/v1/airlines?nme=eq.x", 400),
        ("/api/v1/airlines?name=eq.%ff", 400),
        ("/api/v1/%ff", 400),
    ],
)
def test_what_is_no_read_has_no_link(client: httpx2.Client, url: str, status: int) -> None:
    assert problem_of(client.post("/api/v1/-/links", json={"url": url}))["status"] == status


def test_who_is_nobody_has_no_link(served: Service) -> None:
    with served.client(None) as nobody:
        assert nobody.post("/api/v1/-/links", json={"url": _READ}).status_code == 401
