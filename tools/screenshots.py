"""make screenshots: the web page in light, dark and narrow windows, and with an open row; the same at each run."""

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, ViewportSize

from tests.support.browser import chromium, sign_in
from tests.support.service import ROOT, running_service

NOW = datetime(2026, 2, 27, 14, 12, tzinfo=UTC)
ORG_ID = "org_019c60b1e40c7000b1f7c2a86de00001"
AGENTS: list[tuple[str, str, list[str]]] = [  # id, name, capabilities
    ("agent_019c60b1e40c7000b1f7c2a86de0394f", "support-desk", ["session_file_system", "current_time"]),
    ("agent_019c60b1e40c7000b1f7c2a86d51e702", "data-analyst", ["session_sql_database", "data_knowledge"]),
    ("agent_019c60b1e40c7000b1f7c2a86d8ab6c4", "night-shift", ["session_schedule", "bashkit_shell"]),
]
TITLES: list[str | None] = [
    "Refund for order 4417",
    "Why is checkout slow since Tuesday?",
    "Nightly backup report",
    "Compare vector databases for the search team",
    "Summarise incident 2093",
    "Translate the release notes",
    "Rotate staging credentials",
    "Résumé parsing für Bewerber",
    "Draft a reply to Acme",
    None,
]
TAGS = ["billing", "urgent", "ops", "nightly", "i18n", "research", "debugging"]
SCREENSHOTS: list[tuple[str, Literal["light", "dark"], ViewportSize]] = [
    ("page-light", "light", {"width": 1200, "height": 740}),
    ("page-dark", "dark", {"width": 1200, "height": 740}),
    ("page-narrow", "light", {"width": 320, "height": 780}),
    ("page-open", "light", {"width": 1200, "height": 1100}),
]


def example_records() -> Iterator[dict[str, object]]:
    """Agents, and the sessions of 46 days: fewer at weekends, none after `NOW`."""
    choice = random.Random(7)
    for agent_id, name, capabilities in AGENTS:
        yield {"id": agent_id, "name": name, "capabilities": [{"ref": ref} for ref in capabilities]}
    number = 0
    for days_ago in range(45, -1, -1):
        day = NOW - timedelta(days=days_ago)
        count = choice.randint(20, 60) // (4 if day.weekday() > 4 else 1)
        for position in sorted(choice.random() for _ in range(count)):
            number += 1
            yield {
                "id": f"session_{number:032x}",
                "agent_id": choice.choices([agent_id for agent_id, _, _ in AGENTS], weights=[5, 2, 2])[0],
                "title": choice.choice(TITLES),
                "tags": choice.sample(TAGS, choice.randint(0, 3)),
                "model_id": choice.choice([None, None, "model_01933b5a000070008000000000000201"]),
                "capabilities": [{"ref": ref} for ref in choice.choice([[], [], ["openui"], ["ask_user"]])],
                "status": choice.choice(["started", "active"] if days_ago == 0 and position > 0.9 else ["idle"]),
                "created_at": (day - timedelta(hours=13 * (1 - position))).isoformat(),
            }


def take_screenshots(browser: Browser, address: str, key: str) -> None:
    """Write docs/page-….png."""
    for name, scheme, viewport in SCREENSHOTS:
        context = browser.new_context(color_scheme=scheme, viewport=viewport, locale="en-GB", timezone_id="UTC")
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.goto(f"{address}/?until={NOW:%Y-%m-%d}")
        sign_in(page, key)
        page.locator("tr.session").first.wait_for()
        if name == "page-open":
            page.locator("#search").fill("refund")
            page.locator("mark").first.wait_for()
            page.locator("button.open").first.click()
        page.screenshot(path=ROOT / "docs" / f"{name}.png", animations="disabled")
        context.close()


def main() -> None:
    """Serve the example sessions and take the screenshots."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service, chromium() as browser:
        organization = service.create_organization(*example_records(), public_id=ORG_ID)
        take_screenshots(browser, service.address, organization.key)


if __name__ == "__main__":
    main()
