"""Agents: saving and exporting."""

import sqlite3
from collections.abc import Iterator

from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store import harnesses, tables

EXPORT = """
SELECT json_object(
  'id', agents.public_id,
  'harness_id', coalesce(harnesses.public_id, :base_harness),
  'name', agents.name,
  'display_name', agents.display_name,
  'description', agents.description,
  'system_prompt', agents.system_prompt,
  'default_model_id', agents.default_model_id,
  'tags', json(agents.tags),
  'capabilities', json(agents.capabilities),
  'status', agents.status,
  'archived_at', agents.archived_at,
  'created_at', agents.created_at,
  'updated_at', agents.updated_at
)
FROM agents
LEFT JOIN harnesses ON harnesses.id = agents.harness_id
WHERE agents.organization_id = :organization_id
ORDER BY agents.id
"""

TABLE = tables.Table(
    last_id="""
    SELECT coalesce(MAX(id), 0)
    FROM agents
    """,
    find="""
    SELECT id, harness_id, public_id, name, display_name, description, system_prompt, default_model_id, tags,
      capabilities, status, archived_at, created_at, updated_at
    FROM agents
    WHERE organization_id = :organization_id
      AND canonical_id = :canonical_id
    """,
    insert="""
    INSERT INTO agents
      (id, organization_id, harness_id, public_id, name, display_name, description, system_prompt, default_model_id,
       tags, capabilities, status, archived_at, created_at, updated_at)
    VALUES
      (:id, :organization_id, :harness_id, :public_id, :name, :display_name, :description, :system_prompt,
       :default_model_id, :tags, :capabilities, :status, :archived_at, :created_at, :updated_at)
    """,
    update="""
    UPDATE agents
    SET harness_id = :harness_id,
        public_id = :public_id,
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
    defaults={"harness_id": None, **harnesses.TABLE.defaults},
)


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """Yield each agent of the organization as a JSON object that an import takes, in the order of storing."""
    values = {"organization_id": organization.id, "base_harness": BASE_HARNESS}
    for (line,) in connection.execute(EXPORT, values):
        yield line
