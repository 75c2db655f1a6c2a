"""Forms, pickers, merges and imports of the back-office in Chromium."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from service.db.embedded import EmbeddedPostgres
from tests.admin.awkward import admin_of, awkward_service
from tests.admin.conftest import PASSWORD
from tests.browser.pages import Watch, at_each_size, check, on_a_wide_screen, run_chromium, take_picture
from tests.conftest import Database
from tests.service_under_test import Service

T = TypeVar("T")


@pytest.fixture(scope="module")
def awkward(postgres: EmbeddedPostgres, worker_id: str, shared_folder: Path) -> Iterator[tuple[Service, Database]]:
    with awkward_service(postgres, f"browser_forms_{worker_id}", shared_folder) as (service, database):
        admin_of(service, database, is_logged_in=False).http.close()
        yield service, database


@pytest.fixture(scope="module")
def chromium(awkward: tuple[Service, Database]) -> Iterator[Browser]:
    with run_chromium() as browser:
        yield browser


def apart(action: Callable[[], T]) -> T:
    """Do it in a thread of its own: Playwright has this one's event loop."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(action).result()


def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    return apart(lambda: [tuple(row) for row in database.execute_as_superuser(sql)])


def logged_in(browser: Browser, watch: Watch, size: tuple[int, int], colors: str = "light") -> Page:
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if colors == "dark" else "light"
    )
    page.set_default_timeout(20_000)
    watch.attach(page)
    page.goto(f"{watch.service.url}/admin/login")
    page.get_by_label("E-mail address").fill("admin@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Rowhouse")).to_be_visible()
    page.wait_for_load_state("networkidle")
    return page


def check_access(page: Page) -> None:
    """axe finds nothing serious."""
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".note")).to_be_visible()


@on_a_wide_screen
def test_a_row_of_every_type_is_saved_unchanged(
    chromium: Browser, awkward: tuple[Service, Database], size: tuple[int, int]
) -> None:
    service, database = awkward
    sql = "select id, xmin::text, md5(t::text) from awkward.every t order by id"
    before, watch = rows(database, sql), Watch(service)
    with logged_in(chromium, watch, size) as page:
        for key in (1, 2, 3, 4):
            page.goto(f"{service.url}/admin/every/edit/{key}")
            if key == 1:
                take_picture(page, "admin-form", size)
                take_picture(page, "admin-form-middle", size, at=page.locator('[data-column="doc"]'))
                check_access(page)
            save(page)
            expect(page.locator(".note")).to_have_text("Nothing was changed.")
            check(page, watch)
    assert rows(database, sql) == before


def test_controls_fit_their_types(chromium: Browser, awkward: tuple[Service, Database]) -> None:
    service, database = awkward
    size = (1280, 900)
    watch = Watch(service)
    with logged_in(chromium, watch, size, "dark") as page:
        page.goto(f"{service.url}/admin/every/edit/2")

        def field(name: str) -> Locator:
            return page.locator(f'[data-column="{name}"]')

        # NULL and the control keep in step.
        words = field("words")
        words.get_by_label("words is NULL").check()
        expect(words.locator("textarea")).to_have_value("")
        words.locator("textarea").fill("typed")
        expect(words.get_by_label("words is NULL")).not_to_be_checked()
        # JSON is checked in words, and laid out without a number losing a digit.
        area = field("docb").locator("textarea")
        area.fill('{"n": 12345678901234567890.10,\n"a": [1 2]}')
        area.blur()
        expect(field("docb").locator("output")).to_have_text("A comma, or ], is missing (line 2, character 9).")
        area.fill('{"n":12345678901234567890.10,"a":[1,2]}')
        field("docb").get_by_role("button", name="format").click()
        expect(area).to_have_value('{\n  "n": 12345678901234567890.10,\n  "a": [\n    1,\n    2\n  ]\n}')
        # A uuid is made, a date with its picker, a time as text with microseconds.
        field("uid").get_by_role("button", name="new").click()
        field("day").get_by_label("day", exact=True).fill("2024-02-29")
        field("instant").get_by_label("instant", exact=True).fill("2020-01-01 10:00:00.000002+00")
        field("during").locator("select").select_option("[]")
        field("during").locator("input").first.fill("2021-01-01 10:00")
        # The same items as lines and as PostgreSQL writes them.
        tags = field("tags")
        tags.locator("textarea").fill("one\ntwo words")
        tags.locator("select").select_option("literal")
        expect(tags.locator("textarea")).to_have_value('{one,"two words"}')
        tags.locator("select").select_option("lines")
        expect(tags.locator("textarea")).to_have_value("one\ntwo words")
        # Pickers by keyboard: of one column, and of two at once.
        boss = field("boss").get_by_role("combobox")
        boss.press_sequentially("Ad")
        expect(page.locator(".options [role=option]")).to_have_text(["1 Ada"])
        take_picture(page, "admin-picker", size, at=field("mood"))
        check_access(page)
        boss.press("ArrowDown")
        boss.press("Enter")
        expect(boss).to_have_value("1")
        expect(field("boss").get_by_role("link", name="Ada")).to_be_visible()
        pair = page.locator(".picker input")
        pair.press_sequentially("x,y")
        page.locator(".picker [role=option]").first.click()
        expect(page.locator('[name="now.b"]')).to_have_value("2")
        page.locator('[name="file.data"]').set_input_files(
            {"name": "a.bin", "mimeType": "application/octet-stream", "buffer": b"\x00\x01"}
        )
        save(page)
        check(page, watch)
    (row,) = rows(
        database,
        "select words, docb::text, uid is not null, day::text, instant::text, during::text, tags::text, boss, a, b, "
        "data from awkward.every where id = 2",
    )
    assert row == (
        "typed", '{"a": [1, 2], "n": 12345678901234567890.10}', True, "2024-02-29", "2020-01-01 10:00:00.000002+00",
        '["2021-01-01 10:00:00+00",)', '{one,"two words"}', 1, "x,y", 2, b"\x00\x01",
    )  # fmt: skip


