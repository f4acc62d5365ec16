"""Chromium of the system, driven by Playwright, and the steps that tests of the web page share."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

# The headless shell is faster.
BROWSER = "chromium-headless-shell" if shutil.which("chromium-headless-shell") else "chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-features=SpareRendererForSitePerProcess",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless browser that is closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(BROWSER), args=ARGUMENTS)
        yield browser
        browser.close()


def store_key(page: Page, key: str) -> None:
    """Store the key in a tab that shows a document of the service."""
    page.evaluate("key => sessionStorage.setItem('everruns-key', key)", key)


def open_page(page: Page, key: str, address: str = "/") -> None:
    """Store the key, open the web page, and wait until the sessions are shown."""
    store_key(page, key)
    page.goto(address)
    expect_idle(page)


def sign_in(page: Page, key: str) -> None:
    """Enter the key in the form that is shown."""
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")


def refresh(page: Page) -> None:
    """Advance the clock to the next refresh, and wait until its responses are shown."""
    with page.expect_response("**/v1/sessions?**"), page.expect_response("**/v1/sessions/activity?**"):
        page.clock.fast_forward(11_000)
    expect_idle(page)


def expect_idle(page: Page) -> None:
    """Wait until no request is pending and the page shows the responses."""
    expect(page.locator("#app")).to_be_visible()
    expect(page.locator("#sessions")).not_to_have_attribute("aria-busy", "true")


def expect_range(page: Page, text: str) -> None:
    """Wait for the position in the list, such as "1–20 of 1,000"."""
    expect(page.locator("#range")).to_have_text(text)


def titles(page: Page) -> list[str]:
    """Titles of the sessions that are shown."""
    return page.locator("tr.session .title").all_inner_texts()


def chart_bar(page: Page, day: date) -> Locator:
    """Bar of a day."""
    return page.locator(f'#bars button[data-day="{day}"]')
