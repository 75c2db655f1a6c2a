"""Pages in Chromium, as a person sees them: on a wide screen and on a phone's.

Each page is watched: whatever it fetches elsewhere, logs as an error or does against its policy fails the test.
Pictures of the pages are left in `test-output/`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect, sync_playwright

from tests.service_under_test import Service

_PICTURES = Path(__file__).parents[2] / "test-output"
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# The console tells of a violation in words that differ from version to version; the event does not.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation",
  (event) => console.error(`violates ${event.effectiveDirective}: ${event.blockedURI}`));
"""
IS_WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
_PATIENCE = 40_000  # milliseconds
_SIZES = ((1280, 900), (400, 800))

Colors = Literal["light", "dark"]

# For what is done rather than looked at: it is the same on a phone.
on_a_wide_screen = pytest.mark.parametrize("size", _SIZES[:1], ids=["wide"])
at_each_size = pytest.mark.parametrize("size", _SIZES, ids=["wide", "phone"])


@dataclass
class Watch:
    """What went wrong in a page of this service."""

    service: Service
    troubles: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.add_init_script(_TELL_VIOLATIONS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("requestfailed", lambda request: self.troubles.append(f"failed: {request.url} {request.failure}"))
        page.on("requestfinished", self._finished)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        self.fetched.append(request.url)
        # Workers and pictures that a page makes of its own text come from nowhere.
        is_here = request.url.removeprefix("blob:").startswith(f"{self.service.url}/")
        if not is_here and not request.url.startswith("data:"):
            self.troubles.append(f"fetches from elsewhere: {request.url}")

    def _finished(self, request: Request) -> None:
        """What was not waited for as its page was left, and has come with the next one, is no trouble."""
        left = f"failed: {request.url} net::ERR_ABORTED"
        self.troubles = [trouble for trouble in self.troubles if trouble != left]

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.troubles.append(f"answered {response.status}: {response.url}")


@contextmanager
def run_chromium() -> Iterator[Browser]:
    """The system's Chromium. Playwright keeps this thread's event loop for itself: what needs one comes before it."""
    path = shutil.which("chromium")
    if path is None:
        missing = "chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    _PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=_ARGUMENTS) as browser:
        yield browser


def open_page(browser: Browser, watch: Watch, path: str, size: tuple[int, int], colors: Colors = "light") -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=colors)
    page.set_default_timeout(_PATIENCE)
    watch.attach(page)
    page.goto(watch.service.url + path)
    expect(page.get_by_role("heading", name="Rowhouse")).to_be_visible()
    page.wait_for_load_state("networkidle")
    return page


def take_picture(page: Page, name: str, size: tuple[int, int], *, at: Locator | None = None) -> None:
    """What the screen shows, from the element on."""
    if at is not None:
        at.evaluate("element => element.scrollIntoView()")
    page.screenshot(path=_PICTURES / f"{name}-{size[0]}.png", animations="disabled")


def check(page: Page, watch: Watch) -> None:
    """The page had no trouble, and is not wider than the screen."""
    page.wait_for_load_state()
    assert watch.troubles == [], watch.troubles
    assert not page.evaluate(IS_WIDER_THAN_THE_SCREEN)
