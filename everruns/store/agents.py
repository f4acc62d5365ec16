"""Agents: their rendering as JSON, and the table."""

from everruns.store import harnesses
from everruns.store.tables import Table

SELECT_AGENTS = """
SELECT json_patch(json_object(
  'id', agents.public_id,
  'organization_id', :organization,
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
), iif(:with_session_counts, json_object(
  'session_counts', (
    SELECT json_object(
      'total', coalesce(SUM(sessions), 0),
      'started', coalesce(SUM(sessions) FILTER (WHERE session_counts.status = 'started'), 0),
      'active', coalesce(SUM(sessions) FILTER (WHERE session_counts.status = 'active'), 0),
      'idle', coalesce(SUM(sessions) FILTER (WHERE session_counts.status = 'idle'), 0)
    )
    FROM session_counts
    WHERE session_counts.organization_id = agents.organization_id
      AND session_counts.agent_id = agents.id
      AND session_counts.precision = 0
  )
), '{}'))
FROM agents
LEFT JOIN harnesses
  ON harnesses.id = agents.harness_id
  AND harnesses.organization_id = agents.organization_id
"""

TABLE = Table("agents", SELECT_AGENTS, {"harness_id": None, **harnesses.TABLE.defaults})
