"""Migration of a database that an older release made.

`version_5.sql` is a database of schema version 5, `version_5.json` the sessions that its release served from it.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everruns import create_app
from everruns.ids import BASE_HARNESS
from everruns.store import check
from everruns.store.db import SCHEMA_VERSION, Database
from tests.support.client import client_with_key
from tests.support.commands import CommandRunner

VERSION_5 = Path(__file__).with_name("version_5.sql").read_text("utf-8")
SERVED = json.loads(Path(__file__).with_name("version_5.json").read_text("utf-8"))
ORPHAN = {
    "id": "session_orphan",
    "organization_id": "org_acme-0000",
    "harness_id": BASE_HARNESS,
    "agent_id": None,
    "title": "Its agent was deleted",
    "tags": [],
    "model_id": None,
    "capabilities": [{"ref": "files"}],
    "status": "started",
    "features": ["file_system"],
    "created_at": "2026-01-01T00:00:00.000000Z",
    "updated_at": "2026-01-01T00:00:00.000000Z",
}
KEYS = {
    name: "evr_" + 43 * letter
    for name, letter in {"acme": "a", "revoked": "b", "expired": "c", "late": "d", "other": "e"}.items()
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of version 5."""
    path = tmp_path / "everruns.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_5)
    return path


@pytest.fixture
def run(path: Path) -> CommandRunner:
    return CommandRunner(path)


