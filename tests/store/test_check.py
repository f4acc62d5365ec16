"""Checking a database: each error has a line, and what is derived is repaired."""

import sqlite3
from contextlib import closing

import pytest

from everruns.records import Organization
from everruns.store import check, derived
from everruns.store.db import Database
from tests.support.database import create_organization, execute, import_records
from tests.support.records import agent_record, harness_record, session_record
from tests.support.sql import execute_without_foreign_keys


def errors(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(check.errors(connection))


def repair(database: Database) -> None:
    with database.write() as connection:
        derived.rebuild_all(connection)


@pytest.fixture(autouse=True)
def stored_sessions(database: Database, organization: Organization) -> None:
    sessions = (session_record(n, harness_id="harness_1") for n in range(3))
    import_records(database, organization, harness_record("harness_1"), agent_record(), *sessions)


def test_a_valid_database_has_no_errors(database: Database) -> None:
    assert errors(database) == []
    repair(database)
    assert errors(database) == []


def test_references_to_missing_rows_are_errors(database: Database) -> None:
    execute_without_foreign_keys(database.path, "DELETE FROM agents")
    execute_without_foreign_keys(database.path, "DELETE FROM harnesses")
    assert errors(database) == [
        f"sessions row {row} refers to a row of {parent} that does not exist"
        for row in (1, 2, 3)
        for parent in ("agents", "harnesses")
    ]


def test_keys_of_an_organization_that_another_program_deleted_are_errors(database: Database) -> None:
    other, _ = create_organization(database)
    execute_without_foreign_keys(database.path, f"DELETE FROM organizations WHERE id = {other.id}")
    assert errors(database) == ["api_keys row 1 refers to a row of organizations that does not exist"]


def test_a_value_that_breaks_a_constraint_is_an_error(database: Database) -> None:
    with closing(sqlite3.connect(database.path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE sessions SET model_id = NULL, updated_at = 'yesterday' WHERE id = 1")
    assert errors(database) == ["CHECK constraint failed in sessions"]


def test_a_capability_that_is_not_an_object_is_an_error(database: Database) -> None:
    for table in ("harnesses", "agents", "sessions"):
        execute(database.path, f"UPDATE {table} SET capabilities = ? WHERE id = 1", '[{"ref": "a"}, "skills"]')
    assert errors(database) == [
        f"{table} row 1: each of its capabilities must be an object" for table in ("agents", "harnesses", "sessions")
    ]


def test_missing_parts_of_the_schema_are_errors_and_additional_ones_are_not(database: Database) -> None:
    for statement in (
        "DROP TRIGGER sessions_insert_count",
        "DROP INDEX sessions_by_agent",
        "DROP VIEW session_count_changes",
        "CREATE TABLE additional (x)",
        "CREATE INDEX additional_by_x ON additional (x)",
        "ANALYZE",
    ):
        execute(database.path, statement)
    assert errors(database) == [
        "the index sessions_by_agent is missing",
        "the trigger session_count_changes_insert is missing",
        "the trigger sessions_insert_count is missing",
        "the view session_count_changes is missing",
    ]


def test_an_index_that_disagrees_with_its_table_is_an_error(database: Database) -> None:
    database.checkpoint()
    ((page,),) = execute(database.path, "SELECT rootpage FROM sqlite_schema WHERE name = 'sessions_by_agent'")
    ((page_size,),) = execute(database.path, "PRAGMA page_size")
    with database.path.open("r+b") as file:
        file.seek(page * page_size - 10)  # in a timestamp at the end of the page
        file.write(b"x")
    database.close()
    assert "row 1 missing from index sessions_by_agent" in errors(database)


def test_wrong_counts_are_errors_until_they_are_repaired(database: Database) -> None:
    execute(database.path, "UPDATE session_counts SET sessions = 4 WHERE precision = 0")
    assert errors(database) == [
        "session_counts must have the row 1, 0, 0, '', 'started', 3",
        "session_counts must have the row 1, 1, 0, '', 'started', 3",
        "session_counts must not have the row 1, 0, 0, '', 'started', 4",
        "session_counts must not have the row 1, 1, 0, '', 'started', 4",
    ]
    repair(database)
    assert errors(database) == []


def test_wrong_provided_features_are_errors_until_they_are_repaired(database: Database) -> None:
    execute(database.path, "DELETE FROM provided_features WHERE capability_id = 'openui'")
    execute(database.path, "INSERT INTO provided_features VALUES ('openui', 'flight')")
    execute_without_foreign_keys(database.path, "DELETE FROM capabilities WHERE id = 'a2ui'")
    assert errors(database) == [
        "capability_features row None refers to a row of capabilities that does not exist",
        "provided_features must have the row 'openui', 'openui'",
        "provided_features must not have the row 'a2ui', 'a2ui'",
        "provided_features must not have the row 'openui', 'flight'",
    ]
    repair(database)
    assert errors(database) == ["capability_features row None refers to a row of capabilities that does not exist"]


def test_wrong_tags_and_titles_are_errors_until_they_are_repaired(database: Database) -> None:
    execute(database.path, "UPDATE sessions SET tags = '[\"billing\"]', title = 'Refund' WHERE id = 1")
    execute(database.path, "UPDATE session_tags SET tag = 'other'")
    execute(database.path, "INSERT INTO session_titles (session_titles, rowid, title) VALUES ('delete', 1, 'Refund')")
    assert errors(database) == [
        "session_tags must have the row 1, 'billing', 1",
        "session_tags must not have the row 1, 'other', 1",
        "session_titles must have 3 rows; got 2",
    ]
    repair(database)
    assert errors(database) == []