def test_what_was_refused_is_where_one_goes_on(chromium: Browser, awkward: tuple[Service, Database]) -> None:
    service, _ = awkward
    watch = Watch(service)
    with logged_in(chromium, watch, (1280, 900)) as page:
        page.goto(f"{service.url}/admin/every/edit/1")
        page.get_by_label("small", exact=True).fill("99999")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_label("small", exact=True)).to_be_focused()
        assert watch.troubles.pop(0).startswith("answered 422")
        watch.troubles.clear()


@at_each_size
def test_a_conflict_is_merged_and_a_delete_explained(
    chromium: Browser, awkward: tuple[Service, Database], size: tuple[int, int]
) -> None:
    service, database = awkward
    watch = Watch(service)
    rows(database, "update awkward.skills set name = 'Chess' where id = 1 returning 1")
    with logged_in(chromium, watch, size) as page:
        page.goto(f"{service.url}/admin/skills/edit/1")
        page.get_by_label("name", exact=True).fill("Mine")
        rows(database, "update awkward.skills set name = 'Theirs' where id = 1 returning 1")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", name="Somebody else has changed this row")).to_be_visible()
        take_picture(page, "admin-conflict", size)
        check_access(page)
        page.get_by_label("name: yours").check()
        page.get_by_role("button", name="Save what is chosen").click()
        expect(page.locator(".note")).to_have_text("Saved: name.")
        assert watch.troubles.pop(0).startswith("answered 409")
        watch.troubles = [one for one in watch.troubles if "409" not in one]
        page.goto(f"{service.url}/admin/people/delete/1")
        expect(page.get_by_text("It will be refused")).to_be_visible()
        take_picture(page, "admin-delete", size)
        check_access(page)
        page.goto(f"{service.url}/admin/people/details/1")
        take_picture(page, "admin-related", size)
        check(page, watch)
    assert rows(database, "select name from awkward.skills where id = 1") == [("Mine",)]


@on_a_wide_screen
def test_a_file_is_tried_and_imported(
    chromium: Browser, awkward: tuple[Service, Database], size: tuple[int, int], tmp_path: Path
) -> None:
    service, database = awkward
    watch = Watch(service)
    rows(database, "delete from awkward.skills where id > 10 returning 1")
    file = tmp_path / "skills.csv"
    file.write_text("ID;Name;Remark\n11;Bridge;x\n1;Taken;y\nx;Bad;z\n12;Poker;q\n")
    with logged_in(chromium, watch, size) as page:
        page.goto(f"{service.url}/admin/skills/import")
        page.get_by_label("File, UTF-8").set_input_files(file)
        expect(page.get_by_text("Fields are parted by semicolons")).to_be_visible()
        expect(page.get_by_label("Remark is for")).to_have_value("")
        page.get_by_role("button", name="Try it").click()
        result = page.locator("#import-result")
        expect(result).to_contain_text("2 inserted, 2 refused. Nothing was kept.")
        take_picture(page, "admin-import", size)
        take_picture(page, "admin-import-result", size, at=page.locator("#import-try"))
        check_access(page)
        assert rows(database, "select from awkward.skills where id > 10") == []
        page.get_by_label("If rows are refused").select_option("10")
        page.get_by_role("button", name="Import", exact=True).click()
        expect(result).to_contain_text("Imported: 2 inserted, 2 refused.")
        check(page, watch)
    assert rows(database, "select id, name from awkward.skills where id > 10 order by id") == [
        (11, "Bridge"),
        (12, "Poker"),
    ]
