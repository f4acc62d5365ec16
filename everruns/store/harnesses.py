"""Harnesses: their rendering as JSON, and the table."""

from everruns.store.tables import Table

# The base harness is built in: a row with the id 0 that every organization has and that is not stored.
SELECT_HARNESSES = """
SELECT json_object(
  'id', harnesses.public_id,
  'organization_id', :organization,
  'name', harnesses.name,
  'display_name', harnesses.display_name,
  'description', harnesses.description,
  'system_prompt', harnesses.system_prompt,
  'default_model_id', harnesses.default_model_id,
  'tags', json(harnesses.tags),
  'capabilities', json(harnesses.capabilities),
  'status', harnesses.status,
  'is_built_in', json(iif(harnesses.id = 0, 'true', 'false')),
  'archived_at', harnesses.archived_at,
  'created_at', harnesses.created_at,
  'updated_at', harnesses.updated_at
)
FROM (
  SELECT id, organization_id, public_id, canonical_id, name, display_name, description, system_prompt,
    default_model_id, tags, capabilities, status, archived_at, created_at, updated_at
  FROM harnesses
  UNION ALL
  SELECT 0, :organization_id, :base_harness, :base_harness, 'base', 'Base', 'Built in, without capabilities', '',
    NULL, '[]', '[]', 'active', NULL, '2024-11-17T18:19:34.272000Z', '2024-11-17T18:19:34.272000Z'
) AS harnesses
"""

TABLE = Table(
    "harnesses",
    SELECT_HARNESSES,
    {
        "name": None,
        "display_name": None,
        "description": None,
        "system_prompt": "",
        "default_model_id": None,
        "status": "active",
        "archived_at": None,
    },
)
