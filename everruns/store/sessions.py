"""Sessions: their rendering as JSON, the list, and the table."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

from everruns.records import ActivityQuery, Organization, Page, SessionsQuery
from everruns.store import agents, counts
from everruns.store.filters import ALL_AGENTS, BEGINNING, END, Filters
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
  'features', json(coalesce(
    kept_features(
      (SELECT version FROM catalog_version WHERE id = 1),
      CAST(harnesses.capabilities AS BLOB),
      CAST(agents.capabilities AS BLOB),
      CAST(sessions.capabilities AS BLOB)
    ),
    keep_features(
      (SELECT version FROM catalog_version WHERE id = 1),
      CAST(harnesses.capabilities AS BLOB),
      CAST(agents.capabilities AS BLOB),
      CAST(sessions.capabilities AS BLOB),
      (
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
      )
    )
  )),
  'created_at', sessions.created_at,
  'updated_at', sessions.updated_at
) AS session, sessions.created_at AS created_at
FROM sessions
LEFT JOIN harnesses
  ON harnesses.id = sessions.harness_id
  AND harnesses.organization_id = sessions.organization_id
LEFT JOIN agents
  ON agents.id = sessions.agent_id
  AND agents.organization_id = sessions.organization_id
"""

# One row for the whole page: each row that is fetched costs a change of threads in a busy worker.
# The inner SELECT skips rows in a covering index; of equal timestamps, the last stored is first. The newest of the
# first page is the newest of all.
SELECT_PAGE = """
SELECT coalesce(group_concat(session, ','), ''), MAX(created_at)
FROM (
  {select_sessions}
  WHERE sessions.id IN (
    SELECT sessions.id
    {matching}
    ORDER BY sessions.created_at DESC, sessions.id DESC
    LIMIT :limit OFFSET :offset
  )
  ORDER BY sessions.created_at DESC, sessions.id DESC
)
"""

FIND_NEWEST = """
SELECT MAX(sessions.created_at)
{matching}
"""

COUNT_MATCHES = """
SELECT COUNT(*), MAX(sessions.created_at)
{matching}
"""

# The inner SELECT limits how many are deleted at once, so that nobody waits long for the lock.
PRUNE = """
DELETE FROM sessions
WHERE id IN (
  SELECT sessions.id
  {matching}
  LIMIT :limit
)
"""

TABLE = Table(
    "sessions",
    SELECT_SESSIONS,
    {"harness_id": None, "agent_id": None, "title": None, "model_id": None, "status": "started"},
)


def list_sessions(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> Page:
    """Return the page of sessions that `query` asks for, newest first.

    Inside a read transaction, rows and total are from the same snapshot. An agent that does not exist has no session.
    """
    filters = _filters(connection, organization, query)
    matching, newest = filters.matching, None
    values = {**rendering_values(organization), **filters.values, "limit": query.limit, "offset": query.offset}
    if filters.is_counted:
        before_end = counts.count_before(connection, filters, filters.created_before)
        total = before_end - counts.count_before(connection, filters, filters.created_after)
        if query.offset > 0:
            (newest,) = connection.execute(FIND_NEWEST.format(matching=matching), values).fetchone()
        if 0 < query.offset < total:
            newer = counts.count_before(connection, filters, END) - before_end
            values["created_before"], values["offset"] = counts.find_offset(connection, filters, newer + query.offset)
    else:
        total, newest = connection.execute(COUNT_MATCHES.format(matching=matching), values).fetchone()
    if query.offset >= total:
        return Page("", total, newest)
    select_page = SELECT_PAGE.format(select_sessions=SELECT_SESSIONS, matching=matching)
    data, newest_in_page = connection.execute(select_page, values).fetchone()
    return Page(data, total, newest or newest_in_page)


def count_by_status(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> dict[str, int]:
    """Return the number of sessions of each status and their `total`, for the agent and period of `query`.

    Its other filters are not used.
    """
    filters = _filters(connection, organization, query)
    by_status = {
        status: counts.count(connection, replace(filters, status=status)) for status in ("started", "active", "idle")
    }
    return {"total": sum(by_status.values()), **by_status}


def count_by_day(
    connection: sqlite3.Connection, organization: Organization, query: ActivityQuery
) -> list[tuple[str, int]]:
    """Return each UTC day that `query` asks for, oldest first, and how many sessions were created on it."""
    filters = Filters(organization.id, _agent(connection, organization, query.agent_id))
    return counts.count_by_day(connection, filters, query.until - timedelta(days=query.days - 1), query.days)


def delete_session(connection: sqlite3.Connection, organization: Organization, public_id: str) -> bool:
    """Delete a session; return False when the organization has none with this id."""
    row_id = find_id(connection, TABLE, organization.id, public_id)
    connection.execute("DELETE FROM sessions WHERE id = :id", {"id": row_id})
    return row_id is not None


def prune(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> int:
    """Delete at most `query.limit` sessions that match `query`, and return how many."""
    filters = _filters(connection, organization, query)
    return connection.execute(PRUNE.format(matching=filters.matching), filters.values | {"limit": query.limit}).rowcount


def _filters(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> Filters:
    return Filters(
        organization.id,
        _agent(connection, organization, query.agent_id),
        query.status,
        query.tags,
        query.search,
        query.created_after or BEGINNING,
        query.created_before or END,
    )


def _agent(connection: sqlite3.Connection, organization: Organization, public_id: str | None) -> int:
    """Return the internal id of an agent, or one that stands for all agents or for none."""
    if public_id is None:
        return ALL_AGENTS
    agent_id = find_id(connection, agents.TABLE, organization.id, public_id)
    return NO_AGENT if agent_id is None else agent_id
