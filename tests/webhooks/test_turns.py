"""No webhook waits for another's receiver, filter or name server."""

from collections.abc import Mapping
from uuid import UUID

import pytest

from service.core.types import Role
from service.webhooks.patience import Patience
from tests.conftest import Database
from tests.service_under_test import Service
from tests.webhooks.conftest import Make
from tests.webhooks.receiver import Receiver, hang, run_receiver
from tests.webhooks.worker import run_worker

pytestmark = pytest.mark.usefixtures("tidy")
_FIRST = "00000000-0000-4000-8000-000000000000"
# Takes PostgreSQL many seconds for a text of six hundred letters.
_ENDLESS = r"note=match.^(.%2B)(.%2B)(.%2B)\1\2\3a\1$"

# The last delivery, in seconds since 1970.
_QUEUED = "select extract(epoch from created_at)::float8 from rowhouse.deliveries order by id desc limit 1"


def test_a_filter_that_takes_too_long_holds_up_itself_alone(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    endless = make(filter=_ENDLESS)
    database.execute("update rowhouse.webhooks set id = $1", UUID(_FIRST))  # those that come first are read first
    other = make(Role.ADMIN)
    with run_worker({**environment, "STATEMENT_TIMEOUT": "1"}):
        database.execute("insert into parcels values (1, 'UA', repeat('ab', 300))")
        other.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["delivered"])
        database.execute("insert into parcels values (2, 'UA', 'short')")
        other.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["delivered"] * 2)
    endless.path = endless.path.replace(endless.made["id"], _FIRST)
    assert endless.state() == ("active", None)
    assert endless.deliveries() == []


def test_what_fails_is_tried_ever_more_rarely_and_one_at_a_time() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    good, bad, worse = UUID(int=1), UUID(int=2), UUID(int=3)
    everyone = (bad, worse, good)
    assert patience.choose(everyone) == [bad, worse, good]
    waits = []
    for _ in range(12):
        patience.failed(worse)
        began = now
        while worse not in patience.choose(everyone):
            now += 0.5
        waits.append(now - began)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    patience.failed(bad)
    now += 1000
    assert patience.choose(everyone) == [good, worse]
    patience.failed(worse)
    assert patience.choose(everyone) == [good, bad]
    patience.succeeded(bad)
    assert patience.choose(everyone) == [bad, good]


def test_receivers_that_hang_leave_others_their_turn(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    with run_receiver() as tarpit:
        tarpit.answers.append(hang(5))
        hanging = make()
        database.execute("update rowhouse.webhooks set url = $1", tarpit.url())
        own = {
            **environment,
            "WEBHOOK_ALLOWED_HOSTS": f"127.0.0.1:{tarpit.port},127.0.0.1:{receiver.port}",
            "WEBHOOK_CONCURRENCY": "4",
            "WEBHOOK_CONCURRENCY_EACH": "4",
        }
        with run_worker(own):
            database.execute("insert into parcels select n, 'UA' from generate_series(1, 60) n")
            hanging.wait_until(lambda one: len(one.deliveries(limit=100)) == 60)
            tarpit.wait_for(4)
            make(filter="carrier=eq.AA")
            database.execute("insert into parcels values (100, 'AA')")
            (delivered,) = receiver.wait_for(1)
            queued = database.execute(_QUEUED)
            before_it = [request for request in tarpit.requests if queued[0][0] < request.at < delivered.at]
            assert len(before_it) <= 2 * 4  # of 180 attempts


def test_rows_that_went_without_being_logged_are_a_gap(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    make()
    database.execute("insert into parcels values (1, 'UA', 'new')")
    database.execute("revoke select on parcels from rowhouse_owner")
    try:
        database.execute_as_superuser("truncate parcels")
    finally:
        database.execute("grant select on parcels to rowhouse_owner")
    with run_worker(environment):
        requests = receiver.wait_for(2)
    assert {request.message["type"] for request in requests} == {"parcels.inserted", "rowhouse.gap"}
