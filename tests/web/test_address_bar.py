"""Address bar: holds the state, so that back, reload and shared links work, under any prefix."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import BROWSER, expect_range, open_page, sign_in, store_key, titles
from tests.support.service import Service
from tests.support.web_data import DAYS, Organizations

pytestmark = pytest.mark.needs(BROWSER)


def test_back_forward_reload_and_a_shared_link_restore_the_state(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.locator("tr.session").nth(7).locator("button.agent").click()
    expect_range(page, f"1–20 of {DAYS}")
    page.get_by_role("button", name="Next").click()
    expect_range(page, f"21–40 of {DAYS}")
    page.get_by_label("Per page").select_option("10")
    expect_range(page, f"1–10 of {DAYS}")
    page.go_back()
    expect_range(page, f"21–40 of {DAYS}")
    expect(page.get_by_label("Per page")).to_have_value("20")
    page.go_back()
    page.go_back()
    expect_range(page, "1–20 of 1,000")
    expect(page.get_by_label("Agent", exact=True)).to_have_value("")
    page.go_forward()
    page.go_forward()
    expect_range(page, f"21–40 of {DAYS}")
    before = titles(page)
    page.locator("button.open").nth(2).click()
    raw_json = page.locator("#details pre").first.inner_text()
    page.reload()
    expect(page.locator("#details pre").first).to_have_text(raw_json)
    shared_link = page.url
    page.get_by_role("button", name="Forget key").click()
    page.goto(shared_link)
    sign_in(page, organizations.large.key)
    expect_range(page, f"21–40 of {DAYS}")
    assert titles(page) == before
    expect(page.locator("#details pre").first).to_have_text(raw_json)


def test_a_shared_link_scrolls_to_its_open_row(page: Page, organizations: Organizations) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    open_page(page, organizations.large.key, "/?limit=50&open=session_0040")
    expect(page.locator("#details")).to_be_in_viewport()
    expect(page.locator('[aria-expanded="true"]')).to_be_in_viewport(ratio=1)


def test_the_page_works_under_a_prefix(page: Page, service: Service, organizations: Organizations) -> None:
    def remove_prefix(route: Route) -> None:
        route.continue_(url=re.sub("/tools/sessions/?", "/", route.request.url))

    page.route(re.compile("/tools/sessions"), remove_prefix)
    store_key(page, organizations.large.key)
    page.goto("/tools/sessions?limit=20")  # without the last slash, which the page adds
    expect_range(page, "1–20 of 1,000")
    assert page.url == f"{service.address}/tools/sessions/?limit=20"
    page.get_by_role("button", name="Next").click()
    expect_range(page, "21–40 of 1,000")
    assert page.url.startswith(f"{service.address}/tools/sessions/?")
    page.locator("button.open").first.click()
    expect(page.locator("#details pre").last).to_contain_text(f"{service.address}/tools/sessions/v1/sessions/session_0")
