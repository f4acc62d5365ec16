"""The SQL of GET /v1/sessions: the total, the page, and the features of each session on it."""

import json
import sqlite3
from typing import NamedTuple

from everruns import spans
from everruns.auth import Organization
from everruns.schemas import SessionsQuery
from everruns.values import BASE_HARNESS, same_id

FIND_AGENT = """
SELECT id
FROM agents
WHERE organization_id = :organization_id
  AND lower(replace(public_id, '-', '')) = :same_id
"""

# From a place in the order on; two parts, so that both are ranges of the index also where many share an instant.
PAGE_OF_ORGANIZATION = """
SELECT created_at, id
FROM sessions
WHERE organization_id = :organization_id
  AND created_at = :until_created_at
  AND id <= :until_id
UNION ALL
SELECT created_at, id
FROM sessions
WHERE organization_id = :organization_id
  AND created_at < :until_created_at
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""

PAGE_OF_AGENT = """
SELECT created_at, id
FROM sessions
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND created_at = :until_created_at
  AND id <= :until_id
UNION ALL
SELECT created_at, id
FROM sessions
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND created_at < :until_created_at
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset
"""

# A session's active capabilities are its harness's, its agent's and its own and all that these need, as far as each is
# in the catalog and available; UNION, unlike UNION ALL, ends the walk at a cycle. Those of a harness and of an agent
# are found once for the page.
SESSIONS_AS_JSON = """
WITH RECURSIVE
page (id) AS MATERIALIZED (
  SELECT value
  FROM json_each(:ids)
),
page_harnesses (id) AS MATERIALIZED (
  SELECT DISTINCT sessions.harness_id
  FROM page
  JOIN sessions ON sessions.id = page.id
),
page_agents (id) AS MATERIALIZED (
  SELECT DISTINCT sessions.agent_id
  FROM page
  JOIN sessions ON sessions.id = page.id
),
active (harness_id, agent_id, session_id, capability_id) AS (
  SELECT page_harnesses.id, NULL, NULL, capabilities.id
  FROM page_harnesses
  JOIN harness_capabilities ON harness_capabilities.harness_id = page_harnesses.id
  JOIN capabilities ON capabilities.id = harness_capabilities.capability_id
  WHERE capabilities.status = 'available'
  UNION
  SELECT NULL, page_agents.id, NULL, capabilities.id
  FROM page_agents
  JOIN agent_capabilities ON agent_capabilities.agent_id = page_agents.id
  JOIN capabilities ON capabilities.id = agent_capabilities.capability_id
  WHERE capabilities.status = 'available'
  UNION
  SELECT NULL, NULL, page.id, capabilities.id
  FROM page
  JOIN session_capabilities ON session_capabilities.session_id = page.id
  JOIN capabilities ON capabilities.id = session_capabilities.capability_id
  WHERE capabilities.status = 'available'
  UNION
  SELECT active.harness_id, active.agent_id, active.session_id, capabilities.id
  FROM active
  JOIN capability_dependencies ON capability_dependencies.capability_id = active.capability_id
  JOIN capabilities ON capabilities.id = capability_dependencies.dependency_id
  WHERE capabilities.status = 'available'
),
contributed (harness_id, agent_id, session_id, feature) AS MATERIALIZED (
  SELECT active.harness_id, active.agent_id, active.session_id, capability_features.feature
  FROM active
  CROSS JOIN capability_features ON capability_features.capability_id = active.capability_id
)
SELECT sessions.id, json_object(
  'id', sessions.public_id,
  'organization_id', organizations.public_id,
  'harness_id', coalesce(harnesses.public_id, :base_harness),
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
      SELECT DISTINCT feature
      FROM contributed
      WHERE harness_id = sessions.harness_id
         OR agent_id = sessions.agent_id
         OR session_id = sessions.id
      ORDER BY feature
    )
  ),
  'created_at', sessions.created_at,
  'updated_at', sessions.updated_at
)
FROM page
JOIN sessions ON sessions.id = page.id
JOIN organizations ON organizations.id = sessions.organization_id
LEFT JOIN harnesses ON harnesses.id = sessions.harness_id
JOIN agents ON agents.id = sessions.agent_id
"""


class Page(NamedTuple):
    """A page: `sessions` is a JSON array, `total` how many match, `newest` when the newest of these was created."""

    sessions: str
    total: int
    newest: str | None


def list_sessions(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> Page:
    """The sessions of `organization` that `query` asks for, newest first.

    `connection` is inside a read transaction, so that page and total are of one moment.
    """
    scope = find_scope(connection, organization, query.agent_id)
    if scope is None:
        return Page("[]", 0, None)
    newer = 0 if query.created_before is None else spans.count_since(connection, scope, query.created_before)
    if query.created_after is None:
        total = spans.count_all(connection, scope) - newer
    else:
        total = spans.count_since(connection, scope, query.created_after) - newer
    rows = _page(connection, scope, newer + query.offset, min(query.limit, total - query.offset))
    newest = rows[:1] if query.offset == 0 else _page(connection, scope, newer, min(1, total))
    ids = [session_id for _, session_id in rows]
    bound = {"ids": json.dumps(ids), "base_harness": BASE_HARNESS}
    rendered = dict(connection.execute(SESSIONS_AS_JSON, bound).fetchall())
    sessions = ",".join(rendered[session_id] for session_id in ids if session_id in rendered)
    return Page(f"[{sessions}]", total, newest[0][0] if newest else None)


def find_scope(connection: sqlite3.Connection, organization: Organization, agent_id: str | None) -> spans.Scope | None:
    """Whose sessions are asked for: the organization's, or those of its agent `agent_id`; None when it has no such."""
    if agent_id is None:
        return spans.Scope(organization.id, spans.ALL_AGENTS)
    agent = connection.execute(
        FIND_AGENT, {"organization_id": organization.id, "same_id": same_id(agent_id)}
    ).fetchone()
    return spans.Scope(organization.id, agent[0]) if agent else None


def _page(connection: sqlite3.Connection, scope: spans.Scope, offset: int, limit: int) -> list[tuple[str, int]]:
    """When created, and the id, of `limit` sessions of `scope` after the newest `offset`, which must exist."""
    if limit <= 0:
        return []
    place = spans.find(connection, scope, offset)
    sql = PAGE_OF_ORGANIZATION if scope.agent_id == spans.ALL_AGENTS else PAGE_OF_AGENT
    return connection.execute(sql, {**scope._asdict(), **place._asdict(), "limit": limit}).fetchall()
