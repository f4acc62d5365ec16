"""Pages: size, first and last, and no shift while sessions are created."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, expect_range, open_page, refresh, titles
from tests.support.service import Service
from tests.support.web_data import Organizations, agent, session, today

pytestmark = pytest.mark.needs(BROWSER)


def test_page_size_and_last_page(page: Page, organizations: Organizations) -> None:
    page.set_viewport_size({"width": 1280, "height": 300})
    open_page(page, organizations.large.key)
    page.get_by_label("Per page").select_option("10")
    expect_range(page, "1–10 of 1,000")
    for name, expected in (("Last", "991–1,000"), ("Previous", "981–990"), ("First", "1–10"), ("Next", "11–20")):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.get_by_role("button", name=name, exact=True).click()
        expect_range(page, f"{expected} of 1,000")
        expect(page.locator("tr.session").first).to_be_in_viewport(ratio=1)


def test_pages_do_not_shift_while_sessions_are_created(page: Page, service: Service) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    sessions = [session(number, title=f"{number}", created_at=now.isoformat()) for number in range(25)]
    organization = service.create_organization(agent(), *sessions)
    open_page(page, organization.key, f"/?to={today()}&limit=10")
    page.get_by_role("button", name="Next").click()
    expect_range(page, "11–20 of 25")
    before = titles(page)
    newer = (now + timedelta(seconds=1)).isoformat()
    service.import_records(organization, *(session(f"newer{number}", created_at=newer) for number in range(3)))
    refresh(page)
    expect_range(page, "11–20 of 25")
    assert titles(page) == before
    page.reload()
    expect_range(page, "11–20 of 25")
    assert titles(page) == before
    page.get_by_role("button", name="Next").click()
    expect_range(page, "21–25 of 25")
    expect(page.get_by_role("button", name="Next")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Previous").click()
    expect_range(page, "11–20 of 25")
    expect(page.locator("#pinned")).to_have_text("Select First to see newer sessions.")
    page.get_by_role("button", name="First").click()
    expect_range(page, "1–10 of 28")
    expect(page.get_by_role("button", name="Previous")).to_have_attribute("aria-disabled", "true")


def test_an_open_row_stays_in_place_until_it_is_closed(page: Page, service: Service) -> None:
    sessions = [session(number, title=f"{number}") for number in range(10)]
    organization = service.create_organization(agent(), *sessions)
    open_page(page, organization.key, "/?limit=10")
    before = titles(page)
    page.locator("button.open").last.click()
    raw_json = page.locator("#details pre").first.inner_text()
    expect(page.locator("#pinned")).to_contain_text("Newer sessions appear when you close the row")
    service.import_records(organization, session("newer", title="newer", created_at="2026-02-27T13:13:54Z"))
    refresh(page)
    assert titles(page) == before
    expect(page.locator("#details pre").first).to_have_text(raw_json)
    page.locator("button.open").last.click()
    expect_range(page, "1–10 of 11")
    assert titles(page) == ["newer", *before[:-1]]
    expect(page.locator("#pinned")).to_be_hidden()
    page.locator("button.open").last.click()
    page.get_by_role("button", name="First").click()
    expect(page.locator("#details")).to_have_count(0)
    expect(page.locator("#pinned")).to_be_hidden()
    assert "pinned" not in page.url


def test_an_offset_beyond_the_last_session_offers_the_first_page(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?offset=20000")
    expect(page.locator("#placeholder")).to_contain_text("There are only 1,000 sessions.")
    page.get_by_role("button", name="First page").click()
    expect_range(page, "1–20 of 1,000")
