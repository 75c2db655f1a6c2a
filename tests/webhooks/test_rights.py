"""What is sent is what the owner may see when it is sent, however long it has waited."""

from collections.abc import Iterator, Mapping

import pytest

from service.core.types import Role
from service.crud import accounts
from service.state import ServiceState
from tests.conftest import Database
from tests.service_under_test import Service, in_session
from tests.webhooks.conftest import Make, Webhook, grant
from tests.webhooks.receiver import Receiver, status
from tests.webhooks.worker import run_worker

pytestmark = pytest.mark.usefixtures("tidy")
_NOT_SEEN = "Not sent: the owner may not see this change any more, or the log no longer has it to be read again."


@pytest.fixture
def patient(api: Service, environment: Mapping[str, str]) -> Iterator[ServiceState]:
    """A worker that tries again when the test says so alone."""
    with run_worker({**environment, "WEBHOOK_RETRY_SECONDS": ",".join(["3600"] * 9)}) as running:
        yield running


def _refused_once(webhook: Webhook, receiver: Receiver, database: Database, *carriers: str) -> None:
    """A row of each carrier, whose insertion the receiver would not have at first."""
    receiver.answers[:] = [status(500)]
    for number, carrier in enumerate(carriers, 1):
        database.execute("insert into parcels values ($1, $2, 'secret')", number, carrier)
    webhook.wait_until(lambda one: [each["status"] for each in one.deliveries()] == [500] * len(carriers))
    receiver.requests.clear()
    receiver.answers[:] = [status(204)]


def _try_again(database: Database) -> None:
    database.execute("update rowhouse.deliveries set due_at = now() where state = 'pending'")


def _states(webhook: Webhook) -> list[tuple[str, str | None]]:
    return [(each["state"], each["error"]) for each in webhook.deliveries()]


def test_a_row_that_the_owner_may_not_see_any_more_is_not_sent(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, None)
    webhook = make(Role.VIEWER)
    _refused_once(webhook, receiver, database, "UA", "AA")
    grant(database, Role.VIEWER, "carrier=eq.AA")
    _try_again(database)
    webhook.wait_until(lambda one: _states(one) == [("delivered", None), ("dead", _NOT_SEEN)])
    assert [request.row["carrier"] for request in receiver.requests] == ["AA"]
    assert webhook.state() == ("active", None)


def test_what_was_delivered_once_is_not_replayed_to_whom_it_is_hidden_from(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, None)
    webhook = make(Role.VIEWER)
    database.execute("insert into parcels values (1, 'UA', 'secret')")
    webhook.wait_until(lambda one: _states(one) == [("delivered", None)])
    grant(database, Role.VIEWER, "carrier=eq.AA")
    webhook.post("replay", since=webhook.made["created_at"])
    webhook.wait_until(lambda one: _states(one) == [("dead", _NOT_SEEN)])
    assert len(receiver.requests) == 1


def test_a_row_that_has_left_what_the_owner_sees_is_sent_as_deleted(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, None)
    webhook = make(Role.VIEWER, events=["update", "delete"])
    _refused_once(webhook, receiver, database)
    receiver.answers[:] = [status(500)]
    database.execute("insert into parcels values (1, 'AA', 'secret')")
    database.execute("update parcels set carrier = 'UA'")
    webhook.wait_until(lambda one: [each["status"] for each in one.deliveries()] == [500])
    before = receiver.requests[-1]
    receiver.answers[:] = [status(204)]
    grant(database, Role.VIEWER, "carrier=eq.AA")
    _try_again(database)
    webhook.wait_until(lambda one: _states(one) == [("delivered", None)])
    after = receiver.requests[-1]
    assert before.row["carrier"] == "UA"
    assert (after.id, after.message["type"], after.message["data"]["key"]) == (before.id, "parcels.deleted", {"id": 1})
    assert "row" not in after.message["data"]


def test_a_column_that_is_hidden_by_now_is_not_sent(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    _refused_once(webhook, receiver, database, "UA")
    database.execute("select rowhouse.track('parcels', '{note}')")
    try:
        _try_again(database)
        assert receiver.wait_for(1)[0].row == {"id": 1, "carrier": "UA"}
        kept = database.execute("select body from rowhouse.deliveries where type = 'parcels.inserted'")
        assert "secret" not in kept[0][0]
    finally:
        database.execute("select rowhouse.track('parcels')")


def test_a_column_that_the_owner_may_not_read_by_now_is_not_sent(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, None)
    webhook = make(Role.VIEWER)
    _refused_once(webhook, receiver, database, "UA")
    columns = "update rowhouse.grants set columns = $1 where table_name = 'parcels' and role = 'viewer'"
    database.execute(columns, ["id", "carrier"])
    _try_again(database)
    assert receiver.wait_for(1)[0].row == {"id": 1, "carrier": "UA"}
    database.execute("update parcels set note = 'secret'")
    database.execute("update parcels set carrier = 'AA'")
    assert receiver.wait_for(2)[1].row == {"id": 1, "carrier": "AA"}


def test_the_filter_of_now_holds_for_what_waits(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    webhook = make()
    _refused_once(webhook, receiver, database, "UA", "AA")
    webhook.patch(filter="carrier=eq.AA&select=id")
    _try_again(database)
    webhook.wait_until(lambda one: _states(one) == [("delivered", None), ("dead", _NOT_SEEN)])
    assert [request.row for request in receiver.requests] == [{"id": 2}]


def test_more_rights_send_more(patient: ServiceState, make: Make, receiver: Receiver, database: Database) -> None:
    """What was collected under fewer rights is sent under its id, as far as it was collected at all."""
    grant(database, Role.VIEWER, "carrier=eq.UA")
    webhook = make(Role.VIEWER)
    _refused_once(webhook, receiver, database, "UA")
    grant(database, Role.VIEWER, None)
    _try_again(database)
    webhook.wait_until(lambda one: _states(one) == [("delivered", None)])
    assert receiver.requests[0].row["carrier"] == "UA"


def test_nothing_that_waits_is_sent_to_one_who_has_lost_the_table(
    patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    grant(database, Role.VIEWER, None)
    webhook = make(Role.VIEWER)
    _refused_once(webhook, receiver, database, "UA")
    database.execute("delete from rowhouse.grants where role = 'viewer' and table_name = 'parcels'")
    _try_again(database)  # the table has not changed: nothing else makes the worker look at it
    webhook.wait_until(lambda one: one.state() == ("disabled", "The owner may not read the table any more."))
    webhook.wait_until(lambda one: [each["attempts"] for each in one.deliveries()] == [1])
    assert receiver.requests == []
    grant(database, Role.VIEWER, None)
    webhook.patch(state="active")
    _try_again(database)
    assert receiver.wait_for(1)[0].row["carrier"] == "UA"


def test_nothing_that_waits_is_sent_to_a_revoked_key(
    api: Service, patient: ServiceState, make: Make, receiver: Receiver, database: Database
) -> None:
    made = in_session(database.service_url, lambda session: accounts.create_key(session, "gone", Role.EDITOR, None))
    webhook = make(key=made.key)
    _refused_once(webhook, receiver, database, "UA")
    webhook.client.headers["X-API-Key"] = api.keys[Role.ADMIN]
    in_session(database.service_url, lambda session: accounts.revoke_key(session, made.prefix))
    _try_again(database)
    webhook.wait_until(lambda one: one.state()[0] == "disabled")
    assert receiver.requests == []
