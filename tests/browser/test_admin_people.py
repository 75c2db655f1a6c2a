"""People, system pages and the home page in Chromium: what an operator does there, looked at on both screens."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Role
from service.crud import accounts
from service.models.system import User
from tests.browser.pages import Colors, Watch, check, run_chromium
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

PASSWORD = "correct horse battery"
WIDE, PHONE = (1280, 900), (400, 800)
EMAIL = f"ada-{uuid4().hex[:8]}@example.com"


@pytest.fixture(scope="module")
def office(database: Database, shared_folder: Path) -> Iterator[Service]:
    """A service of its own with jobs inside, an administrator, and something to look at."""

    async def create(session: AsyncSession) -> User:
        return await accounts.create_user(session, EMAIL, PASSWORD, Role.ADMIN)

    in_session(database.service_url, create)
    database.execute(
        "insert into rowhouse.webhooks (url, table_name, filter, events, description, owner_kind, owner_id, owner_name,"
        " owner_role, failing_since) values ('https://hooks.example.org/flights', 'flights', 'carrier=eq.UA',"
        " '{insert,update}', 'browser', 'user', 'x', 'ada@example.com', 'admin', now() - interval '2 hours')"
    )
    database.execute(
        "insert into rowhouse.jobs (name, arguments, most_attempts, attempts, state, error, finished_at)"
        " values ('browser_test', '{\"table\": \"flights\"}', 3, 3, 'dead', 'ValueError: it broke', now())"
    )
    environment = {
        "DATABASE_URL": database.service_url,
        "DATA_DIR": str(shared_folder / "data"),
        "CREDENTIAL_CACHE_SECONDS": "0",
        "LOGIN_RATE_LIMIT": "1000",
    }
    with run_service(environment) as running:
        yield running
    database.execute("delete from rowhouse.users where email ~ '^(ada|bob)-[0-9a-f]{8}@'")
    database.execute("delete from rowhouse.webhooks where description = 'browser'")
    database.execute("delete from rowhouse.jobs where name = 'browser_test'")


@pytest.fixture(scope="module")
def browser(office: Service) -> Iterator[Browser]:
    del office  # it is there before Playwright takes this thread's event loop
    with run_chromium() as running:
        yield running


def enter(browser: Browser, watch: Watch, size: tuple[int, int], colors: Colors = "light") -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=colors)
    page.set_default_timeout(20_000)
    watch.attach(page)
    page.goto(f"{watch.service.url}/admin/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    return page


def look(page: Page, watch: Watch, name: str, size: tuple[int, int]) -> None:
    """Nothing is wrong with it, axe finds nothing serious, and a picture of it is kept."""
    check(page, watch)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], (name, serious)
    page.screenshot(path=Path("test-output") / f"admin-{name}-{size[0]}.png", full_page=True)


def fill_log(service: Service) -> None:
    """A few minutes, as if they had passed."""
    for number in range(12):
        for _ in range(number * 7 % 23):
            service.state.metrics.begin()
            service.state.metrics.end("GET", "/made-up", 500 if number == 7 else 200, 0.004 + number / 400)
        service.state.minutes.end_minute()


@pytest.mark.parametrize(("size", "colors"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_system_pages_look_as_they_should(
    browser: Browser, office: Service, size: tuple[int, int], colors: Colors
) -> None:
    watch = Watch(office)
    fill_log(office)
    page = enter(browser, watch, size, colors)
    expect(page.get_by_role("heading", name="The last hour")).to_be_visible()
    look(page, watch, f"home-{colors}", size)
    for name in ("users", "keys", "grants", "sessions", "security", "webhooks", "jobs", "log", "account"):
        page.goto(f"{office.url}/admin/-/{name}")
        look(page, watch, name, size)
    for listed, link in (("webhooks", "hooks.example.org"), ("jobs?state=dead", "browser_test"), ("users", EMAIL)):
        page.goto(f"{office.url}/admin/-/{listed}")
        with page.expect_navigation():
            page.locator("main").get_by_role("link", name=link).first.click()
        look(page, watch, f"one-of-{listed.partition('?')[0]}", size)
    page.goto(f"{office.url}/admin/-/grants/viewer/flights")
    look(page, watch, "grant", size)
    page.context.close()


def test_an_administrator_works_there(browser: Browser, office: Service) -> None:
    watch = Watch(office)
    page = enter(browser, watch, WIDE)
    page.get_by_role("link", name="Users").click()
    person = f"bob-{uuid4().hex[:8]}@example.com"
    page.get_by_label("E-mail address").fill(person)
    page.get_by_label("Role").select_option("editor")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("#secret")).to_have_text(re.compile(r"^[\w-]{16}$"))
    look(page, watch, "password-once", WIDE)
    page.get_by_role("link", name=f"To {person}").click()
    page.get_by_label("Account").select_option("closed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("closed")
    page.get_by_role("link", name="Grants", exact=True).click()
    page.get_by_label("Table or function").fill("airlines")
    page.get_by_role("button", name="Choose").click()
    page.get_by_label("Only rows that meet this filter (update)").fill("carrier=eq.UA")
    page.get_by_label("update", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("update where carrier is UA")
    page.get_by_role("link", name="airlines", exact=True).nth(1).click()
    page.get_by_label("update", exact=True).uncheck()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="API keys").click()
    page.get_by_label("What it is for").fill("nightly import")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("#secret")).to_contain_text("rh_")
    page.get_by_role("link", name="Security events").click()
    words = page.get_by_role("main").inner_text()
    assert "user created" in words
    assert "key created" in words
    page.get_by_role("link", name=person).first.click()
    expect(page.get_by_role("main")).to_contain_text("user closed")
    check(page, watch)
    page.context.close()


def test_a_second_factor_is_turned_on_and_asked_for(browser: Browser, office: Service) -> None:
    watch = Watch(office)
    page = enter(browser, watch, WIDE)
    page.get_by_role("link", name=EMAIL).first.click()
    page.locator("form[action$='/factor/enrol']").get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Set up a second factor").click()
    expect(page.get_by_alt_text("QR code")).to_be_visible()
    look(page, watch, "factor", WIDE)
    assert page.get_by_alt_text("QR code").evaluate("image => image.complete && image.naturalWidth > 100")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Type in the code").fill(pyotp.TOTP(secret).at(int(time.time()) - 30))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    look(page, watch, "codes", WIDE)
    page.get_by_role("link", name="I have kept them").click()
    look(page, watch, "account-with-factor", WIDE)
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code of your authenticator").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    check(page, watch)
    page.context.close()
