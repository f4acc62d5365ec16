"""Days and times of one time zone."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import BROWSER, chart_bar, expect_idle, expect_range, open_page, store_key
from tests.support.service import Service
from tests.support.web_data import Organizations, agent, session, today

pytestmark = pytest.mark.needs(BROWSER)

ZONE = "America/New_York"


def test_presets_choose_days(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    for name, days, count in [
        ("Today", 0, 0),
        ("Yesterday", 1, 25),
        ("Last 7 days", 6, 150),
        ("Last 30 days", 29, 725),
    ]:
        preset = page.get_by_role("button", name=name, exact=True)
        preset.click()
        expect_range(page, f"1–20 of {count}" if count else "No sessions")
        assert f"from={today() - timedelta(days=days)}&to={today() - timedelta(days=name == 'Yesterday')}" in page.url
        expect(page.locator('#presets [aria-pressed="true"]')).to_have_text(name)


def test_the_chosen_zone_is_kept_and_holds_for_days_times_and_the_chart(browser: Browser, service: Service) -> None:
    newest = datetime.combine(today() - timedelta(days=3), datetime.min.time(), ZoneInfo(ZONE))
    sessions = [session(hours, created_at=(newest - timedelta(hours=hours)).isoformat()) for hours in (4, 1, 0)]
    organization = service.create_organization(agent(), *sessions)
    context = browser.new_context(base_url=service.address, timezone_id=ZONE, locale="en-US")
    page = context.new_page()
    page.goto("/web/icon.svg")
    open_page(page, organization.key)
    expect(page.get_by_label("Times in")).to_have_value("UTC")
    expect(page.locator("#chart-range")).to_contain_text("(UTC)")
    page.get_by_label("Times in").select_option(ZONE)
    expect(page.locator("#chart-range")).to_contain_text(f"({ZONE}) · 3 sessions · at most 2 a day")
    day_before = newest.date() - timedelta(days=1)
    chart_bar(page, day_before).click()
    expect_range(page, "1–2 of 2")
    page.locator("button.open").first.click()
    expect(page.locator("#details")).to_contain_text(f"{day_before} 23:00:00.000000 {ZONE}")
    expect(page.locator("#chips")).to_contain_text(f"({ZONE})")
    shared_link = page.url
    page.goto("/")
    expect_idle(page)
    expect(page.get_by_label("Times in")).to_have_value(ZONE)
    context.close()
    other = browser.new_context(base_url=service.address, timezone_id="Asia/Tokyo", locale="en-US").new_page()
    other.goto("/web/icon.svg")
    store_key(other, organization.key)
    other.goto(shared_link)
    expect_range(other, "1–2 of 2")
    expect(other.get_by_label("Times in").locator("option")).to_have_text(["UTC", "Asia/Tokyo", ZONE])
    other.goto("/?zone=Mars")
    expect(other.locator("#zone-error")).to_have_text("must be UTC or a time zone such as Europe/Berlin; got 'Mars'")
    expect_range(other, "1–3 of 3")
    other.context.close()
