"""History, trash and recent changes in a browser; and pages that say so when others change what they show."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Role
from service.crud import accounts
from tests.browser.pages import IS_WIDER_THAN_THE_SCREEN, Watch, run_chromium, take_picture
from tests.conftest import Database
from tests.service_under_test import Service, in_session

_EMAIL, _PASSWORD = "historian@example.com", "correct horse battery"
_AIRLINES = "/api/v1/airlines"
_WIDE, _PHONE = (1280, 900), (400, 800)


@pytest.fixture(scope="module")
def browser(service: Service, database: Database) -> Iterator[Browser]:
    async def create(session: AsyncSession) -> None:
        await accounts.create_user(session, _EMAIL, _PASSWORD, Role.ADMIN)

    in_session(database.service_url, create)
    with run_chromium() as running:
        yield running
    database.execute("delete from rowhouse.users where email = $1", _EMAIL)
    database.execute("delete from airlines where carrier like 'Q%'")


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": _WIDE[0], "height": _WIDE[1]}, base_url=service.url)
    page.set_default_timeout(20_000)
    page.goto("/admin/login")
    page.get_by_label("E-mail").fill(_EMAIL)
    page.get_by_label("Password").fill(_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    yield page
    page.close()


def _look(page: Page, name: str) -> None:
    """A picture at both widths, and nothing that axe finds serious."""
    for size in (_PHONE, _WIDE):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        take_picture(page, f"admin-{name}", size)
        assert not page.evaluate(IS_WIDER_THAN_THE_SCREEN), (name, size)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def _troubles(watch: Watch) -> list[str]:
    """But for what went on until its page was left: feeds, and looking whether a row has changed."""
    went_on = ("/-/changes?", "/admin/airlines/live/")
    return [one for one in watch.troubles if not (one.startswith("failed:") and any(path in one for path in went_on))]


def test_history_undo_trash_and_restore(page: Page, service: Service) -> None:
    watch = Watch(service)
    watch.attach(page)
    with service.client(Role.ADMIN, **{"X-Request-ID": "two-of-them"}) as client:
        rows = [{"carrier": one, "name": f"First {one}"} for one in ("Q1", "Q2")]
        assert client.post(_AIRLINES, json=rows).status_code == 201
        client.patch(f"{_AIRLINES}/Q1", json={"name": "Second"})
    page.goto("/admin/airlines/details/Q1")
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", name="History of Q1")).to_be_visible()
    _look(page, "history")
    page.get_by_role("link", name="Undo…").first.click()
    expect(page.get_by_text("This was tried, and can be done.")).to_be_visible()
    _look(page, "undo")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="The change is taken back.")).to_be_visible()
    page.get_by_label("The row as it was at").fill("2100-01-01T12:00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("The row as it was", exact=True)).to_contain_text("First Q1")
    page.goto("/admin/")
    page.get_by_role("link", name="Recent changes").click()
    page.locator("select[name=tables]").select_option("airlines")
    page.get_by_label("Request").fill("two-of-them")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".change")).to_have_count(3)
    _look(page, "changes")
    with service.client(Role.ADMIN) as client:
        client.delete(f"{_AIRLINES}?carrier=in.(Q1,Q2)")
    page.goto("/admin/airlines/list?carrier=like.Q*")
    page.get_by_role("link", name="Trash").click()
    for row in ("Q1", "Q2"):
        page.get_by_label(f"Row {row}", exact=True).check()
    _look(page, "trash")
    page.get_by_role("button", name="Bring back what is ticked").click()
    expect(page.get_by_role("status").filter(has_text="2 rows are back.")).to_be_visible()
    assert _troubles(watch) == []


def test_a_list_and_a_row_that_others_change_say_so(page: Page, service: Service) -> None:
    watch = Watch(service)
    watch.attach(page)
    bar = page.locator("#live")
    with service.client(Role.ADMIN) as client:
        client.post(_AIRLINES, json={"carrier": "Q5", "name": "First"})
        with page.expect_request(lambda request: "/-/changes?" in request.url):
            page.goto("/admin/airlines/list?carrier=like.Q5*")
        page.wait_for_timeout(500)  # the feed begins where it is ready
        expect(bar).to_be_hidden()
        page.locator('td[data-column="name"]').dblclick()
        page.locator('#cell-form [name="now.name"]').fill("Mine")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Saved: name.")).to_be_visible()
        page.wait_for_timeout(1500)
        expect(bar).to_be_hidden()  # what one has done oneself is no news
        client.patch(f"{_AIRLINES}/UA", json={"name": "United Air Lines Inc."})  # not on this list
        client.patch(f"{_AIRLINES}/Q5", json={"name": "Second"})
        expect(bar).to_contain_text("1 row was changed here.")
        expect(page.locator('tr[data-key="Q5"]')).to_have_class("changed")
        _look(page, "live-list")
        with page.expect_request(lambda request: "/-/changes?" in request.url):
            bar.get_by_role("link", name="Reload").click()
        expect(page.locator('tr[data-key="Q5"]')).to_contain_text("Second")
        with page.expect_request(lambda request: "/-/changes?" in request.url):
            page.goto("/admin/airlines/edit/Q5")
        page.wait_for_timeout(500)
        client.patch(f"{_AIRLINES}/UA", json={"name": "United Air Lines Inc."})
        client.patch(f"{_AIRLINES}/Q5", json={"name": "Third"})
        expect(bar).to_contain_text("has changed this row meanwhile.")
        _look(page, "live-edit")
        client.delete(f"{_AIRLINES}/Q5")
        expect(bar).to_contain_text("has deleted this row meanwhile.")
    assert _troubles(watch) == []


def test_a_page_that_is_not_seen_follows_nothing_and_goes_on_later(page: Page, service: Service) -> None:
    with service.client(Role.ADMIN) as client:
        client.post(_AIRLINES, json={"carrier": "Q6", "name": "First"})
        with page.expect_request(lambda request: "/-/changes?" in request.url):
            page.goto("/admin/airlines/list?carrier=like.Q6*")
        page.wait_for_timeout(1500)  # it has learnt where it stands
        page.evaluate(_SHOWN.format(hidden="true"))
        page.wait_for_timeout(300)
        client.patch(f"{_AIRLINES}/Q6", json={"name": "Second"})
        page.wait_for_timeout(700)
        expect(page.locator("#live")).to_be_hidden()
        page.evaluate(_SHOWN.format(hidden="false"))
        expect(page.locator("#live")).to_contain_text("1 row was changed here.")


_SHOWN = """() => {{
  Object.defineProperty(document, "hidden", {{ configurable: true, get: () => {hidden} }});
  document.dispatchEvent(new Event("visibilitychange"));
}}"""
