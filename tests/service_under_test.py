"""Runs the production application on a loopback port, as uvicorn runs it, and calls it."""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest import mock

import httpx2
import uvicorn
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.ports import free_port
from service.application import create_app
from service.core.settings import Settings
from service.core.types import OF_TABLES, Action, Role
from service.crud import accounts
from service.db.engine import UnitOfWork, make_engine
from service.serving.server import options
from service.state import ServiceState

T = TypeVar("T")

# Each client would read the machine's certificates anew, which takes longer than most of a test's requests.
_TRUST = ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Service:
    """A running application, and a key for each role."""

    url: str
    state: ServiceState
    keys: Mapping[Role, str]

    def client(self, role: Role | None = Role.EDITOR, **headers: str) -> httpx2.Client:
        """A client with the key of a role; None is anonymous."""
        credential = {"X-API-Key": self.keys[role]} if role else {}
        return self.http(credential | headers)

    def http(self, headers: Mapping[str, str] | None = None, *, path: str = "") -> httpx2.Client:
        """A client with these headers alone, of what is below the path."""
        return httpx2.Client(base_url=self.url + path, headers=headers, timeout=60, verify=_TRUST)


def in_session(url: str, action: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Run the action in a transaction of its own, apart from the application."""

    async def run() -> T:
        engine = make_engine(url, settings_from({"DATABASE_URL": url}).database, role=None)
        try:
            async with UnitOfWork(engine).begin() as session:
                return await action(session)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Settings of this environment alone: neither the caller's nor a `.env` file's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with mock.patch.dict(os.environ, kept | dict(environment), clear=True):
        return Settings.load(env_file=None)


@contextmanager
def run_service(
    environment: Mapping[str, str], keys: Mapping[Role, str] | None = None, *, port: int = 0
) -> Iterator[Service]:
    """Serve until the block ends, on any free port unless one is given."""
    settings = settings_from({"LOG_LEVEL": "WARNING", "LOG_FORMAT": "json", **environment})
    app = create_app(settings)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = port or free_port()
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn.Config(app, **options(settings) | {"timeout_graceful_shutdown": 10}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, "the service takes too long to start"
            time.sleep(0.01)
        try:
            yield Service(f"http://127.0.0.1:{port}", app.state.service, keys or {})
        finally:
            server.should_exit = True
            thread.join(timeout=60)
            assert not thread.is_alive(), "the service did not stop"


def make_keys(url: str) -> dict[Role, str]:
    """Grant viewers to read and editors to do everything with each table, and make a key of each role."""

    async def make(session: AsyncSession) -> dict[Role, str]:
        for table in ("airlines", "airports", "planes", "weather", "flights"):
            await accounts.grant(session, Role.VIEWER, table, [Action.READ], None)
            await accounts.grant(session, Role.EDITOR, table, list(OF_TABLES), None)
        return {role: (await accounts.create_key(session, f"test {role}", role, None)).key for role in Role}

    return in_session(url, make)


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    """The problem document of an answer, checked for the members that each has."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["type"] == f"urn:rowhouse:problem:{document['code']}"
    assert document["message"] == document["detail"]
    return document
