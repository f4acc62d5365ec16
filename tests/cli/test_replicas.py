"""Commands on a read replica: those that write are refused."""

from pathlib import Path

import pytest

from everruns.cli import main
from everruns.records import Organization
from everruns.store.catalog import BUILT_IN
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import import_records
from tests.support.records import ORGANIZATION_ID, agent_record, session_record

REPLICA = {"EVERRUNS_READ_ONLY": "1"}
WRITING = [
    ["init-db"],
    ["migrate"],
    ["create-org", "Acme"],
    ["rename-org", ORGANIZATION_ID, "Other"],
    ["delete-org", ORGANIZATION_ID, "--yes"],
    ["delete-session", ORGANIZATION_ID, "session_1"],
    ["prune", ORGANIZATION_ID, "--before", "2030-01-01T00:00:00Z"],
    ["create-key", ORGANIZATION_ID],
    ["revoke-key", ORGANIZATION_ID, "evr_12345678"],
    ["import", ORGANIZATION_ID, "-"],
    ["pull", ORGANIZATION_ID, "--from", "http://127.0.0.1:9"],
    ["load-catalog", str(BUILT_IN)],
    ["check", "--repair"],
    ["restore", str(BUILT_IN)],
    ["demo"],
    ["demo", "--if-empty"],
    ["heartbeat"],
    ["heartbeat", "--every", "1"],
]
READING = {"list-orgs", "list-keys", "export", "check", "backup"}


@pytest.fixture(autouse=True)
def sessions(database: Database, organization: Organization) -> None:
    """An agent and a session."""
    import_records(database, organization, agent_record(), session_record(1))
    database.checkpoint()
    database.close()


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_writing_is_refused_in_one_line(database_path: Path, run_command: CommandRunner, command: list[str]) -> None:
    before = database_path.read_bytes()
    result = run_command(*command, exit_code=1, env={"EVERRUNS_PULL_KEY": "evr_1", **REPLICA})
    message = "Error: this is a read replica (EVERRUNS_READ_ONLY is set); run the command on the primary\n"
    assert (result.stdout, result.stderr) == ("", message)
    assert database_path.read_bytes() == before


def test_every_command_either_writes_or_reads() -> None:
    assert set(main.commands) == {command[0] for command in WRITING} | READING


def test_reading_works(run_command: CommandRunner, tmp_path: Path) -> None:
    assert len(run_command("export", ORGANIZATION_ID, env=REPLICA).stdout.splitlines()) == 2
    assert len(run_command("list-orgs", env=REPLICA).stdout.splitlines()) == 1
    assert run_command("list-keys", ORGANIZATION_ID, env=REPLICA).stdout == ""
    run_command("check", env=REPLICA)
    run_command("backup", str(tmp_path / "backup.db"), env=REPLICA)
