"""One's own account: password, second factor, sessions. On a service of its own, where more logins may fail."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pyotp
import pytest

from service.core.types import Role
from tests.admin.conftest import PASSWORD, MakeOperator, Operator, text_of
from tests.conftest import Database
from tests.service_under_test import Service, run_service

ACCOUNT = "/admin/-/account"
NEW = "another horse, and a battery"


@pytest.fixture(scope="module")
def service(database: Database, shared_folder: Path) -> Iterator[Service]:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "LOGIN_RATE_LIMIT": "100",
    }
    with run_service(environment) as running:
        yield running


def cookie_of(operator: Operator) -> str | None:
    return operator.http.cookies.get("rowhouse_session")


def second_browser(operators: MakeOperator, first: Operator) -> Operator:
    """The same user, logged in elsewhere."""
    other = operators(is_logged_in=False)
    other.http.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
    own, other.email = other.email, first.email
    assert other.log_in().status_code == 303
    other.email = own
    return other


def secret_of(answer: httpx2.Response) -> str:
    found = re.search(r'id="secret">([^<]+)<', answer.text)
    assert found is not None, text_of(answer)
    return found[1].replace(" ", "")


def codes_of(answer: httpx2.Response) -> list[str]:
    return re.findall(r"<li>([0-9a-f]{6}-[0-9a-f]{6}-[0-9a-f]{6})</li>", answer.text)


def log_in_again(operator: Operator, password: str = PASSWORD) -> httpx2.Response:
    """As a browser that has forgotten its cookies."""
    operator.http.cookies.clear()
    return operator.log_in(password)


def code_of(secret: str, ahead: int = 0) -> str:
    """The code of now, or of a period ahead: none is good twice."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * ahead)


def turn_on(operator: Operator) -> tuple[str, list[str]]:
    """Set a second factor up by the pages: its secret, and the recovery codes."""
    enrol = operator.form(ACCOUNT, f"{ACCOUNT}/factor/enrol")
    page = operator.send(f"{ACCOUNT}/factor/enrol", enrol | {"password": PASSWORD}, 200)
    secret = secret_of(page)
    confirmed = operator.send(f"{ACCOUNT}/factor/confirm", {"csrf": enrol["csrf"], "code": code_of(secret, -1)}, 200)
    return secret, codes_of(confirmed)


@pytest.mark.parametrize("role", list(Role))
def test_everybody_changes_the_own_password(operators: MakeOperator, role: Role) -> None:
    person = operators(role)
    other = second_browser(operators, person)
    form = person.form(ACCOUNT, f"{ACCOUNT}/password")
    before = cookie_of(person)
    for wrong, status, words in (
        ({"old": "wrong", "new": NEW, "again": NEW}, 401, "The password is wrong."),
        ({"old": PASSWORD, "new": NEW, "again": "x"}, 400, "differ"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, 400, "at least 12"),
    ):
        assert words in text_of(person.send(f"{ACCOUNT}/password", form | wrong, status))
    other.get(ACCOUNT)
    person.send(f"{ACCOUNT}/password", form | {"old": PASSWORD, "new": NEW, "again": NEW})
    assert cookie_of(person) != before
    person.get(ACCOUNT)
    other.get(ACCOUNT, 303)
    person.http.cookies.clear()
    person.http.cookies.set("rowhouse_session", before or "", path="/admin")
    person.get(ACCOUNT, 303)
    assert log_in_again(person, PASSWORD).status_code == 401
    assert log_in_again(person, NEW).status_code == 303


def test_passwords_that_are_asked_again_are_throttled(
    operators: MakeOperator, database: Database, shared_folder: Path
) -> None:
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "LOGIN_RATE_LIMIT": "2",
    }
    person = operators(Role.VIEWER)
    with run_service(environment) as strict:
        with httpx2.Client(base_url=strict.url, cookies=person.http.cookies, timeout=30) as http:
            csrf = person.form(ACCOUNT, f"{ACCOUNT}/password")["csrf"]
            form = {"csrf": csrf, "old": "wrong", "new": NEW, "again": NEW}
            answers = [http.post(f"{ACCOUNT}/password", data=form).status_code for _ in range(3)]
            right = http.post(f"{ACCOUNT}/password", data=form | {"old": PASSWORD}).status_code
    assert (answers, right) == ([401, 401, 429], 429)


