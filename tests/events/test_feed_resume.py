"""Where a feed goes on: cursors that mean nothing any more, connections that were lost, tables that were changed."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import pytest
import websockets
from websockets.sync.client import connect
from websockets.typing import Origin

from service.core.types import Role
from service.events.position import Cursor, Cursors, Position
from tests.conftest import Database
from tests.events.client import following
from tests.service_under_test import Service, run_service

_AIRLINES = "/api/v1/airlines"
_CHANGES = f"{_AIRLINES}/-/changes"
_KILL_FOLLOWERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where pid <> pg_backend_pid() and datname = current_database() and query like '%pg_current_snapshot()::text%'
"""


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%'")


def test_a_cursor_that_ends_ahead_of_the_present_must_be_read_again(service: Service) -> None:
    """A crash takes numbers of transactions back that left nothing on disk: others get them."""
    with service.client(Role.ADMIN) as client:
        cursors = service.state.connected().hub.log.cursors
        cursor = cursors.read(client.get(_CHANGES).json()["cursor"])
        seen = cursor.position.seen
        ahead = int(seen.split(":")[1]) + 1_000_000
        for until, status in ((f"{ahead}:{ahead}:", 410), (seen, 200)):
            text = cursors.write(Cursor(cursor.life, cursor.feed, Position(seen, until, 1)))
            answer = client.get(_CHANGES, params={"cursor": text, "wait": "0"})
            assert answer.status_code == status, answer.text


def test_a_cursor_of_an_earlier_release_is_of_no_life() -> None:
    """It was signed with the same secret, and did not know its feed."""
    key = hmac.digest(b"secret", b"rowhouse feed cursor", "sha256")
    text = urlsafe_b64encode(b"4d31a3fb 700:5 ").rstrip(b"=")
    signature = urlsafe_b64encode(hmac.digest(key, text, "sha256")[:9])
    assert Cursors("secret").read(f"{text.decode()}.{signature.decode()}.7").life == ""


def test_a_follower_that_lost_its_connection_looks_at_once(database: Database, keys: dict[Role, str]) -> None:
    """What woke it was lost with the connection, and nobody polls for a minute."""
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "FEED_POLL_SECONDS": "60"}
    with run_service(environment, keys) as service, following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        assert database.execute_as_superuser(_KILL_FOLLOWERS)
        with service.client(Role.ADMIN) as client:
            client.post(_AIRLINES, json={"carrier": "~1", "name": "x"})
        assert feed.next("insert")["key"] == {"carrier": "~1"}


def test_a_column_that_enters_the_log_again_must_be_read_again(service: Service, database: Database) -> None:
    """While it was left out the log had NULL for it, which a filter would take for its value."""
    url = f"{_CHANGES}?name=isdistinct.secret"
    try:
        with following(service, url) as feed:
            last = feed.next("up-to-date")["id"]
            database.execute("select rowhouse.track('airlines', '{name}')")
            assert feed.next()["type"] == "reconnect"
        database.execute("insert into airlines values ('~2', 'secret')")
        database.execute("select rowhouse.track('airlines')")
        with following(service, url, last_id=last) as feed:
            assert feed.next()["type"] == "must-refetch"
            feed.next("up-to-date")
            assert feed.silent_for(0.5)
    finally:
        database.execute("select rowhouse.untrack('airlines')")
        database.execute("select rowhouse.track('airlines')")


def test_an_origin_that_cannot_be_read_is_refused(service: Service) -> None:
    url = service.url.replace("http", "ws") + _CHANGES
    key = {"X-API-Key": service.keys[Role.ADMIN]}
    with (
        pytest.raises(websockets.InvalidStatus) as refused,
        connect(url, additional_headers=key, origin=Origin("http://[evil")),
    ):
        pass
    assert refused.value.response.status_code == 403
    with connect(url, additional_headers=key, origin=Origin(service.url)):
        pass
