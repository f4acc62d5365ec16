"""Counted spans: how many sessions there are, and where a page begins, at the same cost at any size and depth.

`schema.sql` says what a span is, and its triggers keep them. Everything here counts from the newest session.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

ALL_AGENTS = 0
LEVELS = (2, 1, 0)

COUNT_ALL = """
SELECT coalesce(SUM(sessions), 0)
FROM session_spans
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND level = 2
"""

# The span of a level that holds an instant, and how many sessions newer spans hold, as far as the span above reaches.
FIND_INSTANT = """
SELECT until_created_at, until_id, (
  SELECT coalesce(SUM(newer.sessions), 0)
  FROM session_spans AS newer
  WHERE newer.organization_id = :organization_id
    AND newer.agent_id = :agent_id
    AND newer.level = :level
    AND (newer.until_created_at, newer.until_id) > (span.until_created_at, span.until_id)
    AND (newer.until_created_at, newer.until_id) <= (:until_created_at, :until_id)
)
FROM session_spans AS span
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND level = :level
  AND until_created_at >= :instant
ORDER BY until_created_at, until_id
LIMIT 1
"""

# The span of a level in which an offset ends, counted from the end of the span above, and how many are newer.
FIND_OFFSET = """
SELECT until_created_at, until_id, reached - sessions
FROM (
  SELECT until_created_at, until_id, sessions, SUM(sessions) OVER newest_first AS reached
  FROM session_spans
  WHERE organization_id = :organization_id
    AND agent_id = :agent_id
    AND level = :level
    AND (until_created_at, until_id) <= (:until_created_at, :until_id)
  WINDOW newest_first AS (ORDER BY until_created_at DESC, until_id DESC ROWS UNBOUNDED PRECEDING)
)
WHERE reached > :offset
LIMIT 1
"""

COUNT_IN_SPAN_OF_ORGANIZATION = """
SELECT (
  SELECT COUNT(*)
  FROM sessions
  WHERE organization_id = :organization_id
    AND created_at = :until_created_at
    AND id <= :until_id
) + (
  SELECT COUNT(*)
  FROM sessions
  WHERE organization_id = :organization_id
    AND created_at >= :instant
    AND created_at < :until_created_at
)
"""

COUNT_IN_SPAN_OF_AGENT = """
SELECT (
  SELECT COUNT(*)
  FROM sessions
  WHERE organization_id = :organization_id
    AND agent_id = :agent_id
    AND created_at = :until_created_at
    AND id <= :until_id
) + (
  SELECT COUNT(*)
  FROM sessions
  WHERE organization_id = :organization_id
    AND agent_id = :agent_id
    AND created_at >= :instant
    AND created_at < :until_created_at
)
"""

SUSPENDED_TRIGGERS = """
SELECT name, sql
FROM sqlite_schema
WHERE type = 'trigger'
  AND tbl_name IN ('sessions', 'session_capabilities')
  AND (name GLOB '*_note' OR name GLOB '*_count' OR name GLOB '*_revision')
"""

# Every span but the oldest of its level counts half of what it may hold: there is room on all sides.
RECOUNT_ORGANIZATION = """
INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
SELECT
  :organization_id,
  0,
  levels.level,
  CASE newer WHEN 0 THEN '9999-12-31T23:59:59.999999Z' ELSE created_at END,
  CASE newer WHEN 0 THEN 9223372036854775807 ELSE id END,
  min(levels.size, (SELECT COUNT(*) FROM sessions WHERE organization_id = :organization_id) - newer)
FROM (
  SELECT created_at, id, row_number() OVER (ORDER BY created_at DESC, id DESC) - 1 AS newer
  FROM sessions
  WHERE organization_id = :organization_id
)
CROSS JOIN (SELECT 0 AS level, 256 AS size UNION ALL SELECT 1, 16384 UNION ALL SELECT 2, 1048576) AS levels
WHERE newer % 256 = 0
  AND newer % levels.size = 0
