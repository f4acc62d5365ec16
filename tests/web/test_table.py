"""Table of sessions, and the details of a row."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import BROWSER, open_page, titles
from tests.support.service import Service
from tests.support.web_data import LONG_TITLE, RARE_AGENT, Organizations, agent, session

pytestmark = pytest.mark.needs(BROWSER)


def test_the_newest_sessions_are_rows_of_a_table(page: Page, service: Service, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    expect(page.get_by_role("table", name="Sessions of your organization, newest first")).to_be_visible()
    columns = page.get_by_role("columnheader").all_inner_texts()
    assert columns == ["Title", "Agent", "Status", "Tags", "Created", "Updated"]
    assert titles(page) == [f"Session {number}" for number in range(20)]
    assert page.locator("tbody th[scope=row]").count() == 20
    heights = page.locator("tr.session").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert max(heights) < 45  # one line
    row = page.locator("tr.session").nth(7)
    expect(row.locator("button.agent")).to_have_text("night-shift")
    expect(row.locator("button.agent")).to_have_attribute("title", f"Only sessions of night-shift, {RARE_AGENT}")
    expect(row.locator("td").nth(1)).to_have_text("idle")
    assert row.locator(".tag").all_inner_texts() == ["billing", "urgent"]
    stored = service.get("/v1/sessions", organizations.large.key)["data"][7]
    expect(row.locator("time").first).to_have_text(re.compile(r"^(\d+ (hr|min) ago|\d+ \w{3}(, \d\d:\d\d| \d{4}))$"))
    utc_time = stored["created_at"].replace("T", " ").replace("Z", " UTC")
    expect(row.locator("time").first).to_have_attribute("title", re.compile(f": {utc_time}"))


def test_without_names_ids_are_shown_and_a_short_one_is_not_split(page: Page, service: Service) -> None:
    organization = service.create_organization(
        agent("agent_1"), session(1, agent_id="agent_1", created_at="2020-11-17T10:00:00Z")
    )
    page.route("**/v1/agents?**", lambda route: route.abort())
    open_page(page, organization.key)
    expect(page.locator("button.agent > *")).to_have_text(["agent_1"])
    expect(page.locator("tr.session time").first).to_have_text("17 Nov 2020")
    expect(page.locator("tr.session time").first).to_have_attribute("datetime", "2020-11-17T10:00:00.000000Z")


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
    config, raw_json, curl = page.locator("#details pre").all()
    assert '"number": 12345678901234567890' in config.inner_text()
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
    assert json.loads(subprocess.check_output(["bash", "-c", command])) == stored
    page.keyboard.press("Escape")
    expect(page.locator("button.open").first).to_be_focused()
    expect(page.locator("#details")).to_have_count(0)


def test_an_open_row_shows_names_and_copies_ids(page: Page, organizations: Organizations) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, organizations.large.key)
    page.locator("button.open").nth(7).click()
    details = page.locator("#details")
    expect(details).to_contain_text(f"Acme {organizations.large.id}")
    expect(details).to_contain_text("Base harness_01933b5a000070008000000000000601")
    expect(details).to_contain_text(f"night-shift {RARE_AGENT}")
    expect(details).to_contain_text("model_1")
    page.locator("button.open").nth(0).click()
    expect(details.locator(".feature")).to_have_text(["file_system"])
    for kind, copied in (("session", "session_0000"), ("organization", organizations.large.id)):
        page.get_by_role("button", name=f"Copy {kind} id").click()
        page.wait_for_function("text => navigator.clipboard.readText().then(copy => copy === text)", arg=copied)


def test_an_address_opens_a_session_of_any_page(page: Page, service: Service, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=10&open=session_05-00")
    assert titles(page)[0] == "Session 500"
    expect(page.locator("tr.session")).to_have_count(11)
    expect(page.locator("#details")).to_contain_text("This session is not on this page of the list.")
    raw_json = page.locator("#details pre").first.inner_text()
    assert json.loads(raw_json) == service.get("/v1/sessions/session_0500", organizations.large.key)
    page.locator("button.open").first.click()
    expect(page.locator("tr.session")).to_have_count(10)
    expect(page.locator("#details")).to_have_count(0)
    page.goto("/?open=session_0500&search=nothing")
    expect(page.get_by_role("heading", name="No sessions match these filters.")).to_be_visible()
    expect(page.locator("#details")).to_be_visible()
    page.goto("/?open=session_none")
    error = page.locator("#open-error")
    expect(error).to_contain_text("There is no session session_none in this organization.")
    assert len(titles(page)) == 20
    error.get_by_role("button").click()
    expect(error).to_be_hidden()
    assert "open" not in page.url


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
    assert row.locator(".tag").count() == 3
    expect(row.locator(".more")).to_have_text("+97")
    row.locator("button.open").click()
    assert page.locator("#details .tag").count() == 100
    page.locator("tr.session").filter(has_text="xxxx").locator("button.open").click()
    expect(page.locator("#details .text")).to_have_text(LONG_TITLE)
