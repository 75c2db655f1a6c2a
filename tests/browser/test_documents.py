"""The documents' pages as a person sees them, in Chromium."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Action, Role
from service.crud import accounts
from service.db.privileges import open_schemas
from tests.awkward_database import awkward_database
from tests.browser.pages import (
    IS_WIDER_THAN_THE_SCREEN,
    Watch,
    at_each_size,
    check,
    on_a_wide_screen,
    open_page,
    run_chromium,
    take_picture,
)
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service


@pytest.fixture(scope="module")
def chromium(service: Service, large_service: Service) -> Iterator[Browser]:
    with run_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def open_service(database: Database, service: Service) -> Iterator[Service]:
    """As in the demo: whoever comes may read."""
    environment = {"DATABASE_URL": database.service_url, "ANONYMOUS_ROLE": "viewer", "JWT_SECRET": "x" * 40}
    with run_service(environment, service.keys) as running:
        yield running


def show_with_key(page: Page, key: str) -> None:
    page.get_by_label("API key or access token").fill(key)
    with page.expect_response(re.compile(r"/openapi\.json\?table=$")):
        page.get_by_role("button", name="Show what it may use").click()


def open_table(page: Page, table: str) -> Locator:
    """Open the part of a table in Swagger UI; its operations."""
    page.locator(f"#operations-tag-{table}").click()
    operations = page.locator(f"[id^='operations-{table}-']")
    expect(operations.first).to_be_visible()
    return operations


def operation_of(page: Page, table: str) -> Locator:
    """The operation that reads a table's rows, in Swagger UI or ReDoc."""
    return page.locator("h2, .opblock-summary-description").filter(has_text=f"Read rows of {table}")


@at_each_size
def test_swagger_shows_tables_from_the_service_alone(
    chromium: Browser, open_service: Service, size: tuple[int, int]
) -> None:
    watch = Watch(open_service)
    with open_page(chromium, watch, "/docs", size) as page:
        take_picture(page, "docs", size)
        operations = open_table(page, "flights")
        expect(operations.filter(has_text="Read rows of flights")).to_be_visible()
        check(page, watch)
        operations.first.click()
        expect(operations.first.get_by_text("Parameters", exact=True)).to_be_visible()
        take_picture(page, "docs-operation", size, at=operations.first)
        check(page, watch)
        assert f"{open_service.url}/openapi.json" in watch.fetched


@at_each_size
def test_swagger_fits_the_screen_and_shows_no_locks(
    chromium: Browser, open_service: Service, size: tuple[int, int]
) -> None:
    watch = Watch(open_service)
    with open_page(chromium, watch, "/docs", size) as page:
        field = page.get_by_placeholder("Filter by tag")
        box, around = field.bounding_box(), page.locator("#operations-tag-flights").bounding_box()
        assert box is not None
        assert around is not None
        take_picture(page, "docs-filter", size, at=field)
        assert box["width"] >= around["width"] * 0.95
        expect(open_table(page, "flights").locator(".authorization__btn:visible")).to_have_count(0)
        expect(page.get_by_role("button", name="Authorize")).to_be_visible()
        check(page, watch)


@at_each_size
def test_redoc_shows_tables_from_the_service_alone(
    chromium: Browser, open_service: Service, size: tuple[int, int]
) -> None:
    watch = Watch(open_service)
    with open_page(chromium, watch, "/redoc", size) as page:
        take_picture(page, "redoc", size)
        operation = page.get_by_role("heading", name="Read rows of flights")
        expect(operation).to_be_visible()
        take_picture(page, "redoc-operation", size, at=operation)
        check(page, watch)
        assert f"{open_service.url}/openapi.json" in watch.fetched


@on_a_wide_screen
def test_swagger_shows_what_a_key_may_use(chromium: Browser, service: Service, size: tuple[int, int]) -> None:
    watch = Watch(service)
    with open_page(chromium, watch, "/docs", size) as page:
        expect(page.locator("#operations-tag-Login")).to_be_visible()
        expect(page.locator("#operations-tag-flights")).to_have_count(0)
        show_with_key(page, service.keys[Role.VIEWER])
        expect(open_table(page, "flights").filter(has_text="Read rows of flights")).to_be_visible()
        check(page, watch)


