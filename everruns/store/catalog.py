"""The capability catalog. `computed_provided_features` in `schema.sql` adds the features of dependencies."""

import sqlite3
from pathlib import Path

from everruns.records import ListQuery, Page, Record
from everruns.store import derived
from everruns.store.tables import as_json

BUILT_IN = Path(__file__).with_name("catalog.json")

INSERT = """
INSERT INTO capabilities (id, name, description, category, status)
VALUES (:id, :name, :description, :category, :status)
"""

INSERT_DEPENDENCIES = """
INSERT INTO capability_dependencies (capability_id, dependency_id)
SELECT DISTINCT ?, value
FROM json_each(?)
"""

INSERT_FEATURES = """
INSERT INTO capability_features (capability_id, feature)
SELECT DISTINCT ?, value
FROM json_each(?)
"""

SELECT_CAPABILITIES = """
SELECT json_object(
  'id', id,
  'name', name,
  'description', description,
  'category', category,
  'status', status,
  'dependencies', (
    SELECT json_group_array(dependency_id)
    FROM capability_dependencies
    WHERE capability_id = capabilities.id
  ),
  'features', (
    SELECT json_group_array(feature)
    FROM capability_features
    WHERE capability_id = capabilities.id
  )
)
FROM capabilities
"""

SEARCH = """
WHERE :search IS NULL
   OR instr(casefold(CAST(id AS BLOB)), :search)
   OR instr(casefold(CAST(name AS BLOB)), :search)
   OR instr(casefold(CAST(description AS BLOB)), :search)
ORDER BY id
"""


def replace(connection: sqlite3.Connection, capabilities: list[Record]) -> None:
    """Replace the whole catalog by validated `capabilities`, inside a write transaction."""
    connection.execute("DELETE FROM capability_features")
    connection.execute("DELETE FROM capability_dependencies")
    connection.execute("DELETE FROM capabilities")
    for capability in capabilities:
        connection.execute(INSERT, {"description": "", "category": None, **capability})
        connection.execute(INSERT_DEPENDENCIES, [capability["id"], as_json(capability.get("dependencies", []))])
        connection.execute(INSERT_FEATURES, [capability["id"], as_json(capability.get("features", []))])
    derived.rebuild(connection, "provided_features")


def list_capabilities(connection: sqlite3.Connection, query: ListQuery) -> Page:
    """Return the page of capabilities that `query` asks for, by id. There are few: all are read."""
    values = {"search": query.search and query.search.casefold()}
    rows = [row for (row,) in connection.execute(SELECT_CAPABILITIES + SEARCH, values)]
    return Page(",".join(rows[query.offset : query.offset + query.limit]), len(rows))


def render(connection: sqlite3.Connection, capability_id: str) -> str | None:
    """Return the capability as JSON, or None."""
    row = connection.execute(f"{SELECT_CAPABILITIES} WHERE id = :id", {"id": capability_id}).fetchone()
    return row[0] if row else None
