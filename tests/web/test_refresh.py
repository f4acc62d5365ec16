"""Refresh every ten seconds, and what the page shows while the service does not respond."""

import re

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect

from tests.support.browser import BROWSER, expect_idle, expect_range, open_page, refresh, store_key, titles
from tests.support.service import Service
from tests.support.web_data import Organizations, agent, session

pytestmark = pytest.mark.needs(BROWSER)


def test_while_loading_the_page_says_so(page: Page, organizations: Organizations) -> None:
    waiting: list[Route] = []
    page.route("**/v1/**", lambda route: waiting.append(route))
    store_key(page, organizations.large.key)
    with page.expect_request("**/v1/sessions?**"), page.expect_request("**/v1/sessions/activity?**"):
        page.goto("/")
    expect(page.locator("#placeholder")).to_have_text("Loading the sessions…")
    expect(page.locator("#sessions")).to_have_attribute("aria-busy", "true")
    for route in waiting:
        route.continue_()
    expect_range(page, "1–20 of 1,000")


def test_a_refresh_sends_if_none_match_and_keeps_the_focus(page: Page, service: Service) -> None:
    organization = service.create_organization(agent(), session(1, title="first"))
    open_page(page, organization.key)
    expect(page.locator("#updated")).to_have_text(re.compile(r"Updated \d\d:\d\d:\d\d, (just now|\d s ago)"))
    page.clock.fast_forward(4_000)
    expect(page.locator("#updated")).to_have_text(re.compile("[4-9] s ago"))
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))
    row = page.locator("tr.session").element_handle()
    page.locator("button.open").focus()
    refresh(page)
    assert [response.status for response in responses] == [304, 304, 304]
    assert all("if-none-match" in response.request.headers for response in responses)
    service.import_records(organization, session(2, title="second", created_at="2027-02-27T13:13:54Z"))
    refresh(page)
    assert titles(page) == ["second", "first"]
    expect(page.locator("#status")).to_have_text("Sessions 1–2 of 2")
    assert page.evaluate("row => row === document.querySelectorAll('tr.session')[1]", row)
    expect(page.locator("button.open").nth(1)).to_be_focused()


def test_a_changed_row_keeps_the_focus_but_does_not_take_it(page: Page, service: Service) -> None:
    organization = service.create_organization(agent(), session(1, title="before"))
    open_page(page, organization.key)
    page.locator("button.open").focus()
    service.import_records(organization, session(1, title="after"))
    refresh(page)
    expect(page.locator("button.open")).to_have_text("after")
    expect(page.locator("button.open")).to_be_focused()
    page.get_by_label("Agent", exact=True).focus()
    refresh(page)
    expect(page.get_by_label("Agent", exact=True)).to_be_focused()


def test_a_hidden_page_sends_no_requests(page: Page, organizations: Organizations) -> None:
    set_visibility = """(state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    open_page(page, organizations.large.key)
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    page.evaluate(set_visibility, "hidden")
    for _ in range(5):
        page.clock.fast_forward(11_000)
    assert requests == []
    with page.expect_response("**/v1/sessions?**"), page.expect_response("**/v1/sessions/activity?**"):
        page.evaluate(set_visibility, "visible")
    expect_idle(page)
    assert len(requests) == 3


def test_offline_the_sessions_stay_and_the_page_recovers(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.context.set_offline(True)
    page.clock.fast_forward(11_000)
    notice = page.get_by_role("alert").filter(has_text="The service cannot be reached.")
    expect(notice).to_contain_text("offline")
    expect(notice).to_contain_text("These sessions are from")
    assert len(titles(page)) == 20
    page.get_by_role("button", name="Next").click()
    expect(page.locator("tr.session")).to_have_count(0)
    expect(notice).not_to_contain_text("These sessions are from")
    page.go_back()
    page.context.set_offline(False)
    expect_range(page, "1–20 of 1,000")
    expect(notice).to_be_hidden()


def test_a_stopped_service_is_reported_until_it_runs_again(
    page: Page, service: Service, organizations: Organizations
) -> None:
    open_page(page, organizations.large.key)
    with service.stopped():
        page.clock.fast_forward(11_000)
        expect(page.locator("#notice")).to_contain_text("The service cannot be reached.")
        assert len(titles(page)) == 20
    page.get_by_role("button", name="Retry now").click()
    expect(page.locator("#notice")).to_be_hidden()
    expect_range(page, "1–20 of 1,000")


def test_error_responses_are_shown_and_retry_after_is_obeyed(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))

    def respond(status: int, error: dict[str, object] | None, **headers: str) -> None:
        page.unroute_all()
        if error is None:
            page.route("**/v1/**", lambda route: route.fulfill(status=status, body="<h1>Bad Gateway</h1>"))
        else:
            page.route("**/v1/**", lambda route: route.fulfill(status=status, json={"error": error}, headers=headers))
        page.clock.fast_forward(11_000)

    notice = page.locator("#notice")
    respond(502, None)
    expect(notice).to_contain_text("The service or a proxy returned HTTP status 502.")
    assert len(titles(page)) == 20
    respond(503, {"code": "database_unavailable", "message": "the database cannot be read", "request_id": "abc"})
    expect(notice).to_contain_text("The database cannot be read. Request abc. These sessions are from")
    respond(429, {"code": "too_many_requests", "message": "too many requests"}, **{"Retry-After": "60"})
    expect(notice).to_contain_text("Too many requests. These sessions are from")
    requests.clear()
    page.clock.fast_forward(50_000)
    assert requests == []
    page.unroute_all()
    page.clock.fast_forward(11_000)
    expect(notice).to_be_hidden()
    assert len(requests) == 3
