"""The capability catalog, and the features that its capabilities provide."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from everruns.records import Record

BUILT_IN = Path(__file__).with_name("catalog.json")

WRONG_FEATURES = """
SELECT 'must have', capability_id, feature
FROM (
  SELECT capability_id, feature FROM computed_provided_features
  EXCEPT
  SELECT capability_id, feature FROM provided_features
)
UNION ALL
SELECT 'must not have', capability_id, feature
FROM (
  SELECT capability_id, feature FROM provided_features
  EXCEPT
  SELECT capability_id, feature FROM computed_provided_features
)
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
    provide_features(connection)


def provide_features(connection: sqlite3.Connection) -> None:
    """Compute `provided_features` from the catalog."""
    connection.execute("DELETE FROM provided_features")
    connection.execute(
        """
        INSERT INTO provided_features (capability_id, feature)
        SELECT capability_id, feature
        FROM computed_provided_features
        """
    )


def wrong_features(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a line for each provided feature that the catalog does not agree with."""
    for rule, capability_id, feature in connection.execute(WRONG_FEATURES):
        yield f"provided_features: {capability_id} {rule} {feature}"


def _pairs(capabilities: list[Record], key: str) -> Iterator[tuple[str, str]]:
    return ((capability["id"], value) for capability in capabilities for value in capability.get(key, []))
