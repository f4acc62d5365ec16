"""Commands for organizations and their API keys."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, import_records
from tests.support.processes import run_process
from tests.support.records import ORGANIZATION_ID, agent_record, harness_record, session_record


def statuses(client: FlaskClient, *keys: str) -> list[int]:
    """Return the status of a request with each key."""
    headers = [{"Authorization": f"Bearer {key}"} for key in keys]
    return [client.get("/v1/sessions", headers=header).status_code for header in headers]


def test_create_org_prints_the_id_alone(run_command: CommandRunner) -> None:
    result = run_command("create-org", "Acme")
    assert re.fullmatch(r"org_[0-9a-f]{32}\n", result.stdout)
    assert result.stderr == ""
    assert run_command("create-org", "Acme", "--id", "org_A-1").stdout == "org_A-1\n"


def test_create_org_refuses_an_id_that_exists_in_any_spelling(run_command: CommandRunner) -> None:
    run_command("create-org", "Acme", "--id", "org_A-1")
    result = run_command("create-org", "Other", "--id", "org_a1", exit_code=1)
    assert result.stderr == "Error: there is an organization org_a1 already; use another --id, or none\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["Acme", "--id", "acme"], "must be org_ and 1 to 64 of 0-9 A-Z a-z -"),
        (["Acme", "--id", "org_" + "a" * 65], "must be org_ and 1 to 64 of 0-9 A-Z a-z -"),
        ([" "], "must not be empty"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_create_org_checks_its_arguments(run_command: CommandRunner, arguments: list[str], rule: str) -> None:
    assert rule in run_command("create-org", *arguments, exit_code=2).stderr


def test_list_orgs_prints_id_name_and_number_of_sessions(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    run_command("create-org", "Two\twords\n", "--id", "org_2")
    import_records(database, organization, *(session_record(n, agent_id=None) for n in range(3)))
    result = run_command("list-orgs")
    assert result.stdout == f"{ORGANIZATION_ID}\tAcme\t3\norg_2\tTwo words\t0\n"
    assert result.stderr == ""


def test_rename_org_changes_the_name(organization: Organization, run_command: CommandRunner) -> None:
    result = run_command("rename-org", ORGANIZATION_ID, "Neu ü")
    assert (result.stdout, result.stderr) == ("", "renamed\n")
    assert run_command("list-orgs").stdout == f"{ORGANIZATION_ID}\tNeu ü\t0\n"
    assert "must not be empty" in run_command("rename-org", ORGANIZATION_ID, "", exit_code=2).stderr


def test_delete_org_deletes_everything_of_it_and_nothing_else(
    database: Database, organization: Organization, key: str, client: FlaskClient, run_command: CommandRunner
) -> None:
    other, other_key = create_organization(database)
    for each in (organization, other):
        sessions = (session_record(n, harness_id="harness_1") for n in range(600))
        import_records(database, each, harness_record("harness_1"), agent_record(), *sessions)
    refused = run_command("delete-org", ORGANIZATION_ID, exit_code=1).stderr
    assert re.fullmatch("Error: this deletes '.+' with [0-9]+ sessions; repeat with --yes\n", refused)
    result = run_command("delete-org", ORGANIZATION_ID, "--yes")
    assert (result.stdout, result.stderr) == ("", "deleted the organization and 600 sessions\n")
    assert statuses(client, key, other_key) == [401, 200]
    assert run_command("list-orgs").stdout == f"{other.public_id}\tAcme\t600\n"
    for table in ("sessions", "agents", "harnesses", "api_keys", "session_counts"):
        assert execute(database.path, f"SELECT DISTINCT organization_id FROM {table}") == [(other.id,)]
    run_command("check")


@pytest.mark.parametrize("table", ["sessions", "organizations"])
def test_a_delete_org_that_fails_in_between_says_so_and_can_be_repeated(
    database: Database, organization: Organization, run_command: CommandRunner, table: str
) -> None:
    import_records(database, organization, session_record(1, agent_id=None))
    execute(database.path, f"CREATE TRIGGER keep BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'kept'); END")
    result = run_command("delete-org", ORGANIZATION_ID, "--yes", exit_code=1)
    advice = "a part may be deleted, so repeat the command"
    assert result.stderr == f"Error: the database cannot be used: kept; {advice}\n"
    execute(database.path, "DROP TRIGGER keep")
    run_command("delete-org", ORGANIZATION_ID, "--yes")
    assert run_command("list-orgs").stdout == ""


COMMANDS_WITH_ORG = [
    ["rename-org", "ORG", "x"],
    ["delete-org", "ORG", "--yes"],
    ["create-key", "ORG"],
    ["list-keys", "ORG"],
    ["revoke-key", "ORG", "evr_12345678"],
    ["import", "ORG", "-"],
    ["export", "ORG"],
    ["delete-session", "ORG", "session_1"],
    ["prune", "ORG", "--before", "2026-01-01T00:00:00Z"],
    ["pull", "ORG", "--from", "http://127.0.0.1:9"],
]


@pytest.mark.parametrize("command", COMMANDS_WITH_ORG, ids=" ".join)
def test_an_unknown_organization_is_refused_with_those_that_exist(
    run_command: CommandRunner, command: list[str]
) -> None:
    arguments = [argument.replace("ORG", "org_none") for argument in command]
    result = run_command(*arguments, exit_code=1)
    assert result.stderr == ("Error: there is no organization org_none; create one with 'everruns create-org NAME'\n")
    for number in range(6):
        run_command("create-org", "x", "--id", f"org_{number}")
    result = run_command(*arguments, exit_code=1)
    assert (result.stdout, result.stderr) == (
        "",
        "Error: there is no organization org_none; there are org_0, org_1, org_2, org_3, org_4, …\n",
    )


@pytest.mark.parametrize("command", [["list-keys"], ["export"], ["create-key", "--name", "x"], ["import", "-"]])
def test_the_organization_may_be_given_by_an_option_as_in_older_releases(
    organization: Organization, run_command: CommandRunner, command: list[str]
) -> None:
    run_command(*command, "--org", ORGANIZATION_ID)
    run_command(command[0], "--org", ORGANIZATION_ID, *command[1:])
    run_command(command[0], f"--org={ORGANIZATION_ID}", *command[1:])


def test_an_organization_is_found_by_any_spelling(organization: Organization, run_command: CommandRunner) -> None:
    run_command("rename-org", ORGANIZATION_ID.replace("_0", "_-0-"), "Other")
    assert "\tOther\t" in run_command("list-orgs").stdout


# --- keys ---------------------------------------------------------------------------------------------------------


def test_create_key_prints_the_key_alone(
    organization: Organization, client: FlaskClient, run_command: CommandRunner
) -> None:
    result = run_command("create-key", ORGANIZATION_ID)
    assert re.fullmatch(r"evr_[A-Za-z0-9_-]{43}\n", result.stdout)
    assert result.stderr == ""
    assert statuses(client, result.stdout.strip()) == [200]


@pytest.mark.parametrize("days", ["0", "-1", "nan", "1.5", "9999999", "x"])
def test_create_key_refuses_days_that_are_not_a_number_of_days(
    organization: Organization, run_command: CommandRunner, days: str
) -> None:
    result = run_command("create-key", ORGANIZATION_ID, "--expires-in-days", days, exit_code=2)
    assert "Invalid value for '--expires-in-days'" in result.stderr


def test_list_keys_prints_a_row_for_each_key_and_the_header_on_stderr(
    organization: Organization, run_command: CommandRunner
) -> None:
    first = run_command("create-key", ORGANIZATION_ID).stdout.strip()
    options = ["--name", "a\tb  ü", "--expires-in-days", "2", "--read-only"]
    second = run_command("create-key", ORGANIZATION_ID, *options).stdout.strip()
    run_command("revoke-key", ORGANIZATION_ID, first[:12])
    result = run_command("list-keys", ORGANIZATION_ID)
    assert result.stderr == "PREFIX\tNAME\tCREATED\tEXPIRES\tREVOKED\tACCESS\n"
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(row[0], row[1], row[5]) for row in rows] == [(first[:12], "-", "-"), (second[:12], "a b ü", "read-only")]
    timestamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-")
    assert all(timestamp.fullmatch(cell) for row in rows for cell in row[2:5])
    assert [(row[3] == "-", row[4] == "-") for row in rows] == [(True, False), (False, True)]


def test_revoke_key_revokes_by_prefix_or_whole_key(
    database: Database, organization: Organization, client: FlaskClient, run_command: CommandRunner
) -> None:
    first, second, third = (run_command("create-key", ORGANIZATION_ID).stdout.strip() for _ in range(3))
    _, other_key = create_organization(database)
    assert run_command("revoke-key", ORGANIZATION_ID, first[:12]).stderr == "revoked\n"
    run_command("revoke-key", ORGANIZATION_ID, second)
    assert statuses(client, first, second, third, other_key) == [401, 401, 200, 200]
    for prefix in (other_key[:12], "evr_", third[:11]):
        result = run_command("revoke-key", ORGANIZATION_ID, prefix, exit_code=1)
        assert result.stderr == (
            f"Error: PREFIX must be the first 12 characters of a key of {ORGANIZATION_ID}; "
            f"see 'everruns list-keys {ORGANIZATION_ID}'\n"
        )
    assert statuses(client, third, other_key) == [200, 200]


def test_output_is_utf8_in_the_c_locale(organization: Organization, run_command: CommandRunner) -> None:
    run_command("rename-org", ORGANIZATION_ID, "密钥 €")
    result = run_process(run_command.path, "list-orgs", LC_ALL="C", LANG="C")
    assert result.stdout == f"{ORGANIZATION_ID}\t密钥 €\t0\n"


def test_an_argument_that_is_not_utf8_is_refused(database_path: Path, organization: Organization) -> None:
    result = run_process(database_path, "create-key", ORGANIZATION_ID, "--name", "\udcff")
    assert result.returncode == 1
    assert result.stderr == "Error: arguments must be valid UTF-8; nothing was changed\n"


@pytest.mark.parametrize("command", [["create-key", ORGANIZATION_ID], ["demo", "--sessions", "1"]], ids=" ".join)
def test_what_is_shown_once_is_not_stored_when_it_cannot_be_shown(
    database: Database, organization: Organization, command: list[str]
) -> None:
    result = run_process(database.path, *command, prefix=["sh", "-c", '"$@" >/dev/full', "sh"])
    assert result.returncode == 1
    assert result.stderr == "Error: No space left on device; nothing was changed\n"
    counts = "SELECT (SELECT COUNT(*) FROM organizations), (SELECT COUNT(*) FROM api_keys)"
    assert execute(database.path, counts) == [(1, 0)]