def query(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA user_version"))]


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.backup-version-5*"))


def served(path: Path, key: str, arguments: str = "limit=100") -> Any:
    app = create_app({"DATABASE": path})
    response = client_with_key(app, key).get(f"/v1/sessions?{arguments}")
    app.extensions["everruns"].close()
    assert response.status_code == 200
    return response.get_json()


def test_every_session_is_served_as_before(path: Path, run: CommandRunner) -> None:
    run("migrate")
    acme, other = (served(path, KEYS[name]) for name in ("acme", "other"))
    # Version 5 counted a session whose agent another program had deleted, and did not list it.
    position = [session["created_at"] for session in acme["data"]].index(ORPHAN["created_at"])
    assert acme["data"].pop(position) == ORPHAN
    assert acme["data"] == SERVED["org_acme-0000"]
    assert other["data"] == SERVED["org_other"]
    assert (acme["total"], other["total"]) == (7, 1)


def test_equal_timestamps_stay_in_the_order_of_storing(path: Path, run: CommandRunner) -> None:
    run("migrate")
    arguments = "created_after=2026-02-27T13:13:53Z&created_before=2026-02-27T13:13:54Z"
    ids = [session["id"] for session in served(path, KEYS["acme"], arguments)["data"]]
    assert ids == ["session_a3", "session_A-2", "session_a-1"]


def test_keys_work_as_before(path: Path, run: CommandRunner) -> None:
    run("migrate")
    app = create_app({"DATABASE": path})
    statuses = {name: client_with_key(app, key).get("/v1/sessions").status_code for name, key in KEYS.items()}
    app.extensions["everruns"].close()
    assert statuses == {"acme": 200, "revoked": 401, "expired": 401, "late": 200, "other": 200}


def test_every_row_is_kept(path: Path, run: CommandRunner) -> None:
    unchanged = {
        "organizations": "id, public_id, name",
        "api_keys": "id, organization_id, name, sha256, prefix, created_at, expires_at, revoked_at",
        "harnesses": "id, organization_id, public_id, name",
        "agents": "id, organization_id, public_id",
        "sessions": "id, organization_id, harness_id, agent_id, public_id, title, tags, model_id, status, created_at, "
        "updated_at",
        "capabilities": "id, name, category, status",
        "capability_dependencies": "*",
        "capability_features": "*",
        "heartbeat": "*",
    }
    statements = [f"SELECT {columns} FROM {table} ORDER BY 1, 2" for table, columns in unchanged.items()]
    before = [query(path, statement) for statement in statements]
    assert all(before)
    run("migrate")
    assert [query(path, statement) for statement in statements] == before
    assert query(path, "SELECT COUNT(*) FROM api_keys WHERE read_only") == [(0,)]


def test_agents_get_a_name_and_their_capabilities(path: Path, run: CommandRunner) -> None:
    run("migrate")
    agents = query(path, "SELECT name, description, capabilities, status, created_at = updated_at FROM agents")
    colors = '{"ref":"chart","config":{"colors":["red",null],"deep":{"é":1.5}}}'
    assert agents == [
        ("research", None, f'[{{"ref":"skills"}},{colors}]', "active", 1),
        ("agent_unnamed", None, "[]", "active", 1),
        ("agent_emptyname", None, "[]", "active", 1),
        ("é" * 200, "é" * 200 + "the end", "[]", "active", 1),
        ("of another organization", None, "[]", "active", 1),
    ]


def test_the_schema_is_that_of_a_new_database(path: Path, run: CommandRunner, new_database: Path) -> None:
    run("migrate")
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    assert query(path, statement) == query(new_database, statement)
    for pragma in ("application_id", "user_version", "journal_mode"):
        assert query(path, f"PRAGMA {pragma}") == query(new_database, f"PRAGMA {pragma}")


def test_only_what_was_wrong_before_is_wrong_after(path: Path, run: CommandRunner) -> None:
    run("migrate")
    database = Database(path)
    with database.read() as connection:
        assert list(check.errors(connection)) == ["sessions row 7 refers to a row of agents that does not exist"]
    database.close()


def test_the_internal_id_of_an_organization_deleted_after_the_migration_is_not_used_again(
    path: Path, run: CommandRunner
) -> None:
    run("migrate")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM organizations WHERE id = 2")  # foreign keys are off: its key stays
    run("create-org", "Next")
    assert query(path, "SELECT id FROM organizations ORDER BY id") == [(1,), (3,)]


def test_a_catalog_that_is_loaded_after_the_migration_shows(path: Path, run: CommandRunner, tmp_path: Path) -> None:
    run("migrate")
    for feature in ("first", "second"):
        catalog = tmp_path / "catalog.json"
        catalog.write_text(json.dumps([{"id": "files", "name": "Files", "status": "available", "features": [feature]}]))
        run("load-catalog", str(catalog))
        features = {session["id"]: session["features"] for session in served(path, KEYS["acme"])["data"]}
        assert features[ORPHAN["id"]] == [feature]


def test_the_file_alone_is_complete_and_the_backup_is_the_old_file(path: Path, run: CommandRunner) -> None:
    old = dump(path)
    result = run("migrate")
    (backup,) = backups(path)
    assert result.stderr == (f"{path} was migrated from schema version 5; {backup} is the database before that\n")
    assert result.stdout == ""
    assert dump(backup) == old
    assert backup.stat().st_mode & 0o077 == 0
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    assert query(copy, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_the_backup_is_refused_until_it_is_migrated(path: Path, run: CommandRunner) -> None:
    run("migrate")
    (backup,) = backups(path)
    run_on_backup = CommandRunner(backup)
    assert "run 'everruns migrate'" in run_on_backup("check", exit_code=1).stderr
    run_on_backup("migrate")
    assert served(backup, KEYS["acme"]) == served(path, KEYS["acme"])


def test_a_second_migration_does_nothing(path: Path, run: CommandRunner) -> None:
    run("migrate")
    before = path.read_bytes()
    assert run("migrate").stderr == f"{path} is current\n"
    assert path.read_bytes() == before
    assert len(backups(path)) == 1


def test_a_failure_in_the_middle_leaves_the_old_file(path: Path, run: CommandRunner) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE session_counts (x)")  # of an administrator; the migration needs the name
    old = dump(path)
    result = run("migrate", exit_code=1)
    assert result.stderr.splitlines() == [
        "Error: the database cannot be used: table session_counts already exists; nothing was changed"
    ]
    assert dump(path) == old
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE session_counts")
    run("migrate")
    assert len(backups(path)) == 2, "a backup never overwrites another one"


def test_a_locked_database_is_not_migrated(path: Path, run: CommandRunner) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("migrate", exit_code=1, env={"EVERRUNS_DATABASE_TIMEOUT": "0.1"})
    assert "locked by another program" in result.stderr
    assert backups(path) == []
    assert query(path, "PRAGMA user_version") == [(5,)]


@pytest.mark.parametrize(
    ("version", "advice"),
    [(SCHEMA_VERSION + 1, "install a newer release of Everruns Sessions"), (4, "export with the release that made it")],
)
def test_a_newer_or_much_older_file_is_refused(path: Path, run: CommandRunner, version: int, advice: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    old = dump(path)
    for command in ("migrate", "check", "init-db"):
        (line,) = run(command, exit_code=1).stderr.splitlines()
        assert f"{path} must have schema version {SCHEMA_VERSION}; got {version}: {advice}" in line
    assert dump(path) == old
    assert backups(path) == []


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    assert "is not a database of Everruns Sessions" in CommandRunner(path)("migrate", exit_code=1).stderr


def test_init_db_leaves_an_old_file_and_says_what_to_do(path: Path, run: CommandRunner) -> None:
    old = dump(path)
    assert run("init-db", exit_code=1).stderr.endswith("got 5: run 'everruns migrate'\n")
    assert dump(path) == old


def test_the_service_answers_503_until_the_file_is_migrated(
    path: Path, run: CommandRunner, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app({"DATABASE": path})
    client = client_with_key(app, KEYS["acme"])
    for url in ("/v1/sessions", "/health"):
        response = client.get(url)
        assert (response.status_code, response.get_json()["error"]["code"]) == (503, "database_unavailable")
        assert "migrate" not in response.text
    assert caplog.text.count("run 'everruns migrate'") == 2
    run("migrate")
    assert client.get("/v1/sessions?limit=1").get_json()["data"] == SERVED["org_acme-0000"][:1]
    app.extensions["everruns"].close()
