"""Features that are kept for a version of the catalog."""

import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from everruns.records import Organization
from everruns.store import catalog, db, features, sessions
from everruns.store.db import Database
from everruns.store.tables import render, render_all
from tests.support.database import create_database, create_organization, execute, import_records
from tests.support.records import agent_record, harness_record, session_record

SESSION = {"id": "session_1", "capabilities": [{"ref": "openui"}]}


def catalog_with(feature: str) -> list[dict[str, object]]:
    return [{"id": "openui", "name": "OpenUI", "status": "available", "features": [feature]}]


def served(connection: sqlite3.Connection, organization: Organization) -> list[str]:
    """Return the features of `SESSION`."""
    return list(json.loads(render(connection, sessions.TABLE, organization, "session_1") or "")["features"])


def test_a_catalog_shows_in_the_transaction_that_loads_it_and_not_after_its_rollback(
    database: Database, organization: Organization
) -> None:
    import_records(database, organization, SESSION)
    with closing(db.connect(database.path, 5)) as connection:
        assert served(connection, organization) == ["openui"]
        connection.execute("BEGIN IMMEDIATE")
        catalog.replace(connection, catalog_with("new"))
        assert served(connection, organization) == ["new"]
        connection.execute("ROLLBACK")
        assert served(connection, organization) == ["openui"]


def test_two_databases_of_a_process_have_different_catalogs(tmp_path: Path) -> None:
    for name in ("first", "second"):
        database = Database(create_database(tmp_path / name))
        organization, _ = create_organization(database)
        import_records(database, organization, SESSION)
        with database.write() as connection:
            catalog.replace(connection, catalog_with(name))
            assert served(connection, organization) == [name]
        database.close()


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO provided_features VALUES ('openui', 'another')",
        "UPDATE provided_features SET feature = 'another' WHERE capability_id = 'openui'",
        "DELETE FROM provided_features WHERE capability_id = 'openui'",
    ],
)
def test_a_change_of_provided_features_makes_a_new_version(database: Database, change: str) -> None:
    before = execute(database.path, "SELECT version FROM catalog_version")
    execute(database.path, change)
    assert execute(database.path, "SELECT version FROM catalog_version") != before


def test_more_combinations_than_are_kept_have_their_features(database: Database, organization: Organization) -> None:
    count = features.MAX_KEPT + 10
    records = (
        {"id": f"session_{number}", "capabilities": [{"ref": "openui"}, {"ref": f"unknown-{number}"}]}
        for number in range(count)
    )
    import_records(database, organization, *records)
    with database.read() as connection:
        for _ in range(2):
            rows = [json.loads(row) for row in render_all(connection, sessions.TABLE, organization)]
            assert [row["features"] for row in rows] == [["openui"]] * count


def test_what_is_kept_is_found_by_all_of_its_key(database: Database) -> None:
    key = (-1, None, b"[1]", b"[2]")
    with database.read() as connection:
        assert connection.execute("SELECT keep_features(?, ?, ?, ?, 'found')", key).fetchone() == ("found",)
        for other in (key, (-2, *key[1:]), (-1, b"[1]", b"[1]", b"[2]"), (-1, None, None, b"[2]"), (*key[:3], b"[]")):
            (kept,) = connection.execute("SELECT kept_features(?, ?, ?, ?)", other).fetchone()
            assert kept == ("found" if other == key else None)


@pytest.mark.parametrize("surplus", [0, 1])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_capabilities_are_kept_up_to_a_length(database: Database, position: int, surplus: int) -> None:
    capabilities = [b"[]", b"[]", b"[]"]
    capabilities[position] = b"x" * (features.MAX_BYTES - 4 + surplus)
    with database.read() as connection:
        connection.execute("SELECT keep_features(-3, ?, ?, ?, 'found')", capabilities).fetchone()
        (kept,) = connection.execute("SELECT kept_features(-3, ?, ?, ?)", capabilities).fetchone()
    assert kept == (None if surplus else "found")


@pytest.mark.parametrize("table", ["harnesses", "agents", "sessions"])
def test_capabilities_that_another_program_stored_with_bytes_that_are_not_utf8_provide_features(
    database: Database, organization: Organization, table: str
) -> None:
    import_records(
        database, organization, harness_record("harness_1"), agent_record(), session_record(harness_id="harness_1")
    )
    capabilities = b'[{"ref":"openui","config":{"text":"\xff"}}]'
    execute(database.path, f"UPDATE {table} SET capabilities = CAST(? AS TEXT)", capabilities)
    with database.read() as connection:
        assert "openui" in served(connection, organization)


def test_long_configurations_take_no_memory(database: Database, organization: Organization) -> None:
    """A client could fill a worker's memory with sessions whose capabilities have a mebibyte each."""
    count, size = 20, 1_000_000
    import_records(
        database,
        organization,
        *(
            {
                "id": f"session_{number}",
                "capabilities": [{"ref": "openui", "config": {"text": str(number) + "x" * size}}],
            }
            for number in range(count)
        ),
    )
    tracemalloc.start()
    with closing(db.connect(database.path, 5)) as connection:
        before, _ = tracemalloc.get_traced_memory()
        for row in render_all(connection, sessions.TABLE, organization):
            assert json.loads(row)["features"] == ["openui"]
        del row
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < count * size / 10
