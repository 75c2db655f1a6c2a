"""Changes arrive at receivers, signed, in order, whatever these answer."""

import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler

import pytest
from standardwebhooks import Webhook as Verifier

from service.core.types import Role
from service.crud import accounts
from service.state import ServiceState
from tests.conftest import Database
from tests.service_under_test import Service, in_session
from tests.waiting import until
from tests.webhooks.conftest import Make, add_parcels, grant
from tests.webhooks.receiver import Receiver, drip, hang, status
from tests.webhooks.worker import run_worker

pytestmark = pytest.mark.usefixtures("tidy")


def test_each_change_arrives_as_the_feed_has_it_and_is_signed(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    add_parcels(database, 1)
    database.execute("update parcels set note = 'seen' where id = 1")
    database.execute("delete from parcels where id = 1")
    requests = receiver.wait_for(3)
    for request in requests:
        Verifier(webhook.secret).verify(request.body, request.headers)
    messages = [request.message for request in requests]
    assert [one["type"] for one in messages] == ["parcels.inserted", "parcels.updated", "parcels.deleted"]
    assert messages[1]["data"]["row"] == {"id": 1, "carrier": "UA", "note": "seen"}
    assert messages[2]["data"]["key"] == {"id": 1}
    assert messages[0]["timestamp"] == messages[0]["data"]["at"]
    assert len({request.id for request in requests}) == 3
    webhook.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["delivered"] * 3)


