"""The capability catalog, and the features that its capabilities provide."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from everruns.records import ListQuery, Page, Record
from everruns.store import derived

BUILT_IN = Path(__file__).with_name("catalog.json")

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

BY_ID = """
WHERE :search IS NULL
   OR instr(casefold(id), :search)
   OR instr(casefold(name), :search)
   OR instr(casefold(description), :search)
ORDER BY id
"""


def replace(connection: sqlite3.Connection, capabilities: list[Record]) -> None:
    """Replace the whole catalog by validated `capabilities`, inside a write transaction."""
    connection.execute("DELETE FROM capability_features")
    connection.execute("DELETE FROM capability_dependencies")
    connection.execute("DELETE FROM capabilities")
    connection.executemany(
        """
        INSERT INTO capabilities (id, name, description, category, status)
        VALUES (:id, :name, :description, :category, :status)
        """,
        ({"description": "", "category": None, **capability} for capability in capabilities),
    )
    connection.executemany(
        """
        INSERT OR IGNORE INTO capability_dependencies (capability_id, dependency_id)
        VALUES (?, ?)
        """,
        _pairs(capabilities, "dependencies"),
    )
    connection.executemany(
        """
        INSERT OR IGNORE INTO capability_features (capability_id, feature)
        VALUES (?, ?)
        """,
        _pairs(capabilities, "features"),
    )
    derived.rebuild(connection, "provided_features")


def list_capabilities(connection: sqlite3.Connection, query: ListQuery) -> Page:
    """Return the page of capabilities that `query` asks for, by id. There are few: all are read."""
    values = {"search": query.search and query.search.casefold()}
    rows = [row for (row,) in connection.execute(SELECT_CAPABILITIES + BY_ID, values)]
    return Page(",".join(rows[query.offset : query.offset + query.limit]), len(rows))


def render(connection: sqlite3.Connection, capability_id: str) -> str | None:
    """Return the capability as JSON, or None."""
    row = connection.execute(f"{SELECT_CAPABILITIES} WHERE id = :id", {"id": capability_id}).fetchone()
    return row[0] if row else None


def _pairs(capabilities: list[Record], key: str) -> Iterator[tuple[str, str]]:
    return ((capability["id"], value) for capability in capabilities for value in capability.get(key, []))
