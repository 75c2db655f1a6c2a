"""Cursors lead through every row and every group, in any order: by what is embedded, and by aggregates."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from tests.conformance.conftest import Ask
from tests.conftest import Database
from tests.service_under_test import Service, in_session, problem_of, run_service

ORDERS = [
    "sales?select=id,shops()&order=shops(name)",
    "sales?select=id,shops(name)&order=shops(name).desc",
    "sales?select=id,shops(name)&order=shops(name).nullsfirst,kind.desc.nullslast",
    "sales?select=id,s:shops(id)&order=s(name).desc.nullslast,s(id).desc",
    "sales?select=id,shops()&order=kind,shops(rating).desc,shops(tags)",
    "sales?select=id,shops()&order=shops(notes->a).desc,shops(notes->b)",
    "sales?select=id,...shops(shop:name)&order=shops(name).desc",
    "sales?select=id,shops!inner(name,towns(name))&order=shops(name)&shops.id=gt.3",
    "shops?select=id,towns!inner(name)&order=towns(founded).desc.nullsfirst&limit=3",
    "sales?select=kind,count()",
    "sales?select=count(),kind&order=count().desc",
    "sales?select=kind,amount.sum()&order=amount.sum().desc.nullslast",
    "sales?select=kind,amount,avg:amount.avg(),count()&order=amount.avg().nullsfirst,kind.desc",
    "sales?select=shop_id,price.sum()&order=price.sum(),shop_id.desc",
    "sales?select=shop_id,took.sum(),took.max()&order=took.sum().desc,took.max()",
    "sales?select=shop_id,price.min()&order=price.min().nullsfirst&having=(count().gt.2)",
    "sales?select=k0,kind,price.max()&order=kind.desc.nullslast",
    "sales?select=half:price::integer,count()&order=count()",
    "sales?select=amount.sum(),...shops(name,...towns(town:name))&order=shops(name).desc",
    "sales?select=amount.sum(),...shops(name,...towns(town:name))",
    "sales?select=amount.sum(),shops(name,towns(name))&order=amount.sum()",
    "shops?select=notes->a,notes->b,count()&order=notes->b,notes->a.desc",
    "shops?select=tags,rating.sum()&order=tags.desc.nullslast",
    "shops?select=rating.avg(),rating.sum(),tags&order=rating.avg().desc,rating.sum()",
    "shops?select=name,...sales(amount.sum())",
    "shops?select=id,...towns(founded.max())&order=id.desc",
    "sales?select=count()",
    "sales?select=count(),price.sum()&order=count()",
]
Get = Callable[[str], httpx2.Response]


def paged(get: Get, path: str, limit: int) -> Iterator[Any]:
    """The rows of every page, each page by the link of the one before."""
    next_path, pages = f"{path}&limit={limit}", 0
    while next_path:
        answer = get(next_path)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) <= limit
        yield from answer.json()
        pages += 1
        assert pages < 100
        next_path = answer.headers.get("link", "").partition(">")[0].removeprefix("</api/v1/")
        assert not next_path or ("cursor=" in next_path and "offset=" not in next_path)


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("path", ORDERS)
def test_every_row_comes_once_and_in_its_place(ask: Ask, path: str, limit: int) -> None:
    path = path.removesuffix("&limit=3")
    whole = ask("GET", path)
    assert whole.status_code == 200, whole.text
    assert list(paged(lambda page: ask("GET", page), path, limit)) == whole.json()
    assert whole.json()


@pytest.fixture(scope="module")
def restricted(
    database: Database, awkward: str, environment: dict[str, str], keys: dict[Role, str]
) -> Iterator[Service]:
    """Viewers see the sales with a code that is a number, and shops of which the name is known."""
    url = database.server.url("rowhouse_service", awkward)
    # One that PostgreSQL thinks dearer than what a cursor compares.
    numbers = ",".join(f"code.eq.{number}" for number in range(20))
    filters = {"sales": f"or=({numbers})", "shops": "name=not.is.null", "towns": None}

    async def grant(session: AsyncSession) -> None:
        for table, rows in filters.items():
            await accounts.grant(session, Role.VIEWER, table, [Action.READ], rows)

    async def revoke(session: AsyncSession) -> None:
        for table in filters:
            await accounts.revoke_grant(session, Role.VIEWER, table, [Action.READ])

    in_session(url, grant)
    with run_service(environment, keys) as running:
        yield running
    in_session(url, revoke)


@pytest.mark.parametrize(
    "path",
    [
        *(path for path in ORDERS if path.startswith("sales")),
        # What rows are grouped by fails on the rows that are hidden.
        "sales?select=code::integer,count()&order=code.max().desc",
        "sales?select=number:code::integer,count()",
    ],
)
def test_a_row_filter_holds_on_every_page(restricted: Service, path: str) -> None:
    with restricted.client(Role.VIEWER) as client:
        whole = client.get(f"/api/v1/{path}")
        assert whole.status_code == 200, whole.text
        assert list(paged(lambda page: client.get(f"/api/v1/{page}"), path, 2)) == whole.json()
        count = client.get("/api/v1/sales?select=count()").json()
    assert count == [{"count": 36}]


def test_the_cursor_has_nothing_of_an_embedded_row_that_is_hidden(restricted: Service) -> None:
    path = "/api/v1/sales?select=id,shops(name)&order=shops(name).nullsfirst&limit=1"
    with restricted.client(Role.VIEWER) as client:
        first = client.get(path)
        link = first.headers["link"].partition(">")[0].removeprefix("<")
        second = client.get(link)
    assert first.json()[0]["shops"] is None
    assert second.json()[0]["id"] > first.json()[0]["id"]


def test_the_number_of_groups_ends_the_links(ask: Ask) -> None:
    groups = ask("GET", "sales?select=kind,count()&limit=4", prefer="count=exact")
    assert groups.headers["content-range"] == "0-3/4"
    assert "link" not in groups.headers


def test_rows_are_not_ordered_by_a_column_of_a_group(ask: Ask) -> None:
    answer = ask("GET", "sales?select=id,shops(count())&order=shops(name)")
    assert answer.status_code == 400
    assert "has aggregates" in problem_of(answer)["message"]
