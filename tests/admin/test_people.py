"""What administrators manage: users, keys, grants, webhooks, jobs, the log, sessions. Nobody else may."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.routing import Mount, Route

from service.application import create_app
from service.core.types import Role
from tests.admin.conftest import PASSWORD, MakeOperator, Operator, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service

ANY = str(UUID(int=7, version=4))


def shown_once(answer: httpx2.Response) -> str:
    """The secret of a page that shows one."""
    found = re.search(r'id="secret">([^<]+)<', answer.text)
    assert found is not None, text_of(answer)
    return found[1]


def system_routes(service: Service) -> list[tuple[str, str]]:
    """Method and path of every page under `/-/` that is not one's own account."""
    (mount,) = (route for route in create_app(service.state.settings).routes if getattr(route, "name", "") == "admin")
    assert isinstance(mount, Mount)
    found = []
    for route in mount.routes:
        if isinstance(route, Route) and route.path.startswith("/-/") and not route.path.startswith("/-/account"):
            path = re.sub(r"\{role\}", "viewer", re.sub(r"\{table\}", "airlines", route.path))
            found.append(("POST" if route.methods == {"POST"} else "GET", "/admin" + re.sub(r"\{\w+\}", ANY, path)))
    return found


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_system_pages_are_for_administrators(service: Service, operators: MakeOperator, role: Role) -> None:
    operator = operators(role)
    page = operator.get("/admin/")
    assert "Security events" not in page.text
    assert "API keys" not in page.text
    token = forms_of(page)["/admin/logout"]["csrf"]
    routes = [one for one in system_routes(service) if one[1] not in OF_OTHERS]
    assert len(routes) > 25
    for method, path in routes:
        answer = operator.http.request(method, path, data={"csrf": token} if method == "POST" else None)
        assert answer.status_code == 403, (method, path, answer.status_code)
        assert "administrators" in text_of(answer)


# Pages under `/-/` that are for everybody.
OF_OTHERS = frozenset({"/admin/-/changes", "/admin/-/undo"})


def test_every_page_opens_for_an_administrator(service: Service, admin: Operator) -> None:
    for method, path in system_routes(service):
        if method == "GET" and ANY not in path and path not in OF_OTHERS and "choose" not in path:
            assert text_of(admin.get(path))
    for path in ("users", "webhooks", "jobs"):
        admin.get(f"/admin/-/{path}/{ANY}", 404)
        admin.get(f"/admin/-/{path}/nobody", 404)
    menu = admin.get("/admin/-/jobs").text
    assert re.search(r'href="/admin/-/jobs" aria-current="page"', menu)


@pytest.mark.parametrize(
    "path",
    [
        "users?q=%00",
        "jobs?state=lost",
        "jobs?cursor=x",
        "jobs?name=%00",
        "security?kind=lost",
        "security?since=soon",
        "security?before=x",
        "security?actor=%00",
        "grants/choose?role=viewer&table=",
    ],
)
def test_what_cannot_be_asked_is_told(admin: Operator, path: str) -> None:
    assert text_of(admin.get(f"/admin/-/{path}", 400))


def make_user(admin: Operator, role: Role = Role.VIEWER) -> tuple[str, str, str]:
    """A user made by the pages: its path, address and password."""
    email = f"made-{uuid4().hex[:8]}@example.com"
    form = admin.form("/admin/-/users", "/admin/-/users") | {"email": email, "role": role.value}
    answer = admin.send("/admin/-/users", form, 200)
    found = re.search(r'href="(/admin/-/users/[0-9a-f-]{36})"', answer.text)
    assert found is not None
    return found[1], email, shown_once(answer)


@contextmanager
def made_user(admin: Operator, database: Database, role: Role = Role.VIEWER) -> Iterator[tuple[str, str, str]]:
    path, email, password = make_user(admin, role)
    yield path, email, password
    database.execute("delete from rowhouse.users where email = $1", email)


