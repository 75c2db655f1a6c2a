"""The way in: passwords, second factors, cookies, tokens of forms."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pyotp
import pytest
from starlette.routing import Mount, Route

from service.application import create_app
from service.core.types import Role
from tests.admin.conftest import PASSWORD, MakeOperator, Operator, enrol, forms_of, text_of
from tests.conftest import Database
from tests.service_under_test import Service, problem_of, run_service


def _cookie(operator: Operator) -> str | None:
    return operator.http.cookies.get("rowhouse_session")


def test_without_a_login_every_page_leads_to_it(operators: MakeOperator) -> None:
    visitor = operators(is_logged_in=False)
    answer = visitor.get("/admin/airlines/list?order=name", 303)
    assert answer.headers["location"] == "/admin/login?next=/admin/airlines/list%3Forder%3Dname"
    form = forms_of(visitor.http.get(answer.headers["location"]))
    (action,) = form
    sent = visitor.http.post(action, data=form[action] | {"email": visitor.email, "password": PASSWORD})
    assert sent.headers["location"] == "/admin/airlines/list?order=name"


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/admin/../docs", "/admin/%2E%2e/docs", "/docs"],
)
def test_a_login_leads_nowhere_else(operators: MakeOperator, target: str) -> None:
    visitor = operators(is_logged_in=False)
    page = visitor.http.get("/admin/login", params={"next": target})
    (action,) = forms_of(page)
    sent = visitor.http.post(action, data=forms_of(page)[action] | {"email": visitor.email, "password": PASSWORD})
    assert (sent.status_code, sent.headers["location"]) == (303, "/admin/")


def test_a_wrong_password_says_so_and_opens_nothing(operators: MakeOperator) -> None:
    visitor = operators(is_logged_in=False)
    answer = visitor.log_in("wrong")
    assert answer.status_code == 401
    assert "wrong" in text_of(answer)
    assert _cookie(visitor) is None


def test_the_cookie_is_for_no_script_and_no_other_site(operators: MakeOperator) -> None:
    set_cookie = operators(is_logged_in=False).log_in().headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=lax" in set_cookie
    assert "Path=/admin" in set_cookie


def test_a_login_takes_over_no_session_that_was_there(operators: MakeOperator) -> None:
    victim, attacker = operators(is_logged_in=False), operators()
    planted = _cookie(attacker)
    assert planted is not None
    victim.http.cookies.set("rowhouse_session", planted, path="/admin")
    victim.http.get("/admin/login")
    victim.http.cookies.delete("rowhouse_session")
    assert victim.log_in().status_code == 303
    assert _cookie(victim) not in (None, planted)


def test_logging_out_ends_the_session(admin: Operator) -> None:
    kept = _cookie(admin)
    admin.send("/admin/logout", {"csrf": admin.csrf})
    admin.http.cookies.clear()
    admin.http.cookies.set("rowhouse_session", kept or "", path="/admin")
    admin.get("/admin/", 303)


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_a_form_without_its_token_changes_nothing(admin: Operator, database: Database, token: str | None) -> None:
    form = admin.form("/admin/airlines/edit/UA") | {"now.name": "Stolen"}
    form.pop("csrf")
    answer = admin.send("/admin/airlines/edit/UA", form | ({} if token is None else {"csrf": token}), 403)
    assert "out of date" in text_of(answer)
    assert database.execute("select name from airlines where carrier = 'UA'")[0]["name"] != "Stolen"


def test_another_sites_form_is_refused_whatever_it_carries(admin: Operator) -> None:
    form = admin.form("/admin/airlines/edit/UA")
    headers = {"sec-fetch-site": "cross-site"}
    assert admin.http.post("/admin/airlines/edit/UA", data=form, headers=headers).status_code == 403


def test_nothing_is_changed_by_get(service: Service) -> None:
    """Every route that is not read by GET alone wants the token: what `add_action` makes, and the login."""
    (mount,) = (route for route in create_app(service.state.settings).routes if getattr(route, "name", "") == "admin")
    assert isinstance(mount, Mount)
    routes = [route for route in mount.routes if isinstance(route, Route)]
    assert len(routes) > 8
    for route in routes:
        assert route.methods in ({"GET", "HEAD"}, {"POST"}), route.path


def test_a_second_factor_is_asked_for_and_good_once(
    operators: MakeOperator, service: Service, database: Database
) -> None:
    operator = operators(Role.EDITOR, is_logged_in=False)
    secret, codes = enrol(service, database, operator.email)
    answer = operator.log_in()
    assert answer.headers["location"] == "/admin/login/code"
    half = _cookie(operator)
    operator.get("/admin/airlines/list", 303)
    form = operator.form("/admin/login/code")
    assert operator.http.post("/admin/login/code", data=form | {"code": "000000"}).status_code == 401
    code = pyotp.TOTP(secret).at(int(time.time()) + 30)
    operator.send("/admin/login/code", form | {"code": code})
    assert _cookie(operator) != half
    operator.get("/admin/airlines/list")
    again = operators(Role.EDITOR, is_logged_in=False)
    again.email = operator.email
    again.log_in()
    form = again.form("/admin/login/code")
    assert again.http.post("/admin/login/code", data=form | {"code": code}).status_code == 401
    again.send("/admin/login/code", form | {"code": codes[0]})
    with service.client(None) as client:
        login = {"username": operator.email, "password": PASSWORD}
        assert problem_of(client.post("/api/v1/-/auth/token", data=login))["code"] == "second_factor_needed"
        assert client.post("/api/v1/-/auth/token", data=login | {"otp": codes[0]}).status_code == 401
        assert client.post("/api/v1/-/auth/token", data=login | {"otp": codes[1]}).status_code == 200


def test_a_cookie_whose_answer_was_lost_still_holds(admin: Operator, database: Database) -> None:
    """It changes now and then. The one before ends once the next was seen, and after a minute at the soonest."""
    _passes(database, admin, 20)
    first = _cookie(admin)
    admin.get("/admin/-/account")
    second = _cookie(admin)
    assert second != first
    _sends(admin, first)  # under way meanwhile
    admin.get("/admin/-/account")
    assert _cookie(admin) == first
    _passes(database, admin, 2)
    admin.get("/admin/-/account")  # the second was never seen
    third = _cookie(admin)
    assert third not in (first, second)
    _sends(admin, second)
    admin.get("/admin/-/account", 303)
    _sends(admin, third)
    admin.get("/admin/-/account")
    _passes(database, admin, 2)
    _sends(admin, first)
    admin.get("/admin/-/account", 303)
    _sends(admin, third)
    admin.get("/admin/-/account")


def _passes(database: Database, operator: Operator, minutes: int) -> None:
    """Time, for the session of an operator."""
    ago = f"- interval '{minutes} minutes'"
    database.execute(
        f"update rowhouse.sessions set rotated_at = rotated_at {ago}, last_seen_at = last_seen_at {ago} "
        "where user_id = (select id from rowhouse.users where email = $1)", operator.email
    )  # fmt: skip


def _sends(operator: Operator, value: str | None) -> None:
    operator.http.cookies.clear()
    operator.http.cookies.set("rowhouse_session", value or "", domain="127.0.0.1", path="/admin")


def test_the_login_form_gives_no_token_of_a_session(admin: Operator, database: Database) -> None:
    """The cookie of a visitor may say anything, also the id of somebody's session."""
    (row,) = database.execute(
        "select s.id from rowhouse.sessions s join rowhouse.users u on u.id = s.user_id where u.email = $1", admin.email
    )
    page = httpx2.get(f"{admin.http.base_url}/admin/login", headers={"cookie": f"rowhouse_visitor={row['id']}"})
    assert forms_of(page)["/admin/login"]["csrf"] != admin.csrf


