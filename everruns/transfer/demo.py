"""Records of an example organization, with realistic agents and sessions."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from everruns.ids import BASE_HARNESS, new_id
from everruns.timestamps import format_timestamp
from everruns.transfer.parser import Group, ParsedRecord

AGENTS: list[tuple[str, list[object]]] = [
    ("support-desk", ["session_file_system", {"ref": "web_fetch", "config": {"timeout_ms": 30000}}, "current_time"]),
    ("research", ["skills", "browserless", "knowledge_base"]),
    ("night-shift", ["session_schedule", "bashkit_shell"]),
    ("data-analyst", ["session_sql_database", "data_knowledge"]),
    ("release-captain", ["subagents", "session_tasks", "slack"]),
]
HARNESS: list[object] = ["session_file_system", "current_time", "session_storage"]
TITLES = [
    "Refund for order {n}",
    "Why is checkout slow?",
    "Nightly backup report",
    "Compare vector databases",
    "Summarise incident {n}",
    "Translate the release notes",
    "Rotate staging credentials",
    "Résumé parsing für Bewerber",
    "查询订单状态 {n}",
    "Draft a reply to Acme",
    None,
]
TAGS = ["billing", "urgent", "ops", "nightly", "i18n", "research", "debugging"]
CAPABILITIES: list[object] = [
    {"ref": "memory", "config": {"scope": "session"}},
    "openui",
    "session_sql_database",
    "ask_user",
]
MODELS = [None, None, "model_01933b5a000070008000000000000201"]


def records(sessions: int) -> Iterator[Group]:
    """Yield a harness, agents, and `sessions` sessions created over the last thirty days, oldest first."""
    choice = random.Random(4417)  # example data  # noqa: S311 # nosec B311
    harness_id = new_id("harness")
    yield [ParsedRecord("demo", {"id": harness_id, "name": "generic", "capabilities": HARNESS})]
    agents = [new_id("agent") for _ in AGENTS]
    for agent_id, (name, capabilities) in zip(agents, AGENTS, strict=True):
        yield [ParsedRecord("demo", {"id": agent_id, "name": name, "capabilities": capabilities})]
    now = datetime.now(UTC)
    for left in range(sessions, 0, -1):
        created_at = now - timedelta(days=30) * (left - choice.random()) / sessions - timedelta(seconds=30)
        updated_at = min(now, created_at + timedelta(seconds=choice.expovariate(1 / 1800)))
        age = now - updated_at
        title = choice.choice(TITLES)
        record = {
            "id": new_id("session"),
            "harness_id": choice.choice([harness_id, BASE_HARNESS]),
            "agent_id": choice.choices(agents, weights=[5, 3, 2, 2, 1])[0],
            "title": title and title.format(n=choice.randint(1000, 9999)),
            "tags": choice.sample(TAGS, choice.randint(0, 3)),
            "model_id": choice.choice(MODELS),
            "capabilities": choice.sample(CAPABILITIES, choice.choice([0, 0, 1, 2])),
            "status": "active" if age < timedelta(minutes=30) else choice.choice(["idle"] * 9 + ["started"]),
            "created_at": format_timestamp(created_at),
            "updated_at": format_timestamp(updated_at),
        }
        yield [ParsedRecord("demo", record)]
