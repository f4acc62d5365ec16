"""Table of sessions, and the details of a row."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import open_page, titles
from tests.support.service import Service
from tests.support.web_data import LONG_TITLE, RARE_AGENT, Organizations, agent, session

pytestmark = pytest.mark.needs("chromium")


def test_the_newest_sessions_are_rows_of_a_table(page: Page, service: Service, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    expect(page.get_by_role("table", name="Sessions of your organization, newest first")).to_be_visible()
    columns = page.get_by_role("columnheader").all_inner_texts()
    assert columns == ["Title", "Agent", "Status", "Tags", "Features", "Created", "Model"]
    assert titles(page) == [f"Session {number}" for number in range(20)]
    assert page.locator("tbody th[scope=row]").count() == 20
    assert page.locator("tr.session").first.locator(".feature").all_inner_texts() == ["file_system"]
    row = page.locator("tr.session").nth(7)
    expect(row.locator("button.agent")).to_have_text("night-shift")
    expect(row.locator("button.agent")).to_have_attribute("title", f"Only sessions of night-shift, {RARE_AGENT}")
    expect(row.locator("td").nth(1)).to_have_text("idle")
    assert row.locator(".tag").all_inner_texts() == ["billing", "urgent"]
    expect(row.locator("td").last).to_have_text("model_1")
    stored = service.get("/v1/sessions", organizations.large.key)["data"][7]
    expect(row.locator("time")).to_have_text(re.compile(r"^(\d+ (hr|min) ago|\d+ \w{3}(, \d\d:\d\d| \d{4}))$"))
    utc_time = stored["created_at"].replace("T", " ").replace("Z", " UTC")
    expect(row.locator("time")).to_have_attribute("title", re.compile(f": {utc_time}"))


def test_without_names_ids_are_shown_and_a_short_one_is_not_split(page: Page, service: Service) -> None:
    organization = service.create_organization(
        agent("agent_1"), session(1, agent_id="agent_1", created_at="2020-11-17T10:00:00Z")
    )
    page.route("**/v1/agents?**", lambda route: route.abort())
    open_page(page, organization.key)
    expect(page.locator("button.agent > *")).to_have_text(["agent_1"])
    expect(page.locator("tr.session time")).to_have_text("17 Nov 2020")
    expect(page.locator("tr.session time")).to_have_attribute("datetime", "2020-11-17T10:00:00.000000Z")


def test_a_session_without_an_agent_is_shown(page: Page, organizations: Organizations) -> None:
    def remove_agent(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["data"][0]["agent_id"] = None
        route.fulfill(response=response, json=body)

    page.route("**/v1/sessions?**", remove_agent)
    open_page(page, organizations.large.key)
    row = page.locator("tr.session").first
    expect(row.locator("td[data-label=Agent]")).to_have_text("no agent")
    row.locator("button.open").click()
    expect(page.locator("#details pre").first).to_contain_text('"agent_id": null')


def test_a_row_opens_to_raw_json_and_a_curl_command(page: Page, service: Service, organizations: Organizations) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    key = organizations.unusual.key
    open_page(page, key)
    page.locator("tr.session").filter(has_text="big number").locator("button.open").click()
    raw_json, curl = page.locator("#details pre").all()
    response = service.get("/v1/sessions", key)
    (stored,) = [item for item in response["data"] if item["id"] == "session_big"]
    assert json.loads(raw_json.inner_text()) == stored  # all digits of a number that JavaScript cannot represent
    assert raw_json.inner_text().splitlines()[1] == '  "id": "session_big",'
    for name, block in (("Copy Raw JSON", raw_json), ("Copy curl command", curl)):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#details").get_by_text("Copied", exact=True).first).to_be_visible()
        page.wait_for_function(
            "text => navigator.clipboard.readText().then(copy => copy === text)", arg=block.inner_text()
        )
    assert key not in curl.inner_text()
    command = f"KEY={key}; {curl.inner_text()} --silent"
    assert json.loads(subprocess.check_output(["bash", "-c", command])) == response
    page.keyboard.press("Escape")
    expect(page.locator("button.open").first).to_be_focused()
    expect(page.locator("#details")).to_have_count(0)


def test_without_a_clipboard_the_text_is_selected(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=5&open=session_0000")
    page.evaluate("delete Navigator.prototype.clipboard")
    page.get_by_role("button", name="Copy Raw JSON").click()
    expect(page.locator("#details").get_by_text("Selected")).to_be_visible()
    assert json.loads(page.evaluate("String(getSelection())"))["id"] == "session_0000"


def test_a_click_that_ends_a_selection_in_a_row_does_not_open_it(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=5")
    first, second = page.locator("tr.session").nth(0), page.locator("tr.session").nth(1)
    page.evaluate("getSelection().selectAllChildren(document.querySelectorAll('tr.session')[0])")
    first.locator("[data-label=Status]").dispatch_event("click")
    expect(first.locator("button.open")).to_have_attribute("aria-expanded", "false")
    second.locator("[data-label=Status]").dispatch_event("click")
    expect(second.locator("button.open")).to_have_attribute("aria-expanded", "true")
    first.locator("button.open").dispatch_event("click")
    expect(first.locator("button.open")).to_have_attribute("aria-expanded", "true")


def test_a_row_shows_few_of_many_tags_and_its_details_show_all(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.unusual.key)
    row = page.locator("tr.session").filter(has_text="many tags")
    assert row.locator(".tag").count() == 4
    expect(row.locator(".more")).to_have_text("+96")
    row.locator("button.open").click()
    assert page.locator("#details .tag").count() == 100
    page.locator("tr.session").filter(has_text="xxxx").locator("button.open").click()
    expect(page.locator("#details .text")).to_have_text(LONG_TITLE)