def test_a_second_factor_is_set_up_by_a_picture_or_its_text(operators: MakeOperator) -> None:
    person = operators(Role.EDITOR)
    enrol = person.form(ACCOUNT, f"{ACCOUNT}/factor/enrol")
    assert "wrong" in text_of(person.send(f"{ACCOUNT}/factor/enrol", enrol | {"password": "wrong"}, 401))
    before = cookie_of(person)
    page = person.send(f"{ACCOUNT}/factor/enrol", enrol | {"password": PASSWORD}, 200)
    secret = secret_of(page)
    picture = re.search(r'<img src="data:image/svg\+xml[^,]*,([^"]+)"', page.text)
    assert picture is not None
    drawn = unquote(picture[1]) if "<" in unquote(picture[1]) else base64.b64decode(picture[1]).decode()
    assert "<path" in drawn
    assert " style=" not in page.text
    assert " style=" not in drawn
    refused = person.send(f"{ACCOUNT}/factor/confirm", {"csrf": enrol["csrf"], "code": "000000"}, 401)
    assert secret_of(refused) == secret
    confirmed = person.send(f"{ACCOUNT}/factor/confirm", {"csrf": enrol["csrf"], "code": code_of(secret)}, 200)
    codes = codes_of(confirmed)
    assert len(set(codes)) == 10
    assert cookie_of(person) != before
    again = person.get(ACCOUNT)
    assert not codes_of(again)
    assert secret not in again.text
    assert "10 recovery codes are left" in text_of(again)
    assert log_in_again(person).headers["location"] == "/admin/login/code"
    person.send("/admin/login/code", person.form("/admin/login/code") | {"code": codes[0]})
    assert "9 recovery codes are left" in text_of(person.get(ACCOUNT))


def test_codes_are_renewed_and_the_factor_removed_by_password_and_code(operators: MakeOperator) -> None:
    person = operators(Role.VIEWER)
    secret, codes = turn_on(person)
    form = person.form(ACCOUNT, f"{ACCOUNT}/factor/codes")
    for wrong in ({"password": "wrong", "code": codes[0]}, {"password": PASSWORD, "code": "000000"}):
        assert "wrong" in text_of(person.send(f"{ACCOUNT}/factor/codes", form | wrong, 401))
        assert "wrong" in text_of(person.send(f"{ACCOUNT}/factor/remove", form | wrong, 401))
    both = {"password": PASSWORD, "code": code_of(secret)}
    renewed = codes_of(person.send(f"{ACCOUNT}/factor/codes", form | both, 200))
    assert len(renewed) == 10
    assert not set(renewed) & set(codes)
    assert "wrong" in text_of(person.send(f"{ACCOUNT}/factor/remove", form | both, 401)), "a code is good once"
    person.send(f"{ACCOUNT}/factor/remove", form | both | {"code": codes[1]}, 401)
    before = cookie_of(person)
    person.send(f"{ACCOUNT}/factor/remove", form | both | {"code": renewed[0]})
    assert cookie_of(person) != before
    assert log_in_again(person).headers["location"] == "/admin/"


def test_an_administrator_takes_a_second_factor_away(operators: MakeOperator, database: Database) -> None:
    person, admin = operators(Role.EDITOR), operators(Role.ADMIN)
    turn_on(person)
    (user,) = database.execute("select id from rowhouse.users where email = $1", person.email)
    path = f"/admin/-/users/{user['id']}"
    admin.send(f"{path}/reset-factor", admin.form(path, f"{path}/reset-factor"))
    assert log_in_again(person).headers["location"] == "/admin/"
    admin.send(f"{path}/reset-factor", admin.form(path), 409)


def test_own_sessions_are_listed_and_ended(operators: MakeOperator, database: Database) -> None:
    person = operators(Role.VIEWER)
    other, third = second_browser(operators, person), second_browser(operators, person)
    stranger = operators(Role.VIEWER)
    page = person.get(ACCOUNT)
    words = text_of(page)
    assert words.count("Firefox on Linux") == 2
    assert words.count("this one") == 1
    actions = re.findall(rf'action="({ACCOUNT}/sessions/[0-9a-f-]+/end)"', page.text)
    assert len(actions) == 3
    csrf = person.form(ACCOUNT, f"{ACCOUNT}/password")["csrf"]
    (last,) = database.execute(
        "select s.id from rowhouse.sessions s join rowhouse.users u on u.id = s.user_id where u.email = $1"
        " order by s.created_at desc limit 1",
        person.email,
    )
    path = f"{ACCOUNT}/sessions/{last['id']}/end"
    stranger.send(path, {"csrf": stranger.form(ACCOUNT, f"{ACCOUNT}/password")["csrf"]}, 404)
    third.get(ACCOUNT)
    person.send(path, {"csrf": csrf})
    third.get(ACCOUNT, 303)
    other.get(ACCOUNT)
    person.send(f"{ACCOUNT}/sessions/end-others", {"csrf": csrf})
    other.get(ACCOUNT, 303)
    stranger.get(ACCOUNT)
    person.get(ACCOUNT)
