"""Help, usage errors, `everruns demo` and `load-catalog`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

import everruns
from everruns.cli import main
from everruns.records import Organization
from everruns.store.catalog import BUILT_IN
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.features import BUILT_IN_CATALOG
from tests.support.records import ORGANIZATION_ID, agent_record, session_record

COMMANDS = {
    *("init-db", "migrate", "create-org", "list-orgs", "rename-org", "delete-org"),
    *("create-key", "list-keys", "revoke-key", "import", "export", "pull", "delete-session", "prune"),
    *("load-catalog", "check", "backup", "restore", "heartbeat", "demo"),
}


def test_help_shows_every_command_with_a_sentence(run_command: CommandRunner) -> None:
    shown = dict(re.findall(r"^  ([a-z][a-z-]+) +([A-Z].+)$", run_command("--help").stdout, re.MULTILINE))
    assert shown.keys() == COMMANDS == main.commands.keys()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(run_command: CommandRunner, command: str) -> None:
    usage, _, sentence = run_command(command, "--help").stdout.split("\n")[:3]
    assert usage.startswith("Usage: ")
    assert f" {command} [OPTIONS]" in usage
    assert sentence.startswith("  ")


def test_version(run_command: CommandRunner) -> None:
    assert run_command("--version").stdout == f"everruns, version {everruns.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["create-org"],
        ["import", "org_1"],
        ["import"],
        ["delete-session", "org_1"],
        ["prune", "org_1"],
        ["pull", "org_1"],
        ["demo", "--sessions", "-1"],
        ["heartbeat", "--every", "0"],
        ["check", "--fix"],
        ["backup"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_exit_status_2(run_command: CommandRunner, arguments: list[str]) -> None:
    result = run_command(*arguments, exit_code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")
    assert "\n\nError: " in result.stderr


# --- demo ---------------------------------------------------------------------------------------------------------


def test_demo_prints_a_key_of_a_new_organization(client: FlaskClient, run_command: CommandRunner) -> None:
    result = run_command("demo", "--sessions", "30")
    assert re.fullmatch(r"evr_[A-Za-z0-9_-]{43}\n", result.stdout)
    (organization, sessions) = run_command("list-orgs").stdout.splitlines()[1].split("\tExample\t")
    assert sessions == "30"
    assert result.stderr == f"created organization {organization} with 30 example sessions and this API key\n"
    headers = {"Authorization": f"Bearer {result.stdout.strip()}"}
    page = client.get("/v1/sessions", headers=headers).get_json()
    assert (page["total"], page["data"][0]["organization_id"]) == (30, organization)
    assert client.get("/v1/sessions").get_json()["total"] == 0


def test_demo_if_empty_does_nothing_when_there_is_an_organization(run_command: CommandRunner) -> None:
    assert run_command("demo", "--if-empty", "--sessions", "1").stdout.startswith("evr_")
    result = run_command("demo", "--if-empty")
    assert (result.stdout, result.stderr) == ("", "")
    assert len(run_command("list-orgs").stdout.splitlines()) == 1


# --- load-catalog -------------------------------------------------------------------------------------------------


def write_catalog(path: Path, *capabilities: dict[str, Any]) -> str:
    path.write_text(json.dumps(capabilities), "utf-8")
    return str(path)


def test_load_catalog_replaces_the_catalog(
    database: Database, organization: Organization, client: FlaskClient, run_command: CommandRunner, tmp_path: Path
) -> None:
    import_records(database, organization, agent_record(capabilities=["skills"]), session_record())
    skills = {"id": "skills", "name": "S", "status": "available", "dependencies": ["x\x1b", "y"], "features": ["new"]}
    file = write_catalog(tmp_path / "catalog.json", skills)
    result = run_command("load-catalog", file)
    assert result.stdout == ""
    assert result.stderr == (
        "note: skills depends on x\\u001b, which is not in the catalog\n"
        "note: skills depends on y, which is not in the catalog\n"
        "1 capabilities loaded\n"
    )
    assert client.get("/v1/sessions").get_json()["data"][0]["features"] == ["new"]
    result = run_command("load-catalog", str(BUILT_IN))
    assert result.stderr == f"{len(BUILT_IN_CATALOG)} capabilities loaded\n"
    assert client.get("/v1/sessions").get_json()["data"][0]["features"] == ["file_system"]


def test_load_catalog_leaves_the_catalog_when_the_file_is_refused(run_command: CommandRunner, tmp_path: Path) -> None:
    before = execute(run_command.path, "SELECT * FROM capabilities")
    file = write_catalog(tmp_path / "catalog.json", {"id": "a", "name": "A"}, {"name": "B", "status": "available"})
    result = run_command("load-catalog", file, exit_code=1)
    assert (result.stdout, result.stderr) == (
        "",
        f"Error: the catalog was not changed:\n{file}:1[0]: status is missing\n{file}:1[1]: id is missing\n",
    )
    result = run_command("load-catalog", str(tmp_path / "none"), exit_code=1)
    assert result.stderr == f"Error: {tmp_path / 'none'}: No such file or directory; nothing was changed\n"
    assert execute(run_command.path, "SELECT * FROM capabilities") == before


def test_pull_asks_for_a_key(organization: Organization, run_command: CommandRunner) -> None:
    result = run_command("pull", ORGANIZATION_ID, "--from", "http://127.0.0.1:9", exit_code=1)
    assert result.stderr == "Error: set EVERRUNS_PULL_KEY to an API key of the other server\n"
