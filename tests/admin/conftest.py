"""Operators of the back-office, as browsers without scripts: they keep cookies and send the forms that pages have."""

import asyncio
import re
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from unittest import mock
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.second_factor import SecondFactors
from service.core import security
from service.core.types import Role
from service.crud import accounts
from service.db.engine import UnitOfWork, make_engine
from service.models.system import User
from tests.conftest import Database
from tests.service_under_test import Service, in_session, settings_from

PASSWORD = "correct horse battery"
# A hash brings its own parameters: with those that keep guessers out, it and each login take 0.2 s of a processor.
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class _Forms(HTMLParser):
    """The fields of every form of a page, as a browser would send them, by the form's action."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: dict[str, list[tuple[str, str]]] = {}
        self._fields: list[tuple[str, str]] | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []
        self._text_of: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = self.forms.setdefault(given.get("action", ""), [])
        elif self._fields is None:
            return
        elif tag == "input" and "name" in given and given.get("type") != "file":
            is_box = given.get("type") in ("checkbox", "radio")
            if not is_box or "checked" in given:
                self._fields.append((given["name"], given.get("value", "on" if is_box else "")))
        elif tag == "select":
            self._select, self._options = given.get("name"), []
        elif tag == "option" and self._select is not None:
            self._options.append((given.get("value", ""), "selected" in given))
        elif tag == "textarea":
            self._text_of, self._text = given.get("name"), ""

    def handle_data(self, data: str) -> None:
        if self._text_of is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._fields is None:
            return
        if tag == "form":
            self._fields = None
        elif tag == "select" and self._select is not None:
            if self._options:
                chosen = next((value for value, is_chosen in self._options if is_chosen), self._options[0][0])
                self._fields.append((self._select, chosen))
            self._select = None
        elif tag == "textarea" and self._text_of is not None:
            self._fields.append((self._text_of, self._text.removeprefix("\n")))
            self._text_of = None


def forms_of(answer: httpx2.Response) -> dict[str, dict[str, str]]:
    """What each form of a page would send, by the path of its action."""
    parser = _Forms()
    # Line ends of a page are LF to a browser, whatever they were (HTML, "Preprocessing the input stream").
    parser.feed(answer.text.replace("\r\n", "\n").replace("\r", "\n"))
    return {action: dict(fields) for action, fields in parser.forms.items()}


def text_of(answer: httpx2.Response) -> str:
    """What a page says, without its marks."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>", " ", answer.text.partition("<main")[2])
    return " ".join(unescape(body).split())


class Operator:
    """A browser of the back-office."""

    def __init__(self, service: Service, *, email: str, address: str = "") -> None:
        self.email = email
        self.http = service.http(path=address)

    def log_in(self, password: str = PASSWORD) -> httpx2.Response:
        page = self.http.get("/admin/login")
        form = forms_of(page)["/admin/login"]
        return self.http.post("/admin/login", data=form | {"email": self.email, "password": password})

    def get(self, path: str, status: int = 200) -> httpx2.Response:
        answer = self.http.get(path)
        assert answer.status_code == status, (answer.status_code, text_of(answer))
        return answer

    def form(self, path: str, action: str | None = None) -> dict[str, str]:
        """The form of a page, as it stands there."""
        return forms_of(self.get(path))[action or urlsplit(path).path]

    def send(self, path: str, form: dict[str, str], status: int = 303) -> httpx2.Response:
        answer = self.http.post(path, data=form)
        assert answer.status_code == status, (answer.status_code, text_of(answer))
        return answer

    @property
    def csrf(self) -> str:
        return self.form("/admin/", "/admin/logout")["csrf"]


def enrol(service: Service, database: Database, email: str) -> tuple[str, list[str]]:
    """Give a user a second factor: its secret, and the recovery codes."""
    (user,) = database.execute("select id from rowhouse.users where email = $1", email)
    settings = settings_from({"DATABASE_URL": database.service_url}).database

    async def run() -> tuple[str, list[str]]:
        engine = make_engine(database.service_url, settings, role=None)
        try:
            factors = SecondFactors(UnitOfWork(engine), service.state.secret())
            made = await factors.enrol(user["id"], email)
            return made.secret, await factors.confirm(user["id"], pyotp.TOTP(made.secret).now())
        finally:
            await engine.dispose()

    return asyncio.run(run())


MakeOperator = Callable[..., Operator]


@pytest.fixture
def operators(service: Service, database: Database) -> Iterator[MakeOperator]:
    """Makes users of a role, logged in; they are removed in the end."""
    made: list[Operator] = []

    def make(role: Role = Role.ADMIN, *, is_logged_in: bool = True) -> Operator:
        email = f"{role}-{uuid4().hex[:8]}@example.com"

        async def create(session: AsyncSession) -> User:
            return await accounts.create_user(session, email, PASSWORD, role)

        with mock.patch.object(security, "_hasher", _QUICK):
            in_session(database.service_url, create)
        operator = Operator(service, email=email)
        made.append(operator)
        if is_logged_in:
            assert operator.log_in().status_code == 303
        return operator

    yield make
    for operator in made:
        operator.http.close()
        database.execute("delete from rowhouse.users where email = $1", operator.email)


@pytest.fixture
def admin(operators: MakeOperator) -> Operator:
    return operators(Role.ADMIN)
