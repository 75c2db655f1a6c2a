"""Tables as they were: at a time, and where a follower stood."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx2
import pytest

from service.core.types import Role
from tests.conftest import Database
from tests.service_under_test import Service, problem_of

_AIRLINES = "/api/v1/airlines"


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    database.execute("delete from airlines where carrier like '~%'")


def _now(database: Database) -> str:
    return str(database.execute("select to_json(clock_timestamp()) #>> '{}'")[0][0])


def _cursor(client: httpx2.Client) -> str:
    return str(client.get(f"{_AIRLINES}/-/changes").json()["cursor"])


def _names(client: httpx2.Client, moment: str | None, **more: str) -> dict[str, str]:
    given = {} if moment is None else {"as_of": moment}
    answer = client.get(_AIRLINES, params={"carrier": "like.~*"} | given | more)
    assert answer.status_code == 200, answer.text
    return {row["carrier"]: row["name"] for row in answer.json()}


def test_each_moment_is_as_it_was(client: httpx2.Client, database: Database) -> None:
    moments: list[tuple[str, str, dict[str, str]]] = []

    def remember() -> None:
        moments.append((_now(database), _cursor(client), _names(client, None)))

    remember()
    for script in (
        "insert into airlines values ('~1', 'a'), ('~2', 'b')",
        "update airlines set name = name || '!' where carrier like '~%'",
        "update airlines set carrier = '~3' where carrier = '~1'",
        "delete from airlines where carrier = '~2'",
        "insert into airlines values ('~1', 'again'), ('~2', 'again')",
        "update airlines set carrier = '~9' where carrier = '~1'",
        "update airlines set carrier = '~1' where carrier = '~3'",
        "delete from airlines where carrier like '~%'",
        "insert into airlines values ('~9', 'last')",
    ):
        database.execute(script)
        remember()
    assert len({str(rows) for _, _, rows in moments}) > 6
    for time, cursor, rows in moments:
        assert _names(client, time) == rows
        assert _names(client, cursor) == rows


def test_a_place_between_the_changes_of_a_transaction_is_what_a_follower_had(
    client: httpx2.Client, database: Database
) -> None:
    before = _cursor(client)
    database.execute("insert into airlines values ('~1', 'a'), ('~2', 'b')")
    first, _ = client.get(f"{_AIRLINES}/-/changes", params={"cursor": before}).json()["events"]
    assert _names(client, first["id"]) == {"~1": "a"}


def test_filters_orders_pages_counts_and_columns_are_of_then(client: httpx2.Client, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'x'), ('~2', 'y'), ('~3', 'z')")
    then = _now(database)
    database.execute("update airlines set name = 'gone' where carrier like '~%'")
    query = {"name": "in.(x,y,z)", "order": "name.desc", "limit": "2", "select": "name", "as_of": then}
    answer = client.get(_AIRLINES, params=query, headers={"Prefer": "count=exact"})
    assert answer.json() == [{"name": "z"}, {"name": "y"}]
    assert answer.headers["content-range"] == "0-1/3"
    following = answer.headers["link"].partition(">")[0].removeprefix("<")
    assert client.get(following).json() == [{"name": "x"}]
    item = client.get(f"{_AIRLINES}/~2", params={"as_of": then})
    assert item.json() == {"carrier": "~2", "name": "y"}
    assert client.get(_AIRLINES, params={"name": "eq.gone", "as_of": then}).json() == []


@pytest.mark.parametrize("count", ["planned", "estimated"])
def test_what_was_is_counted_and_not_estimated(client: httpx2.Client, database: Database, count: str) -> None:
    """PostgreSQL's statistics are of the present."""
    database.execute("insert into airlines select '~' || n, 'many' from generate_series(1, 500) n")
    then = _now(database)
    database.execute("delete from airlines where carrier like '~%'")
    query = {"carrier": "like.~*", "limit": "1", "as_of": then}
    answer = client.get(_AIRLINES, params=query, headers={"Prefer": f"count={count}"})
    assert answer.headers["content-range"] == "0-0/500"
    assert answer.headers["preference-applied"] == "count=exact"


def test_a_row_as_it_was_is_read_by_its_own_changes(client: httpx2.Client, database: Database) -> None:
    """However many changes there are of other rows, an index leads to those of its key."""
    then = _now(database)
    database.execute("update flights set dep_delay = dep_delay where id <= 20000")
    database.execute("analyze rowhouse.changes")

    def read(**query: str) -> tuple[int, int]:
        """Blocks that were read, and rows of the log whose JSON was."""
        plan = client.get(
            "/api/v1/flights",
            params={"as_of": then, **query},
            headers={"Accept": "application/vnd.pgrst.plan+json; options=analyze|buffers"},
        ).json()[0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], _parsed(plan)

    blocks, parsed = read(id="eq.7")
    assert (blocks < 2000, parsed) == (True, 2)
    assert read(limit="20")[1] >= 40_000
    assert client.get("/api/v1/flights/7", params={"as_of": then}).json()["id"] == 7


def _parsed(plan: dict[str, Any]) -> int:
    own = plan["Actual Loops"] if plan.get("Function Name") == "json_to_record" else 0
    return int(own) + sum(_parsed(one) for one in plan.get("Plans", ()))


def test_a_transaction_belongs_to_the_moment_at_which_it_committed(client: httpx2.Client, database: Database) -> None:
    """A reader of then did not see what was not committed yet, however long ago it had been written."""

    async def hold() -> str:
        connection = await asyncpg.connect(database.owner_url)
        try:
            async with connection.transaction():
                await connection.execute("insert into airlines values ('~1', 'open')")
                between: Any = await asyncio.to_thread(_now, database)
            return str(between)
        finally:
            await connection.close()

    then = asyncio.run(hold())
    assert _names(client, then) == {}
    assert _names(client, _now(database)) == {"~1": "open"}


def test_what_cannot_be_told_is_refused_in_words(client: httpx2.Client, database: Database) -> None:
    database.execute("select rowhouse.untrack('planes')")
    early = _now(database)
    database.execute("select rowhouse.track('planes')")
    for path, query, status in (
        (_AIRLINES, {"as_of": "yesterday"}, 400),
        (_AIRLINES, {"as_of": "a.b.c"}, 400),
        (_AIRLINES, {"as_of": early, "select": "name,flights(id)"}, 400),
        ("/api/v1/planes", {"as_of": early}, 410),
    ):
        answer = client.get(path, params=query)
        assert answer.status_code == status, answer.text
        assert problem_of(answer)["detail"]
    refused = client.patch(f"{_AIRLINES}/UA", params={"as_of": early}, json={"name": "x"})
    assert refused.status_code == 400


def test_the_rows_of_then_obey_the_grants_of_now(service: Service, database: Database) -> None:
    database.execute("insert into airlines values ('~1', 'open'), ('~2', 'secret')")
    then = _now(database)
    database.execute("update airlines set name = 'open' where carrier like '~%'")
    database.execute("delete from rowhouse.grants where role = 'viewer' and table_name = 'airlines'")
    database.execute(
        "insert into rowhouse.grants (role, table_name, action, row_filter) "
        "values ('viewer', 'airlines', 'read', 'name=neq.secret')"
    )
    with service.client(Role.VIEWER) as client:
        assert set(_names(client, None)) == {"~1", "~2"}
        assert set(_names(client, then)) == {"~1"}
    database.execute("update rowhouse.grants set row_filter = null where role = 'viewer' and table_name = 'airlines'")
