"""Making databases and filling them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from everruns.records import Organization
from everruns.store import catalog, derived, keys, organizations, schema, tables
from everruns.store.db import Database
from everruns.transfer import catalog as catalog_file
from everruns.transfer.importer import Import, Summary
from everruns.transfer.parser import ParsedRecord
from everruns.transfer.resources import AGENT, HARNESS, SESSION


def create_database(path: Path) -> Path:
    """Create a database with the built-in catalog, as `everruns init-db` does."""
    capabilities = catalog_file.read(catalog.BUILT_IN)
    schema.create(path, 5.0, lambda connection: catalog.replace(connection, capabilities))
    Database(path).checkpoint()
    return path


def create_organization(database: Database, public_id: str | None = None) -> tuple[Organization, str]:
    """Create an organization and a key of it."""
    with database.write() as connection:
        organization = organizations.create_organization(connection, "Acme", public_id)
        return organization, keys.create_key(connection, organization, "test")


def import_records(
    database: Database, organization: Organization, *records: dict[str, Any], merge: bool = False
) -> Summary:
    """Import records one by one, in the order given, as lines of NDJSON are."""
    groups = ([ParsedRecord(f"record {number}", record)] for number, record in enumerate(records, 1))
    with database.write() as connection:
        return Import(connection, organization, merge).run(groups)


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """Yield the records of an organization as `everruns export` prints them."""
    for kind in (HARNESS, AGENT, SESSION):
        yield from tables.render_all(connection, kind.table, organization)


def execute(path: Path, sql: str, *values: object, foreign_keys: bool = True) -> list[Any]:
    """Run SQL on the file and commit it, as any other program could; return the rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        return connection.execute(sql, values).fetchall()


def insert_sessions(path: Path, organization: Organization, count: int, agent_id: str | None = None) -> None:
    """Insert `session_1` to `session_{count}` by one statement, created in scattered seconds over two years.

    The triggers are left out meanwhile: a million sessions take some seconds.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'sessions'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(
            """
            WITH RECURSIVE numbers (n) AS (
              SELECT 1
              UNION ALL
              SELECT n + 1 FROM numbers WHERE n < :count
            ),
            timestamps (n, created_at) AS (
              SELECT n, strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + n * 7919 % 60000000, 'unixepoch')
              FROM numbers
            )
            INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
            SELECT :organization_id, (SELECT id FROM agents WHERE public_id = :agent_id), 'session_' || n, created_at,
              created_at
            FROM timestamps
            """,
            {"count": count, "organization_id": organization.id, "agent_id": agent_id},
        )
        for _, sql in triggers:
            connection.execute(sql)
        derived.rebuild_all(connection)
        connection.execute("COMMIT")
