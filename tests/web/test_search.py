"""Search by words of the title, or by the whole id."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import BROWSER, expect_range, open_page, titles
from tests.support.service import Service
from tests.support.web_data import Organizations, agent, session

pytestmark = pytest.mark.needs(BROWSER)


def test_results_are_shown_while_typing_with_the_text_marked(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.locator("tr.session button").first.focus()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("SESSION ")
    expect(page.locator("mark")).to_have_text(["Session"] * 20)
    page.keyboard.type("98/")
    expect_range(page, "No sessions")
    page.keyboard.press("Backspace")
    expect_range(page, "1–11 of 11")
    assert titles(page) == [f"Session {number}" for number in (98, *range(980, 990))]
    expect(page.locator("mark")).to_have_text(["Session 98"] * 11)
    expect(page.locator("#search")).to_be_focused()
    expect(page.locator("#chart-range")).to_contain_text("filtered by agent only")
    page.reload()
    expect_range(page, "1–11 of 11")
    expect(page.locator("#search")).to_have_value("SESSION 98")
    page.go_back()  # one step: the letters are none of their own
    expect_range(page, "1–20 of 1,000")
    expect(page.locator("#search")).to_have_value("")


def test_a_pasted_id_is_found_at_once(page: Page, organizations: Organizations) -> None:
    open_page(page, organizations.large.key)
    page.locator("#search").fill(" SESSION_0042 ")
    page.keyboard.press("Enter")
    expect_range(page, "1–1 of 1")
    assert titles(page) == ["Session 42"]


def test_any_text_is_searched_as_it_is(page: Page, service: Service) -> None:
    organization = service.create_organization(agent(), session(1, title="C++ (đơn hàng) đơn 查询订单"))
    open_page(page, organization.key)
    searches: list[tuple[str, list[str]]] = [("c++ (", ["C++ ("]), ("[", []), ("ĐƠN", ["đơn", "đơn"]), ("订", ["订"])]
    for search, marked in searches:
        page.locator("#search").fill(search)
        expect_range(page, "1–1 of 1" if marked else "No sessions")
        expect(page.locator("mark")).to_have_text(marked)