def test_a_user_is_made_found_changed_and_closed(admin: Operator, operators: MakeOperator, database: Database) -> None:
    with made_user(admin, database) as (path, email, password):
        assert password not in admin.get(path).text
        assert email in text_of(admin.get(f"/admin/-/users?q={email[:10].upper()}"))
        assert email not in text_of(admin.get("/admin/-/users?q=%25"))
        person = operators(is_logged_in=False)
        person.http.cookies.clear()
        person_email, person.email = person.email, email
        assert person.log_in(password).status_code == 303
        admin.send(path, admin.form(path) | {"role": "editor"})
        person.get("/admin/airlines/edit/UA")
        again = admin.send("/admin/-/users", admin.form("/admin/-/users", "/admin/-/users") | {"email": email}, 409)
        assert "already" in text_of(again)
        admin.send(path, admin.form(path) | {"active": "no"})
        person.get("/admin/", 303)
        assert person.log_in(password).status_code == 401
        admin.send(path, admin.form(path) | {"active": "yes"})
        new = shown_once(admin.send(f"{path}/reset-password", admin.form(path), 200))
        assert person.log_in(new).status_code == 303
        admin.send(f"{path}/end-logins", admin.form(path))
        person.get("/admin/", 303)
        person.email = person_email


def test_an_administrator_overwrites_no_other(admin: Operator, operators: MakeOperator, database: Database) -> None:
    other = operators(Role.ADMIN)
    with made_user(admin, database) as (path, _, _):
        seen = other.form(path)
        admin.send(path, admin.form(path) | {"role": "editor"})
        refused = other.send(path, seen | {"active": "no"}, 409)
        assert "meanwhile" in text_of(refused)
        assert admin.form(path)["role"] == "editor"
        assert admin.form(path)["active"] == "yes"


def test_nobody_goes_around_the_own_password(admin: Operator, database: Database) -> None:
    (user,) = database.execute("select id from rowhouse.users where email = $1", admin.email)
    path = f"/admin/-/users/{user['id']}"
    for way in ("reset-password", "reset-factor"):
        assert "own account" in text_of(admin.send(f"{path}/{way}", admin.form(path), 409))


def test_the_last_administrator_stays(admin: Operator, operators: MakeOperator, database: Database) -> None:
    """Also where two close one another's accounts at the same moment."""
    other = operators(Role.ADMIN)
    aside = database.execute(
        "update rowhouse.users set is_active = false where role = 'admin' and is_active and email <> all ($1)"
        " returning id",
        [admin.email, other.email],
    )
    try:
        _close_one_another(admin, other, database)
    finally:
        database.execute("update rowhouse.users set is_active = true where id = any ($1)", [row["id"] for row in aside])


