"""`everruns delete-session` and `prune`."""

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from everruns.records import Organization
from everruns.store import check
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, import_records, insert_sessions
from tests.support.processes import EVERRUNS, environment
from tests.support.records import AGENT_ID, ORGANIZATION_ID, agent_record, daily_sessions, session_record


def session_ids(path: Path) -> list[str]:
    return [public_id for (public_id,) in execute(path, "SELECT public_id FROM sessions ORDER BY id")]


def assert_no_errors(database: Database) -> None:
    with database.read() as connection:
        assert list(check.errors(connection)) == []


@pytest.fixture(autouse=True)
def sessions(database: Database, organization: Organization) -> None:
    """Sessions 1 to 9 of 2026-02-01 to 2026-02-09; of each three, one is active and one has no agent."""
    records = daily_sessions(9)
    for number, record in enumerate(records, 1):
        record["status"] = ("idle", "active", "idle")[number % 3]
        record["agent_id"] = (AGENT_ID, AGENT_ID, None)[number % 3]
    import_records(database, organization, agent_record(), *records)


def test_delete_session_deletes_and_prints_how_many(database: Database, run_command: CommandRunner) -> None:
    result = run_command("delete-session", ORGANIZATION_ID, "session_2", "session_-4")
    assert (result.stdout, result.stderr) == ("2\n", "")
    assert session_ids(database.path) == [f"session_{n}" for n in (1, 3, 5, 6, 7, 8, 9)]
    assert_no_errors(database)


def test_delete_session_deletes_nothing_when_one_does_not_exist(database: Database, run_command: CommandRunner) -> None:
    other, _ = create_organization(database)
    import_records(database, other, session_record("theirs", agent_id=None))
    for missing in ("session_none", "session_theirs", "\x1b[2J"):
        result = run_command("delete-session", ORGANIZATION_ID, "session_1", missing, exit_code=1)
        shown = missing.replace("\x1b", "\\u001b")
        message = f"Error: there is no session {shown} in {ORGANIZATION_ID}; nothing was deleted\n"
        assert (result.stdout, result.stderr) == ("", message)
    assert len(session_ids(database.path)) == 10


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--before", "2026-02-04T00:00:00Z"], [4, 5, 6, 7, 8, 9]),
        (["--before", "2026-02-04T00:00:00.000000001Z"], [5, 6, 7, 8, 9]),
        (["--before", "2026-02-04T01:00:00+02:00"], [4, 5, 6, 7, 8, 9]),
        (["--before", "2026-02-04"], [4, 5, 6, 7, 8, 9]),
        (["--before", "2026-02-08", "--status", "active"], [2, 3, 5, 6, 8, 9]),
        (["--before", "2026-02-08", "--agent", AGENT_ID], [2, 5, 8, 9]),
        (["--before", "2026-02-08", "--agent", "agent_-00000000000000000000000000000001"], [2, 5, 8, 9]),
        (["--before", "2030-01-01", "--agent", AGENT_ID, "--status", "idle"], [1, 2, 4, 5, 7, 8]),
        (["--before", "2026-02-01"], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_prune_deletes_what_matches_and_prints_how_many(
    database: Database, run_command: CommandRunner, options: list[str], kept: list[int]
) -> None:
    other, _ = create_organization(database)
    import_records(database, other, agent_record(), session_record("theirs", created_at="2020-01-01T00:00:00Z"))
    before = session_ids(database.path)
    dry = run_command("prune", ORGANIZATION_ID, *options, "--dry-run")
    assert (dry.stdout, dry.stderr) == (f"{9 - len(kept)}\n", "")
    assert session_ids(database.path) == before
    result = run_command("prune", ORGANIZATION_ID, *options)
    assert (result.stdout, result.stderr) == (dry.stdout, "")
    assert session_ids(database.path) == [*(f"session_{n}" for n in kept), "session_theirs"]
    assert_no_errors(database)


def test_prune_deletes_in_short_transactions(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    import_records(database, organization, *(session_record(f"new-{n}") for n in range(1191)))
    execute(
        database.path,
        """
        CREATE TRIGGER keep_one BEFORE DELETE ON sessions
        WHEN OLD.public_id = 'session_new-1190'
        BEGIN
          SELECT RAISE(ABORT, 'kept');
        END
        """,
    )
    result = run_command("prune", ORGANIZATION_ID, "--before", "2030-01-01", exit_code=1)
    assert result.stderr == "Error: the database cannot be used: kept; 1000 sessions were deleted before\n"
    assert len(session_ids(database.path)) == 200, "two batches of 500 were committed"
    execute(database.path, "DROP TRIGGER keep_one")
    assert run_command("prune", ORGANIZATION_ID, "--before", "2030-01-01").stdout == "200\n"
    assert session_ids(database.path) == []


def test_prune_leaves_the_lock_to_others_half_of_the_time(database: Database, organization: Organization) -> None:
    """SQLite has no queue: without pauses between its transactions, waiting writers would time out."""
    execute(database.path, "DELETE FROM sessions")
    insert_sessions(database.path, organization, 6000)
    command = [*EVERRUNS, "prune", ORGANIZATION_ID, "--before", "2030-01-01"]
    is_free: list[bool] = []
    with (
        closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other,
        subprocess.Popen(command, env=environment(database.path), stdout=subprocess.PIPE) as process,
    ):
        while process.poll() is None:
            time.sleep(0.002)
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                is_free.append(True)
            except sqlite3.OperationalError:
                is_free.append(False)
        assert process.stdout
        assert process.stdout.read() == b"6000\n"
    first, last = is_free.index(False), len(is_free) - is_free[::-1].index(False)
    assert is_free[first:last].count(True) > (last - first) / 4


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ([], "Missing option '--before'"),
        (["--before", "yesterday"], "must be an ISO 8601 time with a zone"),
        (["--before", "2026-02-30"], "must be a valid time (years 1 to 9999, UTC); got '2026-02-30'"),
        (["--before", "2026-02-01T00:00:00"], "must have a zone"),
        (["--before", "2026-02-01", "--status", "gone"], "'gone' is not one of 'started', 'active', 'idle'"),
    ],
)
def test_prune_checks_its_options(run_command: CommandRunner, options: list[str], rule: str) -> None:
    assert rule in run_command("prune", ORGANIZATION_ID, *options, exit_code=2).stderr


def test_prune_refuses_an_agent_that_does_not_exist(database: Database, run_command: CommandRunner) -> None:
    options = ["--before", "2030-01-01", "--agent", "agent_none"]
    result = run_command("prune", ORGANIZATION_ID, *options, exit_code=1)
    assert result.stderr == f"Error: there is no agent agent_none in {ORGANIZATION_ID}; nothing was deleted\n"
    assert len(session_ids(database.path)) == 9
