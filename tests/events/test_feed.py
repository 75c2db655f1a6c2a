"""The live feed, over its three transports."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websockets
from websockets.sync.client import connect
from websockets.typing import Origin

from service.core.types import Action, Role
from service.crud import accounts
from service.events.position import Cursor, Cursors
from tests.conftest import Database
from tests.events.client import Stream, following
from tests.service_under_test import Service, in_session, problem_of, run_service

_AIRLINES = "/api/v1/airlines"
_CHANGES = f"{_AIRLINES}/-/changes"


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    """No grants but a test's own; those of other tests come back."""
    columns = "role, table_name, action, row_filter"
    others = database.execute(f"delete from rowhouse.grants returning {columns}")
    yield
    database.execute("delete from airlines where carrier like '~%'")
    database.execute("delete from rowhouse.grants")
    for grant in others:
        database.execute(f"insert into rowhouse.grants ({columns}) values ($1, $2, $3, $4)", *grant)


def _add(service: Service, carrier: str, name: str = "x") -> None:
    with service.client(Role.ADMIN) as client:
        assert client.post(_AIRLINES, json={"carrier": carrier, "name": name}).status_code == 201


def _grant(database: Database, role: Role, where: str | None) -> None:
    in_session(database.service_url, lambda session: accounts.grant(session, role, "airlines", [Action.READ], where))


def test_each_change_comes_with_its_row_and_version(service: Service) -> None:
    with following(service, _CHANGES) as feed, service.client(Role.ADMIN) as client:
        feed.next("up-to-date")
        version = client.post(_AIRLINES, json={"carrier": "~1", "name": "a"}).headers["etag"]
        inserted = feed.change()
        assert inserted["type"] == "insert"
        assert inserted["row"] == {"carrier": "~1", "name": "a"}
        assert inserted["_etag"] == version
        assert client.patch(f"{_AIRLINES}/~1", json={"name": "b"}, headers={"If-Match": version}).status_code == 200
        updated = feed.change()
        assert (updated["type"], updated["key"], updated["row"]["name"]) == ("update", {"carrier": "~1"}, "b")
        client.delete(f"{_AIRLINES}/~1")
        deleted = feed.change()
        assert (deleted["type"], deleted["key"]) == ("delete", {"carrier": "~1"})
        assert "row" not in deleted


def test_changes_made_beside_the_service_come_as_well(service: Service, database: Database) -> None:
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        database.execute("insert into airlines values ('~2', 'from psql')")
        assert feed.change()["row"]["name"] == "from psql"


def test_what_was_rolled_back_never_comes(service: Service, database: Database) -> None:
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        with pytest.raises(Exception, match="division"):
            database.execute("with w as (insert into airlines values ('~3', 'x') returning 1) select 1/0 from w")
        _add(service, "~4")
        assert feed.change()["key"] == {"carrier": "~4"}


def test_a_client_that_returns_misses_and_repeats_nothing(service: Service) -> None:
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        with service.client(Role.ADMIN) as client:
            client.post(_AIRLINES, json=[{"carrier": f"~{n}", "name": "x"} for n in "abc"])
        first = feed.change()
    _add(service, "~d")
    with following(service, _CHANGES, last_id=first["id"]) as feed:
        assert [feed.change()["key"]["carrier"] for _ in range(3)] == ["~b", "~c", "~d"]
        feed.next("up-to-date")
        assert feed.silent_for(0.5)


def test_a_transaction_that_commits_late_is_not_lost(service: Service, database: Database) -> None:
    """It has the lower number, and ends after one with a higher."""

    async def late(feed: Stream) -> dict[str, Any]:
        import asyncpg

        connection = await asyncpg.connect(database.owner_url)
        try:
            async with connection.transaction():
                await connection.execute("insert into airlines values ('~l', 'late')")
                await asyncio.to_thread(_add, service, "~e")
                event = await asyncio.to_thread(feed.change)
        finally:
            await connection.close()
        return event

    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        early = asyncio.run(late(feed))
        assert early["key"] == {"carrier": "~e"}
        assert feed.change()["key"] == {"carrier": "~l"}
    with following(service, _CHANGES, last_id=early["id"]) as feed:
        assert feed.change()["key"] == {"carrier": "~l"}


