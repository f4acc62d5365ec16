"""API key: entered once, kept in the tab, forgotten when it stops working."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, expect_idle, expect_range, open_page, refresh, sign_in
from tests.support.service import Service
from tests.support.web_data import Organizations

pytestmark = pytest.mark.needs(BROWSER)


def stored_values(page: Page) -> list[str]:
    values: list[str] = page.evaluate("Object.values(sessionStorage)")
    return values


def test_a_first_visit_says_where_to_get_a_key(page: Page, organizations: Organizations) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=2)).to_have_text("Sessions of your organization")
    expect(page.locator("#sign-in")).to_contain_text("everruns create-key ORG")
    expect(page.locator("#sign-in")).to_contain_text("make run")
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    assert field.get_attribute("type") == "password"
    assert field.get_attribute("autocomplete") == "off"
    field.fill(organizations.large.key)
    page.get_by_role("button", name="Show sessions").click()
    expect_range(page, "1–20 of 1,000")
    expect(page.locator("#organization")).to_have_text(f"Acme {organizations.large.id}")


def test_the_key_is_only_in_the_session_storage_of_the_tab(page: Page, organizations: Organizations) -> None:
    visible: list[str] = []
    page.on("request", lambda request: visible.append(request.url))
    page.on("console", lambda message: visible.append(message.text))
    page.goto("/")
    sign_in(page, organizations.large.key)
    expect_range(page, "1–20 of 1,000")
    page.get_by_role("button", name="Next").click()
    expect_range(page, "21–40 of 1,000")
    assert stored_values(page) == [organizations.large.key]
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert page.context.cookies() == []
    assert page.locator("#key").input_value() == ""
    assert organizations.large.key not in f"{visible}{page.url}{page.content()}"
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    expect(other_tab.locator("#sign-in")).to_be_visible()
    other_tab.close()
    page.reload()
    expect_range(page, "21–40 of 1,000")
    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#sign-in")).to_be_visible()
    assert (page.locator("tr.session").count(), stored_values(page)) == (0, [])
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_after_a_wrong_key_another_can_be_entered(page: Page, organizations: Organizations) -> None:
    page.goto("/")
    for key, error in [
        ("evr_" + "A" * 43, "This key is unknown, expired or revoked."),
        ("nonsense", "This is not a key: keys begin with evr_"),
        ("evr_schlüssel", "This is not a key"),
        ("evr_two words", "This is not a key"),
    ]:
        sign_in(page, key)
        expect(page.locator("#key-error")).to_contain_text(error)
        expect(page.locator("#key-error")).to_contain_text("Create one with: everruns create-key ORG")
        expect(page.get_by_label("API key")).to_be_focused()
        assert stored_values(page) == []
    sign_in(page, organizations.large.key)
    expect_range(page, "1–20 of 1,000")


@pytest.mark.parametrize("text", ["  Bearer {}\n", '"{}"', "-H 'Authorization: Bearer {}'"])
def test_text_pasted_around_a_key_is_removed(page: Page, organizations: Organizations, text: str) -> None:
    page.goto("/")
    sign_in(page, text.format(organizations.empty.key))
    expect_idle(page)
    assert stored_values(page) == [organizations.empty.key]


def test_a_revoked_key_is_forgotten_with_all_that_it_has_shown(
    page: Page, service: Service, organizations: Organizations
) -> None:
    key = service.command("create-key", organizations.large.id)
    page.goto("/")
    sign_in(page, key)
    expect_range(page, "1–20 of 1,000")
    service.command("revoke-key", organizations.large.id, key[:12])
    page.clock.fast_forward(11_000)
    expect(page.locator("#key-error")).to_contain_text("This key has expired or was revoked.")
    assert (page.locator("tr.session").count(), stored_values(page)) == (0, [])
    assert "Session 0" not in page.content()


def test_a_forgotten_key_leaves_no_chart_and_no_filters_for_the_next(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key, "/?limit=10&agent_id=agent_1")
    page.get_by_role("button", name="Forget key").click()
    assert page.url.endswith("/")
    expect(page.locator("#chart-range")).to_have_text("")
    expect(page.locator("#status")).to_have_text("")
    page.route("**/v1/sessions/activity?**", lambda route: route.abort())
    sign_in(page, organizations.unusual.key)
    expect_range(page, "1–8 of 8")
    expect(page.locator("#chart-note")).to_contain_text("The chart is unavailable: The service cannot be reached.")
    expect(page.locator("#bars")).to_be_hidden()
    page.unroute("**/v1/sessions/activity?**")
    refresh(page)
    expect(page.locator("#bars")).to_be_visible()
