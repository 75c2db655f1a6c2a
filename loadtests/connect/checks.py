"""Does everything work under Connect's prefix? Each check is a request or a few, as visitors make them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from urllib.parse import urljoin, urlsplit

import httpx2
import websockets

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_SOURCE = re.compile(r'(?:src|href)="([^"#]+\.(?:js|css|svg))"')
_TABLE = "/api/v1/airlines"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where the content is, and who visits it: by Connect's key, by Rowhouse's, by a login to the back-office."""

    url: str
    connect_key: str
    api_key: str
    email: str
    password: str

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path.rstrip("/")

    @property
    def connect(self) -> dict[str, str]:
        return {"Authorization": f"Key {self.connect_key}"}

    @property
    def both(self) -> dict[str, str]:
        return self.connect | {"X-API-Key": self.api_key}

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url.rstrip("/"), timeout=30)


async def documents(visitor: Visitor) -> None:
    """The start page leads to the documents, which load what they name."""
    async with visitor.client() as client:
        home = await client.get("/")
        assert home.headers["location"] == f"{visitor.prefix}/docs", home.headers
        page = (await client.get("/docs")).text
        named = _SOURCE.findall(page)
        assert named, page
        for path in named:
            address = urljoin(f"{visitor.url.rstrip('/')}/docs", path)
            assert address.startswith(visitor.url.rstrip("/")), path
            assert (await client.get(address)).status_code == 200, path
        server = (await client.get("/openapi.json", headers=visitor.both)).json()["servers"]
        assert server == [{"url": visitor.prefix}], server


async def rows(visitor: Visitor) -> None:
    """Rowhouse's key beside Connect's own, and addresses that lead back."""
    async with visitor.client() as client:
        page = await client.get("/api/v1/flights?limit=1&order=id", headers=visitor.both)
        assert page.status_code == 200, page.text
        assert page.headers["link"].startswith(f"<{visitor.prefix}/api/v1/flights?"), page.headers
        row = {"carrier": token_hex(4), "name": "Published"}
        made = await client.post(_TABLE, json=row, headers=visitor.both)
        assert made.headers["location"] == f"{visitor.prefix}{_TABLE}/{row['carrier']}", made.text
        gone = await client.delete(f"{_TABLE}/{row['carrier']}", headers=visitor.both)
        assert gone.status_code == 204, gone.text


async def identity(visitor: Visitor) -> None:
    """Connect says who visits; a client that says so itself is not believed."""
    forged = {"RStudio-Connect-Credentials": json.dumps({"user": visitor.email})}
    async with visitor.client() as client:
        me = await client.get("/api/v1/-/auth/me", headers=visitor.connect)
        assert me.json()["name"] == visitor.email, me.text
        assert (await client.get("/api/v1/-/auth/me", headers=forged)).status_code == 401


async def back_office(visitor: Visitor) -> None:
    """A login with its cookie and token, and a page behind it."""
    async with visitor.client() as client:
        form = await client.get("/admin/login")
        assert f"Path={visitor.prefix}/admin;" in form.headers["set-cookie"], form.headers
        token = _CSRF.findall(form.text)[0]
        sent = {"csrf": token, "email": visitor.email, "password": visitor.password}
        logged_in = await client.post("/admin/login", data=sent)
        assert (logged_in.status_code, logged_in.headers["location"]) == (303, f"{visitor.prefix}/admin/")
        assert (await client.get("/admin/flights/list")).status_code == 200
        refused = await client.post("/admin/login", data={**sent, "csrf": "x"})
        assert refused.status_code == 403, refused.status_code


async def server_sent_events(visitor: Visitor) -> None:
    """A change arrives while the stream is open."""
    async with (
        visitor.client() as client,
        client.stream("GET", f"{_TABLE}/-/changes", headers=visitor.both | {"Accept": "text/event-stream"}) as feed,
    ):
        assert feed.status_code == 200, feed.status_code
        lines = feed.aiter_lines()
        await _sees(visitor, ((line.removeprefix("data: ")) async for line in lines if line.startswith("data: ")))


async def web_socket(visitor: Visitor) -> None:
    """The same by WebSocket."""
    address = f"ws{visitor.url.removeprefix('http').rstrip('/')}{_TABLE}/-/changes"
    async with websockets.connect(address, additional_headers=visitor.both) as feed:
        await _sees(visitor, (str(message) async for message in feed))


async def _sees(visitor: Visitor, messages: AsyncIterator[str]) -> None:
    row = {"carrier": token_hex(4), "name": "Followed"}
    async with asyncio.timeout(20), visitor.client() as client:
        async for message in messages:
            event = json.loads(message)
            if event["type"] == "up-to-date":
                (await client.post(_TABLE, json=row, headers=visitor.both)).raise_for_status()
                (await client.delete(f"{_TABLE}/{row['carrier']}", headers=visitor.both)).raise_for_status()
            elif event["type"] == "delete" and event["key"] == {"carrier": row["carrier"]}:
                return


CHECKS: tuple[Callable[[Visitor], Awaitable[None]], ...] = (
    documents,
    rows,
    identity,
    back_office,
    server_sent_events,
    web_socket,
)
