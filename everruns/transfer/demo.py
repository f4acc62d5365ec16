"""Records of an example organization, made from the texts in `demo.json`."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from everruns.ids import BASE_HARNESS, new_id
from everruns.timestamps import format_timestamp
from everruns.transfer.parser import Group, ParsedRecord


def records(sessions: int) -> Iterator[Group]:
    """Yield a harness, agents, and `sessions` sessions created over the last thirty days, oldest first."""
    texts = json.loads(Path(__file__).with_name("demo.json").read_text("utf-8"))
    choice = random.Random(4417)  # example data  # noqa: S311 # nosec B311
    harness = {**texts["harness"], "id": new_id("harness")}
    agents = [{**agent, "id": new_id("agent")} for agent in texts["agents"]]
    weights = [agent.pop("weight") for agent in agents]
    for record in (harness, *agents):
        yield [ParsedRecord("demo", record)]
    now = datetime.now(UTC)
    for left in range(sessions, 0, -1):
        created_at = now - timedelta(days=30) * (left - choice.random()) / sessions - timedelta(seconds=30)
        updated_at = min(now, created_at + timedelta(seconds=choice.expovariate(1 / 1800)))
        is_recent = now - updated_at < timedelta(minutes=30)
        title = choice.choice(texts["titles"])
        record = {
            "id": new_id("session"),
            "harness_id": choice.choice([harness["id"], BASE_HARNESS]),
            "agent_id": choice.choices(agents, weights)[0]["id"],
            "title": title and title.format(n=choice.randint(1000, 9999)),
            "tags": choice.sample(texts["tags"], choice.randint(0, 3)),
            "model_id": choice.choice(texts["models"]),
            "capabilities": choice.sample(texts["capabilities"], choice.choice([0, 0, 1, 2])),
            "status": "active" if is_recent else choice.choice(["idle"] * 9 + ["started"]),
            "created_at": format_timestamp(created_at),
            "updated_at": format_timestamp(updated_at),
        }
        yield [ParsedRecord("demo", record)]
