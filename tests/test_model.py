"""Property: for any organizations, agents, sessions and arguments, the answer is that of a short Python model."""

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everruns.values import BASE_HARNESS
from tests.conftest import World
from tests.test_features import expected

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
TAILS = st.text("0aA-", min_size=1, max_size=3)  # a small alphabet: many ids that are the same id
INSTANTS = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00.000001+01:00", "2025-12-31T23:59:59.9999999Z"])
STORED = {
    "2026-01-01T00:00:00Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T01:00:00.000001+01:00": "2026-01-01T00:00:00.000001Z",
    "2025-12-31T23:59:59.9999999Z": "2025-12-31T23:59:59.999999Z",
}
BOUNDS = {
    "2025-12-31T23:59:59.999999Z": "2025-12-31T23:59:59.999999Z",
    "2025-12-31T23:59:59.9999991Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T02:00:00+02:00": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T00:00:00.000001Z": "2026-01-01T00:00:00.000001Z",
    "2026-01-01T00:00:00.000002Z": "2026-01-01T00:00:00.000002Z",
}
CONFIG = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2), max_size=2
)
REF = st.sampled_from(["skills", "browserless", "openui", "research", "platform_management"]) | TEXT.filter(bool)
CAPABILITY = st.fixed_dictionaries({"ref": REF}, optional={"config": CONFIG})
AGENT = st.fixed_dictionaries({"tail": TAILS, "capabilities": st.lists(CAPABILITY, max_size=3)})
SESSION = st.fixed_dictionaries(
    {
        "tail": TAILS,
        "harness": st.integers(0, 99),
        "agent": st.integers(0, 99),
        "title": st.none() | TEXT,
        "tags": st.lists(TEXT, max_size=3),
        "model_id": st.none() | TEXT,
        "capabilities": st.lists(CAPABILITY, max_size=3),
        "status": st.sampled_from(["started", "active", "idle"]),
        "created_at": INSTANTS,
        "updated_at": INSTANTS,
    }
)
ORGANIZATION = st.tuples(
    st.lists(AGENT, max_size=3), st.lists(AGENT, min_size=1, max_size=4), st.lists(SESSION, max_size=12)
)
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": TAILS.map("agent_{}".format),
        "created_after": st.sampled_from([*BOUNDS]),
        "created_before": st.sampled_from([*BOUNDS]),
        "offset": st.integers(0, 15),
        "limit": st.integers(1, 15),
    },
).filter(lambda asked: after(asked) <= before(asked))


def same(public_id: str) -> str:
    return public_id.replace("-", "").lower()


def after(asked: dict[str, Any]) -> str:
    return BOUNDS.get(asked.get("created_after", ""), "0001-01-01T00:00:00.000000Z")


def before(asked: dict[str, Any]) -> str:
    return BOUNDS.get(asked.get("created_before", ""), "9999-12-31T23:59:59.999999Z")


def model(org: str, owners: list[Any], sessions: list[Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The answer: `owners` are the harnesses and agents."""
    known = {BASE_HARNESS: {"id": BASE_HARNESS, "capabilities": []}} | {same(item["id"]): item for item in owners}
    stored: dict[str, Any] = {}
    for item in sessions:
        stored[same(item["id"])] = item  # an id again keeps its place and changes its content
    order = enumerate(stored.values())
    newest = [item for _, item in sorted(order, key=lambda at: (STORED[at[1]["created_at"]], at[0]), reverse=True)]
    found = [item for item in newest if same(asked.get("agent_id", item["agent_id"])) == same(item["agent_id"])]
    found = [item for item in found if after(asked) <= STORED[item["created_at"]] < before(asked)]
    offset, limit = asked.get("offset", 0), asked.get("limit", 20)
    data = []
    for item in found[offset : offset + limit]:
        owner, harness = known[same(item["agent_id"])], known[same(item["harness_id"] or BASE_HARNESS)]
        capabilities = item["capabilities"] + owner["capabilities"] + harness["capabilities"]
        refs = [capability["ref"] for capability in capabilities]
        names = {"organization_id": org, "harness_id": harness["id"], "agent_id": owner["id"]}
        times = {key: STORED[item[key]] for key in ("created_at", "updated_at")}
        data.append(item | times | names | {"features": expected(refs)})
    return {"data": data, "total": len(found), "offset": offset, "limit": limit}


def records(organization: tuple[list[Any], list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
    harnesses, agents = (
        [{"id": f"{kind}_{item['tail']}", "capabilities": item["capabilities"]} for item in organization[place]]
        for place, kind in enumerate(("harness", "agent"))
    )
    harness_ids = [BASE_HARNESS, None, *(item["id"] for item in harnesses)]
    sessions = []
    for item in organization[2]:
        rest = {key: value for key, value in item.items() if key not in ("tail", "harness", "agent")}
        named = {
            "harness_id": harness_ids[item["harness"] % len(harness_ids)],
            "agent_id": agents[item["agent"] % len(agents)]["id"],
        }
        sessions.append({"id": f"session_{item['tail']}"} | named | rest)
    return harnesses + agents, sessions


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(organizations=st.lists(ORGANIZATION, min_size=1, max_size=3), asked=st.lists(ASKED, min_size=1, max_size=6))
def test_the_answer_is_that_of_the_model(organizations: list[Any], asked: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        world = World(Path(folder, "everruns.db"), monkeypatch)
        world.everruns("init-db")
        loaded = []
        for organization in organizations:
            org, key = world.organization()
            owners, sessions = records(organization)
            world.load(org, *sessions, *owners)  # sessions first: their owners come later in the same import
            loaded.append((org, key, owners, sessions))
        for org, key, owners, sessions in loaded:
            for arguments in [{}, *asked]:
                response = world.get(key, f"/v1/sessions?{urlencode(arguments)}")
                assert response.status_code == 200
                assert json.loads(response.data) == model(org, owners, sessions, arguments)
            exported = world.everruns("export", "--org", org).stdout
            copy, _ = world.organization()
            world.everruns("import", "--org", copy, "-", stdin=exported)
            assert world.everruns("export", "--org", copy).stdout == exported
        world.everruns("check")
