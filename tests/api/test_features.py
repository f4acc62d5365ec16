"""Features of a session, compared with an independent computation."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.catalog import BUILT_IN
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.features import BUILT_IN_CATALOG, expected_features
from tests.support.records import agent_record, harness_record, session_record


def served_features(client: FlaskClient) -> dict[str, list[str]]:
    """Return the features of the newest 100 sessions by id."""
    data = client.get("/v1/sessions?limit=100").get_json()["data"]
    return {session["id"]: session["features"] for session in data}


@pytest.mark.parametrize("owner", ["session", "agent", "harness"])
def test_each_capability_of_the_catalog(
    client: FlaskClient, database: Database, organization: Organization, owner: str
) -> None:
    records: list[dict[str, Any]] = []
    for number, ref in enumerate(BUILT_IN_CATALOG):
        capabilities = {kind: [ref] if kind == owner else [] for kind in ("session", "agent", "harness")}
        records += [
            harness_record(f"harness_{number}", capabilities=capabilities["harness"]),
            agent_record(f"agent_{number}", capabilities=capabilities["agent"]),
            session_record(
                number,
                harness_id=f"harness_{number}",
                agent_id=f"agent_{number}",
                capabilities=capabilities["session"],
            ),
        ]
    import_records(database, organization, *records)
    assert served_features(client) == {
        f"session_{number}": expected_features([ref]) for number, ref in enumerate(BUILT_IN_CATALOG)
    }


def test_features_of_dependencies(client: FlaskClient, database: Database, organization: Organization) -> None:
    sessions = [session_record("s", capabilities=["skills"]), session_record("b", capabilities=["browserless"])]
    import_records(database, organization, agent_record(), *sessions)
    assert served_features(client) == {
        "session_s": ["file_system"],
        "session_b": ["key_value", "leased_resources", "secrets"],
    }


def test_harness_agent_and_session_are_united_for_each_session(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    harnesses: dict[str | None, list[str]] = {"harness_1": ["skills"], "harness_2": ["a2ui"], None: []}
    agents: dict[str | None, list[str]] = {"agent_1": ["browserless"], "agent_2": [], None: []}
    records = [harness_record(name, capabilities=refs) for name, refs in harnesses.items() if name]
    records += [agent_record(name, capabilities=refs) for name, refs in agents.items() if name]
    expected: dict[str, list[str]] = {}
    pairs = [(harness, agent) for harness in harnesses for agent in agents]
    for number, (harness, agent) in enumerate(pairs):
        own = ["openui"] if number % 4 == 0 else []
        records.append(session_record(number, harness_id=harness, agent_id=agent, capabilities=own))
        expected[f"session_{number}"] = expected_features([*harnesses[harness], *agents[agent], *own])
    import_records(database, organization, *records)
    assert served_features(client) == expected


def test_features_are_sorted_without_duplicates_and_unknown_capabilities_have_none(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    own = ["openui", "memory", "mcp:unknown", "research", "platform_management", "openui"]
    agent = agent_record(capabilities=["skills", "browserless"])
    import_records(database, organization, agent, session_record(1, capabilities=own))
    expected = ["file_system", "key_value", "leased_resources", "openui", "secrets"]
    assert served_features(client)["session_1"] == expected == expected_features([*own, "skills", "browserless"])


def write_catalog(path: Path, *entries: tuple[str, str, list[str]]) -> str:
    """Write a catalog of (id, status, dependencies) with one feature each, named after the capability."""
    capabilities = [
        {"id": name, "name": name, "status": status, "dependencies": dependencies, "features": [f"f-{name}"]}
        for name, status, dependencies in entries
    ]
    path.write_text(json.dumps(capabilities))
    return str(path)


def test_dependencies_to_any_depth_but_not_through_unavailable_ones(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner, tmp_path: Path
) -> None:
    import_records(database, organization, agent_record(), session_record(1, capabilities=["c0", "dead"]))
    entries = [(f"c{n}", "available", [f"c{n + 1}"]) for n in range(200)]
    entries += [("c200", "retired", ["after"]), ("dead", "coming_soon", ["after"]), ("after", "available", [])]
    run_command("load-catalog", write_catalog(tmp_path / "catalog.json", *entries))
    assert served_features(client)["session_1"] == sorted(f"f-c{n}" for n in range(200))


def test_cycle_stored_by_sql_ends(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner, tmp_path: Path
) -> None:
    entries = [("a", "available", ["b"]), ("b", "available", [])]
    run_command("load-catalog", write_catalog(tmp_path / "catalog.json", *entries))
    execute(database.path, "INSERT INTO capability_dependencies VALUES ('b', 'a')")
    run_command("check", "--repair")
    import_records(database, organization, agent_record(), session_record(1, capabilities=["b"]))
    assert served_features(client)["session_1"] == ["f-a", "f-b"]


def test_changed_agent_or_catalog_shows_in_the_next_response(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner, tmp_path: Path
) -> None:
    import_records(database, organization, agent_record(capabilities=["openui"]), session_record(1))
    assert served_features(client)["session_1"] == ["openui"]
    import_records(database, organization, agent_record(capabilities=["a2ui"]))
    assert served_features(client)["session_1"] == ["a2ui"]
    run_command("load-catalog", write_catalog(tmp_path / "catalog.json", ("a2ui", "available", [])))
    assert served_features(client)["session_1"] == ["f-a2ui"]
    run_command("load-catalog", str(BUILT_IN))
    assert served_features(client)["session_1"] == ["a2ui"]
