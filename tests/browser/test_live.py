"""The page `/live` as a person sees it, in Chromium, while changes are made through the API."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from service.core.types import Role
from service.crud import accounts
from tests.browser.pages import Colors, Watch, at_each_size, check, open_page, run_chromium, take_picture
from tests.conftest import Database
from tests.service_under_test import Service, in_session, run_service

T = TypeVar("T")
_WIDE = (1280, 900)
_MOST_LINES = 200


@pytest.fixture(scope="module")
def open_service(database: Database, service: Service) -> Iterator[Service]:
    """As in the demo: whoever comes may read."""
    with run_service(_environment(database, ANONYMOUS_ROLE="viewer"), service.keys) as running:
        yield running


@pytest.fixture(scope="module")
def prefixed_service(database: Database, service: Service) -> Iterator[Service]:
    """Published under a prefix."""
    with run_service(_environment(database, ANONYMOUS_ROLE="viewer", ROOT_PATH="/data"), service.keys) as running:
        yield Service(f"{running.url}/data", running.state, running.keys)


@pytest.fixture(scope="module")
def chromium(service: Service, open_service: Service, prefixed_service: Service) -> Iterator[Browser]:
    with run_chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def clean(service: Service) -> Iterator[None]:
    """The rows that a test has added go again: their codes begin with an x."""
    yield
    with service.client() as client:
        client.delete("/api/v1/airlines", params={"carrier": "like.x*"}, headers={"Prefer": "max-affected=1000"})


def _environment(database: Database, **others: str) -> dict[str, str]:
    kept = {"DATABASE_URL": database.service_url, "JWT_SECRET": "x" * 40, "CREDENTIAL_CACHE_SECONDS": "0"}
    return kept | others


def apart(action: Callable[[], T]) -> T:
    """Do it in a thread of its own: Playwright has this one's event loop."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(action).result()


def open_live(browser: Browser, watch: Watch, size: tuple[int, int] = _WIDE, colors: Colors = "light") -> Page:
    return open_page(browser, watch, "/live", size, colors)


def follow(page: Page, *tables: str, **filters: str) -> None:
    """Choose these tables, some with a filter, and wait until they are followed."""
    for table in tables:
        page.get_by_label(table, exact=True).check()
        group = page.get_by_role("group", name=table, exact=True)
        group.get_by_label("Filter").fill(filters.get(table, ""))
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(state(page)).to_have_text("Connected.")


def state(page: Page) -> Locator:
    return page.get_by_role("status")


def lines(page: Page) -> Locator:
    """The changes that are shown, the newest first."""
    return page.locator("#changes").get_by_role("listitem")


def add(service: Service, *carriers: str, name: str = "Example Air") -> None:
    with service.client() as client:
        rows = [{"carrier": carrier, "name": name} for carrier in carriers]
        client.post("/api/v1/airlines", json=rows).raise_for_status()


def rename(service: Service, carrier: str, name: str) -> None:
    with service.client() as client:
        client.patch(f"/api/v1/airlines/{carrier}", json={"name": name}).raise_for_status()


@at_each_size
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_changes_appear_as_they_are_made(
    chromium: Browser, open_service: Service, size: tuple[int, int], colors: Colors
) -> None:
    watch = Watch(open_service)
    with open_live(chromium, watch, size, colors) as page:
        take_picture(page, f"live-{colors}-begin", size)
        follow(page, "airlines", "airports", airlines="carrier=like.x*")
        add(open_service, "xA", "xB")
        rename(open_service, "xA", "Renamed Air")
        with open_service.client() as client:
            client.patch("/api/v1/airports/JFK", json={"tzone": None}).raise_for_status()
            client.patch("/api/v1/airports/JFK", json={"tzone": "America/New_York"}).raise_for_status()
            client.delete("/api/v1/airlines/xB").raise_for_status()
        expect(lines(page)).to_have_count(6)
        expect(lines(page).nth(0)).to_have_text(re.compile(r"airlines\s*delete\s*xB"))
        expect(lines(page).nth(1)).to_contain_text("tzone null → America/New_York")
        expect(lines(page).nth(2)).to_contain_text("name John F Kennedy Intl")
        expect(lines(page).nth(3)).to_contain_text("name Example Air → Renamed Air")
        expect(lines(page).nth(5)).to_contain_text("insert")
        expect(page.locator("#count-update")).to_have_text("3")
        expect(page.locator("#chart-text")).to_contain_text("6 changes in the last minute")
        take_picture(page, f"live-{colors}", size)
        take_picture(page, f"live-{colors}-changes", size, at=page.locator("#standing"))
        check(page, watch)
        assert not any("rh_" in url for url in watch.fetched)


def test_the_filter_and_the_columns_hold(chromium: Browser, open_service: Service) -> None:
    watch = Watch(open_service)
    with open_live(chromium, watch) as page:
        page.get_by_label("airlines", exact=True).check()
        page.get_by_label("Columns").fill("code:carrier")
        follow(page, "airlines", airlines="name=like.Kept*&carrier=neq.UA")
        add(open_service, "xA")
        add(open_service, "xB", name="Kept Air")
        expect(lines(page)).to_have_count(1)
        expect(lines(page).locator(".details")).to_have_text("code xB")
        check(page, watch)


def test_a_row_that_moves_out_of_the_filter_is_shown_as_such(chromium: Browser, open_service: Service) -> None:
    watch = Watch(open_service)
    with open_live(chromium, watch) as page:
        follow(page, "airlines", airlines="name=eq.Inside")
        add(open_service, "xA", name="Outside")
        rename(open_service, "xA", "Inside")
        expect(lines(page)).to_contain_text(["moves in"])
        rename(open_service, "xA", "Outside")
        expect(lines(page).nth(0)).to_contain_text("moves out")
        expect(lines(page).nth(0)).to_contain_text("xA")
        check(page, watch)


