"""One service, one browser and one tab for all tests of the web page; a new tab takes a second."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from tests.support.browser import chromium
from tests.support.service import Service, running_service
from tests.support.web_data import Organizations, create_organizations

TIMEOUT_MS = 15_000


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("web")) as service:
        yield service


@pytest.fixture(scope="package")
def organizations(service: Service) -> Organizations:
    return create_organizations(service)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def context(browser: Browser, service: Service) -> BrowserContext:
    context = browser.new_context(base_url=service.address, locale="en-US")
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    return context


@pytest.fixture(scope="package")
def tab(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The tab, without a key and without changes by other tests, on a file of the service.

    Its clock can be advanced. Fails the test after a script error or a violation of the Content-Security-Policy.
    """
    errors: list[str] = []

    def add_error(error: Error) -> None:
        errors.append(str(error))

    def add_message(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            errors.append(message.text)

    tab.unroute_all()
    tab.context.set_offline(False)
    tab.context.clear_permissions()
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(color_scheme="light", reduced_motion="reduce")
    tab.clock.install()
    tab.goto("/web/icon.svg")  # the page of the last test could still store its key
    tab.evaluate("sessionStorage.clear()")
    tab.on("pageerror", add_error)
    tab.on("console", add_message)
    yield tab
    tab.remove_listener("pageerror", add_error)
    tab.remove_listener("console", add_message)
    assert errors == []
