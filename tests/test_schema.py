"""schema.sql refuses every row that would break an answer, whoever writes it."""

import re
import sqlite3

import pytest

from everruns import db
from everruns.values import BASE_HARNESS
from tests.conftest import World

ROWS: dict[str, dict[str, object]] = {
    "organizations": {"id": 9, "public_id": "org_9", "name": "nine"},
    "api_keys": {
        "organization_id": 1,
        "name": "",
        "sha256": b"x" * 32,
        "prefix": "evr_12345678",
        "created_at": "2026-02-27T13:13:53.000000Z",
        "expires_at": None,
        "revoked_at": None,
    },
    "harnesses": {"organization_id": 1, "public_id": "harness_9", "name": None},
    "agents": {"organization_id": 1, "public_id": "agent_9", "name": None},
    "sessions": {
        "organization_id": 1,
        "harness_id": 1,
        "agent_id": 1,
        "public_id": "session_9",
        "title": None,
        "tags": "[]",
        "model_id": None,
        "status": "idle",
        "created_at": "2026-02-27T23:59:59.999999Z",
        "updated_at": "2026-02-27T23:59:59.999999Z",
    },
    "harness_capabilities": {"harness_id": 1, "position": 0, "capability_id": "skills", "config": None},
    "agent_capabilities": {"agent_id": 1, "position": 0, "capability_id": "skills", "config": None},
    "session_capabilities": {"session_id": 1, "position": 0, "capability_id": "skills", "config": None},
    "capabilities": {"id": "new", "name": "New", "category": None, "status": "available"},
    "capability_dependencies": {"capability_id": "skills", "dependency_id": "new"},
    "capability_features": {"capability_id": "skills", "feature": "new"},
}

INSTANTS: list[object] = [
    None,
    "",
    "now",
    "2026-02-27",
    "2026-02-27T13:13:53Z",
    "2026-02-27T13:13:53.00000Z",
    "2026-02-27T13:13:53.0000000Z",
    "2026-02-27T13:13:53.00000aZ",
    "2026-02-27T13:13:53.000000",
    "2026-02-27T13:13:53.000000+00:00",
    "2026-02-27 13:13:53.000000Z",
    "2026-02-27t13:13:53.000000z",
    "2026-02-30T13:13:53.000000Z",
    "2025-02-29T13:13:53.000000Z",
    "2026-13-01T13:13:53.000000Z",
    "2026-02-27T24:00:00.000000Z",
    "2026-12-31T23:59:60.000000Z",
    "0000-01-01T00:00:00.000000Z",
    "-001-01-01T00:00:00.000000Z",
    "2026-02-27T13:13:53.000000Z\0",
    1772198033,
]


def ids(prefix: str) -> list[object]:
    tails = ["", "a" * 65, "a b", "a_b", "a\0b", "a\0", "é", "a\n", "a'", "]"]
    return [None, "", "x_1", prefix.upper() + "_1", *(f"{prefix}_{tail}" for tail in tails)]


BAD: list[tuple[str, str, list[object]]] = [
    ("organizations", "public_id", [*ids("org"), "org_1", "org_-1-"]),
    ("organizations", "name", [None, ""]),
    ("api_keys", "organization_id", [None, 99]),
    ("api_keys", "name", [None]),
    ("api_keys", "sha256", [None, b"x" * 31, "x" * 32]),
    ("api_keys", "prefix", [None, "evr_"]),
    ("api_keys", "created_at", INSTANTS),
    ("api_keys", "expires_at", INSTANTS[1:]),
    ("api_keys", "revoked_at", INSTANTS[1:]),
    ("harnesses", "organization_id", [None, 99]),
    ("harnesses", "public_id", [*ids("harness"), "harness_A1", "harness_a-1"]),
    ("harnesses", "public_id", [BASE_HARNESS, "harness_01933B5A-0000-7000-8000-000000000601"]),
    ("agents", "organization_id", [None, 99]),
    ("agents", "public_id", [*ids("agent"), "agent_A1", "agent_a-1"]),
    ("harnesses", "id", [0, -1]),
    ("agents", "id", [0, -1]),
    ("sessions", "id", [0, -1, 2**53 + 1]),
    ("sessions", "organization_id", [None, 2, 99]),
    ("sessions", "harness_id", [2, 99, "x"]),
    ("sessions", "agent_id", [None, 2, 99]),
    ("sessions", "public_id", [*ids("session"), "session_A1", "session_a-1"]),
    ("sessions", "title", [b"x"]),
    ("sessions", "tags", [None, "", "x", "null", "{}", '"a"', "[1]", '["a", null]', '[["a"]]', '["a"', "[] x"]),
    ("sessions", "model_id", [b"x"]),
    ("sessions", "status", [None, "", "Idle", "done"]),
    ("sessions", "created_at", INSTANTS),
    ("sessions", "updated_at", INSTANTS),
    ("harness_capabilities", "harness_id", [None, 99]),
    ("harness_capabilities", "position", [None, -1, "x"]),
    ("harness_capabilities", "capability_id", [None, ""]),
    ("harness_capabilities", "config", ["", "[]", "1", "{", "null"]),
    ("agent_capabilities", "agent_id", [None, 99]),
    ("agent_capabilities", "position", [None, -1, "x"]),
    ("agent_capabilities", "capability_id", [None, ""]),
    ("agent_capabilities", "config", ["", "[]", "1", "{", "null"]),
    ("session_capabilities", "session_id", [None, 99]),
    ("session_capabilities", "position", [None, -1, "x"]),
    ("session_capabilities", "capability_id", [None, ""]),
    ("session_capabilities", "config", ["", "[]", "1", "{", "null"]),
    ("capabilities", "id", [None, ""]),
    ("capabilities", "name", [None]),
    ("capabilities", "status", [None, "", "gone"]),
    ("capability_dependencies", "capability_id", [None, "nothing"]),
    ("capability_dependencies", "dependency_id", [None]),
    ("capability_features", "capability_id", [None, "nothing"]),
    ("capability_features", "feature", [None, ""]),
]


