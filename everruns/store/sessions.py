"""Sessions: their rendering as JSON, the list, and the table."""

import sqlite3
from datetime import UTC, datetime, timedelta

from everruns.records import ActivityQuery, Organization, Page, SessionsQuery
from everruns.store import agents, counts
from everruns.store.filters import Filters
from everruns.store.tables import Table, find_id, rendering_values

NO_AGENT = -1  # has no sessions

# A row whose harness or agent somebody removed by SQL is still listed. A capability that is not an object is ignored.
SELECT_SESSIONS = """
SELECT json_object(
  'id', sessions.public_id,
  'organization_id', :organization,
  'harness_id', coalesce(harnesses.public_id, :base_harness),
  'agent_id', agents.public_id,
  'title', sessions.title,
  'tags', json(sessions.tags),
  'model_id', sessions.model_id,
  'capabilities', json(sessions.capabilities),
  'status', sessions.status,
  'features', (
    SELECT json_group_array(feature)
    FROM (
      SELECT feature
      FROM (
        SELECT value ->> 'ref' AS ref
        FROM json_each(harnesses.capabilities)
        WHERE type = 'object'
        UNION ALL
        SELECT value ->> 'ref'
        FROM json_each(agents.capabilities)
        WHERE type = 'object'
        UNION ALL
        SELECT value ->> 'ref'
        FROM json_each(sessions.capabilities)
        WHERE type = 'object'
      )
      CROSS JOIN provided_features ON capability_id = ref
      GROUP BY feature
      ORDER BY feature
    )
  ),
  'created_at', sessions.created_at,
  'updated_at', sessions.updated_at
) AS session
FROM sessions
LEFT JOIN harnesses
  ON harnesses.id = sessions.harness_id
  AND harnesses.organization_id = sessions.organization_id
LEFT JOIN agents
  ON agents.id = sessions.agent_id
  AND agents.organization_id = sessions.organization_id
"""

# One row for the whole page: each row that is fetched costs a change of threads in a busy worker.
# The inner SELECT skips rows in a covering index; of equal timestamps, the last stored is first.
SELECT_PAGE = """
SELECT coalesce(group_concat(session, ','), '')
FROM (
  {select_sessions}
  WHERE sessions.id IN (
    SELECT sessions.id
    {source}
    WHERE sessions.organization_id = :organization_id
      {conditions}
      AND sessions.created_at >= :created_after
      AND sessions.created_at < :created_before
    ORDER BY sessions.created_at DESC, sessions.id DESC
    LIMIT :limit OFFSET :offset
  )
  ORDER BY sessions.created_at DESC, sessions.id DESC
)
"""

FIND_NEWEST = """
SELECT created_at
FROM sessions
WHERE organization_id = :organization_id
  {conditions}
  AND created_at >= :created_after
  AND created_at < :created_before
ORDER BY created_at DESC
LIMIT 1
"""

COUNT_MATCHES = """
SELECT COUNT(*), MAX(sessions.created_at)
{source}
WHERE sessions.organization_id = :organization_id
  {conditions}
  AND sessions.created_at >= :created_after
  AND sessions.created_at < :created_before
"""

# The inner SELECT limits how many are deleted at once, so that nobody waits long for the lock.
PRUNE = """
DELETE FROM sessions
WHERE id IN (
  SELECT id
  FROM sessions
  WHERE organization_id = :organization_id
    {conditions}
    AND created_at < :created_before
  LIMIT :limit
)
"""

TABLE = Table(
    "sessions",
    SELECT_SESSIONS,
    {
        "harness_id": None,
        "agent_id": None,
        "public_id": None,
        "title": None,
        "tags": "[]",
        "model_id": None,
        "capabilities": "[]",
        "status": "started",
        "created_at": None,
        "updated_at": None,
    },
)


def list_sessions(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> Page:
    """Return the page of sessions that `query` asks for, newest first.

    Inside a read transaction, rows and total are from the same snapshot. An agent that does not exist has no session.
    """
    filters = _filters(connection, organization, query.agent_id)
    filters = filters._replace(status=query.status, tags=query.tags, search=query.search)
    clauses = {"select_sessions": SELECT_SESSIONS, "source": filters.source, "conditions": filters.conditions}
    values = {
        **rendering_values(organization),
        **filters.values,
        "created_after": query.created_after or counts.BEGINNING,
        "created_before": query.created_before or counts.END,
        "limit": query.limit,
        "offset": query.offset,
    }
    if filters.is_counted:
        total = counts.count(connection, filters, values["created_after"], values["created_before"])
        (newest,) = connection.execute(FIND_NEWEST.format(**clauses), values).fetchone() or (None,)
        if 0 < query.offset < total:
            newer = counts.count(connection, filters, values["created_before"])
            values["created_before"], values["offset"] = counts.find_offset(connection, filters, newer + query.offset)
    else:
        total, newest = connection.execute(COUNT_MATCHES.format(**clauses), values).fetchone()
    if query.offset >= total:
        return Page("", total, newest)
    (data,) = connection.execute(SELECT_PAGE.format(**clauses), values).fetchone()
    return Page(data, total, newest)


def count_by_status(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> dict[str, int]:
    """Return the number of sessions that `query` asks for: `total`, and by status."""
    filters = _filters(connection, organization, query.agent_id)
    period = (query.created_after or counts.BEGINNING, query.created_before or counts.END)
    by_status = {
        status: counts.count(connection, filters._replace(status=status), *period)
        for status in ("started", "active", "idle")
    }
    return {"total": sum(by_status.values()), **by_status}


def count_by_day(
    connection: sqlite3.Connection, organization: Organization, query: ActivityQuery
) -> list[tuple[str, int]]:
    """Return each UTC day that `query` asks for, oldest first, and how many sessions were created on it."""
    filters = _filters(connection, organization, query.agent_id)
    until = query.until or datetime.now(UTC).date()
    return counts.count_by_day(connection, filters, until - timedelta(days=query.days - 1), query.days)


def delete_session(connection: sqlite3.Connection, organization: Organization, public_id: str) -> bool:
    """Delete a session; return False when the organization has none with this id."""
    row_id = find_id(connection, TABLE, organization.id, public_id)
    connection.execute("DELETE FROM sessions WHERE id = :id", {"id": row_id})
    return row_id is not None


def prune(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> int:
    """Delete at most `query.limit` sessions that match `query`, and return how many."""
    filters = _filters(connection, organization, query.agent_id)._replace(status=query.status)
    values = {**filters.values, "created_before": query.created_before or counts.END, "limit": query.limit}
    return connection.execute(PRUNE.format(conditions=filters.conditions), values).rowcount


def _filters(connection: sqlite3.Connection, organization: Organization, agent_id: str | None) -> Filters:
    if agent_id is None:
        return Filters(organization.id)
    agent = find_id(connection, agents.TABLE, organization.id, agent_id)
    return Filters(organization.id, NO_AGENT if agent is None else agent)
