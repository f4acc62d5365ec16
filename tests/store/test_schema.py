"""schema.sql: what it refuses whichever program writes, and what goes with a deleted row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from everruns.ids import BASE_HARNESS, canonical_id
from everruns.store import check
from everruns.store.db import Database
from tests.support.database import create_organization, execute, import_records

TIMESTAMP = "2026-02-27T13:13:53.000000Z"

VALID_ROWS: dict[str, dict[str, object]] = {
    "organizations": {"public_id": "org_9", "name": "nine"},
    "api_keys": {
        "organization_id": 1,
        "name": "",
        "sha256": b"x" * 32,
        "prefix": "evr_12345678",
        "read_only": 1,
        "created_at": TIMESTAMP,
        "expires_at": None,
        "revoked_at": None,
    },
    "harnesses": {"organization_id": 1, "public_id": "harness_9", "name": "h", "created_at": TIMESTAMP},
    "agents": {"organization_id": 1, "public_id": "agent_9", "name": "a", "created_at": TIMESTAMP},
    "sessions": {
        "organization_id": 1,
        "harness_id": 1,
        "agent_id": 1,
        "public_id": "session_9",
        "title": None,
        "tags": '["a"]',
        "model_id": None,
        "capabilities": '[{"ref": "skills"}]',
        "status": "idle",
        "created_at": TIMESTAMP,
    },
    "capabilities": {"id": "new", "name": "New", "category": None, "status": "available"},
    "capability_dependencies": {"capability_id": "skills", "dependency_id": "elsewhere"},
    "capability_features": {"capability_id": "skills", "feature": "new"},
    "heartbeat": {"id": 1, "at": TIMESTAMP},
}
for table in ("harnesses", "agents", "sessions"):
    VALID_ROWS[table]["updated_at"] = TIMESTAMP

TIMESTAMPS: list[object] = [
    "",
    "now",
    "2026-02-27",
    "2026-02-27T13:13:53Z",
    "2026-02-27T13:13:53.00000Z",
    "2026-02-27T13:13:53.0000000Z",
    "2026-02-27T13:13:53.000000",
    "2026-02-27T13:13:53.000000+00:00",
    "2026-02-27 13:13:53.000000Z",
    "2026-02-27t13:13:53.000000z",
    1772198033,
]
ARRAYS: list[object] = [None, "", "x", "null", "{}", '"a"', '["a"', "[] x", "1", b"[]"]


def ids(prefix: str) -> list[object]:
    tails = ["", "a" * 65, "a b", "a_b", "é", "a\n", "a'", "]"]
    return [None, "", "x_1", f"{prefix.upper()}_1", *(f"{prefix}_{tail}" for tail in tails)]


OF_HARNESSES_AND_AGENTS: dict[str, list[object]] = {
    "organization_id": [None, 99],
    "name": [None, "", "x" * 201],
    "display_name": [b"x"],
    "system_prompt": [None],
    "tags": ARRAYS,
    "capabilities": ARRAYS,
    "status": [None, "", "Active", "deleted"],
    "archived_at": TIMESTAMPS,
    "created_at": [None, *TIMESTAMPS],
    "updated_at": [None, *TIMESTAMPS],
}

INVALID_VALUES: dict[str, dict[str, list[object]]] = {
    "organizations": {"public_id": [*ids("org"), "org_1", "org_-1-"], "name": [None, ""]},
    "api_keys": {
        "organization_id": [None, 99],
        "name": [None],
        "sha256": [None, b"x" * 31, "x" * 32],
        "prefix": [None, "evr_"],
        "read_only": [None, 2],
        "created_at": [None, *TIMESTAMPS],
        "expires_at": TIMESTAMPS,
        "revoked_at": TIMESTAMPS,
    },
    "harnesses": {
        **OF_HARNESSES_AND_AGENTS,
        "public_id": [
            *ids("harness"),
            "harness_A1",
            "harness_a-1",
            BASE_HARNESS,
            "harness_01933B5A-0000-7000-8000-000000000601",
        ],
    },
    "agents": {
        **OF_HARNESSES_AND_AGENTS,
        "id": [0, -1],
        "harness_id": [2, 99, "x"],
        "public_id": [*ids("agent"), "agent_A1", "agent_a-1"],
    },
    "sessions": {
        "organization_id": [None, 2, 99],
        "harness_id": [2, 99, "x"],
        "agent_id": [2, 99, "x"],
        "public_id": [*ids("session"), "session_A1", "session_a-1"],
        "title": [b"x"],
        "tags": ARRAYS,
        "model_id": [b"x"],
        "capabilities": ARRAYS,
        "status": [None, "", "Idle", "done"],
        "created_at": [None, *TIMESTAMPS],
        "updated_at": [None, *TIMESTAMPS],
    },
    "capabilities": {
        "id": [None, ""],
        "name": [None],
        "description": [None],
        "status": [None, "", "gone"],
    },
    "capability_dependencies": {"capability_id": [None, "nothing"], "dependency_id": [None]},
    "capability_features": {"capability_id": [None, "nothing"], "feature": [None, ""]},
    "heartbeat": {"id": [0, 2], "at": [None, *TIMESTAMPS]},
}


@pytest.fixture
def connection(database_path: Path) -> Iterator[sqlite3.Connection]:
    """Two organizations, each with a harness and an agent of the same id; the first has a session."""
    with closing(sqlite3.connect(database_path, isolation_level=None)) as connection:
        connection.executescript(
            f"""
            PRAGMA synchronous = OFF;
            PRAGMA foreign_keys = ON;
            INSERT INTO organizations (id, public_id, name) VALUES (1, 'org_1', 'one'), (2, 'org_2', 'two');
            INSERT INTO harnesses (id, organization_id, public_id, name, created_at, updated_at)
            VALUES (1, 1, 'harness_a1', 'h', '{TIMESTAMP}', '{TIMESTAMP}'),
                   (2, 2, 'harness_a1', 'h', '{TIMESTAMP}', '{TIMESTAMP}');
            INSERT INTO agents (id, organization_id, harness_id, public_id, name, created_at, updated_at)
            VALUES (1, 1, 1, 'agent_a1', 'a', '{TIMESTAMP}', '{TIMESTAMP}'),
                   (2, 2, 2, 'agent_a1', 'a', '{TIMESTAMP}', '{TIMESTAMP}');
            INSERT INTO sessions (organization_id, harness_id, agent_id, public_id, created_at, updated_at)
            VALUES (1, 1, 1, 'session_a1', '{TIMESTAMP}', '{TIMESTAMP}');
            """
        )
        yield connection


def insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    columns, values = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", list(row.values()))


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


@pytest.mark.parametrize("table", VALID_ROWS)
def test_a_valid_row_is_stored(connection: sqlite3.Connection, table: str) -> None:
    insert(connection, table, VALID_ROWS[table])


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in INVALID_VALUES.items() for column in columns]
)
def test_an_invalid_value_is_refused(connection: sqlite3.Connection, table: str, column: str) -> None:
    before = count(connection, table)
    for value in INVALID_VALUES[table][column]:
        with pytest.raises(sqlite3.Error):
            insert(connection, table, {**VALID_ROWS[table], column: value})
    assert count(connection, table) == before


@pytest.mark.parametrize("table", ["harnesses", "agents", "sessions"])
def test_optional_columns_have_defaults(connection: sqlite3.Connection, table: str) -> None:
    prefix = {"harnesses": "harness", "agents": "agent", "sessions": "session"}[table]
    row: dict[str, object] = {"organization_id": 1, "public_id": f"{prefix}_new"}
    row |= {"created_at": TIMESTAMP, "updated_at": TIMESTAMP}
    insert(connection, table, row if table == "sessions" else {**row, "name": "x"})
    stored = connection.execute(
        f"SELECT tags, capabilities, status FROM {table} WHERE public_id = ?", [row["public_id"]]
    ).fetchone()
    assert stored == ("[]", "[]", "started" if table == "sessions" else "active")


@pytest.mark.parametrize("public_id", ["agent_a1-B2", "agent_-", "agent_ABC", "agent_0--0", f"agent_{'Zz9-' * 16}"])
def test_canonical_id_is_computed_as_in_python(connection: sqlite3.Connection, public_id: str) -> None:
    insert(connection, "agents", {**VALID_ROWS["agents"], "public_id": public_id})
    (stored,) = connection.execute("SELECT canonical_id FROM agents WHERE public_id = ?", [public_id]).fetchone()
    assert stored == canonical_id(public_id)


@pytest.mark.parametrize("table", ["harnesses", "agents"])
def test_a_harness_or_agent_in_use_stays_in_its_organization(connection: sqlite3.Connection, table: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"UPDATE {table} SET organization_id = 2, public_id = public_id || 'b' WHERE id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"DELETE FROM {table} WHERE id = 1")


def test_everything_of_an_organization_is_deleted_with_it(connection: sqlite3.Connection) -> None:
    insert(connection, "api_keys", VALID_ROWS["api_keys"])
    connection.execute("DELETE FROM organizations WHERE id = 1")
    for table in ("api_keys", "harnesses", "agents", "sessions"):
        assert connection.execute(f"SELECT 1 FROM {table} WHERE organization_id = 1").fetchall() == []
    assert connection.execute("SELECT SUM(sessions) FROM session_counts").fetchone() == (0,)


def test_the_internal_id_of_a_deleted_organization_is_not_used_again(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM organizations")
    insert(connection, "organizations", VALID_ROWS["organizations"])
    assert connection.execute("SELECT id FROM organizations").fetchone() == (3,)


def test_features_and_dependencies_are_deleted_with_their_capability(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM capabilities")
    assert count(connection, "capability_features") == count(connection, "capability_dependencies") == 0


def test_a_session_whose_number_or_organization_changes_keeps_its_tags_and_title(database: Database) -> None:
    organization, _ = create_organization(database)
    other, _ = create_organization(database)
    import_records(database, organization, {"id": "session_1", "title": "Refund", "tags": ["billing"]})
    execute(database.path, "UPDATE sessions SET id = 77, organization_id = ?", other.id)
    assert execute(database.path, "SELECT organization_id, tag, session_id FROM session_tags") == [
        (other.id, "billing", 77)
    ]
    assert execute(database.path, "SELECT rowid FROM session_titles WHERE session_titles MATCH 'refund'") == [(77,)]
    with database.read() as connection:
        assert list(check.errors(connection)) == []
