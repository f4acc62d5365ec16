"""Filters by agent and by day."""

import json
import subprocess
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, chart_bar, expect_range, open_page, refresh
from tests.support.service import Service
from tests.support.web_data import (
    DAYS,
    MAIN_AGENT,
    RARE_AGENT,
    SCRIPT,
    Organizations,
    agent,
    last_tuesday,
    session,
    today,
)

pytestmark = pytest.mark.needs(BROWSER)


def test_an_agent_is_chosen_by_its_name_in_the_table_or_by_its_id(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.locator("tr.session").nth(7).locator("button.agent").click()
    expect_range(page, f"1–20 of {DAYS}")
    assert f"agent_id={RARE_AGENT}" in page.url
    field = page.get_by_label("Agent", exact=True)
    expect(field).to_have_value("night-shift")
    expect(page.locator("#chart-range")).to_contain_text("27 sessions")
    page.get_by_role("button", name="Clear filters").click()
    expect_range(page, "1–20 of 1,000")
    field.fill(MAIN_AGENT.upper().replace("AGENT_", "agent_"))
    page.keyboard.press("Enter")
    expect_range(page, "1–20 of 960")
    expect(field).to_have_value("helper")
    page.go_back()  # one step: the id was requested once
    expect_range(page, "1–20 of 1,000")


def test_the_list_of_agents_has_counts_and_takes_a_part_of_a_name(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    field = page.get_by_label("Agent", exact=True)
    options = page.locator("#agents li")
    field.click()
    expect(options).to_have_text(["Any agent", "helper 960 · 40 active", "night-shift 40"])
    options.nth(2).click()
    expect_range(page, f"1–20 of {DAYS}")
    expect(page.locator("#agents")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect_range(page, "1–20 of 960")
    field.fill("Shift")
    expect(options).to_have_text(["night-shift 40"])
    page.keyboard.press("Escape")
    expect(field).to_have_value("helper")
    field.fill("Shift")
    page.keyboard.press("Enter")
    expect_range(page, f"1–20 of {DAYS}")
    field.fill("nobody")
    expect(options).to_have_text(["No agent has this name."])
    page.keyboard.press("Tab")
    expect(page.locator("#agent-error")).to_have_text("must be the name or id of an agent; got 'nobody'")
    refresh(page)
    expect(page.locator("#agent-error")).to_be_visible()
    expect_range(page, f"1–20 of {DAYS}")
    field.fill("")
    page.keyboard.press("Enter")
    expect_range(page, "1–20 of 1,000")
    expect(page.locator("#agent-error")).to_be_hidden()


def test_of_agents_with_the_same_name_one_is_chosen_by_its_id(page: Page, service: Service) -> None:
    twins = [agent(f"agent_000{number}", name="twin") for number in (1, 2)]
    organization = service.create_organization(*twins, session(1, agent_id="agent_0002"))
    open_page(page, organization.key)
    field = page.get_by_label("Agent", exact=True)
    field.fill("twin")
    expect(page.locator("#agents li")).to_have_text(["twin 0 …t_0001", "twin 1 …t_0002"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect_range(page, "1–1 of 1")
    assert "agent_id=agent_0002" in page.url


def test_statuses_have_counts_of_the_agent_and_the_days(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    buttons = page.locator("#statuses button")
    expect(buttons).to_have_text(["All 1,000", "Active 40", "Started 40", "Idle 920"])
    buttons.nth(1).click()
    expect_range(page, "1–20 of 40")
    expect(page.locator("tr.session .status")).to_have_text(["active"] * 20)
    assert page.url.endswith("?status=active")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    days = (today() - timedelta(days=days) for days in (1, 2))
    chart_bar(page, next(day for day in days if day != last_tuesday())).click()  # that day has another title
    expect_range(page, "1–1 of 1")
    expect(buttons).to_have_text(["All 25", "Active 1", "Started 1", "Idle 23"])
    page.locator("#search").fill("session")
    expect(buttons).to_have_text(["All ", "Active ", "Started ", "Idle "])  # the API counts without search
    buttons.first.click()
    expect_range(page, "1–20 of 25")


def test_clicked_tags_become_filters_that_can_be_removed(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=10")
    page.locator("tr.session").nth(5).get_by_role("button", name="refund").click()
    expect_range(page, "1–10 of 40")
    page.locator("button.open").first.click()
    page.locator("#details .tag", has_text="urgent").click()
    expect_range(page, "1–10 of 40")
    assert page.url.endswith("/?limit=10&tag=refund&tag=urgent")
    page.locator("#search").fill("session 5")
    expect_range(page, "1–6 of 6")
    chips = page.locator(".chip")
    expect(chips).to_have_text(
        ["Remove filter Search session 5 ×", "Remove filter Tag refund ×", "Remove filter Tag urgent ×"]
    )
    page.reload()
    chips.nth(1).click()
    expect(chips.nth(1)).to_have_text("Remove filter Tag urgent ×")
    expect(chips.nth(1)).to_be_focused()
    expect_range(page, "1–10 of 111")
    chips.nth(1).click()
    chips.first.click()
    expect_range(page, "1–10 of 1,000")
    expect(page.locator("#search")).to_be_focused()
    expect(chips).to_have_count(0)


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


def test_a_wrong_value_leaves_the_sessions_that_are_shown(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.get_by_label("Agent", exact=True).fill("agent_!")
    page.keyboard.press("Enter")
    expect(page.locator("#agent-error")).to_contain_text("must be agent_")
    expect(page.locator("#agent")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("tr.session")).to_have_count(20)
    page.locator(".chip").click()
    expect(page.locator("#agent-error")).to_be_hidden()
    expect_range(page, "1–20 of 1,000")


def test_filters_without_a_match_can_be_removed(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?agent_id=agent_nobody&from=2020-01-01&to=2020-01-02")
    expect(page.get_by_role("heading", name="No sessions match these filters.")).to_be_visible()
    page.get_by_role("button", name="Show all sessions").click()
    expect_range(page, "1–20 of 1,000")


@pytest.mark.parametrize(
    ("query", "location", "request_path", "argument"),
    [
        (f"agent_id={SCRIPT}", "#agent-error", "/v1/sessions?agent_id=agent_", "agent_id"),
        ("status=busy", "#statuses-error", "/v1/sessions?status=busy", "status"),
        ("tag=%00", "#tags-error", "/v1/sessions?tag=%00", "tag"),
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


def test_the_curl_command_below_the_list_requests_what_is_shown(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, f"/?agent_id={RARE_AGENT}&limit=10")
    page.get_by_text("This page of the list as JSON").click()
    command = page.get_by_role("region", name="curl command").inner_text()
    assert organizations.large.key not in command
    body = json.loads(subprocess.check_output(["bash", "-c", f"KEY={organizations.large.key}; {command} --silent"]))
    expect_range(page, f"1–10 of {body['total']}")
    assert len(body["data"]) == page.locator("tr.session").count()
