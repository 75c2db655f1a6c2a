"""Who may make webhooks, of what, and see which."""

from collections.abc import Mapping
from uuid import uuid4

import pytest

from service.core.types import Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service
from tests.webhooks.conftest import WEBHOOKS, Make
from tests.webhooks.receiver import Receiver, status
from tests.webhooks.worker import run_worker

pytestmark = pytest.mark.usefixtures("tidy")


def _refused(service: Service, role: Role | None, code: int, **members: object) -> str:
    with service.client(role) as client:
        problem = problem_of(client.post(WEBHOOKS, json={"table": "parcels"} | members))
    assert problem["status"] == code, problem
    assert client.headers.get("x-api-key", "none") not in str(problem)
    return f"{problem['detail']} {problem['hint']}"


def test_a_webhook_is_made_shown_changed_and_deleted(make: Make, receiver: Receiver) -> None:
    webhook = make(filter="carrier=eq.UA&select=id", events=["update"], description="trial")
    shown = webhook.client.get(webhook.path).json()
    assert shown == {name: value for name, value in webhook.made.items() if name != "secret"}
    assert (shown["state"], shown["events"], shown["filter"]) == ("active", ["update"], "carrier=eq.UA&select=id")
    assert webhook.secret.startswith("whsec_")
    assert webhook.client.get(WEBHOOKS).json() == [shown]
    webhook.patch(
        filter="", events=["insert", "delete", "insert"], state="paused", description="", url=receiver.url("/other")
    )
    changed = webhook.client.get(webhook.path).json()
    assert (changed["filter"], changed["events"], changed["state"]) == ("", ["insert", "delete"], "paused")
    assert changed["url"].endswith("/other")
    assert webhook.client.delete(webhook.path).status_code == 204
    assert webhook.client.get(webhook.path).status_code == 404


def test_the_secret_is_in_no_later_answer_and_not_in_the_database(make: Make, database: Database) -> None:
    webhook = make()
    body = webhook.secret.removeprefix("whsec_")
    assert body not in webhook.client.get(webhook.path).text
    assert body not in str(database.execute("select * from rowhouse.webhooks"))


def test_webhooks_of_others_are_not_there(api: Service, make: Make) -> None:
    webhook = make(Role.EDITOR)
    with api.client(Role.VIEWER) as other, api.client(Role.ADMIN) as admin, api.client(None) as nobody:
        assert other.get(WEBHOOKS).json() == []
        one = webhook.path
        calls = [("GET", one), ("PATCH", one), ("DELETE", one), ("GET", f"{one}/deliveries")]
        calls += [("POST", f"{one}/{path}") for path in ("rotate", "test", "replay", "deliveries/1/replay")]
        for method, path in calls:
            answer = other.request(method, path, json={} if method == "PATCH" else None)
            assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such webhook."), (method, path)
            assert nobody.request(method, path, json={}).status_code == 401
        assert [each["id"] for each in admin.get(WEBHOOKS).json()] == [webhook.made["id"]]
        assert admin.patch(one, json={"state": "paused"}).json()["state"] == "paused"
        assert admin.get(f"{WEBHOOKS}/{uuid4()}").status_code == 404


def test_what_the_receiver_answered_is_the_owners_to_see(
    api: Service, environment: Mapping[str, str], make: Make, receiver: Receiver
) -> None:
    receiver.answers.append(status(200, b"internal"))
    webhook = make()
    webhook.post("test")
    with run_worker(environment):
        webhook.wait_until(lambda one: one.deliveries()[0]["answer"] == "internal")
    with api.client(Role.ADMIN) as admin:
        (delivery,) = admin.get(f"{webhook.path}/deliveries").json()["deliveries"]
    assert (delivery["status"], delivery["answer"]) == (200, None)


def test_only_who_may_read_the_table_makes_one(api: Service, receiver: Receiver) -> None:
    url = receiver.url()
    assert "credential" in _refused(api, None, 401, url=url)
    assert "parcels" in _refused(api, Role.VIEWER, 404, url=url)
    assert "nothing" in _refused(api, Role.EDITOR, 404, url=url, table="nothing")