def test_rows_move_into_and_out_of_a_filter(service: Service, database: Database) -> None:
    with following(service, f"{_CHANGES}?name=eq.in&select=code:carrier") as feed:
        feed.next("up-to-date")
        _add(service, "~5", "out")
        database.execute("update airlines set name = 'in' where carrier = '~5'")
        came = feed.change()
        assert (came["type"], came["moved"], came["row"]) == ("insert", "in", {"code": "~5"})
        database.execute("update airlines set name = 'out' where carrier = '~5'")
        went = feed.change()
        assert (went["type"], went["moved"], went["key"]) == ("delete", "out", {"carrier": "~5"})
        assert "row" not in went


def test_a_row_that_may_no_longer_be_seen_is_a_delete_with_its_key_alone(service: Service, database: Database) -> None:
    _grant(database, Role.VIEWER, "name=neq.secret")
    with following(service, _CHANGES, Role.VIEWER) as feed:
        feed.next("up-to-date")
        _add(service, "~6", "secret")
        _add(service, "~7", "plain")
        assert feed.change()["key"] == {"carrier": "~7"}
        database.execute("update airlines set name = 'secret' where carrier = '~7'")
        gone = feed.change()
        assert set(gone) == {"id", "type", "table", "key", "at"}
        assert gone["type"] == "delete"


def test_a_key_that_changes_is_told(service: Service, database: Database) -> None:
    _add(service, "~8")
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        database.execute("update airlines set carrier = '~9' where carrier = '~8'")
        changed = feed.change()
        assert (changed["old_key"], changed["key"]) == ({"carrier": "~8"}, {"carrier": "~9"})


def test_the_rows_first_and_then_what_happens(service: Service) -> None:
    _add(service, "~A")
    with following(service, f"{_CHANGES}?snapshot=true&carrier=like.~*") as feed:
        assert feed.next()["rows"] == [{"carrier": "~A", "name": "x"}]
        assert feed.next()["type"] == "ready"
        feed.next("up-to-date")
        _add(service, "~B")
        assert feed.change()["key"] == {"carrier": "~B"}


def test_several_tables_in_one_feed(service: Service, database: Database) -> None:
    url = "/api/v1/-/changes?tables=airlines,planes&airlines.carrier=like.~*&planes.select=tailnum"
    with following(service, url) as feed:
        feed.next("up-to-date")
        database.execute("update planes set seats = seats where tailnum = 'N10156'")
        database.execute("update airlines set name = name where carrier = 'UA'")
        _add(service, "~C")
        first, second = feed.change(), feed.change()
        assert (first["table"], first["row"]) == ("planes", {"tailnum": "N10156"})
        assert (second["table"], second["key"]) == ("airlines", {"carrier": "~C"})


