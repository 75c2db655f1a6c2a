"""Grants: nothing without one, rows by their filter, the same on every way to a row."""

from collections.abc import Iterator

import httpx2
import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service


@pytest.fixture(scope="module")
def restricted(database: Database, keys: dict[Role, str]) -> Iterator[Service]:
    """Viewers see the flights from JFK and the airline UA. Editors may write the flights from JFK, and add airlines."""

    async def prepare(session: AsyncSession) -> dict[Role, str]:
        for role in (Role.VIEWER, Role.EDITOR):
            await accounts.revoke_grant(session, role, "airports", list(Action))
            await accounts.grant(session, role, "flights", [Action.READ], "origin=eq.JFK")
            await accounts.grant(session, role, "airlines", [Action.READ], "carrier=eq.UA")
        await accounts.grant(session, Role.EDITOR, "flights", [Action.UPDATE, Action.CREATE], "origin=eq.JFK")
        await accounts.grant(session, Role.EDITOR, "airlines", [Action.CREATE], None)
        await accounts.revoke_grant(session, Role.EDITOR, "flights", [Action.DELETE])
        await accounts.revoke_grant(session, Role.EDITOR, "airlines", [Action.UPDATE, Action.DELETE])
        return {role: (await accounts.create_key(session, f"policy {role}", role, None)).key for role in Role}

    before = database.execute("select role, table_name, action, row_filter from rowhouse.grants")
    environment = {"DATABASE_URL": database.service_url, "CREDENTIAL_CACHE_SECONDS": "0", "JWT_SECRET": "x" * 40}
    with run_service(environment) as running:
        keys = in_session(database.service_url, prepare)
        yield Service(running.url, running.state, keys)
    database.execute("delete from rowhouse.grants")
    for row in before:
        database.execute(
            "insert into rowhouse.grants (role, table_name, action, row_filter) values ($1, $2, $3, $4)", *row
        )


def test_a_role_sees_nothing_without_a_grant(restricted: Service) -> None:
    with restricted.client(None) as client:
        assert client.get("/api/v1/airlines").status_code == 401
        assert client.get("/api/v1/-/tables").json() == []
    with restricted.client(Role.VIEWER) as client:
        assert problem_of(client.get("/api/v1/airports"))["code"] == "PGRST205"
        assert client.post("/api/v1/airlines", json={"carrier": "_1", "name": "x"}).status_code == 403
        missing = problem_of(client.get("/api/v1/airportz"))
        hidden = problem_of(client.get("/api/v1/airports?nonsense"))
        assert missing["message"].replace("airportz", "airports") == hidden["message"]
        assert "airports" not in f"{missing['hint']} {hidden['hint']}"
        embedded = problem_of(client.get("/api/v1/flights?select=id,origin_airport(name)&limit=1"))
        assert embedded["code"] == "PGRST200"


def test_a_filter_holds_on_every_way_to_a_row(restricted: Service, database: Database) -> None:
    hidden = database.execute("select id from flights where origin = 'EWR' limit 1")[0][0]
    total = database.execute("select count(*) from flights where origin = 'JFK'")[0][0]
    with restricted.client(Role.VIEWER, Prefer="count=exact") as client:
        listed = client.get("/api/v1/flights?origin=eq.EWR")
        counted = client.get("/api/v1/flights?limit=1")
        item = client.get(f"/api/v1/flights/{hidden}")
        embedded = client.get("/api/v1/airlines?select=flights(origin)&flights.limit=500").json()
        hidden_embed = client.get("/api/v1/flights?select=carrier,airline(name)&carrier=eq.AA&limit=1").json()
    assert listed.json() == []
    assert counted.headers["content-range"] == f"0-0/{total}"
    assert item.status_code == 404
    assert {flight["origin"] for flight in embedded[0]["flights"]} == {"JFK"}
    assert hidden_embed == [{"carrier": "AA", "airline": None}]