def test_a_form_that_is_sent_twice_does_no_harm(operators: MakeOperator) -> None:
    operator = operators()
    form = forms_of(operator.http.get("/admin/"))["/admin/logout"]
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: operator.http.post("/admin/logout", data=form), range(4)))
    assert {answer.status_code for answer in sent} == {303}


def test_a_second_factor_that_cannot_be_read_is_told(
    operators: MakeOperator, service: Service, database: Database
) -> None:
    """It is sealed under JWT_SECRET, which may be changed; recovery codes are not."""
    operator = operators(Role.EDITOR, is_logged_in=False)
    _, codes = enrol(service, database, operator.email)
    database.execute(
        "update rowhouse.second_factors set secret = 'sealed under another' "
        "where user_id = (select id from rowhouse.users where email = $1)", operator.email
    )  # fmt: skip
    operator.log_in()
    form = operator.form("/admin/login/code")
    answer = operator.http.post("/admin/login/code", data=form | {"code": "123456"})
    assert answer.status_code == 401
    assert "recovery code" in text_of(answer)
    with service.client(None) as client:
        login = {"username": operator.email, "password": PASSWORD, "otp": "123456"}
        assert client.post("/api/v1/-/auth/token", data=login).status_code == 401
    operator.send("/admin/login/code", form | {"code": codes[0]})


def test_codes_are_not_guessed_faster_from_more_addresses(
    operators: MakeOperator, service: Service, database: Database
) -> None:
    """Who is asked for a code knows the password: no stranger locks the owner out by this."""
    person = operators(Role.EDITOR, is_logged_in=False)
    _, codes = enrol(service, database, person.email)
    environment = {"DATABASE_URL": database.service_url, "LOGIN_RATE_LIMIT": "2", "FORWARDED_ALLOW_IPS": "127.0.0.1",
                   "JWT_SECRET": service.state.secret()}  # fmt: skip
    login = {"username": person.email, "password": PASSWORD, "otp": "000000"}
    with run_service(environment) as strict, strict.client(None) as client:

        def tried(address: str, **changed: str) -> int:
            headers = {"x-forwarded-for": address}
            return client.post("/api/v1/-/auth/token", data=login | changed, headers=headers).status_code

        assert [tried(f"192.0.2.{number}") for number in range(3)] == [401, 401, 429]
        assert tried("192.0.2.9", otp=codes[0]) == 429
        assert tried("192.0.2.10", password="wrong") == 401


def test_pages_are_not_kept_and_run_nothing_of_their_own(admin: Operator) -> None:
    answer = admin.get("/admin/airlines/list")
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=", answer.text)
