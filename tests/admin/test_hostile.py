"""What somebody with bad intentions sends: forged forms, names that are marks, forms made by hand, foreign addresses.

Every route is walked, so that one that is added later is held to the same.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import Mount, Route

from service.admin.slug import from_slug, to_slug
from service.application import create_app
from service.core.types import Action, Role
from service.crud import accounts
from tests.admin.conftest import PASSWORD, MakeOperator, Operator, forms_of
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service, settings_from
from tests.waiting import until

MARK = "<img src=x onerror=alert(1)>"
NAMES = [
    MARK,
    '"><script>alert(2)</script>',
    "{{ 7 * 7 }}{% raw %}",
    "'); drop table airlines; --",
    "a/b?c#d&e=f%20~g",
    "select",
    "-count",
    "javascript:alert(3)",
]
# Every control plane's own page is a path of one operator; these names stand in for what they take.
_PARAMETERS = {"identity": "airlines", "pk": "UA"}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def marked(database: Database, service: Service) -> Iterator[str]:
    """A table whose name, columns, comments and values are marks of HTML; with a row that refers to another."""
    columns = ", ".join(f"{_quoted(name)} text default {_literal(MARK)}" for name in NAMES)
    table = _quoted(MARK)
    database.execute(f"create table {table} (id text primary key, parent text references {table}, {columns})")
    database.execute(f"comment on table {table} is {_literal(MARK)}")
    database.execute(f"comment on column {table}.{_quoted(NAMES[1])} is {_literal(NAMES[1])}")
    database.execute(f"grant select, insert, update, delete on {table} to rowhouse_service")
    database.execute(f"insert into {table} (id) values ($1)", MARK)
    database.execute(f"insert into {table} (id, parent) values ($1, $2)", NAMES[1], MARK)
    database.execute("select rowhouse.track($1::regclass)", table)
    database.execute("notify rowhouse_reload")
    until(lambda: service.state.connected().catalog.find(MARK) is not None)
    yield MARK
    database.execute("select rowhouse.untrack($1::regclass)", table)
    database.execute(f"drop table {table}")
    database.execute("notify rowhouse_reload")
    until(lambda: service.state.connected().catalog.find(MARK) is None)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _Elements(HTMLParser):
    """Every element of a page, and what it does by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and not re.fullmatch(r"/admin/static/[\w/.-]+\.js(\?[\w.+-]*)?", given.get("src", "")):
            self.wrong.append(f"script {given}")
        if tag in ("img", "iframe", "object", "embed", "base") and not given.get("src", "").startswith("data:image/"):
            self.wrong.append(f"{tag} {given}")
        self.wrong += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        for name in ("href", "action", "formaction", "src"):
            if re.match(r"\s*(javascript|data:text|vbscript)", given.get(name, ""), re.IGNORECASE):
                self.wrong.append(f"{tag} {name} {given[name]}")


def _is_clean(answer: httpx2.Response) -> None:
    elements = _Elements()
    elements.feed(answer.text)
    assert elements.wrong == [], (str(answer.url), elements.wrong)


def _routes(service: Service, method: str) -> list[str]:
    app = create_app(settings_from({"DATABASE_URL": service.state.service_url()}))
    (mount,) = (route for route in app.routes if getattr(route, "name", "") == "admin")
    assert isinstance(mount, Mount)
    paths = [one.path for one in mount.routes if isinstance(one, Route) and method in (one.methods or ())]
    assert len(paths) > 5
    return paths


def _filled(path: str, **parameters: str) -> str:
    known = _PARAMETERS | parameters
    return "/admin" + re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: known.get(match[1], "x"), path)


@pytest.mark.parametrize("name", [*NAMES, "", ".", "..", "~", "~2F", "ü/é", " ", "-"])
def test_any_name_is_one_segment_and_comes_back(name: str) -> None:
    slug = to_slug(name)
    assert re.fullmatch(r"[\w.~-]+", slug, re.ASCII)
    assert not slug.startswith((".", "-"))
    assert from_slug(slug) == name