def _close_one_another(admin: Operator, other: Operator, database: Database) -> None:
    ids = {
        row["email"]: row["id"]
        for row in database.execute("select email, id from rowhouse.users where role = 'admin' and is_active")
    }
    assert set(ids) == {admin.email, other.email}
    answers: list[int] = []

    def close(who: Operator, whom: Operator) -> None:
        path = f"/admin/-/users/{ids[whom.email]}"
        form = forms[who.email] | {"active": "no"}
        answers.append(who.http.post(path, data=form).status_code)

    forms = {who.email: who.form(f"/admin/-/users/{ids[whom.email]}") for who, whom in ((admin, other), (other, admin))}
    threads = [threading.Thread(target=close, args=pair) for pair in ((admin, other), (other, admin))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = database.execute("select email from rowhouse.users where role = 'admin' and is_active")
    assert len(left) == 1
    # The other one is told that it is the last, or is no longer logged in.
    assert sorted(answers)[0] == 303
    last = admin if left[0]["email"] == admin.email else other
    path = f"/admin/-/users/{ids[last.email]}"
    for change in ({"active": "no"}, {"role": "viewer"}):
        assert "last active administrator" in text_of(last.send(path, last.form(path) | change, 409))


def test_a_key_is_shown_once_and_revoked(admin: Operator, service: Service, database: Database) -> None:
    form = admin.form("/admin/-/keys", "/admin/-/keys") | {"name": "for a test", "role": "viewer", "days": "3"}
    answer = admin.send("/admin/-/keys", form, 200)
    key = shown_once(answer)
    prefix = key.rpartition("_")[0] if key.count("_") == 2 else "_".join(key.split("_")[:2])
    page = admin.get("/admin/-/keys")
    assert prefix in page.text
    assert key not in page.text
    assert key not in str(database.execute("select details from rowhouse.security_events"))
    with service.client(None) as client:
        assert client.get("/api/v1/airlines?limit=1", headers={"X-API-Key": key}).status_code == 200
        admin.send("/admin/-/keys/revoke", {"csrf": form["csrf"], "prefix": prefix})
        assert client.get("/api/v1/airlines?limit=1", headers={"X-API-Key": key}).status_code == 401
    admin.send("/admin/-/keys/revoke", {"csrf": form["csrf"], "prefix": prefix}, 404)
    for wrong in ({"days": "0"}, {"days": "x"}, {"role": "king"}, {"name": " "}):
        assert text_of(admin.send("/admin/-/keys", form | wrong, 400))


GRANT = "/admin/-/grants/viewer/weather"


@pytest.fixture
def kept_grants(database: Database) -> Iterator[None]:
    kept = database.execute("select role, table_name, action, row_filter from rowhouse.grants")
    yield
    database.execute("delete from rowhouse.grants")
    for row in kept:
        database.execute(
            "insert into rowhouse.grants (role, table_name, action, row_filter) values ($1, $2, $3, $4)", *row
        )


@pytest.mark.usefixtures("kept_grants")
def test_a_grant_is_checked_said_in_words_and_kept(admin: Operator, operators: MakeOperator, service: Service) -> None:
    chosen = admin.get("/admin/-/grants/choose?role=viewer&table=weather", 303)
    assert chosen.headers["location"] == GRANT
    for wrong in ("nothing=eq.1", "month=eq.x", "select=origin", "month", "month=eq."):
        answer = admin.send(GRANT, admin.form(GRANT) | {"now.read": "on", "now.rows.read": wrong}, 422)
        assert "fault" in answer.text
        assert "select" not in text_of(answer).lower() or wrong.startswith("select")
        assert forms_of(answer)[GRANT]["now.rows.read"] == wrong
    admin.send(GRANT, admin.form(GRANT) | {"now.read": "on", "now.rows.read": "origin=eq.JFK&month=lt.3"})
    words = text_of(admin.get("/admin/-/grants"))
    assert "origin is JFK and month is less than 3" in words
    viewer = operators(Role.VIEWER)
    assert "LGA" not in text_of(viewer.get("/admin/weather/list?order=origin.desc"))
    form = admin.form(GRANT)
    form.pop("now.read")
    admin.send(GRANT, form)
    viewer.get("/admin/weather/list", 404)


@pytest.mark.usefixtures("kept_grants")
def test_grants_of_two_administrators_do_not_overwrite_one_another(admin: Operator, operators: MakeOperator) -> None:
    other = operators(Role.ADMIN)
    seen = other.form(GRANT)
    admin.send(GRANT, admin.form(GRANT) | {"now.update": "on", "now.rows.update": "month=eq.1"})
    assert "meanwhile" in text_of(other.send(GRANT, seen | {"now.update": "on", "now.rows.update": ""}, 409))
    assert admin.form(GRANT)["now.rows.update"] == "month=eq.1"


def test_grants_of_what_is_not_there(admin: Operator) -> None:
    admin.get("/admin/-/grants/choose?role=viewer&table=nothing", 404)
    admin.get("/admin/-/grants/choose?role=viewer&table=rpc/nothing", 404)
    admin.get("/admin/-/grants/king/weather", 404)
    path = "/admin/-/grants/viewer/nothing"
    admin.send(path, admin.form(path) | {"now.read": "on"}, 404)


def test_a_webhook_is_looked_after(admin: Operator, operators: MakeOperator, database: Database) -> None:
    owner = database.execute("select id from rowhouse.users where email = $1", admin.email)[0]["id"]
    webhook = database.execute(
        "insert into rowhouse.webhooks (url, table_name, filter, events, description, owner_kind, owner_id, owner_name,"
        " owner_role) values ('https://hooks.example.org/<b>', 'airlines', '', '{insert}', 'for a test', 'user', $1,"
        " $2, 'admin') returning id",
        str(owner),
        admin.email,
    )[0]["id"]
    delivery = database.execute(
        "insert into rowhouse.deliveries (webhook, message, type, keys, body, state, error, finished_at) values ($1,"
        " 'msg_1', 'airlines.inserted', '{}', '{}', 'dead', 'connection refused', now()) returning id",
        webhook,
    )[0]["id"]
    try:
        path = f"/admin/-/webhooks/{webhook}"
        assert "https://hooks.example.org/&lt;b&gt;" in admin.get("/admin/-/webhooks").text
        assert "connection refused" in text_of(admin.get(f"{path}?state=dead"))
        assert "connection refused" not in text_of(admin.get(f"{path}?state=delivered"))
        seen = operators(Role.ADMIN).form(path, f"{path}/state")
        admin.send(f"{path}/state", admin.form(path, f"{path}/state"))
        assert "paused" in text_of(admin.get(path))
        assert "meanwhile" in text_of(
            admin.send(
                f"{path}/state",
                admin.form(path, f"{path}/state") | {"state": seen["state"], "was.state": seen["was.state"]},
                409,
            )
        )
        admin.send(f"{path}/ping", admin.form(path, f"{path}/rotate"), 409)
        turned = admin.form(path, f"{path}/rotate")
        assert shown_once(admin.send(f"{path}/rotate", turned, 200)).startswith("whsec_")
        admin.send(f"{path}/rotate", turned, 409)
        admin.send(f"{path}/replay", turned | {"delivery": str(delivery)})
        assert database.execute("select state from rowhouse.deliveries where id = $1", delivery)[0]["state"] != "dead"
        admin.send(f"{path}/replay", turned | {"delivery": "x"}, 400)
        admin.send(f"{path}/replay-dead", turned)
        admin.send(f"{path}/delete", admin.form(f"{path}/delete"))
        admin.get(path, 404)
    finally:
        database.execute("delete from rowhouse.webhooks where id = $1", webhook)


def test_jobs_are_listed_tried_again_and_cancelled(admin: Operator, database: Database) -> None:
    made = "insert into rowhouse.jobs (name, arguments, most_attempts, state, run_after, error, finished_at) values "
    dead, queued = (
        database.execute(f"{made} {values} returning id")[0]["id"]
        for values in (
            """('a_test', '{"<b>": 1}', 3, 'dead', now(), 'it <broke>', now())""",
            "('a_test', '{}', 3, 'queued', now() + interval '1 day', null, null)",
        )
    )
    try:
        listed = text_of(admin.get("/admin/-/jobs?state=dead&name=a_test"))
        assert "a_test" in listed
        assert "queued" not in listed.partition("Ended")[2]
        path = f"/admin/-/jobs/{dead}"
        assert "it &lt;broke&gt;" in admin.get(path).text
        seen = admin.form(path, f"{path}/retry")
        admin.send(f"{path}/retry", seen)
        assert "queued" in text_of(admin.get(path))
        admin.send(f"{path}/retry", seen, 409)
        path = f"/admin/-/jobs/{queued}"
        admin.send(f"{path}/cancel", admin.form(path, f"{path}/cancel"))
        admin.send(f"{path}/cancel", seen, 409)
        assert "cancelled" in text_of(admin.get(path))
    finally:
        database.execute("delete from rowhouse.jobs where name = 'a_test'")


def test_an_administrator_ends_somebodys_session(admin: Operator, operators: MakeOperator, database: Database) -> None:
    person = operators(Role.VIEWER)
    page = admin.get("/admin/-/sessions")
    assert person.email in page.text
    (session,) = database.execute(
        "select s.id from rowhouse.sessions s join rowhouse.users u on u.id = s.user_id where u.email = $1",
        person.email,
    )
    path = f"/admin/-/sessions/{session['id']}/end"
    admin.send(path, forms_of(page)[path])
    person.get("/admin/", 303)
    admin.send(path, forms_of(page)[path], 404)
    assert PASSWORD not in page.text


def test_the_log_page_says_what_is_logged_and_how_to_log_more(admin: Operator) -> None:
    words = text_of(admin.get("/admin/-/log"))
    assert "flights" in words
    assert "rowhouse track" in words
    assert "90 days" in words


def test_a_webhook_is_made_and_its_secret_shown_once(admin: Operator, database: Database) -> None:
    form = admin.form("/admin/-/webhooks")
    refused = admin.send("/admin/-/webhooks", form | {"url": "https://127.0.0.1/", "table": "airlines"}, 422)
    assert "127.0.0.1" in refused.text
    assert "unknown" not in text_of(
        admin.send("/admin/-/webhooks", form | {"url": "https://8.8.8.8/", "table": ""}, 400)
    )
    form.pop("event.delete")
    made = admin.send("/admin/-/webhooks", form | {"url": "https://8.8.8.8/hook", "table": "airlines"}, 200)
    try:
        (secret,) = re.findall(r"whsec_[\w+/=]+", made.text)
        page = admin.get("/admin/-/webhooks")
        assert "https://8.8.8.8/hook" in page.text
        assert secret not in page.text
        (row,) = database.execute("select events, owner_name from rowhouse.webhooks where url = 'https://8.8.8.8/hook'")
        assert (row["events"], row["owner_name"]) == (["insert", "update"], admin.email)
    finally:
        database.execute("delete from rowhouse.webhooks where url = 'https://8.8.8.8/hook'")
