"""The page at `/`: what it is made of; and in a real browser, on a real service, what a reader sees and can do."""

import gzip
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from everruns.page_files import FILES, FOLDER
from tests.browsers import chromium
from tests.conftest import World, agent, fetch, free_port, serving, session

MAIN = "agent_019c60b1e40c7000b1f7c2a86de0394f"
RARE = "agent_019c60b1e40c7000b1f7c2a86de0ffff"
PER_DAY = 250
DAYS = 40
LONG = "x" * 10_000
EXECUTED = "<img src=x onerror='window.executed=1'><script>window.executed=1</script>"
TITLES = [EXECUTED, "תל אביב \u202e evil", LONG, "word " * 2000, None, "  ", "ordinary"]


def today() -> date:
    return datetime.now(UTC).date()


def last_tuesday() -> date:
    return next(day for back in range(1, 8) if (day := today() - timedelta(days=back)).weekday() == 1)


def at(day: date, seconds: int) -> str:
    return f"{day}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


class Site:
    """A running service with ten thousand sessions of one organization, an odd organization and an empty one."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.org, self.key = world.organization()
        self.odd_org, self.odd = world.organization()
        self.empty_org, self.empty = world.organization()
        self.address = ""
        tuesday = last_tuesday()
        sessions = []
        for number in range(PER_DAY * DAYS):
            day = today() - timedelta(days=1 + number // PER_DAY)
            is_rare = number % PER_DAY == 7
            record = session(
                f"{number:05}",
                agent_id=RARE if is_rare else MAIN,
                title=f"Session {number}",
                tags=["billing", "urgent"],
                model_id="model_1" if is_rare else None,
                status="idle",
                created_at=at(day, 86_000 - number % PER_DAY * 340),
            )
            if day == tuesday and number % PER_DAY == PER_DAY - 1:
                record["title"] = "The one of last Tuesday"
            sessions.append(record)
        world.load(self.org, agent(MAIN, capabilities=["skills"]), agent(RARE), *reversed(sessions))
        tags = [f"tag {n}" for n in range(98)] + [EXECUTED, "y" * 500]
        odd = [session(f"odd{n}", title=title, tags=tags) for n, title in enumerate(TITLES)]
        config = {"big": 12345678901234567890, "text": '"}],{'}
        odd.append(session("big", title="big", capabilities=[{"ref": "mcp:1", "config": config}]))
        world.load(self.odd_org, agent(), *odd)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        world = World(tmp_path_factory.mktemp("page") / "everruns.db", patch)
        world.everruns("init-db")
        site = Site(world)
        with serving(world.path) as site.address:
            yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site.address, locale="en-US", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in which no script fails and nothing breaks the Content-Security-Policy."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.clock.install()
    yield page
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []


in_browser = pytest.mark.needs("chromium")


def enter(page: Page, key: str, address: str = "/") -> None:
    """Open the page and give the key, as a reader does."""
    page.goto(address)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_visible()
    expect(page.locator("#sessions")).not_to_have_attribute("aria-busy", "true")


def titles(page: Page) -> list[str]:
    return page.locator("tr.session .title").all_inner_texts()


def shows(page: Page, text: str) -> None:
    expect(page.locator("#range")).to_have_text(text)


def settled(page: Page) -> None:
    expect(page.locator("#sessions")).not_to_have_attribute("aria-busy", "true")


def bar(page: Page, day: date) -> Any:
    return page.locator(f'#bars button[data-day="{day}"]')


# --- what it is made of ----------------------------------------------------------------------------------------

PATHS = ["/", *(f"/page/{name}" for name in FILES)]


@pytest.mark.parametrize("path", PATHS)
def test_each_file_is_served_under_a_strict_policy_and_304_when_unchanged(world: World, path: str) -> None:
    response = world.client.get(path)
    assert response.status_code == 200
    kind = FILES[path.removeprefix("/page/")] if path != "/" else "text/html"
    assert response.headers["Content-Type"] == f"{kind}; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["img-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in response.headers
    again = world.client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    head = world.client.head(path)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", response.headers["ETag"])


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
def test_other_methods_on_the_page_are_refused_with_allow(world: World, path: str) -> None:
    response = world.client.post(path)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("name", ["", "x.js", "..%2fapi.py", "%2e%2e/api.py", "page.js/", "a/page.js", "PAGE.JS"])
def test_what_is_no_file_of_the_page_is_not_found_in_the_envelope(world: World, name: str) -> None:
    response = world.client.get(f"/page/{name}")
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "not_found")


def test_all_of_it_is_small_and_nothing_is_inline_or_from_elsewhere() -> None:
    texts = {name: (FOLDER / name).read_text("utf-8") for name in FILES}
    assert sum(len(gzip.compress(text.encode())) for text in texts.values()) < 25_000
    html = texts["index.html"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    for name, text in texts.items():
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|localStorage|cookie\b", text)


# --- the key ---------------------------------------------------------------------------------------------------


@in_browser
def test_a_first_visit_explains_itself_and_takes_a_key(page: Page, site: Site) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=2)).to_have_text("Which sessions does your organization have?")
    expect(page.locator("#gate")).to_contain_text("everruns create-key ORG")
    expect(page.locator("#gate")).to_contain_text("make run")
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    assert field.get_attribute("type") == "password"
    assert field.get_attribute("autocomplete") == "off"
    field.fill(f"  Bearer {site.key}\n")
    page.get_by_role("button", name="Show sessions").click()
    shows(page, "1–20 of 10,000")
    expect(page.locator("#organization")).to_have_text(site.org)


@in_browser
def test_the_key_is_in_the_tabs_session_storage_and_nowhere_else(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    enter(page, site.key)
    page.get_by_role("button", name="Next").click()
    shows(page, "21–40 of 10,000")
    assert page.evaluate("Object.values(sessionStorage)") == [site.key]
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert page.context.cookies() == []
    assert site.key not in page.url + str(asked) + str(said) + page.content()
    assert page.locator("#key").input_value() == ""
    page.reload()
    shows(page, "21–40 of 10,000")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#gate")).to_be_visible()
    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#gate")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.locator("tr.session").count() == 0
    page.reload()
    expect(page.locator("#gate")).to_be_visible()


@in_browser
@pytest.mark.parametrize("key", ["evr_" + "A" * 43, "nonsense", "schlüssel", "two words"])
def test_a_wrong_key_is_told_and_another_can_be_given(page: Page, site: Site, key: str) -> None:
    page.goto("/")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    fault = page.locator("#key-fault")
    expect(fault).to_contain_text(
        re.compile("This key does not work.*A valid API key is needed|This is not a key: keys begin with evr_")
    )
    expect(fault).to_contain_text("Make one with: everruns create-key ORG")
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("API key").fill(site.key)
    page.keyboard.press("Enter")
    shows(page, "1–20 of 10,000")


@in_browser
@pytest.mark.parametrize("around", ["Authorization: Bearer {}", "bearer {} ", '"{}"', "-H 'Authorization: Bearer {}'"])
def test_what_is_pasted_around_a_key_is_not_part_of_it(page: Page, site: Site, around: str) -> None:
    enter(page, around.format(site.key))
    assert page.evaluate("Object.values(sessionStorage)") == [site.key]


@in_browser
def test_a_key_that_is_revoked_while_the_page_is_open_is_forgotten(page: Page, site: Site) -> None:
    key = site.world.everruns("create-key", site.org).stdout.strip()
    enter(page, key)
    site.world.everruns("revoke-key", site.org, key[:12])
    page.clock.fast_forward(11_000)
    expect(page.locator("#key-fault")).to_contain_text("does not work any more")
    expect(page.locator("#key-fault")).to_contain_text("A valid API key is needed")
    assert page.evaluate("sessionStorage.length") == 0
    assert page.locator("tr.session").count() == 0
    assert "Session 0" not in page.content()


# --- the table -------------------------------------------------------------------------------------------------


@in_browser
def test_the_newest_sessions_are_a_table(page: Page, site: Site) -> None:
    enter(page, site.key)
    columns = page.get_by_role("columnheader").all_inner_texts()
    assert columns == ["Title", "Agent", "Status", "Tags", "Features", "Created", "Model"]
    assert titles(page) == [f"Session {n}" for n in range(20)]
    row = page.locator("tr.session").nth(7)
    assert row.locator("button.agent").text_content() == RARE
    expect(row.locator("td").nth(1)).to_have_text("idle")
    assert row.locator(".tag").all_inner_texts() == ["billing", "urgent"]
    assert page.locator("tr.session").first.locator(".feature").all_inner_texts() == ["file_system"]
    expect(row.locator("td").last).to_have_text("model_1")
    created = row.locator("time")
    assert re.fullmatch(r"\d+ (hr|min) ago|\d+ \w{3}(, \d\d:\d\d| \d{4})", created.inner_text())
    moment = site.world.sql("SELECT created_at FROM sessions WHERE public_id = 'session_00007'")[0][0]
    assert moment.replace("T", " ").replace("Z", " UTC") in str(created.get_attribute("title"))
    expect(page.get_by_role("table", name="Sessions of your organization, newest first")).to_be_visible()
    assert page.locator("tbody th[scope=row]").count() == 20


@in_browser
def test_an_agent_is_chosen_by_typing_or_in_the_table(page: Page, site: Site) -> None:
    enter(page, site.key)
    page.locator("tr.session").nth(7).locator("button.agent").click()
    shows(page, f"1–20 of {DAYS}")
    assert f"agent_id={RARE}" in page.url
    expect(page.get_by_label("Agent", exact=True)).to_have_value(RARE)
    expect(page.locator("#chart-range")).to_contain_text("27 sessions")
    page.get_by_role("button", name="Clear filters").click()
    shows(page, "1–20 of 10,000")
    page.get_by_label("Agent", exact=True).fill(MAIN.upper().replace("AGENT_", "agent_"))
    page.keyboard.press("Enter")
    shows(page, "1–20 of 9,960")
    assert set(page.locator("#agents option").evaluate_all("all => all.map(one => one.value)")) == {MAIN, RARE}


@in_browser
def test_a_date_filters_to_that_day_and_two_to_a_range(page: Page, site: Site) -> None:
    enter(page, site.key)
    day = today() - timedelta(days=10)
    page.get_by_label("From").fill(str(day))
    shows(page, "1–20 of 250")
    assert (f"from={day}" in page.url, f"to={day}" in page.url) == (True, True)
    expect(page.get_by_label("To (whole day)")).to_have_value(str(day))
    page.get_by_label("To (whole day)").fill(str(day + timedelta(days=1)))
    shows(page, "1–20 of 500")
    assert page.locator('#bars [aria-pressed="true"]').count() == 2
    old = today() - timedelta(days=DAYS)
    page.get_by_label("From").fill(str(old - timedelta(days=20)))
    shows(page, f"1–20 of {250 * (DAYS - 8):,}")
    page.get_by_label("To (whole day)").fill(str(old))
    shows(page, "1–20 of 250")
    expect(bar(page, old)).to_be_visible()


@in_browser
@pytest.mark.parametrize("address", ["/", f"/?to={today()}"])
def test_pages_are_turned_and_do_not_shift_while_sessions_are_created(page: Page, site: Site, address: str) -> None:
    org, key = site.world.organization()
    now = datetime.now(UTC).replace(microsecond=0)
    site.world.load(org, agent(), *(session(n, title=f"{n}", created_at=f"{now:%FT%TZ}") for n in range(45)))
    enter(page, key, address)
    page.get_by_role("button", name="Next").click()
    shows(page, "21–40 of 45")
    seen = titles(page)
    newer = f"{now + timedelta(seconds=1):%FT%TZ}"
    site.world.load(org, *(session(f"newer{n}", created_at=newer) for n in range(3)))
    with page.expect_response("**/v1/sessions?**"):
        page.clock.fast_forward(11_000)
    settled(page)
    assert titles(page) == seen
    page.reload()
    shows(page, "21–40 of 45")
    assert titles(page) == seen
    page.get_by_role("button", name="Next").click()
    shows(page, "41–45 of 45")
    expect(page.get_by_role("button", name="Next")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Previous").click()
    shows(page, "21–40 of 45")
    expect(page.locator("#held")).to_be_visible()
    page.get_by_role("button", name="First").click()
    shows(page, "1–20 of 48")


@in_browser
def test_page_size_and_the_last_of_ten_thousand(page: Page, site: Site) -> None:
    enter(page, site.key)
    page.get_by_label("Per page").select_option("50")
    shows(page, "1–50 of 10,000")
    page.get_by_role("button", name="Last").click()
    shows(page, "9,951–10,000 of 10,000")
    assert titles(page)[-1] == "Session 9999"
    page.get_by_role("button", name="Previous").click()
    shows(page, "9,901–9,950 of 10,000")
    page.get_by_role("button", name="First").click()
    shows(page, "1–50 of 10,000")
    expect(page.get_by_role("button", name="Previous")).to_have_attribute("aria-disabled", "true")


@in_browser
def test_the_address_bar_holds_the_state_so_back_reload_and_sharing_work(
    page: Page, site: Site, browser: Browser
) -> None:
    enter(page, site.key)
    page.locator("tr.session").nth(7).locator("button.agent").click()
    shows(page, f"1–20 of {DAYS}")
    page.get_by_role("button", name="Next").click()
    shows(page, f"21–40 of {DAYS}")
    page.get_by_label("Per page").select_option("10")
    shows(page, f"1–10 of {DAYS}")
    page.go_back()
    shows(page, f"21–40 of {DAYS}")
    expect(page.get_by_label("Per page")).to_have_value("20")
    page.go_back()
    page.go_back()
    shows(page, "1–20 of 10,000")
    expect(page.get_by_label("Agent", exact=True)).to_have_value("")
    page.go_forward()
    page.go_forward()
    shows(page, f"21–40 of {DAYS}")
    seen = titles(page)
    page.locator("button.open").nth(2).click()
    opened = page.locator("#detail pre").first.inner_text()
    page.reload()
    shows(page, f"21–40 of {DAYS}")
    expect(page.locator("#detail pre").first).to_have_text(opened)
    shared = browser.new_context(base_url=site.address, locale="en-US").new_page()
    enter(shared, site.key, page.url)
    shows(shared, f"21–40 of {DAYS}")
    assert titles(shared) == seen
    expect(shared.locator("#detail pre").first).to_have_text(opened)
    shared.context.close()


@in_browser
def test_a_row_opens_to_the_raw_json_and_the_curl_that_fetched_it(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    enter(page, site.odd)
    page.locator("tr.session").filter(has_text="big").locator("button.open").click()
    raw, curl = page.locator("#detail pre").all()
    status, answer = fetch(f"{site.address}/v1/sessions", site.odd)
    (stored,) = [item for item in answer["data"] if item["id"] == "session_big"]
    assert json.loads(raw.inner_text()) == stored  # with all digits of the number that JavaScript cannot hold
    assert raw.inner_text().splitlines()[1] == '  "id": "session_big",'
    for name, shown in (("Copy Raw JSON", raw), ("Copy The curl that fetched it", curl)):
        page.get_by_role("button", name=name).click()
        expect(page.locator("#detail").get_by_text("Copied", exact=True).first).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == shown.inner_text()
    command = curl.inner_text()
    assert site.odd not in command
    ran = subprocess.run(["bash", "-c", f"KEY={site.odd}; {command} --silent"], capture_output=True, check=True)
    assert json.loads(ran.stdout) == answer
    assert status == 200
    page.keyboard.press("Escape")
    expect(page.locator("button.open").first).to_be_focused()
    expect(page.locator("#detail")).to_have_count(0)


@in_browser
def test_where_the_clipboard_is_not_allowed_the_text_is_selected(page: Page, site: Site) -> None:
    page.add_init_script("delete Navigator.prototype.clipboard")
    enter(page, site.key)
    page.locator("button.open").first.click()
    page.get_by_role("button", name="Copy Raw JSON").click()
    expect(page.locator("#detail").get_by_text("Selected")).to_be_visible()
    selected = page.evaluate("String(getSelection())")
    assert json.loads(selected)["id"] == "session_00000"


@in_browser
def test_a_selection_elsewhere_does_not_keep_a_row_from_opening_and_closing(page: Page, site: Site) -> None:
    page.add_init_script("delete Navigator.prototype.clipboard")
    enter(page, site.key)
    button = page.locator("button.open").first
    button.click()
    page.get_by_role("button", name="Copy Raw JSON").click()
    assert page.evaluate("String(getSelection())") != ""
    button.press("Enter")
    expect(page.locator("#detail")).to_have_count(0)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#chart-heading'))")
    page.locator("tr.session td[data-label=Status]").nth(1).click()
    expect(page.locator("button.open").nth(1)).to_have_attribute("aria-expanded", "true")
    select = "getSelection().selectAllChildren(document.querySelectorAll('tr.session')[2])"
    page.locator("tr.session td[data-label=Status]").nth(2).evaluate(f"cell => {{ {select}; cell.click(); }}")
    expect(page.locator("button.open").nth(2)).to_have_attribute("aria-expanded", "false")
    button.evaluate("button => { getSelection().selectAllChildren(button.closest('tr')); button.click(); }")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.press("Escape")
    expect(page.locator("#detail")).to_have_count(0)


@in_browser
def test_a_turned_page_is_seen_from_its_first_row(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    enter(page, site.key, "/?limit=50")
    for name, told in (("Next", "51–100"), ("Last", "9,951–10,000"), ("Previous", "9,901–9,950"), ("First", "1–50")):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.get_by_role("button", name=name).click()
        shows(page, f"{told} of 10,000")
        expect(page.locator("tr.session").first).to_be_in_viewport(ratio=1)


@in_browser
def test_an_open_row_stays_when_newer_sessions_come_until_it_is_closed(page: Page, site: Site) -> None:
    org, key = site.world.organization()
    site.world.load(org, agent(), *(session(n, title=f"{n}") for n in range(10)))
    enter(page, key, "/?limit=10")
    seen = titles(page)
    page.locator("button.open").last.click()
    json_of_it = page.locator("#detail pre").first
    told = json_of_it.inner_text()
    expect(page.locator("#held")).to_contain_text("Held still while a row is open")
    site.world.load(org, session("newer", title="newer", created_at="2026-02-27T13:13:54Z"))
    with page.expect_response("**/v1/sessions?**"):
        page.clock.fast_forward(11_000)
    settled(page)
    assert titles(page) == seen
    expect(json_of_it).to_have_text(told)
    page.locator("button.open").last.click()
    shows(page, "1–10 of 11")
    assert titles(page) == ["newer", *seen[:-1]]
    expect(page.locator("#held")).to_be_hidden()
    page.locator("button.open").last.click()
    page.get_by_role("button", name="First").click()
    expect(page.locator("#detail")).to_have_count(0)
    expect(page.locator("#held")).to_be_hidden()
    assert "pinned" not in page.url


@in_browser
def test_a_shared_address_shows_its_open_row_in_view(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 1280, "height": 500})
    enter(page, site.key, "/?limit=50&open=session_00040")
    expect(page.locator("#detail")).to_be_in_viewport()
    expect(page.locator('[aria-expanded="true"]')).to_be_in_viewport(ratio=1)


@in_browser
def test_a_short_id_is_whole_and_an_old_session_has_its_date(page: Page, site: Site) -> None:
    org, key = site.world.organization()
    short = "agent_1"
    site.world.load(org, agent(short), session(1, agent_id=short, created_at="2020-11-17T10:00:00Z"))
    enter(page, key)
    button = page.locator("button.agent")
    assert button.evaluate("button => [...button.children].map(part => part.textContent)") == [short]
    created = page.locator("tr.session time")
    expect(created).to_have_text("17 Nov 2020")
    expect(created).to_have_attribute("datetime", "2020-11-17T10:00:00.000000Z")
    expect(created).to_have_attribute("title", re.compile(r"yr ago: 2020-11-17 10:00:00.000000 UTC"))


# --- the chart -------------------------------------------------------------------------------------------------


@in_browser
def test_the_chart_has_a_bar_for_each_of_the_last_28_days(page: Page, site: Site) -> None:
    enter(page, site.key)
    bars = page.locator("#bars button")
    expect(bars).to_have_count(28)
    yesterday = today() - timedelta(days=1)
    name = f"{yesterday:%A} {yesterday.day} {yesterday:%B %Y}: 250 sessions"
    expect(page.get_by_role("button", name=name)).to_have_count(1)
    heights = bars.locator(".fill").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert heights[-1] == 0
    assert min(heights[:-1]) == max(heights[:-1]) > 40
    page.get_by_role("button", name="Earlier weeks").click()
    expect(page.locator("#chart-range")).to_contain_text(f"{(DAYS - 27) * 250:,} sessions")
    expect(page.get_by_role("button", name="Later weeks")).to_have_attribute("aria-disabled", "false")
    page.reload()
    expect(page.locator("#chart-range")).to_contain_text(f"{(DAYS - 27) * 250:,} sessions")
    page.get_by_role("button", name="Later weeks").click()
    expect(page.locator("#chart-range")).to_contain_text(f"{27 * 250:,} sessions")
    expect(page.get_by_role("button", name="Later weeks")).to_have_attribute("aria-disabled", "true")
    assert "until" not in page.url


@in_browser
def test_a_session_of_last_tuesday_is_found_in_three_clicks(page: Page, site: Site) -> None:
    enter(page, site.key)
    bar(page, last_tuesday()).click()
    shows(page, "1–20 of 250")
    expect(bar(page, last_tuesday())).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Last").click()
    shows(page, "241–250 of 250")
    page.get_by_role("button", name="The one of last Tuesday").click()
    expect(page.locator("#detail")).to_contain_text("The one of last Tuesday")
    bar(page, last_tuesday()).click()
    shows(page, "1–20 of 10,000")


@in_browser
def test_with_no_session_in_these_weeks_the_chart_offers_those_of_the_newest(page: Page, site: Site) -> None:
    org, key = site.world.organization()
    site.world.load(org, agent(), session(1, created_at="2020-02-27T12:00:00Z"))
    enter(page, key)
    expect(page.locator("#chart-note")).to_contain_text("No session was created in these 28 days.")
    page.get_by_role("button", name="Show the weeks around the newest session").click()
    expect(bar(page, date(2020, 2, 27))).to_have_attribute("aria-label", "Thursday 27 February 2020: 1 session")
    expect(page.locator("#chart-note")).to_be_hidden()


@in_browser
def test_without_any_session_no_weeks_are_offered(page: Page, site: Site) -> None:
    enter(page, site.empty)
    expect(page.locator("#chart-note")).to_contain_text("No session was created in these 28 days.")
    expect(page.locator("#chart-note button")).to_be_hidden()
    expect(page.locator("#range")).to_have_text("No sessions")


@in_browser
def test_without_its_activity_no_other_organizations_chart_is_shown(page: Page, site: Site) -> None:
    enter(page, site.key, f"/?agent_id={MAIN}&limit=10")
    expect(page.locator("#bars button")).to_have_count(28)
    page.get_by_role("button", name="Forget key").click()
    assert page.url == f"{site.address}/"
    expect(page.locator("#chart-range")).to_have_text("")
    expect(page.locator("#status")).to_have_text("")
    error = json.dumps({"error": {"code": "unavailable", "message": "the database is away"}})
    page.route("**/v1/sessions/activity?**", lambda route: route.fulfill(status=503, body=error))
    page.get_by_label("API key").fill(site.odd)
    page.keyboard.press("Enter")
    expect(page.locator("#chart-note")).to_contain_text("The chart cannot be had at the moment: the database is away")
    expect(page.locator("#bars")).to_be_hidden()
    assert page.locator("tr.session").count() == 8
    page.unroute("**/v1/sessions/activity?**")
    page.clock.fast_forward(11_000)
    expect(page.locator("#bars")).to_be_visible()


@in_browser
def test_cleared_filters_leave_the_page_size_and_the_focus_in_the_agent_field(page: Page, site: Site) -> None:
    enter(page, site.key, f"/?agent_id={MAIN}&limit=10&until=2026-02-27")
    page.get_by_role("button", name="Clear filters").click()
    shows(page, "1–10 of 10,000")
    expect(page.get_by_label("Agent", exact=True)).to_be_focused()
    assert page.url == f"{site.address}/?limit=10"


# --- by itself -------------------------------------------------------------------------------------------------


@in_browser
def test_it_asks_again_by_itself_with_if_none_match_and_says_when(page: Page, site: Site) -> None:
    org, key = site.world.organization()
    site.world.load(org, agent(), session(1, title="first"))
    enter(page, key)
    expect(page.locator("#updated")).to_contain_text(re.compile(r"Updated \d\d:\d\d:\d\d, (just now|\d s ago)"))
    page.clock.fast_forward(4_000)
    expect(page.locator("#updated")).to_contain_text(re.compile("[4-9] s ago"))
    statuses: list[int] = []
    sent: list[str | None] = []

    def note(response: Any) -> None:
        statuses.append(response.status)
        sent.append(response.request.headers.get("if-none-match"))

    page.on("response", note)
    row = page.locator("tr.session").element_handle()
    page.locator("button.open").focus()
    with page.expect_response("**/v1/sessions?**"), page.expect_response("**/v1/sessions/activity?**"):
        page.clock.fast_forward(7_000)
    settled(page)
    assert statuses == [304, 304]
    assert all(sent)
    site.world.load(org, session(2, title="second", created_at="2027-02-27T13:13:54Z"))
    page.clock.fast_forward(11_000)
    shows(page, "1–2 of 2")
    assert titles(page) == ["second", "first"]
    expect(page.locator("#status")).to_have_text("Sessions 1–2 of 2")
    assert row
    assert row.evaluate("row => row === document.querySelectorAll('tr.session')[1]")
    expect(page.locator("button.open").nth(1)).to_be_focused()


@in_browser
def test_it_does_not_ask_while_nobody_looks(page: Page, site: Site) -> None:
    enter(page, site.key)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    look = """(seen) => {
      Object.defineProperty(document, "visibilityState", { value: seen, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(look, "hidden")
    for _ in range(5):
        page.clock.fast_forward(11_000)
    assert asked == []
    with page.expect_response("**/v1/sessions?**"):
        page.evaluate(look, "visible")
    settled(page)
    assert len(asked) == 2


@in_browser
def test_offline_what_was_seen_stays_and_it_recovers_by_itself(page: Page, site: Site) -> None:
    enter(page, site.key)
    page.context.set_offline(True)
    page.clock.fast_forward(11_000)
    notice = page.get_by_role("alert").filter(has_text="cannot be reached")
    expect(notice).to_contain_text("offline")
    expect(notice).to_contain_text("What you see is of")
    assert len(titles(page)) == 20
    page.get_by_role("button", name="Next").click()
    expect(page.locator("tr.session")).to_have_count(0)
    expect(notice).not_to_contain_text("What you see is of")
    page.go_back()
    page.context.set_offline(False)
    shows(page, "1–20 of 10,000")
    expect(notice).to_be_hidden()


@in_browser
def test_the_server_gone_and_back(page: Page, site: Site) -> None:
    port = free_port()
    arguments = ["--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}", "app:app"]
    with serving(site.world.path, *arguments):
        enter(page, site.key, f"http://127.0.0.1:{port}/")
        shows(page, "1–20 of 10,000")
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_contain_text("cannot be reached")
    assert len(titles(page)) == 20
    with serving(site.world.path, *arguments):
        page.clock.fast_forward(11_000)
        expect(page.locator("#notice")).to_be_hidden()
        shows(page, "1–20 of 10,000")


@in_browser
def test_a_service_without_its_database_is_told_and_retry_after_obeyed(page: Page, site: Site) -> None:
    enter(page, site.key)
    away = site.world.folder / "away.db"
    site.world.path.rename(away)
    page.clock.fast_forward(11_000)
    told = "The database cannot be read at the moment; try again shortly. Request"
    expect(page.locator("#notice")).to_contain_text(told)
    away.rename(site.world.path)
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#notice")).to_be_hidden()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = json.dumps({"error": {"code": "too_many_requests", "message": "too many requests; wait a second"}})
        route.fulfill(status=429, body=body, headers={"Retry-After": "60", "Content-Type": "application/json"})

    page.route("**/v1/**", refuse)
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_contain_text("Too many requests; wait a second. What")
    count = len(asked)
    page.clock.fast_forward(50_000)
    settled(page)
    assert len(asked) == count
    page.unroute("**/v1/**")
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_be_hidden()


@in_browser
def test_an_answer_that_is_not_the_services_own_is_told(page: Page, site: Site) -> None:
    enter(page, site.key)
    page.route("**/v1/**", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_contain_text("answered 502")
    assert len(titles(page)) == 20


# --- states ----------------------------------------------------------------------------------------------------


@in_browser
def test_while_it_loads_it_says_so(page: Page, site: Site) -> None:
    waiting: list[Route] = []
    enter(page, site.key)
    page.route("**/v1/**", lambda route: waiting.append(route))
    page.reload()
    expect(page.locator("#instead")).to_have_text("Loading the sessions…")
    expect(page.locator("#sessions")).to_have_attribute("aria-busy", "true")
    page.wait_for_function("() => true")
    assert len(waiting) == 2
    for route in waiting:
        route.continue_()
    shows(page, "1–20 of 10,000")


@in_browser
def test_an_empty_organization_is_told_how_to_import(page: Page, site: Site) -> None:
    enter(page, site.empty)
    expect(page.get_by_role("heading", name="No sessions yet")).to_be_visible()
    expect(page.locator("#instead")).to_contain_text("everruns import --org ORG FILE")
    expect(page.get_by_role("table")).to_be_hidden()


@in_browser
def test_no_match_and_no_page_offer_a_way_on(page: Page, site: Site) -> None:
    enter(page, site.key, "/?agent_id=agent_nobody&from=2020-01-01&to=2020-01-02")
    expect(page.get_by_role("heading", name="No session matches these filters.")).to_be_visible()
    page.get_by_role("button", name="Show all sessions").click()
    shows(page, "1–20 of 10,000")
    page.goto("/?offset=20000")
    expect(page.locator("#instead")).to_contain_text("There are only 10,000 sessions.")
    page.get_by_role("button", name="First page").click()
    shows(page, "1–20 of 10,000")


@in_browser
@pytest.mark.parametrize(
    ("search", "where", "told"),
    [
        ("agent_id=nonsense", "#agent-fault", "must be agent_ and then 1 to 64 of 0-9 A-Z a-z -, not 'nonsense'"),
        (f"agent_id={EXECUTED}", "#agent-fault", "must be agent_ and then"),
        ("from=yesterday", "#from-fault", "must be an ISO 8601 time"),
        ("to=2026-02-31", "#to-fault", "is no time that exists"),
        ("limit=0", "#notice", "limit must be a whole number from 1 to 100, not '0'"),
        ("offset=-1", "#notice", "offset must be a whole number from 0 to 2147483647"),
        ("until=soon", "#chart-note", "until must be a day"),
    ],
)
def test_what_is_malformed_in_the_address_bar_is_told_beside_it_and_can_be_cleared(
    page: Page, site: Site, search: str, where: str, told: str
) -> None:
    enter(page, site.key, f"/?{search}")
    expect(page.locator(where)).to_contain_text(told)
    expect(page.locator("#notice")).not_to_contain_text("next try")
    button = "Show the last weeks" if where == "#chart-note" else "Clear filters"
    page.get_by_role("button", name=button).click()
    shows(page, "1–20 of 10,000")
    expect(page.locator("#bars")).to_be_visible()
    expect(page.locator(where)).to_be_hidden()
    assert page.evaluate("window.executed") is None


# --- what comes in ---------------------------------------------------------------------------------------------


@in_browser
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_of_a_title_is_executed_and_none_breaks_the_page(page: Page, site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    enter(page, site.odd)
    shown = page.locator("tr.session .title").all_text_contents()
    assert shown == ["big", *(title if title and title.strip() else "Untitled" for title in reversed(TITLES))]
    for row in page.locator("tr.session").all():
        box = row.bounding_box()
        assert box
        assert box["height"] < 400
        row.locator("button.open").click()
        expect(row.locator("button.open")).to_have_attribute("aria-expanded", "true")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#work img, #work script").count() == 0
    assert page.evaluate("window.executed") is None
    for text in page.locator("tr.session .title:not(.muted), .tag").all()[:20]:
        assert text.get_attribute("dir") == "auto"
        assert text.evaluate("element => getComputedStyle(element).unicodeBidi") == "isolate"


@in_browser
def test_a_hundred_tags_are_few_in_the_row_and_all_where_it_opens(page: Page, site: Site) -> None:
    enter(page, site.odd)
    row = page.locator("tr.session").filter(has_text="ordinary")
    assert row.locator(".tag").count() == 4
    expect(row.locator(".more")).to_have_text("+96")
    row.locator("button.open").click()
    assert page.locator("#detail .tag").count() == 100
    row = page.locator("tr.session").filter(has_text="xxxx")
    row.locator("button.open").click()
    assert page.locator("#detail .text").inner_text() == LONG


@in_browser
def test_the_browser_itself_refuses_scripts_and_markup_from_text(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/")
    found = page.evaluate(
        """() => {
          const script = document.createElement("script");
          try { script.text = "window.executed = 1"; document.head.append(script); } catch {}
          try { document.body.innerHTML = "<p>"; return "taken"; } catch (fault) { return fault.name; }
        }"""
    )
    assert (found, page.evaluate("window.executed")) == ("TypeError", None)


# --- for everyone ----------------------------------------------------------------------------------------------


def refused(page: Page, site: Site) -> None:
    page.goto("/")
    page.get_by_label("API key").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.locator("#key-fault")).to_be_visible()


def opened(page: Page, site: Site) -> None:
    enter(page, site.odd)
    page.locator("button.open").nth(1).click()


def faulty(page: Page, site: Site) -> None:
    enter(page, site.key, "/?agent_id=x")
    expect(page.locator("#agent-fault")).to_be_visible()


def offline(page: Page, site: Site) -> None:
    enter(page, site.key, "/?limit=5")
    page.context.set_offline(True)
    page.clock.fast_forward(11_000)
    expect(page.locator("#notice")).to_be_visible()


STATES: dict[str, Callable[[Page, Site], object]] = {
    "first visit": lambda page, site: page.goto("/"),
    "wrong key": refused,
    "table": lambda page, site: enter(page, site.key, f"/?from={last_tuesday()}&limit=5"),
    "opened": opened,
    "empty": lambda page, site: enter(page, site.empty),
    "malformed": faulty,
    "offline": offline,
}


@in_browser
@pytest.mark.parametrize("state", STATES)
def test_axe_core_reports_no_violation(page: Page, site: Site, state: str) -> None:
    STATES[state](page, site)
    schemes: list[tuple[Literal["light", "dark"], int]] = [("light", 1280), ("dark", 320)]
    for scheme, width in schemes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        results = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}})
        assert results.violations_count == 0, results.generate_report()


@in_browser
@pytest.mark.parametrize("state", STATES)
def test_at_320_pixels_nothing_scrolls_sideways_and_all_can_be_hit(page: Page, site: Site, state: str) -> None:
    page.set_viewport_size({"width": 320, "height": 700})
    STATES[state](page, site)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    small = "({ width, height }) => width < 24 || height < 24"
    assert (
        page.locator("button:visible, input:visible, select:visible").evaluate_all(
            f"all => all.filter(one => ({small})(one.getBoundingClientRect())).map(one => one.outerHTML)"
        )
        == []
    )


@in_browser
def test_light_and_dark_follow_the_system(page: Page, site: Site) -> None:
    enter(page, site.key)
    backgrounds = []
    schemes: list[Literal["light", "dark"]] = ["light", "dark"]
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        backgrounds.append(int(red))
    assert backgrounds[0] > 200
    assert backgrounds[1] < 50


@in_browser
def test_all_of_it_can_be_done_by_keyboard(page: Page, site: Site) -> None:
    page.goto("/")
    page.keyboard.insert_text(site.key)
    page.keyboard.press("Enter")
    shows(page, "1–20 of 10,000")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none"
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#bars button")
    for key in ("ArrowLeft", "Home", "End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    day = today() - timedelta(days=2)
    shows(page, "1–20 of 250")
    expect(bar(page, day)).to_be_focused()
    assert f"from={day}" in page.url
    tab_to("#agent")
    page.keyboard.insert_text(RARE)
    page.keyboard.press("Enter")
    shows(page, "1–1 of 1")
    tab_to("#clear")
    page.keyboard.press("Enter")
    shows(page, "1–20 of 10,000")
    tab_to("button.open")
    page.keyboard.press("Space")
    expect(page.locator("#detail")).to_be_visible()
    tab_to("#detail pre")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_have_count(0)
    tab_to("[data-rel=next]")
    page.keyboard.press("Enter")
    shows(page, "21–40 of 10,000")
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    page.get_by_label("From").focus()
    for typed in f"{day:%m%d%Y}":
        page.keyboard.press(typed)
    shows(page, "1–20 of 250")
    assert f"from={day}&to={day}" in page.url


@in_browser
def test_it_works_under_a_prefix(page: Page, site: Site) -> None:
    def proxied(route: Route) -> None:
        route.continue_(url=route.request.url.replace("/tools/sessions/", "/"))

    page.route("**/tools/sessions/**", proxied)
    enter(page, site.key, "/tools/sessions/")
    page.get_by_role("button", name="Next").click()
    shows(page, "21–40 of 10,000")
    assert page.url.startswith(f"{site.address}/tools/sessions/?")
    page.locator("button.open").first.click()
    expect(page.locator("#detail pre").last).to_contain_text(f"{site.address}/tools/sessions/v1/sessions?")
