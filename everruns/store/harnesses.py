"""Harnesses: saving and exporting."""

import sqlite3
from collections.abc import Iterator

from everruns.records import Organization
from everruns.store import tables

EXPORT = """
SELECT json_object(
  'id', public_id,
  'name', name,
  'display_name', display_name,
  'description', description,
  'system_prompt', system_prompt,
  'default_model_id', default_model_id,
  'tags', json(tags),
  'capabilities', json(capabilities),
  'status', status,
  'archived_at', archived_at,
  'created_at', created_at,
  'updated_at', updated_at
)
FROM harnesses
WHERE organization_id = :organization_id
ORDER BY id
"""

TABLE = tables.Table(
    last_id="""
    SELECT coalesce(MAX(id), 0)
    FROM harnesses
    """,
    find="""
    SELECT id, public_id, name, display_name, description, system_prompt, default_model_id, tags, capabilities, status,
      archived_at, created_at, updated_at
    FROM harnesses
    WHERE organization_id = :organization_id
      AND canonical_id = :canonical_id
    """,
    insert="""
    INSERT INTO harnesses
      (id, organization_id, public_id, name, display_name, description, system_prompt, default_model_id, tags,
       capabilities, status, archived_at, created_at, updated_at)
    VALUES
      (:id, :organization_id, :public_id, :name, :display_name, :description, :system_prompt, :default_model_id, :tags,
       :capabilities, :status, :archived_at, :created_at, :updated_at)
    """,
    update="""
    UPDATE harnesses
    SET public_id = :public_id,
        name = :name,
        display_name = :display_name,
        description = :description,
        system_prompt = :system_prompt,
        default_model_id = :default_model_id,
        tags = :tags,
        capabilities = :capabilities,
        status = :status,
        archived_at = :archived_at,
        created_at = :created_at,
        updated_at = :updated_at
    WHERE id = :id
    """,
    defaults={
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
    """Yield each harness of the organization as a JSON object that an import takes, in the order of storing."""
    for (line,) in connection.execute(EXPORT, {"organization_id": organization.id}):
        yield line
