"""The SQL of GET /v1/sessions: the total, the page, and the features of each session on it."""

import json
import sqlite3

from everruns.auth import Organization
from everruns.schemas import SessionsQuery
from everruns.values import same_id

FIND_AGENT = """
SELECT id
FROM agents
WHERE organization_id = :organization_id
  AND lower(replace(public_id, '-', '')) = :same_id
"""

COUNT_OF_ORGANIZATION = """
SELECT COUNT(*)
FROM sessions
WHERE organization_id = :organization_id
"""

COUNT_OF_AGENT = """
SELECT COUNT(*)
FROM sessions
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
"""

IDS_OF_ORGANIZATION = """
SELECT id
FROM sessions
WHERE organization_id = :organization_id
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""

IDS_OF_AGENT = """
SELECT id
FROM sessions
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""

# A session's active capabilities are its agent's and its own and all that these need, as far as each is in the
# catalog and available; UNION, unlike UNION ALL, ends the walk at a cycle.
SESSIONS_AS_JSON = """
WITH RECURSIVE
page (position, id) AS MATERIALIZED (
  SELECT key, value
  FROM json_each(:ids)
),
active (session_id, capability_id) AS (
  SELECT page.id, capabilities.id
  FROM page
  JOIN session_capabilities ON session_capabilities.session_id = page.id
  JOIN capabilities ON capabilities.id = session_capabilities.capability_id
  WHERE capabilities.status = 'available'
  UNION
  SELECT page.id, capabilities.id
  FROM page
  JOIN sessions ON sessions.id = page.id
  JOIN agent_capabilities ON agent_capabilities.agent_id = sessions.agent_id
  JOIN capabilities ON capabilities.id = agent_capabilities.capability_id
  WHERE capabilities.status = 'available'
  UNION
  SELECT active.session_id, capabilities.id
  FROM active
  JOIN capability_dependencies ON capability_dependencies.capability_id = active.capability_id
  JOIN capabilities ON capabilities.id = capability_dependencies.dependency_id
  WHERE capabilities.status = 'available'
)
SELECT json_object(
  'id', sessions.public_id,
  'organization_id', organizations.public_id,
  'agent_id', agents.public_id,
  'title', sessions.title,
  'tags', json(sessions.tags),
  'model_id', sessions.model_id,
  'capabilities', (
    SELECT json_group_array(
      CASE
        WHEN config IS NULL THEN json_object('ref', capability_id)
        ELSE json_object('ref', capability_id, 'config', json(config))
      END
    )
    FROM (
      SELECT capability_id, config
      FROM session_capabilities
      WHERE session_id = sessions.id
      ORDER BY position
    )
  ),
  'status', sessions.status,
  'features', (
    SELECT json_group_array(feature)
    FROM (
      SELECT DISTINCT capability_features.feature
      FROM active
      JOIN capability_features ON capability_features.capability_id = active.capability_id
      WHERE active.session_id = sessions.id
      ORDER BY capability_features.feature
    )
  ),
  'created_at', sessions.created_at,
  'updated_at', sessions.updated_at
)
FROM page
JOIN sessions ON sessions.id = page.id
JOIN organizations ON organizations.id = sessions.organization_id
JOIN agents ON agents.id = sessions.agent_id
ORDER BY page.position
"""


def list_sessions(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> str:
    """The answer of `GET /v1/sessions` as JSON text: the page and the total of what `query` asks for.

    `connection` is inside a read transaction, so that page and total are of one moment.
    """
    bound: dict[str, object] = {
        "organization_id": organization.id,
        "offset": query["offset"],
        "limit": query["limit"],
    }
    if query["agent_id"] is None:
        count_sql, ids_sql = COUNT_OF_ORGANIZATION, IDS_OF_ORGANIZATION
    else:
        count_sql, ids_sql = COUNT_OF_AGENT, IDS_OF_AGENT
        agent = {"organization_id": organization.id, "same_id": same_id(query["agent_id"])}
        (bound["agent_id"],) = connection.execute(FIND_AGENT, agent).fetchone() or (None,)
    (total,) = connection.execute(count_sql, bound).fetchone()
    ids = [session_id for (session_id,) in connection.execute(ids_sql, bound)]
    data = ",".join(text for (text,) in connection.execute(SESSIONS_AS_JSON, {"ids": json.dumps(ids)}))
    return f'{{"data":[{data}],"total":{total},"offset":{query["offset"]},"limit":{query["limit"]}}}\n'
