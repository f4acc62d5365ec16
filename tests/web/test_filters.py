"""Filters by agent and by day."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import chart_bar, expect_range, open_page
from tests.support.service import Service
from tests.support.web_data import DAYS, MAIN_AGENT, RARE_AGENT, SCRIPT, Organizations, today

pytestmark = pytest.mark.needs("chromium")


def test_an_agent_is_selected_in_the_table_or_by_its_id(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.locator("tr.session").nth(7).locator("button.agent").click()
    expect_range(page, f"1–20 of {DAYS}")
    assert f"agent_id={RARE_AGENT}" in page.url
    field = page.get_by_label("Agent", exact=True)
    expect(field).to_have_value(RARE_AGENT)
    expect(page.locator("#chart-range")).to_contain_text("27 sessions")
    page.get_by_role("button", name="Clear filters").click()
    expect_range(page, "1–20 of 1,000")
    field.fill(MAIN_AGENT.upper().replace("AGENT_", "agent_"))
    page.keyboard.press("Enter")
    expect_range(page, "1–20 of 960")
    suggested = page.locator("#agents option").evaluate_all("options => options.map(option => option.value)")
    assert sorted(suggested) == [MAIN_AGENT, RARE_AGENT]
    page.go_back()  # one step: the id was requested once
    expect_range(page, "1–20 of 1,000")


def test_one_date_is_that_day_and_two_dates_are_a_range(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    from_field, to_field = page.get_by_label("From"), page.get_by_label("To (whole day)")
    day = today() - timedelta(days=10)
    from_field.fill(f"{day}")
    expect_range(page, "1–20 of 25")
    assert f"from={day}&to={day}" in page.url
    expect(to_field).to_have_value(f"{day}")
    to_field.fill(f"{day + timedelta(days=1)}")
    expect_range(page, "1–20 of 50")
    expect(page.locator('#bars [aria-pressed="true"]')).to_have_count(2)
    oldest = today() - timedelta(days=DAYS)
    from_field.fill(f"{oldest - timedelta(days=20)}")
    expect_range(page, "1–20 of 800")
    to_field.fill(f"{oldest}")
    expect_range(page, "1–20 of 25")
    expect(chart_bar(page, oldest)).to_be_visible()


def test_clear_filters_keeps_the_page_size_and_focuses_the_search(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, f"/?agent_id={MAIN_AGENT}&limit=10&until=2026-02-27")
    page.get_by_role("button", name="Clear filters").click()
    expect_range(page, "1–10 of 1,000")
    expect(page.locator("#search")).to_be_focused()
    assert page.url.endswith("/?limit=10")


def test_filters_without_a_match_can_be_removed(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?agent_id=agent_nobody&from=2020-01-01&to=2020-01-02")
    expect(page.get_by_role("heading", name="No sessions match these filters.")).to_be_visible()
    page.get_by_role("button", name="Show all sessions").click()
    expect_range(page, "1–20 of 1,000")


@pytest.mark.parametrize(
    ("query", "location", "request_path", "argument"),
    [
        (f"agent_id={SCRIPT}", "#agent-error", "/v1/sessions?agent_id=agent_", "agent_id"),
        ("from=yesterday", "#from-error", "/v1/sessions?created_after=yesterdayT00:00:00Z", "created_after"),
        ("to=2026-02-31", "#to-error", "/v1/sessions?created_before=2026-02-31T00:00:00Z", "created_before"),
        ("limit=0", "#notice", "/v1/sessions?limit=0", "limit"),
        ("until=soon", "#chart-note", "/v1/sessions/activity?until=soon", "until"),
    ],
)
def test_an_invalid_value_in_the_address_is_shown_with_the_message_of_the_service(
    page: Page,
    service: Service,
    organizations: Organizations,
    query: str,
    location: str,
    request_path: str,
    argument: str,
) -> None:
    key = organizations.large.key
    open_page(page, key, f"/?{query}")
    (message,) = service.get(request_path, key)["error"]["fields"][argument]
    rule = message.split("'")[0]  # without the value
    expect(page.locator(location)).to_contain_text(rule)
    expect(page.locator("#notice")).not_to_contain_text("Next retry")
    page.get_by_role("button", name="Show the last weeks" if argument == "until" else "Clear filters").click()
    expect_range(page, "1–20 of 1,000")
    expect(page.locator("#bars")).to_be_visible()
    expect(page.locator(location)).to_be_hidden()
    assert page.evaluate("window.executed") is None
