"""`everruns init-db`, `check` and `heartbeat`, and what every command says of a database that it cannot use."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from everruns.records import Organization
from everruns.store.db import APPLICATION_ID, SCHEMA_VERSION, Database
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.features import BUILT_IN_CATALOG
from tests.support.processes import EVERRUNS, environment, run_process
from tests.support.records import agent_record, session_record
from tests.support.server import wait_until
from tests.support.sql import execute_without_foreign_keys

COUNT_CAPABILITIES = "SELECT COUNT(*) FROM capabilities"


# --- init-db ------------------------------------------------------------------------------------------------------


def test_init_db_creates_the_directory_and_the_database_with_the_built_in_catalog(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "ü #?%.db"
    result = CommandRunner(path)("init-db")
    assert (result.stdout, result.stderr) == ("", f"{path} was created\n")
    assert execute(path, COUNT_CAPABILITIES) == [(len(BUILT_IN_CATALOG),)]
    assert path.stat().st_mode & 0o077 == 0
    CommandRunner(path)("check")


def test_init_db_fills_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "everruns.db"
    path.touch()
    assert CommandRunner(path)("init-db").stderr == f"{path} was created\n"
    CommandRunner(path)("check")


def test_init_db_leaves_a_current_database(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    database.checkpoint()
    before = database.path.read_bytes()
    result = run_command("init-db")
    assert (result.stdout, result.stderr) == ("", f"{database.path} is current\n")
    assert database.path.read_bytes() == before


def test_several_init_db_at_once_create_one_database(tmp_path: Path) -> None:
    path = tmp_path / "everruns.db"
    command = [*EVERRUNS, "init-db"]
    processes = [subprocess.Popen(command, env=environment(path), stderr=subprocess.PIPE, text=True) for _ in range(4)]
    messages = sorted(process.communicate(timeout=60)[1] for process in processes)
    assert messages == [f"{path} is current\n"] * 3 + [f"{path} was created\n"]
    assert execute(path, COUNT_CAPABILITIES) == [(len(BUILT_IN_CATALOG),)]


def test_the_default_database_is_in_the_current_directory(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("EVERRUNS_")}
    subprocess.run([*EVERRUNS, "init-db"], cwd=tmp_path, env=variables, check=True, capture_output=True)
    assert (tmp_path / "instance" / "everruns.db").exists()


# --- databases that cannot be used --------------------------------------------------------------------------------


def make_other_database(path: Path) -> None:
    execute(path, "CREATE TABLE theirs (x)")


def make_newer_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE new (x)"
        )


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (
        lambda path: path.write_text("hello, I am a letter\n" * 99),
        "{path} is damaged; see 'everruns check', and restore a backup with 'everruns restore FILE'; "
        "nothing was changed",
    ),
    "a database of another program": (
        make_other_database,
        "{path} is not a database of Everruns Sessions; use another file or run 'everruns init-db'",
    ),
    "a newer schema": (
        make_newer_database,
        f"{{path}} must have schema version {SCHEMA_VERSION}; got 99: install a newer release of Everruns Sessions",
    ),
    "a directory": (lambda path: path.mkdir(), "{path} must be a file; it is a directory"),
}
COMMANDS = [
    ["init-db"],
    ["migrate"],
    ["create-org", "x"],
    ["list-orgs"],
    ["import", "org_1", "-"],
    ["export", "org_1"],
    ["prune", "org_1", "--before", "2026-01-01"],
    ["check"],
    ["check", "--repair"],
    ["backup", "copy.db"],
    ["heartbeat"],
    ["demo"],
]


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_database_is_one_line_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    make, message = UNUSABLE[what]
    path = tmp_path / "some.db"
    monkeypatch.chdir(tmp_path)
    make(path)
    before = path.read_bytes() if path.is_file() else None
    for command in COMMANDS:
        result = CommandRunner(path)(*command, exit_code=1)
        assert (result.stdout, result.stderr) == ("", f"Error: {message.format(path=path)}\n"), command
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [file.name for file in tmp_path.iterdir()] == ["some.db"]


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    for command in COMMANDS[1:]:
        result = CommandRunner(path)(*command, exit_code=1)
        assert (result.stdout, result.stderr) == ("", f"Error: {path} does not exist; run 'everruns init-db'\n")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_stays_locked_is_one_line(run_command: CommandRunner) -> None:
    with closing(sqlite3.connect(run_command.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for command in (["create-org", "x"], ["check", "--repair"], ["demo"]):
            result = run_command(*command, exit_code=1, env={"EVERRUNS_DATABASE_TIMEOUT": "0.1"})
            advice = "the database is locked by another program; retry, or raise EVERRUNS_DATABASE_TIMEOUT"
            assert (result.stdout, result.stderr) == ("", f"Error: {advice}; nothing was changed\n")
    assert run_command("list-orgs").stdout == ""


# --- settings -----------------------------------------------------------------------------------------------------


def test_an_invalid_setting_is_one_line(run_command: CommandRunner) -> None:
    result = run_process(run_command.path, "check", EVERRUNS_DATABASE_TIMEOUT="soon")
    message = "EVERRUNS_DATABASE_TIMEOUT must be a number of seconds from 0 to 3600; got 'soon'\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)


def test_an_unknown_setting_is_warned_of(run_command: CommandRunner) -> None:
    result = run_command("check", env={"EVERRUNS_DATABSE": "x"})
    assert result.stderr == ("warning: EVERRUNS_DATABSE is not a setting; did you mean EVERRUNS_DATABASE?\nno errors\n")


def test_a_current_directory_that_no_longer_exists_is_one_line(database_path: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    lost.mkdir()
    prefix = ["sh", "-c", f'cd "{lost}" && rmdir "{lost}" && "$@"', "sh"]
    result = run_process("everruns.db", "check", prefix=prefix)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "the current directory no longer exists" in result.stderr
    lost.mkdir()
    assert run_process(database_path, "check", prefix=prefix).returncode == 0


# --- check --------------------------------------------------------------------------------------------------------


def test_check_prints_errors_and_repairs_counts(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    import_records(database, organization, agent_record(), session_record())
    result = run_command("check")
    assert (result.stdout, result.stderr) == ("", "no errors\n")
    execute(database.path, "DELETE FROM session_counts WHERE agent_id = 0 AND precision = 0")
    result = run_command("check", exit_code=1)
    assert result.stdout == "session_counts must have the row 1, 0, 0, '', 'started', 1\n"
    assert result.stderr == (
        "Error: 1 errors; 'everruns check --repair' corrects what is derived; otherwise restore a backup\n"
    )
    result = run_command("check", "--repair")
    assert (result.stdout, result.stderr) == ("", "no errors\n")
    execute_without_foreign_keys(database.path, "DELETE FROM agents")
    result = run_command("check", "--repair", exit_code=1)
    assert result.stdout == "sessions row 1 refers to a row of agents that does not exist\n"
    assert result.stderr == "Error: 1 errors; restore a backup\n"


# --- heartbeat ----------------------------------------------------------------------------------------------------


def last_heartbeat(path: Path) -> str:
    rows = execute(path, "SELECT at FROM heartbeat")
    return str(rows[0][0]) if rows else ""


def test_heartbeat_stores_the_current_time(run_command: CommandRunner) -> None:
    result = run_command("heartbeat")
    assert (result.stdout, result.stderr) == ("", "")
    first = last_heartbeat(run_command.path)
    run_command("heartbeat")
    assert first < last_heartbeat(run_command.path)


def test_heartbeat_repeats_until_it_is_stopped_whatever_happens_to_the_database(database_path: Path) -> None:
    command = [*EVERRUNS, "heartbeat", "--every", "0.1"]
    variables = {**environment(database_path), "EVERRUNS_DATABASE_TIMEOUT": "0"}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        wait_until(lambda: last_heartbeat(database_path), "the first heartbeat")
        with closing(sqlite3.connect(database_path, 60, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert process.stderr.readline() == "no heartbeat: database is locked\n"
        first = last_heartbeat(database_path)
        wait_until(lambda: last_heartbeat(database_path) > first, "another heartbeat")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
