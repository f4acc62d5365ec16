"""The database file alone is complete: after each command that writes, and after the service has stopped."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.catalog import BUILT_IN
from everruns.store.db import WAL_LIMIT_BYTES, Database
from tests.support import servers
from tests.support.commands import CommandRunner
from tests.support.database import execute, insert_sessions
from tests.support.records import ORGANIZATION_ID, session_record
from tests.support.server import fetch, serve
from tests.support.servers import send

OTHER = "org_2"
COMMANDS = [
    ["create-org", "Other", "--id", OTHER],
    ["rename-org", OTHER, "Another"],
    ["create-key", OTHER],
    ["import", ORGANIZATION_ID, "-"],
    ["delete-session", ORGANIZATION_ID, "session_1"],
    ["prune", ORGANIZATION_ID, "--before", "2026-02-28"],
    ["load-catalog", str(BUILT_IN)],
    ["check", "--repair"],
    ["heartbeat"],
    ["demo", "--sessions", "20"],
    ["delete-org", OTHER, "--yes"],
]


def lines(count: int, **keys: object) -> str:
    return "".join(json.dumps(session_record(n, agent_id=None, **keys)) + "\n" for n in range(count))


def wal_size(path: Path) -> int:
    wal = Path(f"{path}-wal")
    return wal.stat().st_size if wal.exists() else 0


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("is_open_elsewhere", [False, True], ids=["only the service", "another program"])
def test_after_the_service_has_stopped_the_file_alone_is_complete(tmp_path: Path, is_open_elsewhere: bool) -> None:
    database = servers.Database(tmp_path / "everruns.db")
    database.everruns("init-db")
    with closing(sqlite3.connect(database.path if is_open_elsewhere else ":memory:")) as other:
        other.execute("SELECT COUNT(*) FROM sqlite_schema").fetchall()  # opens the file
        with serve(database.path, EVERRUNS_WORKERS="2") as url:
            assert fetch(f"{url}/health")[0] == 200
            database.create_organization()
            database.load(session_record(number, agent_id=None) for number in range(1000))
            for number in range(20):
                send(int(url.rpartition(":")[2]), "POST", "/v1/sessions", database.key, {"id": f"session_new-{number}"})
                assert fetch(f"{url}/v1/sessions?limit=1", database.key)[1]["total"] == 1001 + number
        shutil.copy(database.path, tmp_path / "copy.db")
    assert is_open_elsewhere or not list(tmp_path.glob("everruns.db-*"))
    copy = servers.Database(tmp_path / "copy.db")
    assert copy.everruns("list-orgs").stdout == f"{database.organization}\tAcme\t1020\n"
    copy.everruns("check")


def test_after_each_command_that_writes_the_file_alone_is_complete(
    client: FlaskClient, run_command: CommandRunner, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    for command in COMMANDS:
        client.get("/v1/sessions")  # the service keeps the file open
        before = dump(run_command.path)
        run_command(*command, stdin=lines(9))
        shutil.copy(run_command.path, copy)
        assert dump(copy) == dump(run_command.path), command
        assert dump(copy) != before or command[0] in ("load-catalog", "check"), command


def test_the_write_ahead_log_shrinks_once_no_reader_needs_it(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    run_command("import", ORGANIZATION_ID, "-", stdin=lines(1))
    with closing(sqlite3.connect(database.path, isolation_level=None)) as stalled:
        stalled.execute("BEGIN")
        stalled.execute("SELECT COUNT(*) FROM sessions").fetchall()
        run_command("import", ORGANIZATION_ID, "-", stdin=lines(2000, title="x" * 3000))
        assert wal_size(database.path) > WAL_LIMIT_BYTES
    run_command("heartbeat")
    assert wal_size(database.path) == 0


def test_the_write_ahead_log_shrinks_when_the_service_goes_on_writing(database: Database, client: FlaskClient) -> None:
    insert_sessions(database.path, Organization(1, ORGANIZATION_ID, "Acme"), 1)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as stalled:
        stalled.execute("BEGIN")
        stalled.execute("SELECT COUNT(*) FROM sessions").fetchall()
        for number in range(8):
            client.put(f"/v1/sessions/session_{number}", json={"title": "x" * 900_000})
        assert wal_size(database.path) > WAL_LIMIT_BYTES
    for number in range(8):
        client.put(f"/v1/sessions/session_{number}", json={})
    assert wal_size(database.path) <= WAL_LIMIT_BYTES
    assert execute(database.path, "SELECT COUNT(*) FROM sessions WHERE title IS NOT NULL") == [(0,)]
