"""The example organization of `everruns demo`."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from everruns.ids import BASE_HARNESS
from everruns.store.db import Database
from everruns.store.organizations import create_organization
from everruns.transfer import demo
from everruns.transfer.importer import Import
from tests.support.database import create_database, export
from tests.support.features import BUILT_IN_CATALOG

TEXTS = json.loads(Path(demo.__file__).with_name("demo.json").read_text("utf-8"))

Example = dict[str, list[Any]]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """The stored records by kind, of which 900 are sessions."""
    database = Database(create_database(tmp_path_factory.mktemp("example") / "everruns.db"))
    with database.write() as connection:
        organization = create_organization(connection, "Example")
        Import(connection, organization).run(demo.records(900))
        records = [json.loads(line) for line in export(connection, organization)]
    database.close()
    return {kind: [item for item in records if item["id"].startswith(kind)] for kind in ("harness", "agent", "session")}


def references(capabilities: list[Any]) -> list[Any]:
    """Return the capabilities as objects."""
    return [{"ref": item} if isinstance(item, str) else item for item in capabilities]


def test_a_harness_and_agents_have_capabilities_of_the_catalog(example: Example) -> None:
    stored = [(item["name"], item["capabilities"]) for item in example["harness"] + example["agent"]]
    given = [(item["name"], references(item["capabilities"])) for item in (TEXTS["harness"], *TEXTS["agents"])]
    assert stored == given
    refs = {capability["ref"] for _, capabilities in stored for capability in capabilities}
    refs |= {capability["ref"] for capability in references(TEXTS["capabilities"])}
    assert refs <= BUILT_IN_CATALOG.keys()


def test_sessions_are_shared_among_agents_and_harnesses(example: Example) -> None:
    harnesses = Counter(session["harness_id"] for session in example["session"])
    assert harnesses.keys() == {BASE_HARNESS, example["harness"][0]["id"]}
    assert 350 < harnesses[BASE_HARNESS] < 550
    agents = Counter(session["agent_id"] for session in example["session"])
    assert agents.keys() == {agent["id"] for agent in example["agent"]}
    assert [agent for agent, _ in agents.most_common(2)] == [agent["id"] for agent in example["agent"][:2]]


def test_sessions_were_created_over_the_last_thirty_days(example: Example) -> None:
    now = datetime.now(UTC)
    created = [datetime.fromisoformat(session["created_at"]) for session in example["session"]]
    updated = [datetime.fromisoformat(session["updated_at"]) for session in example["session"]]
    assert created == sorted(created)
    assert now - timedelta(days=30, minutes=15) < created[0] < now - timedelta(days=29, hours=20)
    assert now - timedelta(hours=2) < created[-1] < now
    gaps = [later - earlier for earlier, later in pairwise(created)]
    assert max(gaps) < timedelta(hours=2)
    assert len(set(gaps)) > 800
    durations = [end - start for start, end in zip(created, updated, strict=True)]
    assert timedelta(0) < min(durations)
    assert timedelta(minutes=25) < sum(durations, timedelta()) / len(durations) < timedelta(minutes=35)
    assert max(updated) <= now


def test_sessions_are_varied(example: Example) -> None:
    sessions = example["session"]
    titles = {title and re.sub(r" [1-9][0-9]{3}$", " {n}", title) for title in (item["title"] for item in sessions)}
    assert titles == set(TEXTS["titles"])
    assert {len(session["tags"]) for session in sessions} == {0, 1, 2, 3}
    assert {tag for session in sessions for tag in session["tags"]} == set(TEXTS["tags"])
    assert {session["model_id"] for session in sessions} == set(TEXTS["models"])
    assert {len(session["capabilities"]) for session in sessions} == {0, 1, 2}
    assert any(session["features"] for session in sessions)


def test_recent_sessions_are_active_and_most_others_idle(example: Example) -> None:
    now = datetime.now(UTC)
    statuses = Counter(session["status"] for session in example["session"])
    assert statuses["idle"] > 5 * statuses["started"] > 5 * 50
    for session in example["session"]:
        age = now - datetime.fromisoformat(session["updated_at"])
        if age > timedelta(minutes=45):
            assert session["status"] != "active"
        elif age < timedelta(minutes=29):
            assert session["status"] == "active"