"""

RECOUNT_AGENT = """
INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
SELECT
  :organization_id,
  :agent_id,
  levels.level,
  CASE newer WHEN 0 THEN '9999-12-31T23:59:59.999999Z' ELSE created_at END,
  CASE newer WHEN 0 THEN 9223372036854775807 ELSE id END,
  min(
    levels.size,
    (SELECT COUNT(*) FROM sessions WHERE organization_id = :organization_id AND agent_id = :agent_id) - newer
  )
FROM (
  SELECT created_at, id, row_number() OVER (ORDER BY created_at DESC, id DESC) - 1 AS newer
  FROM sessions
  WHERE organization_id = :organization_id
    AND agent_id = :agent_id
)
CROSS JOIN (SELECT 0 AS level, 256 AS size UNION ALL SELECT 1, 16384 UNION ALL SELECT 2, 1048576) AS levels
WHERE newer % 256 = 0
  AND newer % levels.size = 0
"""

# What a span of level 0 says and what is there; of the levels above, what the level below says.
WRONG_SPANS = """
WITH
bounds AS (
  SELECT
    organization_id, agent_id, level, until_created_at, until_id, sessions,
    lag(until_created_at, 1, '') OVER oldest_first AS after_created_at,
    lag(until_id, 1, 0) OVER oldest_first AS after_id,
    iif(
      until_created_at = lag(until_created_at, 1, '') OVER oldest_first, until_id, 9223372036854775807
    ) AS last_id
  FROM session_spans
  WINDOW oldest_first AS (PARTITION BY organization_id, agent_id, level ORDER BY until_created_at, until_id)
),
counted AS (
  SELECT organization_id, agent_id, level, until_created_at, sessions, CASE
    WHEN level > 0 THEN (
      SELECT coalesce(SUM(below.sessions), 0)
      FROM session_spans AS below
      WHERE below.organization_id = bounds.organization_id
        AND below.agent_id = bounds.agent_id
        AND below.level = bounds.level - 1
        AND (below.until_created_at, below.until_id) > (after_created_at, after_id)
        AND (below.until_created_at, below.until_id) <= (bounds.until_created_at, bounds.until_id)
    )
    WHEN agent_id = 0 THEN (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.created_at > after_created_at
        AND sessions.created_at < bounds.until_created_at
    ) + (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.created_at = after_created_at
        AND sessions.id > after_id
        AND sessions.id <= last_id
    ) + (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.created_at = bounds.until_created_at
        AND sessions.id <= CASE WHEN after_created_at < bounds.until_created_at THEN bounds.until_id END
    )
    ELSE (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.agent_id = bounds.agent_id
        AND sessions.created_at > after_created_at
        AND sessions.created_at < bounds.until_created_at
    ) + (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.agent_id = bounds.agent_id
        AND sessions.created_at = after_created_at
        AND sessions.id > after_id
        AND sessions.id <= last_id
    ) + (
      SELECT COUNT(*)
      FROM sessions
      WHERE sessions.organization_id = bounds.organization_id
        AND sessions.agent_id = bounds.agent_id
        AND sessions.created_at = bounds.until_created_at
        AND sessions.id <= CASE WHEN after_created_at < bounds.until_created_at THEN bounds.until_id END
    )
  END AS actual
  FROM bounds
)
SELECT organization_id, agent_id, level, until_created_at, sessions, actual
FROM counted
WHERE sessions <> actual
"""

WRONG_TOTALS = """
WITH
actual (organization_id, agent_id, sessions) AS (
  SELECT organization_id, 0, COUNT(*)
  FROM sessions
  GROUP BY organization_id
  UNION ALL
  SELECT organization_id, agent_id, COUNT(*)
  FROM sessions
  GROUP BY organization_id, agent_id
),
counted (organization_id, agent_id, sessions) AS (
  SELECT organization_id, agent_id, SUM(sessions)
  FROM session_spans
  WHERE level = 2
  GROUP BY organization_id, agent_id
)
SELECT organization_id, agent_id, coalesce(counted.sessions, 0), coalesce(actual.sessions, 0)
FROM actual
FULL JOIN counted USING (organization_id, agent_id)
WHERE coalesce(counted.sessions, 0) <> coalesce(actual.sessions, 0)
"""


class Scope(NamedTuple):
    """Whose sessions are counted: an organization's, of one agent or `ALL_AGENTS`; both by internal id."""

    organization_id: int
    agent_id: int


