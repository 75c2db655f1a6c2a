"""Lists of the back-office in Chromium: found, edited in their cells, changed together."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Role
from service.crud import accounts
from service.models.system import User
from tests.admin.conftest import PASSWORD
from tests.browser.pages import Colors, Watch, at_each_size, check, on_a_wide_screen, run_chromium, take_picture
from tests.browser.test_live import apart
from tests.conftest import Database
from tests.service_under_test import Service, in_session
from tests.waiting import until

_WIDE = (1280, 900)
_MAKE = (
    "create type shade as enum ('light', 'dark', 'none')",
    "create table boxes (id integer primary key, name text not null, note text, price numeric check (price >= 0), "
    "shade shade, made timestamptz, sealed boolean, airline text references airlines)",
    "insert into boxes select n, 'box ' || n, "
    "case n % 3 when 0 then null when 1 then '' else 'note' end, n * 1.5, "
    "'light', timestamptz '2026-01-01T12:00:00Z' + n * interval '1 hour', n % 2 = 0, 'UA' "
    "from generate_series(1, 60) n",
    "create index on boxes (name)",
    "grant select, insert, update, delete on boxes to rowhouse_service",
    "notify rowhouse_reload",
)


@pytest.fixture(scope="module")
def email(database: Database, service: Service) -> Iterator[str]:
    """An administrator, and a table of boxes."""
    address = f"lists-{uuid4().hex[:8]}@example.com"

    async def create(session: AsyncSession) -> User:
        return await accounts.create_user(session, address, PASSWORD, Role.ADMIN)

    in_session(database.service_url, create)
    for statement in _MAKE:
        database.execute(statement)
    with service.client(Role.ADMIN) as client:
        until(lambda: client.get("/api/v1/boxes").status_code == 200)
    yield address
    apart(lambda: _remove(database, address))


def _remove(database: Database, address: str) -> None:
    database.execute("delete from rowhouse.users where email = $1", address)
    database.execute("drop table boxes")
    database.execute("drop type shade")
    database.execute("notify rowhouse_reload")


@pytest.fixture(scope="module")
def chromium(email: str) -> Iterator[Browser]:
    with run_chromium() as browser:
        yield browser


@contextmanager
def logged_in(
    browser: Browser, service: Service, email: str, size: tuple[int, int], dark: bool = False
) -> Iterator[Page]:
    """A page of whoever has just logged in; nothing must go wrong in it."""
    watch = Watch(service)
    scheme: Colors = "dark" if dark else "light"
    with browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        watch.attach(page)
        page.goto(f"{service.url}/admin/login")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        yield page
        # What the tests make go wrong on purpose; and Chromium takes a download for a page that was given up.
        expected = ("answered 409", "answered 422", "console: Failed to load")
        watch.troubles = [one for one in watch.troubles if not (one.startswith(expected) or "ERR_ABORTED" in one)]
        check(page, watch)


def assert_accessible(page: Page) -> None:
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert found == [], [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def cell(page: Page, key: int, column: str) -> Locator:
    return page.locator(f'tr[data-key="{key}"] td[data-column="{column}"]')


@at_each_size
def test_a_list_is_found_in_and_shown(chromium: Browser, service: Service, email: str, size: tuple[int, int]) -> None:
    with logged_in(chromium, service, email, size, dark=size != _WIDE) as page:
        page.goto(f"{service.url}/admin/flights/list")
        take_picture(page, "admin-list", size)
        assert_accessible(page)
        page.get_by_role("link", name="Next page").click()
        page.get_by_role("link", name="Previous page").wait_for()
        page.get_by_role("link", name="Last page").click()
        expect(page.locator("#range")).to_contain_text("the last 50")
        page.get_by_label("Search flights").fill("4711")
        page.keyboard.press("Enter")
        expect(page.locator("#searched")).to_contain_text("Without an index")
        take_picture(page, "admin-list-searched", size)
        page.get_by_role("link", name="clear the search").click()
        page.get_by_role("link", name="dep_delay", exact=True).click()
        expect(page.locator("#unserved")).to_contain_text("No index serves the order by dep_delay")
        take_picture(page, "admin-list-unserved", size)
        assert_accessible(page)


@on_a_wide_screen
def test_filters_columns_and_orders_are_chosen(
    chromium: Browser, service: Service, email: str, size: tuple[int, int]
) -> None:
    with logged_in(chromium, service, email, size) as page:
        page.goto(f"{service.url}/admin/boxes/list")
        page.get_by_label("Column", exact=True).select_option("shade")
        page.locator('select[name="-value"]').select_option(["light", "dark"])
        page.get_by_role("button", name="Filter").click()
        expect(page.locator(".chip").first).to_contain_text("shade is one of light, dark")
        page.get_by_label("Column", exact=True).select_option("made")
        page.get_by_label("How", exact=True).select_option("from")
        page.locator("#filter-value").fill("2026-01-02T12:00:00")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("#range")).to_contain_text("37 of 37")
        page.locator("summary", has_text="Columns").click()
        page.get_by_role("checkbox", name="note").uncheck()
        for _ in range(5):
            page.get_by_role("button", name="Move sealed up").click()
        take_picture(page, "admin-list-columns", size)
        assert_accessible(page)
        page.get_by_role("button", name="Show these").click()
        expect(page.locator("#rows thead th a").nth(1)).to_contain_text("sealed")
        page.get_by_role("link", name="sealed", exact=True).click()
        page.get_by_role("link", name="price", exact=True).click(modifiers=["Shift"])
        expect(page).to_have_url(re.compile("order=sealed(%2C|,)price"))
        page.locator("summary", has_text="Sort").click()
        take_picture(page, "admin-list-sorted", size)
        page.get_by_role("link", name="Remove the filter of made").click()
        expect(page.locator("#range")).to_contain_text("50 of")


def test_a_cell_is_edited_by_the_keyboard_and_never_over_somebody_else(
    chromium: Browser, service: Service, email: str, database: Database
) -> None:
    with logged_in(chromium, service, email, _WIDE) as page:
        page.goto(f"{service.url}/admin/boxes/list?limit=25")
        cell(page, 1, "name").focus()
        page.keyboard.press("ArrowDown")
        expect(cell(page, 2, "name")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#cell-form")).to_be_visible()
        assert_accessible(page)
        page.keyboard.type("renamed <b>")
        page.keyboard.press("Control+Enter")
        expect(cell(page, 2, "name")).to_have_text("renamed <b>")
        expect(page.get_by_text("Saved: name.")).to_be_visible()
        page.keyboard.press("Enter")  # the same row again, in its new version
        page.locator('#cell-form [name="now.name"]').fill("two\nlines")
        page.keyboard.press("Enter")  # a text of several lines gets another one
        expect(page.locator('#cell-form [name="now.name"]')).to_have_value("two\nlines\n")
        page.locator('#cell-form [name="now.name"]').fill("again")
        page.keyboard.press("Enter")  # one of one line is saved, as in any other input
        expect(cell(page, 2, "name")).to_contain_text("again")
        expect(page.get_by_text("Saved: name.")).to_be_visible()

        cell(page, 3, "price").dblclick()
        page.locator('#cell-form [name="now.price"]').fill("-1")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#cell-form")).to_contain_text("not allowed by a rule of the table")
        take_picture(page, "admin-cell-fault", _WIDE)
        page.keyboard.press("Escape")
        expect(cell(page, 3, "price")).to_have_text("4.5")

        cell(page, 4, "name").dblclick()
        page.locator('#cell-form [name="now.name"]').fill("mine")
        apart(lambda: database.execute("update boxes set name = 'theirs' where id = 4"))
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#cell-form")).to_contain_text("is now: theirs")
        take_picture(page, "admin-cell-conflict", _WIDE)
        page.get_by_role("button", name="Save mine").click()
        expect(page.locator("#cell-form")).to_have_count(0)
        expect(cell(page, 4, "name")).to_contain_text("mine")
        cell(page, 5, "note").hover()
        page.get_by_role("button", name="Edit note of 5").click()
        page.get_by_role("checkbox", name="NULL").check()
        page.get_by_role("button", name="Save").click()
        expect(cell(page, 5, "note")).to_contain_text("NULL")


@on_a_wide_screen
def test_ticked_rows_are_changed_after_the_number_was_confirmed(
    chromium: Browser, service: Service, email: str, size: tuple[int, int], database: Database
) -> None:
    with logged_in(chromium, service, email, size) as page:
        page.goto(f"{service.url}/admin/boxes/list?limit=25&id=gt.10")
        expect(page.get_by_role("button", name="Edit…")).to_be_disabled()
        page.get_by_label("Select 11", exact=True).check()
        page.get_by_label("Select 13", exact=True).click(modifiers=["Shift"])
        expect(page.get_by_text("3 rows are selected.")).to_be_visible()
        take_picture(page, "admin-list-ticked", size)
        page.get_by_role("button", name="Edit…").click()
        page.get_by_role("checkbox", name="Set shade").check()
        page.locator('[name="now.shade"]').select_option("dark")
        take_picture(page, "admin-bulk-edit", size)
        assert_accessible(page)
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", name="Change 3 rows?")).to_be_visible()
        take_picture(page, "admin-bulk-confirm", size)
        page.get_by_role("button", name="Change 3 rows").click()
        expect(page.get_by_text("Changed 3 rows: shade.")).to_be_visible()
        expect(cell(page, 12, "shade")).to_have_text("dark")
        page.get_by_label("Select the rows of this page").check()
        apart(lambda: database.execute("update boxes set note = 'theirs' where id = 20"))
        page.get_by_role("button", name="Delete…").click()
        page.get_by_role("button", name="Delete 25 rows").click()
        expect(page.get_by_text("20 was changed")).to_be_visible()
        take_picture(page, "admin-bulk-refused", size)
        page.get_by_role("link", name="Load the list again").click()
        expect(page.locator("#range")).to_contain_text("25 of")
        with page.expect_download() as download:
            page.get_by_label("rows that the filter shows").check()
            page.get_by_role("button", name="Export").click()
        assert download.value.suggested_filename.startswith("boxes ")