@pytest.fixture
def connection(world: World) -> sqlite3.Connection:
    connection = sqlite3.connect(world.path, isolation_level=None)
    connection.executescript(
        """
        PRAGMA foreign_keys = ON;
        INSERT INTO organizations (id, public_id, name) VALUES (1, 'org_1', 'one'), (2, 'org_2', 'two');
        INSERT INTO harnesses VALUES (1, 1, 'harness_a1', 'h'), (2, 2, 'harness_a1', 'h');
        INSERT INTO agents VALUES (1, 1, 'agent_a1', 'a'), (2, 2, 'agent_a1', 'a');
        INSERT INTO sessions (id, organization_id, agent_id, public_id, created_at, updated_at)
        VALUES (1, 1, 1, 'session_a1', '2026-02-27T13:13:53.000000Z', '2026-02-27T13:13:53.000000Z');
        """
    )
    return connection


def insert(connection: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    names, places = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))


@pytest.mark.parametrize("table", ROWS)
def test_a_good_row_is_stored(connection: sqlite3.Connection, table: str) -> None:
    insert(connection, table, ROWS[table])


@pytest.mark.parametrize(
    ("table", "column", "value"), [(table, column, value) for table, column, values in BAD for value in values]
)
def test_a_bad_value_is_refused(connection: sqlite3.Connection, table: str, column: str, value: object) -> None:
    with pytest.raises(sqlite3.Error):
        insert(connection, table, {**ROWS[table], column: value})


@pytest.mark.parametrize(
    ("table", "column", "value"), [(table, column, value) for table, column, values in BAD for value in values]
)
def test_a_good_row_cannot_turn_bad(connection: sqlite3.Connection, table: str, column: str, value: object) -> None:
    if table == "capabilities":
        connection.execute("DELETE FROM capabilities WHERE id <> 'skills'")
    else:
        insert(connection, table, ROWS[table])
    key = {
        name: stored
        for name, stored in ROWS[table].items()
        if name in ("public_id", "sha256", "harness_id", "agent_id")
    }
    where = " AND ".join(f"{name} = ?" for name in key) or "TRUE"
    with pytest.raises(sqlite3.Error):
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", [value, *key.values()])


def test_a_session_cannot_follow_its_harness_to_another_organization(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE sessions SET harness_id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE harnesses SET organization_id = 2, public_id = 'harness_other' WHERE id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM harnesses WHERE id = 1")


def test_a_session_cannot_follow_its_agent_to_another_organization(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE agents SET organization_id = 2, public_id = 'agent_other' WHERE id = 1")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM agents WHERE id = 1")


def test_what_belongs_to_a_session_goes_with_it(connection: sqlite3.Connection) -> None:
    insert(connection, "session_capabilities", ROWS["session_capabilities"])
    connection.execute("DELETE FROM sessions")
    assert connection.execute("SELECT COUNT(*) FROM session_capabilities").fetchone() == (0,)


def test_the_program_expects_the_application_id_and_version_that_schema_sql_sets() -> None:
    assert re.search(r"PRAGMA application_id = (\d+);", db.schema())[1] == str(db.APPLICATION_ID)  # type: ignore[index]
    assert re.search(r"PRAGMA user_version = (\d+);", db.schema())[1] == str(db.SCHEMA_VERSION)  # type: ignore[index]