@on_a_wide_screen
def test_swagger_tries_a_request_out_with_the_key(chromium: Browser, service: Service, size: tuple[int, int]) -> None:
    watch = Watch(service)
    with open_page(chromium, watch, "/docs", size) as page:
        show_with_key(page, service.keys[Role.VIEWER])
        operation = open_table(page, "airlines").filter(has_text="Read rows of airlines")
        operation.click()
        operation.get_by_role("button", name="Try it out").click()
        operation.locator("[data-param-name=limit] input").fill("1")
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        expect(answer.locator(".response-col_status").last).to_have_text("200")
        expect(answer).to_contain_text('"Endeavor Air Inc."')
        take_picture(page, "docs-answer", size, at=answer)
        check(page, watch)
        assert f"{service.url}/api/v1/airlines?limit=1" in watch.fetched


@at_each_size
def test_swagger_says_that_a_key_is_wrong(chromium: Browser, service: Service, size: tuple[int, int]) -> None:
    watch = Watch(service)
    with open_page(chromium, watch, "/docs", size) as page:
        show_with_key(page, "rh_wrong")
        expect(page.get_by_role("status")).to_have_text("The API key is not valid.")
        expect(page.locator("#swagger-ui .info")).to_be_visible()
        take_picture(page, "docs-wrong-key", size)
        assert watch.troubles.pop(0).startswith("answered 401")
        assert not page.evaluate(IS_WIDER_THAN_THE_SCREEN)


@pytest.fixture(scope="module")
def large_service(database: Database, service: Service, shared_folder: Path) -> Iterator[Service]:
    """Hundreds of tables, which whoever comes may read."""
    with awkward_database(database.server, f"pages_{database.name}", shared_folder) as large:
        asyncio.run(_make_tables(large.superuser_url))
        asyncio.run(open_schemas(large.superuser_url, ["many"], 5.0))
        in_session(large.service_url, _grant_reading)
        environment = {
            "DATABASE_URL": large.service_url,
            "EXPOSED_SCHEMAS": "many",
            "ANONYMOUS_ROLE": "viewer",
            "JWT_SECRET": "x" * 40,
        }
        with run_service(environment, service.keys) as running:
            yield running


async def _make_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create schema many")
        for number in range(400):
            await connection.execute(
                f"create table many.table_{number:03} (id bigint primary key, name text, at timestamptz, day date, "
                "price numeric, amount integer, is_on boolean, notes jsonb, ratio real, kind varchar(20))"
            )
    finally:
        await connection.close()


async def _grant_reading(session: AsyncSession) -> None:
    for number in range(400):
        await accounts.grant(session, Role.VIEWER, f"table_{number:03}", [Action.READ], None)


@at_each_size
@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_hundreds_of_tables_are_listed_and_shown_one_by_one(
    chromium: Browser, large_service: Service, name: str, size: tuple[int, int]
) -> None:
    watch = Watch(large_service)
    with open_page(chromium, watch, f"/{name}", size) as page:
        expect(page.get_by_text("400 tables and functions")).to_be_visible()
        assert f"{large_service.url}/openapi.json" not in watch.fetched
        take_picture(page, f"{name}-list", size)
        check(page, watch)
        page.get_by_role("searchbox").fill("_123")
        page.get_by_role("link", name="table_123").click()
        expect(operation_of(page, "table_123")).to_be_visible()
        take_picture(page, f"{name}-one-table", size)
        check(page, watch)
        assert f"{large_service.url}/openapi.json?table=table_123" in watch.fetched
        page.get_by_role("link", name="All tables").click()
        expect(page.get_by_role("link", name="table_007")).to_be_visible()
        check(page, watch)


@on_a_wide_screen
@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_a_page_of_one_table_can_be_linked(
    chromium: Browser, open_service: Service, name: str, size: tuple[int, int]
) -> None:
    watch = Watch(open_service)
    with open_page(chromium, watch, f"/{name}?table=flights", size) as page:
        expect(operation_of(page, "flights")).to_be_visible()
        expect(operation_of(page, "airlines")).to_have_count(0)
        check(page, watch)
