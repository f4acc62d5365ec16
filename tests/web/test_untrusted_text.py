"""Text of sessions is shown as text: nothing in it is executed or breaks the layout."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.browser import BROWSER, open_page
from tests.support.web_data import UNUSUAL_TITLES, Organizations

pytestmark = pytest.mark.needs(BROWSER)


def test_titles_and_tags_are_not_executed_and_do_not_break_the_layout(page: Page, organizations: Organizations) -> None:
    page.set_viewport_size({"width": 320, "height": 900})
    open_page(page, organizations.unusual.key)
    shown = page.locator("tr.session .title").all_text_contents()
    assert shown == [
        "big number",
        *(title if title and title.strip() else "Untitled" for title in reversed(UNUSUAL_TITLES)),
    ]
    for button in page.locator("button.open").all():
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    heights = page.locator("tr.session").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert max(heights) < 400
    assert page.locator("#app :is(img, script)").count() == 0
    assert page.evaluate("window.executed") is None
    styles = page.locator("tr.session .title:not(.muted), .tag").evaluate_all(
        "elements => elements.map(element => `${element.dir} ${getComputedStyle(element).unicodeBidi}`)"
    )
    assert set(styles) == {"auto isolate"}


def test_the_policy_of_the_page_forbids_markup_and_scripts_from_text(context: BrowserContext) -> None:
    page = context.new_page()  # not the fixture, which fails after the errors that are expected here
    page.goto("/")
    errors = page.evaluate(
        """() => {
          const script = document.createElement("script");
          const errors = [];
          for (const action of [() => (script.text = "window.executed = 1"), () => (document.body.innerHTML = "<p>")])
            try { action(); } catch (error) { errors.push(error.name); }
          document.head.append(script);
          return errors;
        }"""
    )
    assert (errors, page.evaluate("window.executed")) == (["TypeError", "TypeError"], None)
    page.close()