def test_with_the_rows_read_first_it_is_known_what_changes(chromium: Browser, open_service: Service) -> None:
    watch = Watch(open_service)
    add(open_service, "xA")
    with open_live(chromium, watch) as page:
        page.get_by_label("Read the rows first").check()
        follow(page, "airlines")
        rename(open_service, "xA", "Renamed Air")
        expect(lines(page)).to_contain_text(["name Example Air → Renamed Air"])
        expect(page.locator("#count-rows")).to_have_text("17")
        check(page, watch)


def test_what_a_key_may_read_is_shown_until_the_key_is_revoked(
    chromium: Browser, service: Service, database: Database
) -> None:
    made = apart(lambda: in_session(database.service_url, _make_key))
    watch = Watch(service)
    with open_live(chromium, watch) as page:
        expect(page.get_by_text("Nothing may be read without a key.")).to_be_visible()
        page.get_by_label("API key or access token").fill(made.key)
        page.get_by_role("button", name="Show its tables").click()
        follow(page, "airlines")
        apart(lambda: in_session(database.service_url, partial(_revoke, made)))
        expect(state(page)).to_have_text("Not connected.")
        expect(page.get_by_text("The credential no longer holds.")).to_be_visible()
        take_picture(page, "live-revoked", _WIDE)
        # Playwright takes a stream of events that the server has ended for aborted, also one that was read to its end.
        watch.troubles = [trouble for trouble in watch.troubles if "/-/changes net::ERR_ABORTED" not in trouble]
        check(page, watch)
        assert not any(made.key in url for url in watch.fetched)


async def _make_key(session: AsyncSession) -> accounts.NewKey:
    return await accounts.create_key(session, "live", Role.VIEWER, None)


async def _revoke(made: accounts.NewKey, session: AsyncSession) -> None:
    await accounts.revoke_key(session, made.prefix)


def test_a_table_that_is_not_tracked_says_so(chromium: Browser, open_service: Service, database: Database) -> None:
    watch = Watch(open_service)
    apart(lambda: database.execute("select rowhouse.untrack('planes')"))
    try:
        with open_live(chromium, watch) as page:
            page.get_by_label("planes", exact=True).check()
            page.get_by_role("button", name="Connect", exact=True).click()
            expect(page.locator("#reason")).to_contain_text("The changes of 'planes' are not logged")
            expect(state(page)).to_have_text("Not connected.")
            assert {trouble.partition(":")[0] for trouble in watch.troubles} == {"answered 409", "console"}
    finally:
        apart(lambda: database.execute("select rowhouse.track('planes')"))


def test_nothing_is_missed_while_the_server_is_away(chromium: Browser, service: Service, database: Database) -> None:
    environment = _environment(database, ANONYMOUS_ROLE="viewer")
    with ExitStack() as second, ExitStack() as first:
        running = first.enter_context(run_service(environment, service.keys))
        with open_live(chromium, Watch(running)) as page:
            follow(page, "airlines")
            add(service, "xA")
            expect(lines(page)).to_have_count(1)
            first.close()
            expect(state(page)).to_have_text(re.compile("Reconnecting|Connecting"))
            take_picture(page, "live-away", _WIDE)
            add(service, "xB", "xC")
            port = int(running.url.rpartition(":")[2])
            second.enter_context(run_service(environment, service.keys, port=port))
            expect(state(page)).to_have_text("Connected.")
            expect(lines(page)).to_have_count(3)
            add(service, "xD")
            expect(lines(page)).to_have_count(4)


def test_a_pause_holds_changes_back_and_old_lines_go(chromium: Browser, open_service: Service) -> None:
    watch = Watch(open_service)
    with open_live(chromium, watch) as page:
        follow(page, "airlines")
        page.get_by_role("button", name="Pause").click()
        add(open_service, *(f"x{number:03}" for number in range(_MOST_LINES + 100)))
        expect(page.get_by_text("Paused: 300 changes since.")).to_be_visible()
        expect(lines(page)).to_have_count(0)
        page.get_by_role("button", name="Go on").click()
        expect(lines(page)).to_have_count(_MOST_LINES)
        expect(lines(page).first).to_contain_text("x299")
        page.get_by_role("button", name="Clear").click()
        expect(lines(page)).to_have_count(0)
        check(page, watch)


def test_the_keyboard_is_enough(chromium: Browser, open_service: Service) -> None:
    watch = Watch(open_service)
    with open_live(chromium, watch) as page:
        table = page.get_by_label("airlines", exact=True)
        expect(table).to_be_visible()
        for _ in range(4):  # the link, the key, its button, the first table
            page.keyboard.press("Tab")
        expect(table).to_be_focused()
        page.keyboard.press("Space")
        expect(page.get_by_label("Filter")).to_be_visible()
        for _ in range(5):  # the other tables, the filter
            page.keyboard.press("Tab")
        expect(page.get_by_label("Filter")).to_be_focused()
        page.keyboard.type("carrier=like.x*")
        page.keyboard.press("Enter")
        expect(state(page)).to_have_text("Connected.")
        check(page, watch)


def test_it_works_under_a_prefix(chromium: Browser, prefixed_service: Service, service: Service) -> None:
    watch = Watch(prefixed_service)
    with open_live(chromium, watch) as page:
        follow(page, "airlines", "airports")
        add(service, "xA")
        expect(lines(page)).to_have_count(1)
        check(page, watch)
