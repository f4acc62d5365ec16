"""Rows → records: everything of an organization as lines that `everruns import` takes."""

import sqlite3
from collections.abc import Iterator

from everruns.auth import Organization


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """A JSON object a line, without line ends: agents first, then sessions, both in the order of storing.

    That order is part of what is kept: it decides between sessions created at the same instant.
    """
    bound = {"organization_id": organization.id}
    agents = connection.execute(
        """
        SELECT json_object(
          'id', public_id,
          'name', name,
          'capabilities', (
            SELECT json_group_array(
              CASE
                WHEN config IS NULL THEN json_object('ref', capability_id)
                ELSE json_object('ref', capability_id, 'config', json(config))
              END
            )
            FROM (
              SELECT capability_id, config
              FROM agent_capabilities
              WHERE agent_id = agents.id
              ORDER BY position
            )
          )
        )
        FROM agents
        WHERE organization_id = :organization_id
        ORDER BY id
        """,
        bound,
    )
    yield from (line for (line,) in agents)
    sessions = connection.execute(
        """
        SELECT json_object(
          'id', sessions.public_id,
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
          'created_at', sessions.created_at,
          'updated_at', sessions.updated_at
        )
        FROM sessions
        JOIN agents ON agents.id = sessions.agent_id
        WHERE sessions.organization_id = :organization_id
        ORDER BY sessions.id
        """,
        bound,
    )
    yield from (line for (line,) in sessions)
