"""A feed under load: many feeds, large rows, slow clients, and pools that others have emptied."""

import asyncio
import itertools
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic, sleep

import asyncpg
import httpx2
import pytest
from websockets.sync.client import connect

from service.api.v1 import feed_stream
from service.core.types import Role
from service.crud import accounts
from service.events.channel import End, FeedEnded, Subscriber
from service.events.event import Event, Kind
from service.events.log import Page
from service.events.position import Position
from service.serving.websocket import WebSocketProtocol
from tests.conftest import Database
from tests.events.client import following
from tests.service_under_test import Service, in_session, run_service

_CHANGES = "/api/v1/airlines/-/changes"
_POOL = 16
_LARGE = 200_000


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%'")


def _refuse(_page: Page) -> bool:
    return False


def _page(name: str, body: bytes = b"{}") -> Page:
    return Page([Event(name, Kind.INSERT, body)], 1, name, is_full=False)


def _environment(database: Database, **others: str) -> dict[str, str]:
    return {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40} | others


def test_however_many_feeds_there_are_requests_have_connections(database: Database, keys: dict[Role, str]) -> None:
    """The pool keeps what was open at once."""
    with run_service(_environment(database, POOL_MAX_SIZE=str(_POOL)), keys) as service, ExitStack() as feeds:
        several = [feeds.enter_context(following(service, f"{_CHANGES}?name=neq.{n}")) for n in range(24)]
        for feed in several:
            feed.next("up-to-date")
        database.execute("insert into airlines select '~' || n, 'x' from generate_series(1, 50) n")
        for feed in several:
            assert feed.change()["table"] == "airlines"
        assert service.state.connected().pool.sizes()[0] <= _POOL // 2


def test_the_guard_waits_for_nobody(service: Service, database: Database) -> None:
    key = in_session(database.service_url, lambda session: accounts.create_key(session, "guarded", Role.ADMIN, None))

    def ticket() -> None:
        with service.client(Role.ADMIN) as client:
            client.post("/api/v1/-/tickets")

    async def exhausted() -> str:
        """All connections of the control plane wait for a lock."""
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("begin; lock table rowhouse.tickets")
            for _ in range(8):
                threads.submit(ticket)
            while await connection.fetchval("select count(*), pg_sleep(0.01) from pg_locks where not granted") < 5:
                pass
            await asyncio.to_thread(
                database.execute, "update rowhouse.api_keys set revoked_at = now() where name = 'guarded'"
            )
            return str((await asyncio.to_thread(feed.next, seconds=1.5))["type"])
        finally:
            await connection.close()

    with ThreadPoolExecutor(8) as threads, following(service, _CHANGES, key=key.key) as feed:
        feed.next("up-to-date")
        assert asyncio.run(exhausted()) == "revoked"


def test_a_poll_whose_client_has_gone_counts_no_more(database: Database, keys: dict[Role, str]) -> None:
    with run_service(_environment(database, FEED_MAX_CONNECTIONS="1"), keys) as service:
        with service.client(Role.ADMIN) as client:
            cursor = client.get(_CHANGES).json()["cursor"]
            with pytest.raises(httpx2.ReadTimeout):
                client.get(_CHANGES, params={"cursor": cursor, "wait": "60"}, timeout=0.5)
        until = monotonic() + 60
        with service.client(Role.ADMIN) as client:
            while (answer := client.get(_CHANGES)).status_code == 429 and monotonic() < until:
                sleep(0.1)
        assert answer.status_code == 200


