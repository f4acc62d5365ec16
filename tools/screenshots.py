"""Write the screenshots of the web page in docs/: light, dark and narrow. Run by `make screenshots`."""

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.browsers import chromium
from tests.conftest import World, serving

DOCS = Path(__file__).parent.parent / "docs"
NOW = datetime(2026, 2, 27, 14, 12, tzinfo=UTC)
AGENTS: list[tuple[str, list[str]]] = [
    ("agent_019c60b1e40c7000b1f7c2a86de0394f", ["session_file_system", "current_time"]),
    ("agent_019c60b1e40c7000b1f7c2a86d51e702", ["session_sql_database", "data_knowledge"]),
    ("agent_019c60b1e40c7000b1f7c2a86d8ab6c4", ["session_schedule", "bashkit_shell"]),
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
VIEWS: list[tuple[str, Literal["light", "dark"], int, int]] = [
    ("page-light", "light", 1200, 740),
    ("page-dark", "dark", 1200, 740),
    ("page-narrow", "light", 320, 780),
]


def records() -> Iterator[dict[str, object]]:
    """Yield agents and the sessions of 46 days, fewer at weekends; the same at each run."""
    choice = random.Random(7)
    for agent_id, capabilities in AGENTS:
        yield {"id": agent_id, "capabilities": capabilities}
    number = 0
    for back in range(45, -1, -1):
        day = NOW - timedelta(days=back)
        for at in sorted(choice.random() for _ in range(choice.randint(20, 60) // (4 if day.weekday() > 4 else 1))):
            number += 1
            created_at = day - timedelta(hours=13 * (1 - at))
            yield {
                "id": f"session_{number:032x}",
                "agent_id": choice.choices([agent_id for agent_id, _ in AGENTS], weights=[5, 2, 2])[0],
                "title": choice.choice(TITLES),
                "tags": choice.sample(TAGS, choice.randint(0, 3)),
                "model_id": choice.choice([None, None, "model_01933b5a000070008000000000000201"]),
                "capabilities": choice.choice([[], [], ["openui"], ["ask_user"]]),
                "status": choice.choice(["started", "active"] if back == 0 and at > 0.9 else ["idle"]),
                "created_at": created_at.isoformat(),
            }


def take(browser: Browser, address: str, key: str) -> None:
    """Write one screenshot for each view."""
    for name, scheme, width, height in VIEWS:
        viewport = {"width": width, "height": height}
        context = browser.new_context(
            color_scheme=scheme,
            viewport=viewport,  # type: ignore[arg-type]  # ViewportSize is a TypedDict
            locale="en-GB",
            timezone_id="UTC",
        )
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.goto(f"{address}/?until={NOW:%Y-%m-%d}")
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.locator("tr.session").first.wait_for()
        page.screenshot(path=DOCS / f"{name}.png", animations="disabled")
        context.close()


def main() -> None:
    """Create an example organization, serve it and take the screenshots."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, chromium() as browser:
        world = World(Path(folder) / "everruns.db", patch)
        world.everruns("init-db")
        org, key = world.organization("org_019c60b1e40c7000b1f7c2a86de00001")
        world.load(org, *records())
        with serving(world.path) as address:
            take(browser, address, key)


if __name__ == "__main__":
    main()
