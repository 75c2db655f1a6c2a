"""A column that a role may not see is in no answer, and nothing is learnt of it; one that it may not set is not set."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from tests.conftest import Database
from tests.events.client import following
from tests.service_under_test import Service, in_session, problem_of, run_service

_SCHEMA = (Path(__file__).parent.parent / "fixture" / "columned.sql").read_text()
_STAFF = "/api/v1/staff"
_SEEN = ["id", "name", "note", "team"]
# What stands in hidden columns, and what they are called.
_SECRETS = (
    "salary",
    "permit",
    "909091",
    "909092",
    "secret",
    "mentor",
    "senior",
    "junior",
    "budget",
    "80808",
    "gross",
    "staff_mentor",
)
_TABLES = ["teams", "staff", "badges", "staff_teams", "slips", "letters", "needy"]
_FUNCTIONS = ["rpc/everybody", "rpc/somebody", "rpc/hello"]


@pytest.fixture(scope="module")
def columned(database: Database, keys: dict[Role, str]) -> Iterator[Service]:
    asyncio.run(_execute(database.superuser_url))
    asyncio.run(open_schemas(database.superuser_url, ("columned",), 5))

    async def prepare(session: AsyncSession) -> None:
        async def allow(role: Role, table: str, *actions: Action, columns: str | None = None) -> None:
            names = columns.split() if columns else None
            await accounts.grant(session, role, table, list(actions), None, names)

        viewer, editor = Role.VIEWER, Role.EDITOR
        for role in (viewer, editor):
            await allow(role, "staff", Action.READ, columns="id name note team")
            await allow(role, "teams", Action.READ, columns="id name")
            await allow(role, "staff_teams", Action.READ, columns="staff")
            await allow(role, "slips", Action.READ, columns="name")
            await allow(role, "badges", Action.READ, columns="label")
            for function in _FUNCTIONS:
                await allow(role, function, Action.EXECUTE)
        await allow(editor, "staff", Action.CREATE, columns="id name note salary")
        await allow(editor, "staff", Action.UPDATE, columns="name salary permit")
        await allow(editor, "staff", Action.DELETE)
        await allow(editor, "badges", Action.CREATE, Action.UPDATE, columns="code label")
        await allow(editor, "badges", Action.DELETE)
        await allow(editor, "letters", Action.READ, Action.UPDATE, columns="id title")
        await allow(editor, "letters", Action.DELETE)
        await allow(editor, "needy", Action.READ, Action.CREATE, Action.UPDATE, columns="id label")
        # The administrator's own filter may be about what the role does not see.
        await accounts.grant(session, viewer, "staff", [Action.READ], "salary=gt.0", ["id", "name", "note", "team"])

    in_session(database.service_url, prepare)
    environment = {
        "DATABASE_URL": database.service_url,
        "EXPOSED_SCHEMAS": "columned",
        "JWT_SECRET": "x" * 40,
        "CREDENTIAL_CACHE_SECONDS": "0",
        "RATE_LIMIT": "1000000",
        "API_AGGREGATES": "true",
    }
    try:
        with run_service(environment, keys) as running:
            yield running
    finally:
        for table in ("staff", "letters"):
            database.execute_as_superuser(f"select rowhouse.untrack('columned.{table}')")
        database.execute_as_superuser("drop schema columned cascade")
        database.execute("delete from rowhouse.grants where table_name = any($1)", [*_TABLES, *_FUNCTIONS])


async def _execute(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_SCHEMA)
        for table in ("staff", "letters"):
            await connection.execute(f"select rowhouse.track('columned.{table}')")
    finally:
        await connection.close()


@pytest.fixture
def viewer(columned: Service) -> Iterator[httpx2.Client]:
    with columned.client(Role.VIEWER) as client:
        yield client


@pytest.fixture
def editor(columned: Service) -> Iterator[httpx2.Client]:
    with columned.client(Role.EDITOR) as client:
        yield client


@pytest.fixture
def admin(columned: Service) -> Iterator[httpx2.Client]:
    with columned.client(Role.ADMIN) as client:
        yield client


@pytest.fixture(autouse=True)
def _tidy(columned: Service, database: Database) -> Iterator[None]:
    yield
    database.execute_as_superuser("delete from columned.staff where id > 2")
    database.execute_as_superuser(
        "update columned.staff set name = case id when 1 then 'Ada' else 'Bo' end, salary = 909090 + id, "
        "note = case id when 1 then 'a' else 'b' end, permit = 'secret-' || id"
    )
    database.execute_as_superuser("delete from columned.badges where code <> 'secret-9'")
    database.execute_as_superuser("delete from columned.needy")


def _tells_nothing(answer: httpx2.Response) -> None:
    """Neither a name nor a value of what is hidden is in the answer, its headers included."""
    text = answer.content.decode("latin-1") + str(dict(answer.headers))
    assert not [word for word in _SECRETS if word in text], text


@pytest.mark.parametrize(
    "path",
    [
        "staff",
        "staff?select=*",
        "staff/1",
        "staff?select=*,teams(*)",
        "staff?select=*,...teams(team_name:name)",
        "teams?select=*,staff(*)",
        "staff?select=name,hello",
        "staff?order=name.desc&limit=1",
        "staff?as_of=2100-01-01T00:00:00Z",
        "staff/1?as_of=2100-01-01T00:00:00Z",
        "staff?format=csv",
        "staff?format=ndjson",
        "slips",
        "badges",
        "rpc/everybody",
        "rpc/everybody?select=*&order=name",
        "rpc/somebody",
        "rpc/everybody?select=name,teams(*)",
        "staff/-/schema",
        "-/tables",
        "staff/-/history",
        "staff/-/trash",
        "-/history?tables=staff",
    ],
)
def test_what_is_hidden_is_in_no_answer(viewer: httpx2.Client, database: Database, path: str) -> None:
    database.execute_as_superuser("update columned.staff set salary = salary, name = upper(name)")
    answer = viewer.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.content not in (b"", b"null")
    _tells_nothing(answer)


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"])
def test_exports_have_the_columns_that_may_be_read(viewer: httpx2.Client, kind: str) -> None:
    answer = viewer.get(_STAFF, headers={"Accept": kind})
    assert answer.status_code == 200, answer.text
    assert b"note" in answer.content
    _tells_nothing(answer)


def test_the_document_describes_what_may_be_read_and_set(columned: Service) -> None:
    documents = {}
    for role in (Role.VIEWER, Role.EDITOR):
        with columned.client(role) as client:
            documents[role] = client.get("/openapi.json").json()
    viewers = json.dumps(documents[Role.VIEWER])
    assert not [word for word in ("salary", "mentor", "A secret comment", "gross", "budget") if word in viewers]
    schemas = documents[Role.EDITOR]["components"]["schemas"]
    assert list(schemas["staff.row"]["properties"]) == [*_SEEN, "hello"]
    assert list(schemas["staff.insert"]["properties"]) == ["id", "name", "note", "salary"]
    assert list(schemas["staff.change"]["properties"]) == ["name", "salary", "permit"]
    assert "staff.put" not in schemas
    assert "put" not in documents[Role.EDITOR]["paths"]["/api/v1/staff/{key}"]
    assert "/api/v1/badges/{key}" not in documents[Role.EDITOR]["paths"]


# {} is the name of a column, which is hidden, or is not there at all: who asks cannot tell.
_QUERIES = [
    "select={}",
    "select=id,{}",
    "select=x:{}",
    "select={}::text",
    "select={}->a",
    "select={}->>0",
    "select={}.sum()",
    "select=id,{}.max()::text",
    "select=name,count()&having={}.sum().gt.1",
    "{}=eq.1",
    "{}=is.null",
    "{}=not.is.null",
    "{}=in.(1,2)",
    "{}=like.s*",
    "{}=eq(any).{{1,2}}",
    "{}->a=eq.1",
    "or=({}.eq.1,id.eq.1)",
    "and=(id.eq.1,or(id.eq.2,{}.gt.3))",
    "not.and=({}.eq.1,id.eq.1)",
    "order={}",
    "order={}.desc.nullslast",
    "order=id,{}->a",
    "order=teams({})",
    "select=*,teams(*)&order=teams({})",
    "select=*,teams({})",
    "select=*,teams(*)&teams.{}=eq.1",
    "select=*,teams(*)&teams.order={}",
    "select=*,{}(*)",
    "select=*,{}(name)",
    "select=*,teams!{}(name)",
    "select=*,x:teams!staff_{}(name)",
    "select=*,...{}(name)",
    "columns={}",
    "on_conflict={}",
    "format=csv&{}=eq.1",
    "as_of=2100-01-01T00:00:00Z&{}=eq.1",
    "as_of=2100-01-01T00:00:00Z&select={}",
]
_HIDDEN_AND_ABSENT = [
    ("salary", "sblbry"),
    ("permit", "pbrmbt"),
    ("mentor", "mbntbr"),
    ("rank", "rbnk"),
    ("gross", "grbss"),
]


def _told(answer: httpx2.Response, name: str) -> tuple[int, str]:
    document = answer.json()
    for own in ("request_id", "instance"):
        document.pop(own, None)
    return answer.status_code, json.dumps(document).replace(name, "{}")


@pytest.mark.parametrize("query", _QUERIES)
def test_a_hidden_column_is_answered_as_one_that_is_not_there(viewer: httpx2.Client, query: str) -> None:
    for pair in _HIDDEN_AND_ABSENT:
        hidden, absent = (_told(viewer.get(f"{_STAFF}?{query.format(name)}"), name) for name in pair)
        assert hidden == absent
        assert hidden[0] >= 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "staff/-/changes?wait=0&{}=eq.1", None),
        ("GET", "staff/-/changes?wait=0&select={}", None),
        ("GET", "staff/-/history?{}=eq.1", None),
        ("GET", "staff/-/trash?{}=eq.1", None),
        ("GET", "rpc/everybody?{}=eq.1", None),
        ("GET", "rpc/everybody?select={}", None),
        ("GET", "rpc/everybody?order={}", None),
        ("GET", "staff/1?select={}", None),
        ("POST", "staff", {"{}": 1}),
        ("POST", "staff", [{"id": 7, "{}": 1}]),
        ("POST", "staff?columns=id,{}", {"id": 7}),
        ("POST", "staff?on_conflict={}", {"id": 7}),
        ("POST", "staff?select={}", {"id": 7}),
        ("PATCH", "staff?id=eq.1", {"{}": 1}),
        ("PATCH", "staff/1", {"{}": 1}),
        ("PATCH", "staff", [{"id": 1, "{}": 1}]),
        ("PATCH", "staff?{}=eq.1", {"name": "x"}),
        ("PATCH", "staff/1?{}=eq.1", {"name": "x"}),
        ("DELETE", "staff?{}=eq.1", None),
        ("DELETE", "staff/1?{}=eq.1", None),
    ],
)
def test_nor_can_writes_feeds_and_calls_tell_it_apart(editor: httpx2.Client, method: str, path: str, body: Any) -> None:
    for hidden, absent in (("mentor", "mbntbr"), ("rank", "rbnk")):  # neither may be set
        answers = []
        for name in (hidden, absent):
            sent = None if body is None else json.loads(json.dumps(body).replace("{}", name))
            answer = editor.request(method, f"/api/v1/{path.format(name)}", json=sent)
            answers.append(_told(answer, name))
        assert answers[0] == answers[1]
        assert answers[0][0] >= 400


@pytest.mark.parametrize("form", ["csv", "ndjson", "arrow"])
def test_nor_can_imports(editor: httpx2.Client, form: str) -> None:
    answers = []
    for name in ("mentor", "mbntbr"):
        body, kind = _file(form, {"id": 7, name: 1})
        answers.append(_told(editor.post(_STAFF, content=body, headers={"Content-Type": kind}), name))
    assert answers[0] == answers[1]
    body, kind = _file(form, {"id": 7, "team": 1})
    refused = editor.post(_STAFF, content=body, headers={"Content-Type": kind})
    assert refused.status_code == 403
    assert "may not set 'team'" in refused.json()["message"]
    body, kind = _file(form, {"id": 7, "salary": 77})
    assert editor.post(_STAFF, content=body, headers={"Content-Type": kind}).status_code == 201


def _file(form: str, row: dict[str, Any]) -> tuple[bytes, str]:
    if form == "csv":
        return f"{','.join(row)}\n{','.join(map(str, row.values()))}\n".encode(), "text/csv"
    if form == "ndjson":
        return json.dumps(row).encode(), "application/x-ndjson"
    import pyarrow

    table = pyarrow.Table.from_pylist([row])
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes(), "application/vnd.apache.arrow.stream"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["select", "order", "or", "and", "salary", "teams.budget", "having", "columns", "cursor"]),
            st.text(alphabet="salryteambudgcoi(),.*:>-1!{}\"'% ", max_size=24),
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_shows_a_value_that_is_hidden(viewer: httpx2.Client, query: list[tuple[str, str]]) -> None:
    answer = viewer.get(_STAFF, params=[("select", "*,teams(*)"), *query])
    assert answer.status_code < 500
    assert not [value for value in ("909091", "909092", "secret", "senior", "80808") if value in answer.text]


def test_a_row_filter_of_the_administrator_may_name_what_is_hidden(viewer: httpx2.Client, database: Database) -> None:
    set_filter = "update rowhouse.grants set row_filter = $1 where table_name = 'staff' and role = 'viewer'"
    try:
        database.execute(set_filter, "salary=gt.909091")
        answer = viewer.get(f"{_STAFF}?select=id&name=like.*o*")
        assert answer.json() == [{"id": 2}]
        assert viewer.get(f"{_STAFF}/1").status_code == 404
    finally:
        database.execute(set_filter, "salary=gt.0")


def test_a_column_that_may_be_set_and_not_read_is_not_answered(editor: httpx2.Client, admin: httpx2.Client) -> None:
    prefer = {"Prefer": "return=representation"}
    made = editor.post(_STAFF, json={"name": "Cy", "salary": 5511}, headers=prefer)
    assert made.status_code == 201, made.text
    assert list(made.json()[0]) == _SEEN
    changed = editor.patch(made.headers["location"], json={"salary": 5512}, headers=prefer)
    assert (changed.status_code, list(changed.json())) == (200, _SEEN)
    assert "551" not in made.text + changed.text
    assert admin.get(made.headers["location"]).json()["salary"] == 5512
    bulk = editor.patch(f"{_STAFF}?id=eq.{made.json()[0]['id']}", json={"salary": 5513}, headers=prefer)
    assert "5513" not in bulk.text
    both = editor.post(
        "/api/v1/-/batch",
        json={"requests": [{"method": "PATCH", "path": "staff?id=eq.1", "body": {"salary": 909091}}]},
    )
    assert "909091" not in both.text


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "staff", {"name": "x", "team": 1}, "team"),
        ("POST", "staff", {"name": "x", "permit": "x"}, None),
        ("POST", "staff?columns=name,team", {"name": "x", "team": 1}, "team"),
        ("PATCH", "staff/1", {"team": 2}, "team"),
        ("PATCH", "staff/1", {"id": 8}, "id"),
        ("PATCH", "staff?id=eq.1", {"note": "x"}, "note"),
        ("PATCH", "staff", [{"id": 1, "note": "x"}], "note"),
    ],
)
def test_a_column_that_may_not_be_set_is_refused(
    editor: httpx2.Client, database: Database, method: str, path: str, body: Any, named: str | None
) -> None:
    before = database.execute_as_superuser("select * from columned.staff order by id")
    answer = editor.request(method, f"/api/v1/{path}", json=body)
    if named is None:
        assert problem_of(answer)["code"] == "PGRST204"
    else:
        assert answer.status_code == 403
        assert f"may not set '{named}'" in problem_of(answer)["message"]
    assert database.execute_as_superuser("select * from columned.staff order by id") == before


def test_an_upsert_replaces_only_what_may_be_changed(editor: httpx2.Client, database: Database) -> None:
    merge = {"Prefer": "resolution=merge-duplicates"}
    assert editor.post(_STAFF, json={"id": 1, "name": "Eve", "salary": 9}, headers=merge).status_code == 200
    refused = editor.post(_STAFF, json={"id": 1, "name": "Eve", "note": "x"}, headers=merge)
    assert (refused.status_code, "may not set 'note'" in refused.json()["message"]) == (403, True)
    [row] = database.execute_as_superuser("select name, note, salary from columned.staff where id = 1")
    assert tuple(row) == ("Eve", "a", 9)


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "*"}, {"If-Match": "*"}])
def test_a_put_needs_all_columns(editor: httpx2.Client, database: Database, headers: dict[str, str]) -> None:
    for path in ("staff/1", "staff?id=eq.1"):
        answer = editor.put(f"/api/v1/{path}", json={"id": 1, "name": "x"}, headers=headers)
        assert answer.status_code == 403, answer.text
        assert "PUT replaces a whole row" in problem_of(answer)["message"]
        _tells_nothing(answer)
    assert database.execute_as_superuser("select name from columned.staff where id = 1")[0]["name"] == "Ada"


def test_rows_whose_key_is_hidden_are_listed_and_have_no_paths(editor: httpx2.Client, database: Database) -> None:
    assert editor.get("/api/v1/badges").json() == [{"label": "gold"}]
    assert editor.get("/api/v1/badges?order=label&limit=1&offset=0").status_code == 200
    for method in ("GET", "PATCH", "DELETE", "PUT"):
        body = None if method in ("GET", "DELETE") else {"label": "x"}
        answer = editor.request(method, "/api/v1/badges/secret-9", json=body)
        assert answer.status_code in (400, 403), answer.text
        assert "key" in problem_of(answer)["message"] or "whole row" in problem_of(answer)["message"]
    made = editor.post(
        "/api/v1/badges", json={"code": "k", "label": "tin"}, headers={"Prefer": "return=representation"}
    )
    assert (made.status_code, made.json(), "location" in made.headers) == (201, [{"label": "tin"}], False)
    assert editor.patch("/api/v1/badges?label=eq.tin", json={"label": "zinc"}).status_code == 200
    assert editor.delete("/api/v1/badges?label=eq.zinc").status_code in (200, 204)
    again = editor.post("/api/v1/badges", json={"code": "secret-9", "label": "x"})
    assert again.status_code == 409
    assert "secret-9" not in again.text


def test_the_way_by_a_hidden_foreign_key_is_none(viewer: httpx2.Client, admin: httpx2.Client) -> None:
    assert viewer.get(f"{_STAFF}?select=name,teams(name)&id=eq.1").json() == [{"name": "Ada", "teams": {"name": "Red"}}]
    assert admin.get(f"{_STAFF}?select=name,teams!staff_team(name)&id=eq.1").status_code == 200
    assert admin.get(f"{_STAFF}?select=name,teams(name)&id=eq.1").status_code == 300
    # The junction's second half is hidden: no way leads through it.
    assert viewer.get(f"{_STAFF}?select=id,staff_teams(*)&id=eq.1").json() == [
        {"id": 1, "staff_teams": [{"staff": 1}, {"staff": 1}]}
    ]
    assert viewer.get("/api/v1/teams?select=id,x:staff!staff_teams(name)").status_code == 400


def test_functions_of_the_row_go_by_their_own_grant(viewer: httpx2.Client) -> None:
    assert viewer.get(f"{_STAFF}?select=hello&id=eq.1").json() == [{"hello": "Hello Ada"}]
    assert viewer.get(f"{_STAFF}?select=gross").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "staff/2", {"permit": "secret-1"}, 409),
        ("PATCH", "staff/2", {"salary": -1}, 422),
        ("PATCH", "staff/2", {"salary": "many"}, 400),
        ("POST", "staff", {"id": 7, "note": "exclusive", "salary": 31}, 201),
        ("POST", "staff", {"id": 8, "note": "exclusive", "salary": 31}, 409),
        ("POST", "needy", {"id": 1, "label": "x"}, 400),
        ("DELETE", "staff/1", None, 204),
    ],
)
def test_errors_tell_nothing_of_what_is_hidden(
    editor: httpx2.Client, database: Database, method: str, path: str, body: Any, status: int
) -> None:
    if body is not None and body.get("id") == 8:
        database.execute_as_superuser("insert into columned.staff (id, note, salary) values (70, 'exclusive', 31)")
    answer = editor.request(method, f"/api/v1/{path}", json=body)
    if method == "DELETE":  # it went, and comes back
        assert answer.status_code in (200, 204, 409)
        database.execute_as_superuser(
            "insert into columned.staff (id, name, note, team, mentor, salary, permit, rank) values "
            "(1, 'Ada', 'a', 1, 2, 909091, 'secret-1', 'senior') on conflict do nothing"
        )
        database.execute_as_superuser("insert into columned.staff_teams values (1, 1), (1, 2) on conflict do nothing")
        return
    assert answer.status_code == status, answer.text
    text = answer.text
    sent = json.dumps(body)
    told = [
        word for word in ("salary_is_positive", "staff_permit", "token", "(31", "secret-1", "Key (") if word in text
    ]
    assert not [word for word in told if word not in sent], text


def test_a_failure_of_what_is_computed_from_hidden_columns_has_no_values(
    editor: httpx2.Client, database: Database
) -> None:
    database.execute_as_superuser("insert into columned.needy (id, label, token) values (5, 'x', 'secret')")
    database.execute_as_superuser(
        "alter table columned.needy add constraint of_token check (label <> 'fail' or token::int > 0)"
    )
    answer = editor.patch("/api/v1/needy/5", json={"label": "fail"})
    assert answer.status_code == 400
    assert "secret" not in answer.text
    assert "of_token" not in answer.text


def test_a_version_hash_is_of_what_is_shown(viewer: httpx2.Client, admin: httpx2.Client, database: Database) -> None:
    """A view has no version but a hash of its row: by one that has the hidden value, that could be guessed."""
    shown = viewer.get("/api/v1/slips?select=name,_etag&name=eq.Ada").json()
    database.execute_as_superuser("update columned.staff set salary = 9000 where id = 1")
    assert viewer.get("/api/v1/slips?select=name,_etag&name=eq.Ada").json() == shown
    assert admin.get("/api/v1/slips?select=_etag&name=eq.Ada").json()[0]["_etag"] != shown[0]["_etag"]


def test_a_cursor_holds_nothing_that_is_hidden(viewer: httpx2.Client) -> None:
    link = viewer.get(f"{_STAFF}?order=name&limit=1").headers["link"]
    token = link.partition("cursor=")[2].partition(">")[0]
    raw = base64.urlsafe_b64decode(token.partition(".")[0] + "==")
    assert not [word for word in _SECRETS if word.encode() in raw]
    assert viewer.get(f"{_STAFF}?order=name&limit=1&cursor={token}").json()[0]["name"] == "Bo"


def test_the_feed_has_no_event_of_hidden_columns_alone(columned: Service, database: Database) -> None:
    with following(columned, f"{_STAFF}/-/changes", Role.VIEWER) as feed:
        feed.next("up-to-date")
        database.execute_as_superuser("update columned.staff set salary = 5000 where id = 1")
        database.execute_as_superuser("update columned.staff set name = 'Eve', salary = 5001 where id = 1")
        event = feed.change()
    assert (event["type"], event["row"]) == ("update", {"id": 1, "name": "Eve", "note": "a", "team": 1})
    assert "500" not in json.dumps({**event, "id": "", "_etag": "", "at": ""})


def test_a_row_that_comes_into_sight_by_a_hidden_column_is_an_insert(columned: Service, database: Database) -> None:
    set_filter = "update rowhouse.grants set row_filter = $1 where table_name = 'staff' and role = 'viewer'"
    database.execute(set_filter, "salary=gt.5000000")
    try:
        with following(columned, f"{_STAFF}/-/changes", Role.VIEWER) as feed:
            feed.next("up-to-date")
            database.execute_as_superuser("update columned.staff set salary = 9000000 where id = 1")
            database.execute_as_superuser("update columned.staff set salary = 10 where id = 1")
            events = [feed.change(), feed.change()]
    finally:
        database.execute(set_filter, "salary=gt.0")
    assert [(one["type"], one["key"]) for one in events] == [("insert", {"id": 1}), ("delete", {"id": 1})]


def test_rights_that_change_end_a_feed_and_its_cursor(columned: Service, database: Database) -> None:
    set_columns = "update rowhouse.grants set columns = $1 where table_name = 'staff' and role = 'viewer'"
    try:
        with following(columned, f"{_STAFF}/-/changes", Role.VIEWER) as feed:
            feed.next("up-to-date")
            database.execute(set_columns, ["id", "name"])
            assert feed.next("must-refetch", "end")["type"] == "must-refetch"
    finally:
        database.execute(set_columns, _SEEN)


def test_a_history_shows_what_may_be_read_and_changes_of_that_alone(
    viewer: httpx2.Client, admin: httpx2.Client, database: Database
) -> None:
    latest = admin.get(f"{_STAFF}/-/history?limit=1").json()
    since = latest[0]["change"] if latest else 0
    for change in ("salary = 6001", "name = 'Eve', salary = 6002", "permit = 'secret-x'"):
        database.execute_as_superuser(f"update columned.staff set {change} where id = 1")
    assert len([one for one in admin.get(f"{_STAFF}/1/-/history").json() if one["change"] > since]) == 3
    for path in ("staff/1/-/history", "staff/-/history", "-/history?tables=staff"):
        seen = [one for one in viewer.get(f"/api/v1/{path}").json() if one["change"] > since]
        assert [one["columns"] for one in seen] == [["name"]]
        assert (list(seen[0]["before"]), list(seen[0]["after"])) == (_SEEN, _SEEN)
        assert "600" not in json.dumps([seen[0]["before"], seen[0]["after"], seen[0]["key"]])


def test_an_undo_is_refused_that_sets_what_may_not_be_set(
    editor: httpx2.Client, admin: httpx2.Client, database: Database
) -> None:
    def change(sql: str) -> int:
        database.execute_as_superuser(sql)
        return int(admin.get(f"{_STAFF}/-/history?limit=1").json()[0]["change"])

    allowed = change("update columned.staff set name = 'Eve', salary = 7001 where id = 1")
    refused = change("update columned.staff set name = 'Eva', mentor = 1 where id = 1")
    unseen = change("update columned.staff set salary = 7002 where id = 2")
    answer = editor.post("/api/v1/-/undo", json={"change": refused})
    assert answer.status_code == 403
    assert "mentor" not in answer.text
    assert editor.post("/api/v1/-/undo", json={"change": unseen}).status_code == 404
    assert editor.post("/api/v1/-/undo", json={"change": allowed}).status_code == 409  # the name has changed since
    assert admin.post("/api/v1/-/undo", json={"change": refused}).status_code == 200
    undone = editor.post("/api/v1/-/undo", json={"change": allowed})
    assert undone.status_code == 200, undone.text
    [row] = database.execute_as_superuser("select name, salary from columned.staff where id = 1")
    assert tuple(row) == ("Ada", 909091)
    gone = change("with gone as (delete from columned.staff where id = 2 returning *) select from gone")
    try:
        assert editor.get(f"{_STAFF}/-/trash").json()[0]["change"] == gone
        brought_back = editor.post(f"{_STAFF}/2/-/restore")
        assert brought_back.status_code == 403
        _tells_nothing(brought_back)
    finally:
        assert admin.post(f"{_STAFF}/2/-/restore").status_code == 200


def test_a_hidden_mark_of_deletion_hides_rows_all_the_same(editor: httpx2.Client, admin: httpx2.Client) -> None:
    assert editor.get("/api/v1/letters").json() == [{"id": 1, "title": "a"}]
    assert editor.get("/api/v1/letters?deleted_at=not.is.null").status_code == 400
    assert editor.delete("/api/v1/letters/1").status_code == 204
    assert editor.get("/api/v1/letters").json() == []
    assert editor.post("/api/v1/letters/1/-/restore").status_code in (403, 404)
    assert admin.post("/api/v1/letters/1/-/restore").status_code == 200


def test_the_past_of_rows_whose_key_is_hidden(columned: Service, viewer: httpx2.Client, database: Database) -> None:
    in_session(
        database.service_url,
        lambda session: accounts.grant(session, Role.VIEWER, "letters", [Action.READ], None, ["title"]),
    )
    (before,) = database.execute_as_superuser("select to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF') t")
    with following(columned, "/api/v1/letters/-/changes", Role.VIEWER) as feed:
        feed.next("up-to-date")
        database.execute_as_superuser("insert into columned.letters values (77, 'c', null)")
        database.execute_as_superuser("update columned.letters set id = 78 where id = 77")
        database.execute_as_superuser("update columned.letters set title = 'd' where id = 78")
        events = [feed.change(), feed.change()]
    assert [(one["type"], one["key"]) for one in events] == [("insert", {"title": "c"}), ("update", {"title": "d"})]
    assert viewer.get("/api/v1/letters").json() == [{"title": "a"}, {"title": "d"}]
    assert viewer.get("/api/v1/letters", params={"as_of": before["t"]}).json() == [{"title": "a"}]
    history = viewer.get("/api/v1/letters/-/history?limit=2").json()
    assert [(one["key"], one.get("columns")) for one in history] == [
        ({"title": "d"}, ["title"]),
        ({"title": "c"}, None),
    ]
    assert "78" not in json.dumps([one["before"] for one in history] + [one["after"] for one in history])
    assert viewer.get("/api/v1/letters/-/trash").status_code == 409
    assert viewer.get("/api/v1/letters/1/-/history").status_code == 400
    database.execute_as_superuser("delete from columned.letters where id = 78")


def test_a_column_that_is_gone_grants_nothing_and_the_others_stand(
    columned: Service, viewer: httpx2.Client, database: Database
) -> None:
    set_columns = "update rowhouse.grants set columns = $1 where table_name = 'teams' and role = 'viewer'"
    try:
        database.execute(set_columns, ["id", "gone"])
        assert viewer.get("/api/v1/teams?id=eq.1").json() == [{"id": 1}]
    finally:
        database.execute(set_columns, ["id", "name"])
