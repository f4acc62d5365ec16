"""The database file: transactions, and a file that is lost, damaged, locked or replaced while it is open."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from everruns import create_app
from everruns.records import Organization
from everruns.store import schema
from everruns.store.db import Database, DatabaseUnavailable, ReadOnlyReplica, defer_foreign_keys, explain
from everruns.store.organizations import create_organization
from tests.support.client import client_with_key
from tests.support.commands import CommandRunner
from tests.support.database import create_database, execute, import_records
from tests.support.processes import obeying_permissions, run_process
from tests.support.records import agent_record, session_record

INSERT = "INSERT INTO organizations (public_id, name) VALUES ('org_new', 'x')"
NAMES = "SELECT name FROM organizations"


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return [name for (name,) in connection.execute(NAMES)]


# --- transactions -------------------------------------------------------------------------------------------------


def test_all_statements_of_a_read_transaction_see_the_same_snapshot(
    database: Database, organization: Organization
) -> None:
    with database.read() as connection:
        assert connection.execute(NAMES).fetchall() == [("Acme",)]
        execute(database.path, "UPDATE organizations SET name = 'Other'")
        assert connection.execute(NAMES).fetchall() == [("Acme",)]
    assert names(database) == ["Other"]


def test_a_read_transaction_cannot_write(database: Database, organization: Organization) -> None:
    with pytest.raises(sqlite3.OperationalError), database.read() as connection:
        connection.execute("DELETE FROM organizations")
    assert names(database) == ["Acme"]


def test_a_write_transaction_is_committed_at_its_end(database: Database) -> None:
    with database.write() as connection:
        create_organization(connection, "Acme")
        assert names(database) == []
    assert names(database) == ["Acme"]


def test_a_write_transaction_is_rolled_back_on_any_exception(database: Database) -> None:
    def store_and_fail() -> None:
        with database.write() as connection:
            create_organization(connection, "Acme")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_and_fail()
    assert names(database) == []
    with database.write() as connection:
        create_organization(connection, "Next")
    assert names(database) == ["Next"]


def test_references_are_checked_at_once_or_at_the_end_of_a_transaction(database: Database) -> None:
    key = "INSERT INTO api_keys (organization_id, name, sha256, prefix, created_at) VALUES (?, '', ?, ?, ?)"
    values = (b"x" * 32, "evr_12345678", "2026-02-27T13:13:53.000000Z")

    def store_key_deferred(connection: sqlite3.Connection) -> None:
        defer_foreign_keys(connection)
        connection.execute(key, [7, *values])

    with database.write() as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(key, [7, *values])
    with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
        store_key_deferred(connection)
    with database.write() as connection:
        store_key_deferred(connection)
        connection.execute("INSERT INTO organizations (id, public_id, name) VALUES (7, 'org_7', 'x')")
    assert names(database) == ["x"]


def test_a_commit_is_synced_to_disk(database: Database) -> None:
    with database.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_each_thread_reads_with_a_connection_of_its_own(database: Database, organization: Organization) -> None:
    connections: list[sqlite3.Connection] = []

    def run() -> None:
        with database.read() as connection:
            assert connection.execute(NAMES).fetchall() == [("Acme",)]
            connections.append(connection)
        database.close()

    with database.read() as connection:
        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(each) for each in [*connections, connection]}) == 4
    with database.read() as again:
        assert again is connection, "the connection is kept"


def test_a_replica_refuses_to_write(database_path: Path) -> None:
    replica = Database(database_path, replica=True)
    with pytest.raises(ReadOnlyReplica, match="run the command on the primary"), replica.write():
        pass


# --- the file alone is complete -----------------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "create-org": ["create-org", "New"],
    "create-key": ["create-key", "ORG"],
    "revoke-key": ["revoke-key", "ORG", "KEY"],
    "import": ["import", "ORG", "-"],
    "load-catalog": ["load-catalog", "CATALOG"],
    "check --repair": ["check", "--repair"],
    "heartbeat": ["heartbeat"],
    "demo": ["demo", "--sessions", "20"],
}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("command", COMMANDS)
def test_after_a_writing_command_the_file_alone_is_complete(
    client: FlaskClient, key: str, organization: Organization, run_command: CommandRunner, command: str
) -> None:
    path = run_command.path
    assert client.get("/v1/sessions").status_code == 200  # the service keeps the file open
    catalog = path.with_name("catalog.json")
    catalog.write_text('[{"id": "only", "name": "Only", "status": "available"}]')
    placeholders = {"ORG": organization.public_id, "KEY": key, "CATALOG": str(catalog)}
    execute(path, "UPDATE session_counts SET sessions = 7")
    before = dump(path)
    arguments = [placeholders.get(argument, argument) for argument in COMMANDS[command]]
    run_command(*arguments, stdin='{"id": "agent_1"}\n{"id": "session_1", "agent_id": "agent_1"}\n')
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    assert dump(copy) == dump(path)
    if command != "check --repair":
        assert dump(copy) != before
    assert Path(f"{path}-wal").stat().st_size == 0


def test_after_all_connections_are_closed_the_file_alone_is_complete(database: Database) -> None:
    with database.read():
        execute(database.path, INSERT)
    assert Path(f"{database.path}-wal").stat().st_size > 0
    database.close()
    assert not Path(f"{database.path}-wal").exists()
    copy = database.path.with_name("copy.db")
    shutil.copy(database.path, copy)
    assert execute(copy, NAMES) == [("x",)]


def test_a_command_does_not_wait_for_someone_who_reads(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    started = time.monotonic()
    with database.read() as connection:
        connection.execute(NAMES).fetchall()
        run_command("create-org", "Other", env={"EVERRUNS_DATABASE_TIMEOUT": "600"})
    assert time.monotonic() - started < 300
    assert names(database) == ["Acme", "Other"]


def test_a_checkpoint_is_left_out_while_another_program_has_the_file(database: Database) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute(INSERT)
        database.checkpoint()
    assert names(database) == ["x"]


def test_a_checkpoint_of_what_is_not_a_database_is_left_out(tmp_path: Path) -> None:
    """The service does one when it stops, whatever has happened to the file."""
    path = tmp_path / "everruns.db"
    path.write_text("text" * 1000)
    Database(path).checkpoint()
    assert path.read_text() == "text" * 1000


def test_the_write_ahead_log_does_not_stay_large(database: Database, organization: Organization) -> None:
    def store(count: int, model_id: str) -> int:
        records = (session_record(n, agent_id=None, model_id=model_id) for n in range(count))
        import_records(database, organization, *records)
        return Path(f"{database.path}-wal").stat().st_size

    with database.read():  # keeps the file open, so that the log is not removed with the last connection
        assert store(100, "x" * 100_000) > 8 * 1024 * 1024
    store(1, "")
    assert store(1, "x") <= 4 * 1024 * 1024


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_not_created_by_reading_or_writing(tmp_path: Path) -> None:
    database = Database(tmp_path / "everruns.db")
    for transaction in (database.read, database.write):
        with pytest.raises(DatabaseUnavailable, match="does not exist; run 'everruns init-db'"), transaction():
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_replaced_is_opened_again(
    database: Database, organization: Organization, tmp_path: Path
) -> None:
    other = create_database(tmp_path / "other.db")
    execute(other, INSERT)
    assert names(database) == ["Acme"]
    database.checkpoint()
    os.replace(other, database.path)
    assert names(database) == ["x"]


def test_a_file_is_opened_again_after_an_error_of_sqlite(database: Database, organization: Organization) -> None:
    with database.read() as first:
        pass
    with pytest.raises(sqlite3.OperationalError), database.read() as connection:
        connection.execute("SELECT nothing")
    with database.read() as second:
        assert second is not first
        assert second.execute(NAMES).fetchall() == [("Acme",)]


def test_the_connection_stays_open_after_another_exception(database: Database, organization: Organization) -> None:
    def read_and_fail() -> None:
        with database.read() as connection:
            connection.execute(NAMES).fetchall()
            raise LookupError

    with database.read() as first:
        pass
    with pytest.raises(LookupError):
        read_and_fail()
    execute(database.path, "UPDATE organizations SET name = 'Other'")
    with database.read() as second:
        assert second is first
        assert second.execute(NAMES).fetchall() == [("Other",)], "the old snapshot is not kept"


def test_a_new_file_is_complete_or_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "everruns.db"

    def fail(connection: sqlite3.Connection) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        schema.create(path, 1.0, fail)
    assert execute(path, "SELECT COUNT(*) FROM sqlite_schema") == [(0,)]
    assert schema.create(path, 1.0, lambda connection: None)
    assert not schema.create(path, 1.0, fail)
    assert path.stat().st_mode & 0o077 == 0


# --- a lost or damaged file, seen by clients ----------------------------------------------------------------------


@pytest.fixture
def new_app(database_path: Path) -> Iterator[Callable[[], Flask]]:
    """Start the application again, as another process would."""
    apps: list[Flask] = []

    def start() -> Flask:
        apps.append(create_app({"DATABASE": database_path, "DATABASE_TIMEOUT": 0.2}))
        return apps[-1]

    yield start
    for app in apps:
        app.extensions["everruns"].close()


def remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def replace_by_garbage(path: Path) -> None:
    remove(path)
    path.write_bytes(os.urandom(20_000))


def replace_by_directory(path: Path) -> None:
    remove(path)
    path.mkdir()


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": remove,
    "deleted, but for its -wal": Path.unlink,
    "replaced by garbage": replace_by_garbage,
    "replaced by a directory": replace_by_directory,
}
DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 5000),
    "emptied": lambda path: os.truncate(path, 0),
    "overwritten": overwrite,
}


@pytest.mark.parametrize("what", [*LOSSES, *DAMAGES])
def test_a_lost_database_is_503_and_logged_until_it_is_back(
    database: Database,
    organization: Organization,
    key: str,
    new_app: Callable[[], Flask],
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    path = database.path
    import_records(database, organization, agent_record(), *(session_record(n) for n in range(300)))
    database.checkpoint()
    database.close()
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    running = client_with_key(new_app(), key)
    urls = ("/v1/sessions", "/v1/sessions?offset=150", "/health", "/v1/sessions/activity")
    before = {url: running.get(url).get_data() for url in urls}
    {**LOSSES, **DAMAGES}[what](path)
    for client in (running, client_with_key(new_app(), key)):
        for url in urls:
            response = client.get(url)
            if response.status_code == 200:  # what SQLite still has in memory of a file that was damaged in place
                assert client is running
                assert what in DAMAGES
                assert response.get_data() == before[url]
                continue
            assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
            assert response.get_json()["error"]["code"] == "database_unavailable"
            assert str(path) not in response.text
    assert "database unavailable: " in caplog.text
    assert "Traceback" not in caplog.text
    if path.is_dir():
        path.rmdir()
    remove(path)
    os.replace(backup, path)
    for client in (running, client_with_key(new_app(), key)):
        assert {url: client.get(url).get_data() for url in urls} == before


def test_a_database_locked_past_the_timeout_is_503(
    database: Database, key: str, new_app: Callable[[], Flask], caplog: pytest.LogCaptureFixture
) -> None:
    client = client_with_key(new_app(), key)
    database.close()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("DELETE FROM sessions")
        started = time.monotonic()
        response = client.get("/v1/sessions")
        assert time.monotonic() - started >= 0.2
    assert (response.status_code, response.get_json()["error"]["code"]) == (503, "database_unavailable")
    assert "the database is locked by another program; retry, or raise EVERRUNS_DATABASE_TIMEOUT" in caplog.text
    assert client.get("/v1/sessions").status_code == 200


def test_reading_does_not_wait_for_a_writer(client: FlaskClient, database_path: Path) -> None:
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(INSERT)
        assert client.get("/v1/sessions").status_code == 200


def test_writing_waits_for_another_writer_up_to_the_timeout(database_path: Path) -> None:
    database = Database(database_path, timeout=0.2)
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"), database.write():
            pass
        assert time.monotonic() - started >= 0.2


def test_a_directory_or_file_that_must_not_be_written_is_named(database: Database, organization: Organization) -> None:
    database.checkpoint()
    database.close()
    path = database.path
    for restricted, mode, command in (
        (path.parent, 0o500, ["list-keys", organization.public_id]),
        (path, 0o400, ["create-org", "x"]),
    ):
        restricted.chmod(mode)
        result = run_process(path, *command, prefix=obeying_permissions())
        restricted.chmod(0o700)
        assert result.returncode == 1
        assert f"this user must be allowed to write {path} and its directory" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_a_file_that_must_not_be_read_is_named(database_path: Path) -> None:
    database_path.chmod(0)
    result = run_process(database_path, "check", prefix=obeying_permissions())
    assert (result.returncode, result.stderr) == (
        1,
        f"Error: {database_path} cannot be read: permission denied for this user\n",
    )


def test_a_full_disk_is_named(database_path: Path) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert explain(error, database_path) == "the disk is full; free some space and retry"


def test_an_error_of_a_file_whose_directory_is_gone_is_explained(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    assert explain(error, tmp_path / "gone" / "everruns.db") == "the database cannot be used: disk I/O error"