def test_a_write_reaches_only_the_rows_granted(restricted: Service, database: Database) -> None:
    mine, other = (
        database.execute("select id from flights where origin = $1 and dep_delay = 1 limit 1", origin)[0][0]
        for origin in ("JFK", "EWR")
    )
    with restricted.client(Role.EDITOR) as client:
        allowed = client.patch(f"/api/v1/flights/{mine}", json={"dep_delay": 1})
        hidden = client.patch(f"/api/v1/flights/{other}", json={"dep_delay": 1})
        moved_out = client.patch(f"/api/v1/flights/{mine}", json={"origin": "EWR"})
        many = client.patch(
            "/api/v1/flights?dep_delay=eq.1", json={"dep_delay": 1}, headers={"Prefer": "return=minimal"}
        )
        deleted = client.delete(f"/api/v1/flights/{mine}")
        replaced = client.put("/api/v1/airlines/UA", json={"name": "x"})
    reachable = database.execute("select count(*) from flights where origin = 'JFK' and dep_delay = 1")[0][0]
    assert allowed.status_code == 200
    assert hidden.status_code == 404
    assert moved_out.status_code == 403
    assert database.execute("select origin from flights where id = $1", mine)[0][0] == "JFK"
    assert many.status_code == 204, many.text
    assert many.headers["content-range"] == f"0-{reachable - 1}/*"
    assert deleted.status_code == replaced.status_code == 403


def test_an_upsert_changes_and_tells_nothing_of_a_row_out_of_reach(restricted: Service, database: Database) -> None:
    whole = "select f.id, xmin::text, to_jsonb(f) - 'id' as row from flights f where "
    hidden, mine = (
        database.execute(f"{whole} origin = $1 and dep_delay = 1 limit 1", origin)[0] for origin in ("EWR", "JFK")
    )
    allowed = orjson.loads(mine["row"])

    def upsert(number: int, resolution: str, **values: str) -> httpx2.Response:
        preferences = {"Prefer": f"resolution={resolution},return=representation"}
        return client.post("/api/v1/flights", json=allowed | {"id": number} | values, headers=preferences)

    with restricted.client(Role.EDITOR) as client:
        refused = [
            upsert(hidden["id"], "merge-duplicates", dest="XXX"),
            upsert(hidden["id"], "merge-duplicates", dest="XXX", origin="EWR"),
            client.put(f"/api/v1/flights/{hidden['id']}", json=allowed | {"dest": "XXX"}),
        ]
        passed_over = upsert(hidden["id"], "ignore-duplicates", dest="XXX")
        own = upsert(mine["id"], "merge-duplicates")
    assert [answer.status_code for answer in refused] == [404, 404, 403]
    assert all(problem_of(answer)["details"] is None for answer in refused)
    assert (passed_over.status_code, passed_over.json()) == (201, [])
    assert (own.status_code, len(own.json())) == (200, 1)
    assert database.execute(f"{whole} id = $1", hidden["id"]) == [hidden]


def test_what_is_written_is_shown_as_far_as_it_may_be_read(restricted: Service, database: Database) -> None:
    try:
        with restricted.client(Role.EDITOR) as client:
            answer = client.post("/api/v1/airlines", json={"carrier": "_1", "name": "Unseen"})
        assert (answer.status_code, answer.json()) == (201, [])
    finally:
        database.execute("delete from airlines where carrier = '_1'")


def test_a_grant_that_no_longer_fits_grants_nothing_and_spoils_nothing(restricted: Service, database: Database) -> None:
    database.execute(
        "insert into rowhouse.grants (role, table_name, action, row_filter) "
        "values ('viewer', 'planes', 'update', 'x=eq.1')"
    )
    try:
        with restricted.client(Role.VIEWER) as client:
            assert client.get("/api/v1/airlines").status_code == 200
            assert client.patch("/api/v1/planes/N10156", json={"year": 1}).status_code == 403
    finally:
        database.execute("delete from rowhouse.grants where row_filter = 'x=eq.1'")


def test_administrators_may_do_everything(restricted: Service) -> None:
    with restricted.client(Role.ADMIN) as client:
        tables = client.get("/api/v1/-/tables").json()
        assert client.get("/api/v1/airports?limit=1").status_code == 200
    assert all(table["actions"] == ["read", "create", "update", "delete"] for table in tables)
    assert len(tables) == 5


def test_the_document_shows_what_the_caller_may_know_of(restricted: Service) -> None:
    with restricted.client(None) as client:
        closed = client.get("/openapi.json").json()
    with restricted.client(Role.VIEWER) as client:
        seen = client.get("/openapi.json")
        refused = client.get("/openapi.json", headers={"X-API-Key": "rh_wrong"})
    assert not any(path.startswith("/api/v1/flights") for path in closed["paths"])
    assert "/api/v1/flights" in seen.json()["paths"]
    named = seen.json()
    assert not any("airports" in name for name in (*named["paths"], *named["components"]["schemas"]))
    assert refused.status_code == 401