def test_long_poll_returns_at_once_what_there_is_and_waits_for_what_comes(service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        start = client.get(_CHANGES).json()
        assert start["events"] == []
        _add(service, "~D")
        found = client.get(_CHANGES, params={"cursor": start["cursor"]}).json()
        assert [event["key"] for event in found["events"]] == [{"carrier": "~D"}]
        nothing = client.get(_CHANGES, params={"cursor": found["cursor"], "wait": "1"}).json()
        assert nothing["events"] == []
        client.delete(f"{_AIRLINES}/~D")
        at_once = client.get(_CHANGES, params={"cursor": nothing["cursor"], "wait": "0"}).json()
        assert [event["type"] for event in at_once["events"]] == ["delete"]
        last = client.get(_CHANGES, params={"cursor": nothing["cursor"]}).json()
        assert [event["type"] for event in last["events"]] == ["delete"]


def test_web_sockets_carry_the_same_events(service: Service) -> None:
    url = service.url.replace("http", "ws") + _CHANGES
    with connect(url, additional_headers={"X-API-Key": service.keys[Role.ADMIN]}) as socket:
        assert [json.loads(socket.recv(60))["type"] for _ in range(2)] == ["ready", "up-to-date"]
        _add(service, "~E")
        event = json.loads(socket.recv(60))
    with connect(f"{url}?cursor={event['id']}", additional_headers={"X-API-Key": service.keys[Role.ADMIN]}) as socket:
        assert [json.loads(socket.recv(60))["type"] for _ in range(2)] == ["ready", "up-to-date"]


def test_a_web_socket_that_is_refused_says_why(service: Service) -> None:
    url = service.url.replace("http", "ws")
    with pytest.raises(websockets.InvalidStatus) as refused, connect(f"{url}{_CHANGES}"):
        pass
    assert refused.value.response.status_code == 401
    key = {"X-API-Key": service.keys[Role.ADMIN]}
    with (
        pytest.raises(websockets.InvalidStatus) as refused,
        connect(f"{url}{_CHANGES}?nope=eq.1", additional_headers=key),
    ):
        pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["code"]


def test_a_page_of_another_origin_may_not_open_a_web_socket(service: Service) -> None:
    url = service.url.replace("http", "ws") + _CHANGES
    key = {"X-API-Key": service.keys[Role.ADMIN]}
    with (
        pytest.raises(websockets.InvalidStatus),
        connect(url, additional_headers=key, origin=Origin("https://evil.example")),
    ):
        pass
    with connect(url, additional_headers=key, origin=Origin("https://shiny.example.org")) as socket:
        assert json.loads(socket.recv(60))["type"] == "ready"


def test_a_ticket_opens_one_feed(service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        issued = client.post("/api/v1/-/tickets").json()
    assert issued["expires_in"] == 30
    url = f"{_CHANGES}?ticket={issued['ticket']}"
    with following(service, url, None) as feed:
        feed.next("up-to-date")
    with service.client(None) as client:
        again = client.get(url)
        assert again.status_code == 401
        assert "ticket" in problem_of(again)["detail"]


def test_a_ticket_of_30_seconds_ago_opens_nothing(service: Service, database: Database) -> None:
    with service.client(Role.ADMIN) as client:
        ticket = client.post("/api/v1/-/tickets").json()["ticket"]
        database.execute("update rowhouse.tickets set expires_at = now()")
    with service.client(None) as client:
        assert client.get(f"{_CHANGES}?ticket={ticket}").status_code == 401


def test_a_revoked_key_is_cut_off_within_a_second(service: Service, database: Database) -> None:
    key = in_session(
        database.service_url, lambda session: accounts.create_key(session, "to be revoked", Role.ADMIN, None)
    )
    with following(service, _CHANGES, key=key.key) as feed:
        feed.next("up-to-date")
        database.execute("update rowhouse.api_keys set revoked_at = now() where name = 'to be revoked'")
        assert feed.next(seconds=1.0)["type"] == "revoked"
        assert feed.ended()


def test_a_grant_that_changes_ends_the_feed(service: Service, database: Database) -> None:
    _grant(database, Role.VIEWER, None)
    with following(service, _CHANGES, Role.VIEWER) as feed:
        feed.next("up-to-date")
        database.execute("update rowhouse.grants set row_filter = 'carrier=eq.UA'")
        assert feed.next()["type"] == "must-refetch"
        assert feed.ended()
    with following(service, _CHANGES, Role.VIEWER) as feed:
        feed.next("up-to-date")
        database.execute("delete from rowhouse.grants")
        assert feed.next()["type"] == "forbidden"
        assert feed.ended()


def test_other_grants_do_not_disturb(service: Service, database: Database) -> None:
    _grant(database, Role.VIEWER, None)
    with following(service, _CHANGES, Role.VIEWER) as feed:
        feed.next("up-to-date")
        in_session(
            database.service_url, lambda session: accounts.grant(session, Role.EDITOR, "planes", [Action.READ], None)
        )
        assert feed.silent_for(1.5)
        _add(service, "~F")
        assert feed.change()["key"] == {"carrier": "~F"}


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("order=name", "order"),
        ("limit=5", "limit"),
        ("select=carrier,flights(id)", "embedded"),
        ("select=count()", "aggregate"),
        ("nope=eq.1", "nope"),
        ("name=like", "name"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=a.b.c", "cursor"),
        ("wait=x", "wait"),
        ("wait=61", "60"),
        ("snapshot=maybe", "snapshot"),
        ("tables=planes", "tables"),
    ],
)
def test_what_a_feed_does_not_have_is_refused_in_words(service: Service, query: str, word: str) -> None:
    with service.client(Role.ADMIN) as client:
        answer = client.get(f"{_CHANGES}?{query}")
    assert answer.status_code == 400, answer.text
    assert word in answer.text


def test_a_value_that_does_not_fit_is_refused_at_once(service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        answer = client.get("/api/v1/flights/-/changes?id=eq.abc")
    assert answer.status_code == 400
    assert "abc" in answer.text or "integer" in answer.text


def test_feeds_obey_the_grants(service: Service) -> None:
    with service.client(Role.VIEWER) as client:
        assert client.get(_CHANGES).status_code == 404
    with service.client(None) as client:
        assert client.get(_CHANGES).status_code == 401
    with service.client(Role.ADMIN) as client:
        assert client.get("/api/v1/-/changes?tables=airlines,nope").status_code == 404
        assert client.post(_CHANGES).status_code == 405


def test_a_table_that_is_not_tracked_says_so(service: Service, database: Database) -> None:
    database.execute("select rowhouse.untrack('planes')")
    try:
        with service.client(Role.ADMIN) as client:
            answer = client.get("/api/v1/planes/-/changes")
    finally:
        database.execute("select rowhouse.track('planes')")
    assert answer.status_code == 409
    assert problem_of(answer)["code"] == "not_tracked"


def test_columns_that_never_enter_the_log_are_neither_shown_nor_filtered_by(
    service: Service, database: Database
) -> None:
    """The log has NULL for them, which a condition may take for something else."""
    database.execute("select rowhouse.track('airlines', '{name}')")
    try:
        with following(service, _CHANGES) as feed, service.client(Role.ADMIN) as client:
            feed.next("up-to-date")
            _add(service, "~J", "secret")
            assert feed.change()["row"] == {"carrier": "~J"}
            assert client.get(f"{_CHANGES}?name=is.null").status_code == 409
        _grant(database, Role.VIEWER, "name=isdistinct.secret")
        with service.client(Role.VIEWER) as client:
            assert client.get(_CHANGES).status_code == 409
    finally:
        database.execute("select rowhouse.untrack('airlines')")
        database.execute("select rowhouse.track('airlines')")


def test_a_table_with_row_level_security_has_no_feed(service: Service, database: Database) -> None:
    """The log does not know of it."""
    database.execute("alter table airlines enable row level security")
    try:
        with service.client(Role.ADMIN) as client:
            assert client.get(_CHANGES).status_code == 409
    finally:
        database.execute("alter table airlines disable row level security")


def test_the_last_id_goes_before_the_cursor_of_the_url(service: Service) -> None:
    """EventSource comes back with its id, and with the URL that it began with."""
    with service.client(Role.ADMIN) as client:
        begun = client.get(_CHANGES).json()["cursor"]
        _add(service, "~K")
        later = client.get(_CHANGES).json()["cursor"]
    with following(service, f"{_CHANGES}?cursor={begun}", last_id=later) as feed:
        feed.next("up-to-date")
        assert feed.silent_for(0.5)


def test_a_revoked_key_is_cut_off_while_it_catches_up(service: Service, database: Database) -> None:
    with service.client(Role.ADMIN) as client:
        begun = client.get("/api/v1/flights/-/changes").json()["cursor"]
    database.execute("update flights set dep_delay = dep_delay where id <= 60000")
    key = in_session(database.service_url, lambda session: accounts.create_key(session, "slow", Role.ADMIN, None))
    with following(service, f"/api/v1/flights/-/changes?cursor={begun}", key=key.key) as feed:
        feed.change()
        database.execute("update rowhouse.api_keys set revoked_at = now() where name = 'slow'")
        assert feed.next("revoked", "up-to-date")["type"] == "revoked"


def test_so_many_feeds_of_one_principal(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "FEED_MAX_CONNECTIONS": "1"}
    with run_service(environment, keys) as service, following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        with service.client(Role.ADMIN) as client:
            answer = client.get(_CHANGES)
        assert answer.status_code == 429
        assert answer.headers["retry-after"]


def test_a_write_through_one_process_is_seen_through_another(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "FEED_POLL_SECONDS": "60"}
    with (
        run_service(environment, keys) as one,
        run_service(environment, keys) as other,
        following(other, _CHANGES) as feed,
    ):
        feed.next("up-to-date")
        _add(one, "~G")  # nobody polls for a minute: it is told
        event = feed.next("insert")
        with following(one, _CHANGES, last_id=event["id"]) as resumed:
            resumed.next("up-to-date")
            assert resumed.silent_for(0.3)


def test_a_slow_client_is_told_of_the_gap_and_gets_it_all(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "FEED_QUEUE": "10"}
    with run_service(environment, keys) as service, following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        database.execute("insert into airlines select '~' || n, 'x' from generate_series(1, 300) n")
        assert feed.next("gap", "insert")["type"] == "gap"
        keys_seen = [feed.change()["key"]["carrier"] for _ in range(300)]
        assert len(set(keys_seen)) == 300


def test_what_retention_has_dropped_must_be_read_again(service: Service, database: Database) -> None:
    with service.client(Role.ADMIN) as client:
        old = client.get(_CHANGES).json()["cursor"]
        _add(service, "~H")
        database.execute(
            "update rowhouse.log_state set floor_xid = (select max(xid) from rowhouse.changes), "
            "floor_snapshot = pg_current_snapshot()"
        )
        try:
            answer = client.get(_CHANGES, params={"cursor": old})
            assert answer.status_code == 410
            assert problem_of(answer)["code"] == "must_refetch"
            with following(service, _CHANGES, last_id=old) as feed:
                assert feed.next()["type"] == "must-refetch"
                feed.next("up-to-date")
            assert client.get(_CHANGES).status_code == 200
        finally:
            database.execute("update rowhouse.log_state set floor_xid = null, floor_snapshot = null")


def test_cursors_of_another_life_feed_or_secret_must_be_read_again(service: Service, database: Database) -> None:
    """What another filter or other rights left out is not in the log behind the cursor."""
    with service.client(Role.ADMIN) as client:
        cursors = service.state.connected().hub.log.cursors
        text = client.get(_CHANGES).json()["cursor"]
        cursor = cursors.read(text)
        elsewhere = Cursor("elsewhere", cursor.feed, cursor.position)
        for given, query in (
            (cursors.write(elsewhere), {}),
            (Cursors("another secret").write(cursor), {}),
            (text, {"name": "eq.x"}),
            (text, {"select": "carrier"}),
        ):
            answer = client.get(_CHANGES, params=query | {"cursor": given, "wait": "0"})
            assert (answer.status_code, problem_of(answer)["code"]) == (410, "must_refetch"), query
        assert client.get(_CHANGES, params={"cursor": text, "wait": "0"}).status_code == 200


def test_a_table_that_is_tracked_anew_sends_its_followers_back(service: Service, database: Database) -> None:
    """Else they would wait for ever for changes that are not logged, or miss those in between."""
    try:
        with following(service, _CHANGES) as feed:
            last = feed.next("up-to-date")["id"]
            database.execute("select rowhouse.untrack('airlines')")
            assert feed.next("reconnect")
    finally:
        database.execute("select rowhouse.track('airlines')")
    with following(service, _CHANGES, last_id=last) as feed:
        assert feed.next()["type"] == "must-refetch"


def test_a_truncate_whose_rows_could_not_be_logged_must_be_read_again(service: Service, database: Database) -> None:
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        database.execute(
            "insert into rowhouse.changes (xid, at, tracked, op, db_user) select pg_current_xact_id(), now(), id, 't', "
            "session_user from rowhouse.tracked where relation = 'airlines'::regclass and until is null"
        )
        assert feed.next()["type"] == "must-refetch"


def test_heartbeats_and_their_place(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "FEED_HEARTBEAT_SECONDS": "0.2"}
    with run_service(environment, keys) as service:
        headers = {"X-API-Key": keys[Role.ADMIN]}
        with connect(service.url.replace("http", "ws") + _CHANGES, additional_headers=headers) as socket:
            kinds = [json.loads(socket.recv(60))["type"] for _ in range(4)]
    assert kinds[:2] == ["ready", "up-to-date"]
    assert set(kinds[2:]) == {"heartbeat"}


def test_metrics_of_the_feed(service: Service) -> None:
    with following(service, _CHANGES) as feed:
        feed.next("up-to-date")
        _add(service, "~I")
        feed.change()
        with service.http() as client:
            text = client.get("/metrics").text
    assert "rowhouse_feed_subscribers 1.0" in text
    assert "rowhouse_feed_follower_lag_seconds_count" in text
    assert "rowhouse_feed_events_total" in text