class Place(NamedTuple):
    """A place in the order of sessions: `offset` sessions older than the end of a span, which is included."""

    until_created_at: str
    until_id: int
    offset: int


END_OF_TIME = Place("9999-12-31T23:59:59.999999Z", 9223372036854775807, 0)


def count_all(connection: sqlite3.Connection, scope: Scope) -> int:
    """How many sessions `scope` has."""
    (sessions,) = connection.execute(COUNT_ALL, scope._asdict()).fetchone()
    return int(sessions)


def count_since(connection: sqlite3.Connection, scope: Scope, instant: str) -> int:
    """How many sessions of `scope` were created at `instant`, as instants are stored, or later."""
    bound = scope._asdict() | END_OF_TIME._asdict() | {"instant": instant}
    sessions = 0
    for level in LEVELS:
        found = connection.execute(FIND_INSTANT, bound | {"level": level}).fetchone()
        if found is None:
            return 0  # the scope never had a session
        bound["until_created_at"], bound["until_id"], newer = found
        sessions += newer
    in_span = COUNT_IN_SPAN_OF_ORGANIZATION if scope.agent_id == ALL_AGENTS else COUNT_IN_SPAN_OF_AGENT
    (here,) = connection.execute(in_span, bound).fetchone()
    return int(sessions + here)


def find(connection: sqlite3.Connection, scope: Scope, offset: int) -> Place:
    """The place of the session that `offset` others of `scope`, which has more than that, are newer than."""
    place = END_OF_TIME._replace(offset=offset)
    for level in LEVELS:
        bound = scope._asdict() | place._asdict() | {"level": level}
        until_created_at, until_id, newer = connection.execute(FIND_OFFSET, bound).fetchone()
        place = Place(until_created_at, until_id, place.offset - newer)
    return place


def suspend(connection: sqlite3.Connection) -> list[str]:
    """Stop counting, for a transaction that stores much; gives what `resume` needs, in the same transaction.

    suspended = spans.suspend(connection)
    ...
    spans.resume(connection, suspended, organization_id)
    """
    triggers = connection.execute(SUSPENDED_TRIGGERS).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    return [sql for _, sql in triggers]


def resume(connection: sqlite3.Connection, suspended: list[str], organization_id: int) -> None:
    """Count everything of the organization, the only one that may have changed since `suspend`; go on counting."""
    for sql in suspended:
        connection.execute(sql)
    organization = {"organization_id": organization_id}
    connection.execute("UPDATE organizations SET revision = random() WHERE id = :organization_id", organization)
    connection.execute("DELETE FROM session_spans WHERE organization_id = :organization_id", organization)
    connection.execute(RECOUNT_ORGANIZATION, organization)
    agents = connection.execute("SELECT id FROM agents WHERE organization_id = :organization_id", organization)
    for (agent_id,) in agents.fetchall():
        connection.execute(RECOUNT_AGENT, organization | {"agent_id": agent_id})


def faults(connection: sqlite3.Connection) -> Iterator[str]:
    """A line for each count that disagrees with a real `COUNT(*)`."""
    for organization_id, agent_id, counted, actual in connection.execute(WRONG_TOTALS):
        whose = f"organization row {organization_id}" + (f", agent row {agent_id}" if agent_id else "")
        yield f"session_spans: {whose} has {actual} sessions, not {counted}"
    for organization_id, agent_id, level, until, counted, actual in connection.execute(WRONG_SPANS):
        whose = f"organization row {organization_id}" + (f", agent row {agent_id}" if agent_id else "")
        yield f"session_spans: the span of {whose}, level {level}, until {until} has {actual} sessions, not {counted}"