def test_filter_and_events_choose_what_is_sent(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    make(filter="carrier=eq.AA&select=id", events=["delete", "update"])
    add_parcels(database, 1, carrier="UA")
    add_parcels(database, 2, carrier="AA")
    database.execute("update parcels set note = 'x'")
    database.execute("delete from parcels")
    requests = receiver.wait_for(2)
    time.sleep(0.2)
    assert len(receiver.requests) == 2
    assert requests[0].row == {"id": 2}
    assert requests[1].message["type"] == "parcels.deleted"


def test_a_receiver_that_fails_gets_the_same_message_again(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    receiver.answers += [status(500, b"out of \0 order"), status(503), status(200, b"thanks")]
    webhook = make()
    add_parcels(database, 1)
    requests = receiver.wait_for(3)
    assert len({(request.id, request.body) for request in requests}) == 1
    webhook.wait_until(lambda one: one.deliveries()[0]["state"] == "delivered")
    delivery = webhook.deliveries()[0]
    assert (delivery["attempts"], delivery["status"], delivery["answer"]) == (3, 200, "thanks")
    webhook.wait_until(lambda one: one.client.get(one.path).json()["failing_since"] is None)


def test_after_the_last_attempt_a_delivery_is_dead_and_its_row_goes_on(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    receiver.answers += [status(500)] * 3 + [status(204)]
    webhook = make()
    add_parcels(database, 1)
    database.execute("update parcels set note = 'second'")
    requests = receiver.wait_for(4)
    assert [one.message["type"] for one in requests] == ["parcels.inserted"] * 3 + ["parcels.updated"]
    webhook.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["delivered", "dead"])
    assert [each["attempts"] for each in webhook.deliveries(state="dead")] == [3]


@pytest.mark.parametrize("answer", [hang(3), drip], ids=["hangs", "drips"])
def test_a_receiver_that_is_slow_is_given_up(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database, answer: Callable[..., None]
) -> None:
    receiver.answers += [answer, status(204)]
    webhook = make()
    add_parcels(database, 1)
    first, second = receiver.wait_for(2)
    assert 0.9 < second.at - first.at < 2.5
    assert first.id == second.id
    webhook.wait_until(lambda one: one.deliveries()[0]["state"] == "delivered")


def test_a_redirect_is_not_followed(worker: ServiceState, make: Make, receiver: Receiver, database: Database) -> None:
    receiver.answers.append(status(307, Location=receiver.url("/elsewhere")))
    webhook = make()
    add_parcels(database, 1)
    webhook.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["dead"])
    assert {request.path for request in receiver.requests} == {"/hook"}
    assert webhook.deliveries()[0]["status"] == 307


def test_gone_disables_the_webhook(worker: ServiceState, make: Make, receiver: Receiver, database: Database) -> None:
    receiver.answers.append(status(410))
    webhook = make()
    add_parcels(database, 1)
    webhook.wait_until(lambda one: one.state() == ("disabled", "The receiver answered 410 Gone."))
    add_parcels(database, 2)
    time.sleep(0.3)
    assert len(receiver.requests) == 1
    receiver.answers[:] = [status(204)]
    webhook.patch(state="active")
    assert receiver.wait_for(2)[1].row["id"] == 2


def test_of_a_huge_answer_only_the_first_bytes_are_read(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    receiver.answers.append(status(200, b"x" * 50_000_000))
    webhook = make()
    add_parcels(database, 1)
    webhook.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["delivered"])
    delivery = webhook.deliveries()[0]
    assert delivery["answer"] == "x" * 4096
    assert delivery["duration_ms"] < 1000


def test_retry_after_is_honoured(worker: ServiceState, make: Make, receiver: Receiver, database: Database) -> None:
    receiver.answers += [status(429, Retry_After="1"), status(204)]
    make()
    add_parcels(database, 1)
    first, second = receiver.wait_for(2)
    assert 1 <= second.at - first.at < 3


def test_a_webhook_that_fails_for_long_is_disabled(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    receiver.answers.append(status(500))
    webhook = make()
    database.execute("update rowhouse.webhooks set failing_since = now() - interval '6 days'")
    add_parcels(database, 1)
    webhook.wait_until(lambda one: one.state() == ("disabled", "All attempts have failed for too long."))


def test_the_changes_of_a_row_arrive_in_order_and_rows_at_the_same_time(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    under_way: list[int] = []
    at_once: list[int] = []

    def slow_and_shaky(handler: BaseHTTPRequestHandler) -> None:
        under_way.append(1)
        at_once.append(len(under_way))
        time.sleep(0.03)
        under_way.pop()
        status(500 if len(receiver.requests) % 7 == 0 else 204)(handler)

    receiver.answers.append(slow_and_shaky)
    make()
    add_parcels(database, *range(1, 9))
    for turn in range(5):
        database.execute("update parcels set note = $1", str(turn))
    # The change of a key belongs to the order of both.
    database.execute("update parcels set id = 100 where id = 1")
    database.execute("insert into parcels values (1, 'UA', 'again')")
    database.execute("update parcels set note = 'last' where id = 100")
    until(lambda: len({request.id for request in receiver.requests}) == 8 * 6 + 3)
    by_key: dict[int, list[str]] = {}
    done: set[str] = set()
    for request in receiver.requests:
        if request.id not in done:
            done.add(request.id)
            data = request.message["data"]
            for key in {data["key"]["id"], data.get("old_key", data["key"])["id"]}:
                by_key.setdefault(key, []).append(data["row"]["note"])
    for key in range(2, 9):
        assert by_key[key] == ["new", "0", "1", "2", "3", "4"]
    assert by_key[1] == ["new", "0", "1", "2", "3", "4", "4", "again"]
    assert by_key[100] == ["4", "last"]
    assert max(at_once) > 1


def test_both_secrets_sign_after_a_rotation(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    rotated = webhook.post("rotate")["secret"]
    assert rotated != webhook.secret
    add_parcels(database, 1)
    (request,) = receiver.wait_for(1)
    for secret in (webhook.secret, rotated):
        Verifier(secret).verify(request.body, request.headers)
    database.execute("update rowhouse.webhooks set rotated_at = now() - interval '25 hours'")
    add_parcels(database, 2)
    request = receiver.wait_for(2)[1]
    Verifier(rotated).verify(request.body, request.headers)
    assert " " not in request.headers["webhook-signature"]


def test_a_ping_and_replays_arrive(worker: ServiceState, make: Make, receiver: Receiver, database: Database) -> None:
    webhook = make()
    assert webhook.post("test")["type"] == "ping"
    assert receiver.wait_for(1)[0].message["type"] == "ping"
    receiver.answers[:] = [status(500)]
    add_parcels(database, 1)
    database.execute("update parcels set note = 'x'")
    webhook.wait_until(lambda one: len(one.deliveries(state="dead")) == 2)
    receiver.answers[:] = [status(204)]
    before = len(receiver.requests)
    assert webhook.post("replay") == {"deliveries": 2}
    again = receiver.wait_for(before + 2)[before:]
    assert [one.message["type"] for one in again] == ["parcels.inserted", "parcels.updated"]
    assert {one.id for one in again} <= {one.id for one in receiver.requests[:before]}
    webhook.wait_until(lambda one: len(one.deliveries(state="delivered")) == 3)
    latest = webhook.deliveries()[0]
    webhook.post(f"deliveries/{latest['id']}/replay")
    assert receiver.wait_for(before + 3)[-1].id == latest["message"]
    webhook.wait_until(lambda one: len(one.deliveries(state="delivered")) == 3)
    assert webhook.post("replay", since=webhook.made["created_at"]) == {"deliveries": 3}
    receiver.wait_for(before + 6)


def test_a_paused_webhook_goes_on_from_where_it_was(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    webhook.patch(state="paused")
    add_parcels(database, 1, 2)
    time.sleep(0.2)
    assert receiver.requests == []
    webhook.patch(state="active")
    assert {one.row["id"] for one in receiver.wait_for(2)} == {1, 2}


@pytest.mark.parametrize(
    "spoil",
    [
        "update rowhouse.webhooks set life = 'another'",
        "update rowhouse.webhooks set seen = '3:3:', until = '3:3:'",
    ],
    ids=["another life", "before what is kept"],
)
def test_where_the_log_is_gone_the_receiver_is_told_once(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database, spoil: str
) -> None:
    webhook = make()
    webhook.patch(state="paused")
    add_parcels(database, 1)
    database.execute(spoil)
    webhook.patch(state="active")
    assert receiver.wait_for(1)[0].message["type"] == "rowhouse.gap"
    add_parcels(database, 2)
    assert receiver.wait_for(2)[1].row["id"] == 2
    assert len(webhook.deliveries()) == 2


def test_a_truncate_whose_rows_could_not_be_logged_is_told(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    make()
    database.execute(
        "insert into rowhouse.changes (xid, at, tracked, op, db_user) select pg_current_xact_id(), now(), id, 't', "
        "session_user from rowhouse.tracked where relation = 'parcels'::regclass and until is null"
    )
    assert receiver.wait_for(1)[0].message["type"] == "rowhouse.gap"


def test_the_owners_rights_decide_at_every_time(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, "carrier=eq.UA")
    webhook = make(Role.VIEWER)
    add_parcels(database, 1, carrier="AA")
    add_parcels(database, 2, carrier="UA")
    assert receiver.wait_for(1)[0].row["id"] == 2
    grant(database, Role.VIEWER, "carrier=eq.AA")
    add_parcels(database, 3, carrier="UA")
    add_parcels(database, 4, carrier="AA")
    assert receiver.wait_for(2)[1].row["id"] == 4
    database.execute("delete from rowhouse.grants where role = 'viewer' and table_name = 'parcels'")
    add_parcels(database, 5, carrier="AA")
    webhook.wait_until(lambda one: one.state() == ("disabled", "The owner may not read the table any more."))
    assert len(receiver.requests) == 2
    assert webhook.client.patch(webhook.path, json={"state": "active"}).status_code == 404


def test_a_revoked_key_disables_its_webhooks(
    api: Service, worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    made = in_session(database.service_url, lambda session: accounts.create_key(session, "gone", Role.EDITOR, None))
    webhook = make(key=made.key)
    in_session(database.service_url, lambda session: accounts.revoke_key(session, made.prefix))
    webhook.client.headers["X-API-Key"] = api.keys[Role.ADMIN]
    webhook.wait_until(lambda one: one.state()[0] == "disabled")
    assert webhook.state()[1] == "The owner's credential or role does not hold any more."
    add_parcels(database, 1)
    time.sleep(0.2)
    assert receiver.requests == []
    refused = webhook.client.patch(webhook.path, json={"state": "active"})
    assert refused.status_code == 409


def test_much_that_waits_stays_in_the_log(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    receiver.answers.append(status(500))
    usual = {**environment, "CREDENTIAL_CACHE_SECONDS": "1"}
    slow = {**usual, "WEBHOOK_MAX_WAITING": "500", "WEBHOOK_RETRY_SECONDS": "3600,3600,3600,3600"}
    with run_worker(slow):
        webhook = make()
        database.execute("insert into parcels select n, 'UA' from generate_series(1, 1200) n")
        receiver.wait_for(500, seconds=60)
        time.sleep(0.3)
        # A page is 500 changes; one that is given up early makes room for the next.
        assert database.execute("select count(*) from rowhouse.deliveries")[0][0] <= 1000
    receiver.requests.clear()
    receiver.answers[:] = [status(204)]
    database.execute("update rowhouse.deliveries set due_at = now()")
    with run_worker(usual):
        webhook.wait_until(lambda one: len({request.id for request in receiver.requests}) == 1200, seconds=120)


def test_a_lease_that_runs_out_is_another_workers(
    worker: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    webhook.patch(state="paused")
    database.execute(
        "insert into rowhouse.deliveries (webhook, message, type, keys, body, state, due_at, worker, attempts) "
        "values ($1, 'msg_1', 'ping', '{}', '{}', 'pending', now() + interval '1 second', 'killed', 1)",
        webhook.made["id"],
    )
    begun = time.time()
    webhook.patch(state="active")
    assert receiver.wait_for(1)[0].at - begun > 0.8
    webhook.wait_until(lambda one: one.deliveries()[0]["state"] == "delivered")
    assert webhook.deliveries()[0]["attempts"] == 2


def test_a_write_through_another_process_is_sent_at_once(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver
) -> None:
    make()
    with run_worker({**environment, "WEBHOOK_POLL_SECONDS": "60"}), api.client(Role.EDITOR) as client:
        time.sleep(1.5)  # a process looks for others once a second
        begun = time.time()
        assert client.post("/api/v1/parcels", json={"id": 1, "carrier": "UA"}).status_code == 201
        assert receiver.wait_for(1)[0].at - begun < 5


def test_a_worker_with_one_connection_delivers(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    make()
    with run_worker({**environment, "POOL_MAX_SIZE": "1", "POOL_TIMEOUT": "1"}):
        add_parcels(database, 1)
        assert receiver.wait_for(1)[0].row["id"] == 1


def test_old_deliveries_are_deleted(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    with run_worker(environment) as state:
        add_parcels(database, 1, 2)
        webhook.wait_until(lambda one: len(one.deliveries(state="delivered")) == 2)
        shown = state.metrics.registry.get_sample_value("rowhouse_webhook_deliveries_total", {"outcome": "delivered"})
        assert shown == 2
    database.execute(
        "update rowhouse.deliveries set finished_at = now() - interval '15 days' where id = (select min(id) from "
        "rowhouse.deliveries)"
    )
    with run_worker(environment) as state:
        webhook.wait_until(lambda one: len(one.deliveries()) == 1)
        until(lambda: state.metrics.registry.get_sample_value("rowhouse_webhook_pending") == 0)