def test_marks_in_a_database_are_texts_on_every_page(admin: Operator, service: Service, marked: str) -> None:
    table, key = to_slug(marked), to_slug(MARK)
    for path in _routes(service, "GET"):
        answer = admin.http.get(_filled(path, identity=table, pk=key), follow_redirects=True)
        assert answer.status_code < 500, (path, answer.text[:300])
        if answer.headers["content-type"].startswith("text/html"):
            _is_clean(answer)
    rows = admin.get(f"/admin/{table}/list")
    assert "&lt;img src=x onerror=alert(1)&gt;" in rows.text
    assert "49" not in re.sub(r"\d\d+|csrf\S+", "", rows.text)


def test_a_form_of_marks_is_saved_unchanged(admin: Operator, database: Database, marked: str) -> None:
    before = database.execute(f"select xmin, * from {_quoted(marked)} order by id")
    path = f"/admin/{to_slug(marked)}/edit/{to_slug(MARK)}"
    admin.send(path, admin.form(path))
    assert database.execute(f"select xmin, * from {_quoted(marked)} order by id") == before


def test_marks_in_an_address_are_texts(admin: Operator) -> None:
    marked = [f"{name}={MARK}" for name in ("name", "order", "select", "-q", "cursor")]
    for query in (
        *marked,
        f"name=eq.{MARK}",
        f"{MARK}=eq.1",
        f"-column={MARK}&-operator={MARK}&-value={MARK}",
        "limit=x",
        "offset=-1",
        "as_of=x",
        "%ff=%ff",
        "%00",
    ):
        answer = admin.http.get(f"/admin/airlines/list?{query}", follow_redirects=True)
        assert answer.status_code < 500, (query, answer.text[:300])
        _is_clean(answer)


def test_no_form_is_taken_without_its_token(admin: Operator, service: Service, database: Database) -> None:
    before = _state(database)
    for path in _routes(service, "POST"):
        if path.startswith("/login"):
            continue
        for body in ({}, {"csrf": "x"}, {"csrf": ""}):
            answer = admin.http.post(_filled(path), data=body, headers={"x-csrf-token": body.get("csrf", "")})
            assert answer.status_code == 403, (path, answer.status_code)
    assert _state(database) == before


def test_the_token_of_another_is_none(operators: MakeOperator, service: Service, database: Database) -> None:
    one, other = operators(Role.ADMIN), operators(Role.ADMIN)
    form = one.form("/admin/airlines/edit/UA") | {"now.name": "Forged", "csrf": other.csrf}
    one.send("/admin/airlines/edit/UA", form, 403)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_forms_made_by_hand_reach_nothing_of_administrators(
    operators: MakeOperator, service: Service, database: Database, role: Role
) -> None:
    operator = operators(role)
    before, token = _state(database), {"csrf": operator.csrf}
    for path in _routes(service, "POST"):
        if path.startswith("/-/") and not path.startswith(
            ("/-/account", "/-/ticket", "/-/undo", "/-/live", "/-/changes")
        ):
            answer = operator.http.post(_filled(path), data=token | {"role": "admin", "email": "evil@example.com"})
            assert answer.status_code in (403, 404), (path, answer.status_code)
    for path in _routes(service, "GET"):
        answer = operator.http.get(_filled(path, identity="rowhouse~2Eusers"), follow_redirects=True)
        assert answer.status_code < 500
        assert "password_hash" not in answer.text
    assert _state(database) == before


def test_a_viewer_changes_no_row_by_any_form(operators: MakeOperator, service: Service, database: Database) -> None:
    viewer = operators(Role.VIEWER)
    before = database.execute("select md5(string_agg(a::text, '' order by carrier)) from airlines a")
    token = {"csrf": viewer.csrf}
    form = {"was.name": "x", "now.name": "Stolen", "take.name": "yours", "key": "UA", "keys": "UA", "column": "name",
            "value": "Stolen", "confirmed": "1", "number": "1"}  # fmt: skip
    for path in _routes(service, "POST"):
        if "{identity}" in path:
            answer = viewer.http.post(_filled(path), data=token | form)
            assert answer.status_code < 500, (path, answer.text[:300])
    assert database.execute("select md5(string_agg(a::text, '' order by carrier)) from airlines a") == before


