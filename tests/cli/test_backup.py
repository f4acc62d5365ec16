"""`everruns backup` and `restore`."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.db import SCHEMA_VERSION, Database
from tests.support.client import ids
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.records import ORGANIZATION_ID, agent_record, session_record
from tests.support.server import fetch, serve


@pytest.fixture(autouse=True)
def session(database: Database, organization: Organization) -> None:
    import_records(database, organization, agent_record(capabilities=["skills"]), session_record("before"))


@pytest.fixture
def backup(tmp_path: Path, key: str, run_command: CommandRunner) -> Path:
    """A backup of the database; afterwards, another session is stored and the first one is changed."""
    path = tmp_path / "backup.db"
    run_command("backup", str(path))
    run_command(
        "import",
        ORGANIZATION_ID,
        "-",
        stdin='{"id": "session_after", "created_at": "2026-03-01T00:00:00Z"}\n{"id": "session_before", "title": "x"}\n',
    )
    return path


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_backup_is_a_complete_copy(database_path: Path, tmp_path: Path, run_command: CommandRunner) -> None:
    path = tmp_path / "backup.db"
    result = run_command("backup", str(path))
    assert (result.stdout, result.stderr) == ("", f"{path} was written\n")
    assert dump(path) == dump(database_path)
    assert path.stat().st_mode & 0o077 == 0
    CommandRunner(path)("check")


def test_a_backup_does_not_overwrite_a_file(backup: Path, run_command: CommandRunner) -> None:
    before = backup.read_bytes()
    result = run_command("backup", str(backup), exit_code=1)
    assert result.stderr == f"Error: {backup} exists; use another name, or remove it first\n"
    assert backup.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "reason"), [("file/x", "Not a directory"), ("none/x", "No such file"), ("x" * 300, "File name too long")]
)
def test_a_backup_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, run_command: CommandRunner, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    before = files(tmp_path)
    (line,) = run_command("backup", str(tmp_path / name), exit_code=1).stderr.splitlines()
    assert reason in line
    assert {name for name in files(tmp_path) if not name.startswith("everruns.db-")} <= before


def test_a_running_service_serves_what_was_restored(
    client: FlaskClient, run_command: CommandRunner, backup: Path, tmp_path: Path
) -> None:
    content = dump(backup)
    assert ids(client.get("/v1/sessions")) == ["session_after", "session_before"]
    result = run_command("restore", str(backup))
    assert (result.stdout, result.stderr) == ("", f"{run_command.path} was restored from {backup}\n")
    response = client.get("/v1/sessions")
    assert ids(response) == ["session_before"]
    assert response.get_json()["data"][0]["title"] is None
    assert client.post("/v1/sessions", json={"id": "session_new"}).status_code == 201
    assert ids(client.get("/v1/sessions"))[0] == "session_new"
    assert dump(backup) == content
    run_command("check")


def test_every_worker_serves_at_once_what_was_restored(key: str, run_command: CommandRunner, backup: Path) -> None:
    with serve(run_command.path, EVERRUNS_WORKERS="2") as url:
        for _ in range(10):  # each on a connection of its own, which either worker may accept
            assert fetch(f"{url}/v1/sessions", key)[1]["total"] == 2
        run_command("restore", str(backup))
        for _ in range(10):
            assert fetch(f"{url}/v1/sessions", key)[1]["total"] == 1
            assert fetch(f"{url}/v1/sessions/session_after", key)[0] == 404


def test_after_a_restore_the_file_alone_is_complete(
    client: FlaskClient, run_command: CommandRunner, backup: Path, tmp_path: Path
) -> None:
    client.get("/v1/sessions")  # the service keeps the file open
    run_command("restore", str(backup))
    copy = tmp_path / "copy.db"
    shutil.copy(run_command.path, copy)
    assert dump(copy) == dump(backup)
    assert execute(copy, "PRAGMA journal_mode") == [("wal",)]


def test_a_copied_file_can_be_restored(client: FlaskClient, run_command: CommandRunner, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run_command("create-org", "x")  # afterwards, the file alone is complete
    shutil.copy(run_command.path, copy)
    execute(run_command.path, "DELETE FROM sessions")
    run_command("restore", str(copy))
    assert ids(client.get("/v1/sessions")) == ["session_before"]


def test_a_missing_database_is_restored(
    client: FlaskClient, database: Database, run_command: CommandRunner, backup: Path
) -> None:
    database.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{run_command.path}{suffix}").unlink(missing_ok=True)
    assert client.get("/v1/sessions").status_code == 503
    run_command("restore", str(backup))
    assert ids(client.get("/v1/sessions")) == ["session_before"]
    assert run_command.path.stat().st_mode & 0o077 == 0


def test_log_of_a_removed_database_is_not_written_to(backup: Path, tmp_path: Path) -> None:
    """A process may still have -wal and -shm of a removed file open."""
    removed = CommandRunner(tmp_path / "removed.db")
    for suffix in ("-wal", "-shm"):
        open_elsewhere = tmp_path / f"open{suffix}"
        open_elsewhere.write_bytes(b"of the removed file")
        os.link(open_elsewhere, f"{removed.path}{suffix}")
    removed("restore", str(backup))
    assert {(tmp_path / f"open{suffix}").read_bytes() for suffix in ("-wal", "-shm")} == {b"of the removed file"}
    removed("check")


def test_a_database_that_was_removed_while_the_service_runs_is_restored(
    key: str, run_command: CommandRunner, backup: Path
) -> None:
    """The service keeps -wal and -shm of the removed file open; a new file beside them could not be opened."""
    with serve(run_command.path, EVERRUNS_WORKERS="2") as url:
        for _ in range(10):
            assert fetch(f"{url}/v1/sessions", key)[0] == 200
        run_command.path.unlink()
        run_command("restore", str(backup))
        for _ in range(10):
            assert fetch(f"{url}/v1/sessions", key)[1]["total"] == 1
    run_command("check")


@pytest.mark.parametrize("damage", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_a_damaged_database_is_moved_aside(
    client: FlaskClient, database: Database, run_command: CommandRunner, backup: Path, tmp_path: Path, damage: bytes
) -> None:
    database.checkpoint()
    database.close()
    run_command.path.write_bytes(damage)
    assert client.get("/v1/sessions").status_code == 503
    result = run_command("restore", str(backup))
    damaged = tmp_path / "everruns.db.damaged"
    assert f"the damaged database was moved to {damaged}\n" in result.stderr
    assert damaged.read_bytes() == damage
    assert ids(client.get("/v1/sessions")) == ["session_before"]
    run_command("check")


def test_a_damaged_database_is_moved_aside_with_its_log(
    run_command: CommandRunner, backup: Path, tmp_path: Path
) -> None:
    """The service may have all three files open; the restored database must have others."""
    for name in ("everruns.db.damaged", "everruns.db.damaged-1"):
        (tmp_path / name).write_bytes(b"earlier")
    with closing(sqlite3.connect(run_command.path)) as service:
        service.execute("SELECT COUNT(*) FROM sqlite_schema").fetchall()
        run_command.path.write_bytes(b"garbage" * 1000)
        opened = [os.stat(f"{run_command.path}{suffix}").st_ino for suffix in ("", "-wal", "-shm")]
        damaged = tmp_path / "everruns.db.damaged-2"
        assert str(damaged) in run_command("restore", str(backup)).stderr
        assert [os.stat(f"{damaged}{suffix}").st_ino for suffix in ("", "-wal", "-shm")] == opened
    run_command("check")


def test_a_backup_with_errors_is_not_restored(run_command: CommandRunner, backup: Path) -> None:
    execute(backup, "UPDATE session_counts SET sessions = 7")
    before = dump(run_command.path)
    result = run_command("restore", str(backup), exit_code=1)
    assert result.stderr.startswith(f"Error: {backup} has errors; nothing was restored:\nsession_counts must ")
    assert dump(run_command.path) == before


def test_an_empty_database_is_not_restored(
    client: FlaskClient, run_command: CommandRunner, new_database: Path, tmp_path: Path
) -> None:
    """`init-db` with the name of a backup that could not be written makes one."""
    empty = tmp_path / "restored.db"
    empty.write_bytes(new_database.read_bytes())
    result = run_command("restore", str(empty), exit_code=1)
    assert result.stderr == f"Error: {empty} has errors; nothing was restored:\nthere is no organization in it\n"
    assert client.get("/v1/organization").status_code == 200


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000], ids=["empty", "garbage"])
def test_a_file_that_is_not_a_backup_is_not_restored(
    run_command: CommandRunner, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "backup.db"
    file.write_bytes(content)
    before = dump(run_command.path)
    (line,) = run_command("restore", str(file), exit_code=1).stderr.splitlines()
    assert str(file) in line
    assert str(run_command.path) not in line
    assert dump(run_command.path) == before


@pytest.mark.parametrize("name", ["none.db", "."])
def test_a_file_that_does_not_exist_is_not_restored(run_command: CommandRunner, tmp_path: Path, name: str) -> None:
    before = dump(run_command.path)
    result = run_command("restore", str(tmp_path / name), exit_code=2)
    assert "Invalid value for 'FILE'" in result.stderr
    assert dump(run_command.path) == before


def test_a_backup_of_another_schema_version_is_not_restored(run_command: CommandRunner, backup: Path) -> None:
    execute(backup, "PRAGMA user_version = 5")
    result = run_command("restore", str(backup), exit_code=1)
    assert result.stderr == (
        f"Error: {backup} must have schema version {SCHEMA_VERSION}; got 5: "
        f"run 'EVERRUNS_DATABASE={backup} everruns migrate'\n"
    )


def test_a_locked_database_is_not_restored(run_command: CommandRunner, backup: Path) -> None:
    before = dump(run_command.path)
    with closing(sqlite3.connect(run_command.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run_command("restore", str(backup), exit_code=1, env={"EVERRUNS_DATABASE_TIMEOUT": "0.1"})
    assert "the database is locked by another program" in result.stderr
    assert dump(run_command.path) == before


def test_a_restore_leaves_no_other_files(
    database: Database, run_command: CommandRunner, backup: Path, tmp_path: Path
) -> None:
    database.close()
    before = files(tmp_path)
    run_command("restore", os.path.relpath(backup))
    assert files(tmp_path) <= before
