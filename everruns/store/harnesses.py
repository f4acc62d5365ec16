"""Harnesses: their rendering as JSON, and the table."""

import sqlite3
from collections.abc import Iterator

from everruns.records import Organization
from everruns.store.tables import Table, rendering_values

SELECT_HARNESSES = """
SELECT json_object(
  'id', public_id,
  'organization_id', :organization,
  'name', name,
  'display_name', display_name,
  'description', description,
  'system_prompt', system_prompt,
  'default_model_id', default_model_id,
  'tags', json(tags),
  'capabilities', json(capabilities),
  'status', status,
  'is_built_in', json('false'),
  'archived_at', archived_at,
  'created_at', created_at,
  'updated_at', updated_at
)
FROM harnesses
"""

IN_ORDER_OF_STORING = """
WHERE organization_id = :organization_id
ORDER BY id
"""

TABLE = Table(
    "harnesses",
    {
        "public_id": None,
        "name": None,
        "display_name": None,
        "description": None,
        "system_prompt": "",
        "default_model_id": None,
        "tags": "[]",
        "capabilities": "[]",
        "status": "active",
        "archived_at": None,
        "created_at": None,
        "updated_at": None,
    },
)


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """Yield each harness of the organization as JSON, in the order of storing."""
    rows = connection.execute(SELECT_HARNESSES + IN_ORDER_OF_STORING, rendering_values(organization))
    return (row for (row,) in rows)