@pytest.mark.parametrize(
    ("status_code", "members"),
    [
        (422, {"url": "https://localhost/"}),
        (422, {"url": "http://169.254.169.254/latest/meta-data"}),
        (422, {"url": "https://[::ffff:10.0.0.1]/"}),
        (422, {"url": "nothing"}),
        (400, {"filter": "carrier=is_like.UA"}),
        (400, {"filter": "id=eq.text"}),
        (400, {"filter": "cursor=x"}),
        (400, {"filter": "order=id"}),
        (400, {"filter": "\x00"}),
        (400, {"filter": "nothing=eq.1"}),
        (400, {"events": []}),
        (400, {"events": ["truncate"]}),
        (400, {"description": "\x00"}),
        (400, {"owner": "somebody"}),
    ],
)
def test_what_cannot_be_is_refused(
    api: Service, receiver: Receiver, status_code: int, members: dict[str, object]
) -> None:
    _refused(api, Role.EDITOR, status_code, **({"url": receiver.url()} | members))


def test_a_change_is_judged_as_a_new_one(make: Make) -> None:
    webhook = make()
    for code, change in (
        (422, {"url": "https://localhost/"}),
        (400, {"filter": "x=eq.1"}),
        (400, {"state": "disabled"}),
    ):
        assert problem_of(webhook.client.patch(webhook.path, json=change))["status"] == code


def test_a_table_that_is_not_tracked_has_no_webhooks(api: Service, receiver: Receiver, database: Database) -> None:
    database.execute("select rowhouse.untrack('parcels')")
    try:
        assert "track" in _refused(api, Role.EDITOR, 409, url=receiver.url())
    finally:
        database.execute("select rowhouse.track('parcels')")


def test_webhooks_of_one_owner_are_limited(
    environment: Mapping[str, str], keys: Mapping[Role, str], make: Make, receiver: Receiver
) -> None:
    make(), make()
    with run_service({**environment, "WEBHOOK_MAX_PER_PRINCIPAL": "2"}, keys) as service:
        assert "2 webhooks" in _refused(service, Role.EDITOR, 409, url=receiver.url())
        with service.client(Role.ADMIN) as admin:
            assert admin.post(WEBHOOKS, json={"table": "parcels", "url": receiver.url()}).status_code == 201


def test_deliveries_come_in_pages(make: Make) -> None:
    webhook = make()
    made = [webhook.post("test")["id"] for _ in range(5)]
    seen: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = webhook.client.get(f"{webhook.path}/deliveries", params={"limit": 2, **before}).json()
        seen += [each["id"] for each in page["deliveries"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == made[::-1]
    assert webhook.deliveries(state="dead") == []
    assert problem_of(webhook.client.get(f"{webhook.path}/deliveries", params={"limit": 0}))["status"] == 400


def test_what_is_under_way_is_not_replayed(make: Make) -> None:
    webhook = make()
    path = f"{webhook.path}/deliveries/{webhook.post('test')['id']}/replay"
    assert problem_of(webhook.client.post(path))["status"] == 409
    assert problem_of(webhook.client.post(f"{webhook.path}/deliveries/1/replay"))["status"] == 404
    webhook.patch(state="paused")
    assert problem_of(webhook.client.post(f"{webhook.path}/test"))["status"] == 409


def test_with_another_role_an_owner_has_to_make_another(make: Make, database: Database) -> None:
    made = in_session(database.service_url, lambda session: accounts.create_key(session, "low", Role.EDITOR, None))
    webhook = make(key=made.key)
    database.execute("update rowhouse.api_keys set role = 'viewer' where prefix = $1", made.prefix)
    webhook.patch(state="paused")
    assert problem_of(webhook.client.patch(webhook.path, json={"state": "active"}))["status"] == 409