def test_a_client_that_takes_large_rows_slowly_gets_them_all(
    service: Service, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is only let go where it takes nothing."""
    monkeypatch.setattr(feed_stream, "_SEND_SECONDS", 2)
    with service.client(Role.ADMIN) as client:
        cursor = client.get(_CHANGES).json()["cursor"]
    database.execute(f"insert into airlines select '~' || n, repeat('x', {_LARGE}) from generate_series(1, 100) n")
    host, port = service.url.removeprefix("http://").split(":")
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        stream.settimeout(5)
        stream.connect((host, int(port)))
        lines = [f"GET {_CHANGES} HTTP/1.1", "Host: x", "Accept: text/event-stream", f"Last-Event-ID: {cursor}"]
        stream.sendall("\r\n".join([*lines, f"X-API-Key: {service.keys[Role.ADMIN]}", "", ""]).encode())
        tail = b""
        while b"up-to-date" not in tail:
            data = stream.recv(65_536)
            assert data, "the feed has ended"
            tail = tail[-100:] + data
            sleep(0.01)


def test_a_web_socket_that_does_not_read_for_a_while_gets_all_in_order(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be written at once is; the rest waits behind it, and what comes then behind that."""
    written = Counter[bool]()
    really_write = WebSocketProtocol.write

    def write(protocol: WebSocketProtocol, frames: bytes) -> bool:
        is_written = really_write(protocol, frames)
        written[is_written] += 1
        return is_written

    monkeypatch.setattr(WebSocketProtocol, "write", write)
    address = service.url.replace("http", "ws") + _CHANGES
    headers = {"X-API-Key": service.keys[Role.ADMIN]}
    names = [f"~{number}" for number in range(300)]
    with (
        connect(address, additional_headers=headers, max_queue=1, max_size=None) as feed,
        service.client(Role.ADMIN) as api,
    ):
        while json.loads(feed.recv(60))["type"] != "up-to-date":
            pass
        for name in names:
            api.post("/api/v1/airlines", json={"carrier": name, "name": "x" * (_LARGE // 4)}).raise_for_status()
        events = (json.loads(feed.recv(60)) for _ in itertools.count())
        told = list(itertools.islice((one for one in events if one["type"] != "heartbeat"), len(names)))
    assert [one.get("key") for one in told] == [{"carrier": name} for name in names]
    assert written[True]
    assert written[False]


def test_a_gap_begins_behind_what_was_written_at_once(database: Database, keys: dict[Role, str]) -> None:
    with run_service(_environment(database, FEED_QUEUE="10"), keys) as service, service.client(Role.ADMIN) as api:
        address, headers = service.url.replace("http", "ws") + _CHANGES, {"X-API-Key": service.keys[Role.ADMIN]}
        with connect(address, additional_headers=headers, max_size=None) as feed:
            events = (json.loads(feed.recv(60)) for _ in itertools.count())
            next(one for one in events if one["type"] == "up-to-date")
            keys_told = []
            for letter in "abc":
                api.post("/api/v1/airlines", json={"carrier": f"~{letter}", "name": "x"}).raise_for_status()
                keys_told.append(next(one for one in events if one["type"] == "insert")["key"]["carrier"])
            sleep(0.3)  # until the feed waits for more
            database.execute("insert into airlines select '~' || n, repeat('x', 5000) from generate_series(1, 20) n")
            rest = list(itertools.takewhile(lambda one: one["type"] != "up-to-date", events))
    assert "gap" in {one["type"] for one in rest}
    keys_told += [one["key"]["carrier"] for one in rest if one["type"] == "insert"]
    assert keys_told == ["~a", "~b", "~c", *(f"~{number}" for number in range(1, 21))]


def test_who_begins_to_follow_waits_so_long_and_holds_up_nobody_else(database: Database, keys: dict[Role, str]) -> None:
    """What feeds ask first stands still: those in line are refused in time, and others do not stand in it."""
    environment = _environment(database, POOL_MAX_SIZE="16", POOL_TIMEOUT="1", STATEMENT_TIMEOUT="30")

    async def stand_still(service: Service) -> tuple[list[int], float]:
        connection = await asyncpg.connect(database.owner_url)
        try:
            await connection.execute("begin; lock table rowhouse.tracked")
            polls = [asyncio.to_thread(_status, service, _CHANGES) for _ in range(6)]
            begun = monotonic()
            several = asyncio.gather(*polls)
            _, waiting = await asyncio.wait({several}, timeout=3)
            assert waiting, "those that ask wait for the lock"
            assert await asyncio.to_thread(_status, service, "/api/v1/airlines?limit=1") == 200
            await connection.execute("rollback")
            return await several, monotonic() - begun
        finally:
            await connection.close()

    with run_service(environment, keys) as service:
        statuses, seconds = asyncio.run(stand_still(service))
    assert sorted(statuses) == [200, 200, 503, 503, 503, 503]
    assert seconds < 10


def _status(service: Service, path: str) -> int:
    with service.client(Role.ADMIN) as client:
        return client.get(path).status_code


async def test_who_waits_for_nothing_is_given_events_at_once() -> None:
    given: list[str] = []
    takes = True

    def give(page: Page) -> bool:
        if takes:
            given.append(page.cursor)
        return takes

    subscriber = Subscriber(10, 0, give)
    subscriber.offer(_page("1"))
    assert not given, "it is not yet waiting: somebody is still being given what was before"
    assert [event.id for event in await subscriber.take()] == ["1"]
    waiting = asyncio.create_task(subscriber.take())
    await asyncio.sleep(0)
    subscriber.offer(_page("2"))
    assert given == ["2"]
    takes = False
    subscriber.offer(_page("3"))
    takes = True
    subscriber.offer(_page("4"))
    assert [event.id for event in await waiting] == ["3", "4"]
    assert given == ["2"]


async def test_what_waits_for_a_client_is_bounded_in_bytes() -> None:
    subscriber = Subscriber(1000, 0, _refuse)
    assert subscriber.offer(_page("1", bytes(50_000_000))), "who has read all gets the next page, however large"
    assert not subscriber.offer(_page("2", b"1"))
    assert subscriber.has_gap
    assert subscriber.depth == 0


async def test_who_waits_to_join_is_not_kept_waiting_without_a_word() -> None:
    subscriber = Subscriber(1000, 0, _refuse)
    assert not await subscriber.has_joined(0.01)
    subscriber.join(Position.at("7:7:"))
    assert await subscriber.has_joined(0.01)
    other = Subscriber(1000, 0, _refuse)
    other.end(End.REVOKED)
    with pytest.raises(FeedEnded):
        await other.has_joined(0.01)
