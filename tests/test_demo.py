"""everruns demo: an example organization that looks like a real one."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from everruns import demo
from everruns.values import BASE_HARNESS
from tests.conftest import World


@pytest.fixture
def example(world: World) -> dict[str, list[Any]]:
    """The records of the example, by kind, as they were stored."""
    world.everruns("demo", "--sessions", "900")
    ((org,),) = world.sql("SELECT public_id FROM organizations WHERE name = 'Example'")
    records: dict[str, list[Any]] = {"harness": [], "agent": [], "session": []}
    for line in world.everruns("export", "--org", org).stdout.splitlines():
        record = json.loads(line)
        records[record["id"].split("_")[0]].append(record)
    return records


def refs(capabilities: list[Any]) -> list[Any]:
    """Capabilities as objects, whether they were given as such or as plain ids."""
    return [{"ref": item} if isinstance(item, str) else item for item in capabilities]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_it_has_a_harness_and_agents_with_capabilities(example: dict[str, list[Any]]) -> None:
    (harness,) = example["harness"]
    assert (harness["name"], harness["capabilities"]) == ("generic", refs(demo.HARNESS))
    assert [(item["name"], item["capabilities"]) for item in example["agent"]] == [
        (name, refs(capabilities)) for name, capabilities in demo.AGENTS
    ]
    used = Counter(item["harness_id"] for item in example["session"])
    assert set(used) == {harness["id"], BASE_HARNESS}
    assert 350 < used[BASE_HARNESS] < 550
    busy = Counter(item["agent_id"] for item in example["session"])
    assert [agent for agent, _ in busy.most_common(2)] == [item["id"] for item in example["agent"][:2]]
    assert len(busy) == len(example["agent"])


def test_its_sessions_are_of_the_last_thirty_days_up_to_now(example: dict[str, list[Any]]) -> None:
    now = datetime.now(UTC)
    times = [moment(item["created_at"]) for item in example["session"]]
    assert times == sorted(times)
    assert now - timedelta(days=30, minutes=5) < times[0] < now - timedelta(days=29, hours=22)
    assert now - timedelta(hours=2) < times[-1] < now
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < timedelta(hours=2)
    assert len({gap for gap in gaps if gap > timedelta(minutes=1)}) > 800
    lasted = [moment(item["updated_at"]) - moment(item["created_at"]) for item in example["session"]]
    assert min(lasted) > timedelta(0)
    assert timedelta(minutes=25) < sum(lasted, timedelta()) / len(lasted) < timedelta(minutes=35)
    for item in example["session"]:
        assert moment(item["updated_at"]) <= now


def test_its_sessions_are_varied(example: dict[str, list[Any]]) -> None:
    sessions = example["session"]
    titles = Counter(title and re.sub(r" [1-9][0-9]{3}$", " {n}", title) for title in (s["title"] for s in sessions))
    assert set(titles) == set(demo.TITLES)
    assert Counter(len(item["tags"]) for item in sessions).keys() == {0, 1, 2, 3}
    assert {tag for item in sessions for tag in item["tags"]} == set(demo.TAGS)
    assert {item["model_id"] for item in sessions} == set(demo.MODELS)
    own = Counter(len(item["capabilities"]) for item in sessions)
    assert set(own) == {0, 1, 2}
    assert own[0] > own[1]
    known = refs(demo.CAPABILITIES)
    assert all(capability in known for item in sessions for capability in item["capabilities"])


def test_who_worked_in_the_last_half_hour_is_active_and_most_others_are_idle(example: dict[str, list[Any]]) -> None:
    now = datetime.now(UTC)
    statuses = Counter(item["status"] for item in example["session"])
    assert statuses["idle"] > 5 * statuses["started"] > 5 * 50
    for item in example["session"]:
        age = now - moment(item["updated_at"])
        if age > timedelta(minutes=31):
            assert item["status"] != "active"
        elif age < timedelta(minutes=29):
            assert item["status"] == "active"
