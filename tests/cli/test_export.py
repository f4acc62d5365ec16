"""`everruns export`: everything of an organization, in a form that `everruns import` takes."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, export, import_records
from tests.support.processes import run_process
from tests.support.records import agent_record, harness_record, session_record

SAMPLE = Path(__file__).parent.parent / "sample-export.ndjson"


@pytest.fixture(autouse=True)
def records(database: Database, organization: Organization, run_command: CommandRunner) -> None:
    run_command("import", organization.public_id, str(SAMPLE))
    import_records(
        database,
        organization,
        session_record("twin-B", title="", agent_id=None, harness_id="harness_h"),
        agent_record("agent_x", status="archived", archived_at="2026-01-01T00:00:00Z", harness_id="harness_h"),
        harness_record("harness_h", description="ü"),
        session_record("a", agent_id="agent_x", tags=["x"], capabilities=[{"ref": "skills", "config": {"a": [1.5]}}]),
    )


def test_harnesses_come_before_agents_and_agents_before_sessions(
    run_command: CommandRunner, organization: Organization
) -> None:
    result = run_command("export", organization.public_id)
    kinds = [json.loads(line)["id"].split("_")[0] for line in result.stdout.splitlines()]
    assert kinds == ["harness"] + ["agent"] * 4 + ["session"] * 42
    assert result.stderr == ""


def test_importing_an_export_into_its_organization_changes_nothing(
    run_command: CommandRunner, organization: Organization
) -> None:
    exported = run_command("export", organization.public_id).stdout
    result = run_command("import", organization.public_id, "-", stdin=exported)
    assert result.stderr == (
        "harnesses: 0 new, 0 changed, 1 unchanged\n"
        "agents: 0 new, 0 changed, 4 unchanged\n"
        "sessions: 0 new, 0 changed, 42 unchanged\n"
    )
    assert run_command("export", organization.public_id).stdout == exported


def test_importing_an_export_elsewhere_copies_everything(
    database: Database, run_command: CommandRunner, organization: Organization
) -> None:
    copy, _ = create_organization(database)
    exported = run_command("export", organization.public_id).stdout
    result = run_command("import", copy.public_id, "-", stdin=exported)
    assert result.stderr == (
        "harnesses: 1 new, 0 changed, 0 unchanged\n"
        "agents: 4 new, 0 changed, 0 unchanged\n"
        "sessions: 42 new, 0 changed, 0 unchanged\n"
    )
    assert run_command("export", copy.public_id).stdout == exported.replace(organization.public_id, copy.public_id)


def test_sessions_are_exported_as_the_api_serves_them(
    client: FlaskClient, run_command: CommandRunner, organization: Organization
) -> None:
    exported = [json.loads(line) for line in run_command("export", organization.public_id).stdout.splitlines()]
    served = client.get("/v1/sessions?limit=100").get_json()["data"]
    by_id = {record["id"]: record for record in exported}
    assert [by_id[session["id"]] for session in served] == served


def test_nothing_of_another_organization_is_exported(database: Database, organization: Organization) -> None:
    other, _ = create_organization(database)
    import_records(database, other, agent_record("agent_x"), session_record("theirs", agent_id="agent_x"))
    with database.read() as connection:
        assert [json.loads(line)["id"] for line in export(connection, other)] == ["agent_x", "session_theirs"]
        assert not any("session_theirs" in line for line in export(connection, organization))


def test_an_export_sees_one_snapshot(database: Database, organization: Organization) -> None:
    with database.read() as connection:
        lines = export(connection, organization)
        first = next(lines)
        execute(database.path, "DELETE FROM sessions")
        assert len([first, *lines]) == 47


def test_an_export_is_utf8_in_any_locale(organization: Organization, run_command: CommandRunner) -> None:
    exported = run_command("export", organization.public_id).stdout
    assert "ü" in exported
    run_command("rename-org", organization.public_id, "密钥")
    for command in (["export", organization.public_id], ["list-orgs"]):
        result = run_process(run_command.path, *command, PYTHONIOENCODING="latin-1")  # as a Latin-1 locale
        assert result.returncode == 0
        assert result.stdout == run_command(*command).stdout
