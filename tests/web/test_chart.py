"""Chart of sessions per day."""

import subprocess
from datetime import date, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, chart_bar, expect_range, open_page, refresh, titles
from tests.support.service import Service
from tests.support.web_data import Organizations, agent, last_tuesday, session, today

pytestmark = pytest.mark.needs(BROWSER)


def test_each_of_the_last_28_days_has_a_bar(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    expect(page.locator("#bars button")).to_have_count(28)
    yesterday = today() - timedelta(days=1)
    label = f"{yesterday:%A} {yesterday.day} {yesterday:%B %Y}: 25 sessions"
    expect(chart_bar(page, yesterday)).to_have_attribute("aria-label", label)
    heights = page.locator("#bars .fill").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().height)")
    assert heights[-1] == 0
    assert min(heights[:-1]) == max(heights[:-1]) > 40


def test_earlier_and_later_weeks_can_be_shown(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.get_by_role("button", name="Earlier weeks").click()
    expect(page.locator("#chart-range")).to_contain_text("325 sessions")
    later = page.get_by_role("button", name="Later weeks")
    expect(later).to_have_attribute("aria-disabled", "false")
    page.reload()
    expect(page.locator("#chart-range")).to_contain_text("325 sessions")
    later.click()
    expect(page.locator("#chart-range")).to_contain_text("675 sessions")
    expect(later).to_have_attribute("aria-disabled", "true")
    assert "until" not in page.url


def test_a_session_of_last_tuesday_is_found_in_three_clicks(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    chart_bar(page, last_tuesday()).click()
    expect_range(page, "1–20 of 25")
    expect(chart_bar(page, last_tuesday())).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Last", exact=True).click()
    expect_range(page, "21–25 of 25")
    page.get_by_role("button", name="Last Tuesday").click()
    expect(page.locator("#details")).to_contain_text("Last Tuesday")
    chart_bar(page, last_tuesday()).click()
    expect_range(page, "1–20 of 1,000")


def test_weeks_without_sessions_offer_the_weeks_of_the_newest(page: Page, service: Service) -> None:
    organization = service.create_organization(agent(), session(1, created_at="2020-02-27T12:00:00Z"))
    open_page(page, organization.key)
    expect(page.locator("#chart-note")).to_contain_text("No sessions were created in these 28 days.")
    page.get_by_role("button", name="Show the weeks around the newest session").click()
    label = "Thursday 27 February 2020: 1 session"
    expect(chart_bar(page, date(2020, 2, 27))).to_have_attribute("aria-label", label)
    expect(page.locator("#chart-note")).to_be_hidden()


def test_an_empty_organization_is_told_how_to_get_sessions(page: Page, service: Service) -> None:
    organization = service.create_organization()
    open_page(page, organization.key)
    expect(page.get_by_role("heading", name="No sessions yet")).to_be_visible()
    expect(page.locator("#placeholder")).to_contain_text(f"Acme ({organization.id}) has no sessions.")
    command, curl = page.locator("#placeholder pre").all_inner_texts()
    assert command == f"everruns import {organization.id} FILE"
    expect(page.get_by_role("table")).to_be_hidden()
    expect_range(page, "No sessions")
    expect(page.locator("#chart-note")).to_contain_text("No sessions were created in these 28 days.")
    expect(page.locator("#chart-note button")).to_be_hidden()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy curl command").click()
    page.wait_for_function("text => navigator.clipboard.readText().then(copy => copy === text)", arg=curl)
    subprocess.check_output(["bash", "-c", f"KEY={organization.key}; {curl} --silent --fail"])
    refresh(page)
    assert titles(page) == ["First session"]
    expect(page.locator("#placeholder")).to_be_hidden()
