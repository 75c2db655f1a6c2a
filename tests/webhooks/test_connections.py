"""Where a delivery's connection goes: to an address that was looked at, and to the holder of the name's certificate."""

import ssl
from collections.abc import Mapping

import pytest
import trustme

from tests.conftest import Database
from tests.service_under_test import Service
from tests.webhooks.conftest import Make, Webhook, add_parcels
from tests.webhooks.receiver import Receiver, run_receiver
from tests.webhooks.worker import run_worker

pytestmark = pytest.mark.usefixtures("tidy")


def test_over_tls_the_certificate_must_be_of_the_name(
    environment: Mapping[str, str], make: Make, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.test").configure_cert(context)
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(file)

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with run_receiver(context) as receiver:
        hosts = f"hooks.test:{receiver.port},other.test:{receiver.port}"
        own = {**environment, "WEBHOOK_ALLOWED_HOSTS": hosts, "WEBHOOK_RETRY_SECONDS": "60"}
        webhook = make()
        _point(database, webhook, receiver.url(host="hooks.test", scheme="https"))
        with run_worker(own | {"WEBHOOK_CA_FILE": str(file)}, here):
            add_parcels(database, 1)
            (request,) = receiver.wait_for(1)
            assert request.headers["host"] == f"hooks.test:{receiver.port}"
            webhook.wait_until(lambda one: one.deliveries()[0]["state"] == "delivered")
            _point(database, webhook, receiver.url(host="other.test", scheme="https"))
            add_parcels(database, 2)
            webhook.wait_until(lambda one: one.deliveries()[0]["error"] is not None)
            assert "Hostname mismatch" in webhook.deliveries()[0]["error"]
        database.execute("update rowhouse.deliveries set due_at = now(), error = null where state = 'pending'")
        _point(database, webhook, receiver.url(host="hooks.test", scheme="https"))
        with run_worker(own, here):
            webhook.wait_until(lambda one: one.deliveries()[0]["error"] is not None)
            assert "certificate is not believed" in webhook.deliveries()[0]["error"]
        assert len(receiver.requests) == 1


def test_a_host_is_looked_at_at_every_attempt(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    """Rebinding: a name whose address changes between two look-ups. What is connected to is what was looked at."""
    asked: list[str] = []

    async def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]

    own = {**environment, "WEBHOOK_ALLOWED_HOSTS": "", "WEBHOOK_ALLOWED_PORTS": str(receiver.port)}
    webhook = make()
    _point(database, webhook, receiver.url(host="rebound.test"))
    with run_worker(own, changing):
        add_parcels(database, 1)
        webhook.wait_until(lambda one: [each["state"] for each in one.deliveries()] == ["dead"])
        assert webhook.deliveries()[0]["error"] == "The host is not on the public internet."
    assert asked == ["rebound.test"] * 3, "looked up once for each attempt"
    assert receiver.requests == []


def test_the_connection_goes_to_the_address_that_was_looked_at(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver, database: Database
) -> None:
    asked: list[str] = []

    async def once(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    webhook = make()
    _point(database, webhook, receiver.url(host="hooks.test"))
    with run_worker(environment, once):
        add_parcels(database, 1)
        (request,) = receiver.wait_for(1)
    assert asked == ["hooks.test"]
    assert request.headers["host"] == f"hooks.test:{receiver.port}"


def _point(database: Database, webhook: Webhook, url: str) -> None:
    """As if the webhook's host had been allowed when it was made."""
    database.execute("update rowhouse.webhooks set url = $2 where id = $1", webhook.made["id"], url)