def test_what_is_not_in_a_form_cannot_be_assigned(
    operators: MakeOperator, service: Service, database: Database
) -> None:
    """A column that may not be set is refused or left alone, whatever a form says of it."""
    database.execute("create table assigned (id integer primary key, note text, secret text default 's', "
                     "made integer generated always as (id * 2) stored)")  # fmt: skip
    database.execute("grant select, insert, update, delete on assigned to rowhouse_service")
    database.execute("insert into assigned (id, note) values (1, 'a')")
    try:
        in_session(database.service_url, _grant_note)
        database.execute("notify rowhouse_reload")
        until(lambda: service.state.connected().catalog.find("assigned") is not None)
        editor = operators(Role.EDITOR)
        page = editor.get("/admin/assigned/details/1").text
        assert "secret" not in page
        form = editor.form("/admin/assigned/edit/1")
        assert not any("secret" in name or "made" in name for name in form)
        forged = {
            "now.note": "b",
            "now.secret": "stolen",
            "was.secret": "s",
            "now.made": "7",
            "now.id": "9",
            "now.xmin": "1",
        }
        answer = editor.http.post("/admin/assigned/edit/1", data=form | forged)
        assert answer.status_code in (303, 422)
        (row,) = database.execute("select id, secret, made from assigned")
        assert (row["id"], row["secret"], row["made"]) == (1, "s", 2)
        for query in (
            "secret=eq.s",
            "order=secret",
            "select=secret",
            "-column=secret&-operator=eq&-value=s",
            "-q=s&-q-all=1",
        ):
            answer = editor.http.get(f"/admin/assigned/list?{query}", follow_redirects=True)
            assert answer.status_code < 500
            assert ">s<" not in answer.text
    finally:
        database.execute("drop table assigned")
        database.execute("delete from rowhouse.grants where table_name = 'assigned'")
        database.execute("notify rowhouse_reload")


async def _grant_note(session: AsyncSession) -> None:
    for action, columns in ((Action.READ, ["id", "note"]), (Action.UPDATE, ["note"])):
        await accounts.grant(session, Role.EDITOR, "assigned", [action], None, columns)


def test_under_a_prefix_behind_tls_all_stays_there(database: Database, keys: dict[Role, str]) -> None:
    environment = {"DATABASE_URL": database.service_url, "ROOT_PATH": "/content/42", "JWT_SECRET": "x" * 40,
                   "FORWARDED_ALLOW_IPS": "127.0.0.1"}  # fmt: skip
    email = "prefixed@example.com"
    in_session(database.service_url, lambda session: accounts.create_user(session, email, PASSWORD, Role.ADMIN))
    try:
        with run_service(environment, keys) as service:
            for served in ("", "/content/42"):  # proxies that cut the prefix off, and those that do not
                http = service.http({"x-forwarded-proto": "https"})
                login = http.get(f"{served}/admin/login")
                (action,) = forms_of(login)
                assert action == "/content/42/admin/login"
                form = forms_of(login)[action] | {"email": email, "password": PASSWORD}
                cookie = login.headers["set-cookie"].partition(";")[0]
                answer = http.post(f"{served}/admin/login", data=form, headers={"cookie": cookie})
                assert answer.headers["location"] == "/content/42/admin/"
                assert "Path=/content/42/admin" in answer.headers["set-cookie"]
                session = answer.headers["set-cookie"].partition(";")[0]
                page = http.get(f"{served}/admin/airlines/list", headers={"cookie": session})
                assert page.status_code == 200
                links = re.findall(r'(?:href|src|action)="([^"]+)"', page.text)
                assert len(links) > 10
                assert all(link.startswith(("/content/42/admin", "#", "data:")) for link in links), links
                style = next(link for link in links if ".css" in link)
                assert http.get(style.removeprefix("/content/42") if not served else style).status_code == 200
                http.close()
    finally:
        database.execute("delete from rowhouse.users where email = $1", email)


def _state(database: Database) -> list[object]:
    """Who may do what, and with which credentials."""
    return [
        database.execute("select id, email, role, is_active, password_hash from rowhouse.users order by id"),
        database.execute("select * from rowhouse.grants order by id"),
        database.execute("select id, role, revoked_at from rowhouse.api_keys order by id"),
        database.execute("select id, state from rowhouse.webhooks order by id"),
        database.execute("select carrier, name from airlines order by carrier"),
    ]
