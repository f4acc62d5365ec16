"""Accessibility: axe-core, small screens, dark mode and the keyboard."""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, chart_bar, expect_range, open_page, sign_in
from tests.support.web_data import RARE_AGENT, Organizations, last_tuesday, today

pytestmark = pytest.mark.needs(BROWSER)


def wrong_key(page: Page, organizations: Organizations) -> None:
    page.goto("/")
    sign_in(page, "nonsense")
    expect(page.locator("#key-error")).to_be_visible()


def open_row_while_offline(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, f"/?limit=3&from={last_tuesday()}&to={last_tuesday()}")
    page.locator("button.open").nth(1).click()
    page.context.set_offline(True)
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_be_visible()


def unusual_text(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.unusual.key, "/?limit=4")


def no_sessions(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.empty.key)


@pytest.mark.parametrize("show", [wrong_key, open_row_while_offline, unusual_text, no_sessions])
def test_axe_core_finds_no_violation_in_light_dark_wide_and_narrow(
    page: Page, organizations: Organizations, show: Callable[[Page, Organizations], None]
) -> None:
    show(page, organizations)
    variants: list[tuple[Literal["light", "dark"], int]] = [("light", 1280), ("dark", 320)]
    for scheme, width in variants:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        results = Axe().run(page, options={"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}})
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        brightness = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
        assert (brightness < 50) == (scheme == "dark")


def test_everything_can_be_done_with_the_keyboard(page: Page, organizations: Organizations) -> None:
    page.goto("/?limit=3")
    page.keyboard.insert_text(organizations.large.key)
    page.keyboard.press("Enter")
    expect_range(page, "1–3 of 1,000")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#bars button")
    for key in ("ArrowLeft", "Home", "End", "ArrowLeft", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    day = today() - timedelta(days=2)
    expect_range(page, "1–3 of 25")
    expect(chart_bar(page, day)).to_be_focused()
    assert f"from={day}" in page.url
    tab_to("#agent")
    page.keyboard.insert_text(RARE_AGENT)
    page.keyboard.press("Enter")
    expect_range(page, "1–1 of 1")
    tab_to("#clear")
    page.keyboard.press("Enter")
    expect_range(page, "1–3 of 1,000")
    tab_to("button.open")
    page.keyboard.press("Space")
    expect(page.locator("#details")).to_be_visible()
    tab_to("#details pre")
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_have_count(0)
    tab_to("[data-rel=next]")
    page.keyboard.press("Enter")
    expect_range(page, "4–6 of 1,000")
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    page.get_by_label("From").focus()
    for digit in f"{day:%m%d%Y}":
        page.keyboard.press(digit)
    expect_range(page, "1–3 of 25")
    assert f"from={day}&to={day}" in page.url


def test_keys_move_open_and_close_rows_wherever_the_focus_is(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=3")
    buttons = page.locator("button.open")
    for key, position in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(buttons.nth(position)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()
    page.locator("#details pre").first.focus()
    page.keyboard.press("j")
    expect(buttons.nth(2)).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("jk/")  # as text
    expect_range(page, "No sessions")
    page.keyboard.press("Escape")
    expect_range(page, "1–3 of 1,000")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_have_count(0)
    expect(buttons.first).to_be_focused()


def test_a_narrow_window_shows_compact_cards_and_one_low_row_of_bars(page: Page, organizations: Organizations) -> None:
    page.set_viewport_size({"width": 320, "height": 900})
    open_page(page, organizations.large.key)
    heights = page.locator("tr.session").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert max(heights) < 100
    tops = page.locator("#bars button").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().top)")
    assert len(set(tops)) == 1
    assert page.locator("#bars").evaluate("bars => bars.clientHeight") < 90
    expect(chart_bar(page, today())).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
