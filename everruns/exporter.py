"""Rows → records: everything of an organization as lines that `everruns import` takes."""

import sqlite3
from collections.abc import Iterator

from everruns.auth import Organization
from everruns.values import BASE_HARNESS


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """A JSON object a line, without line ends: harnesses, agents, sessions, each in the order of storing.

    That order is part of what is kept: it decides between sessions created at the same instant.
    """
    bound = {"organization_id": organization.id}
    harnesses = connection.execute(
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
              FROM harness_capabilities
              WHERE harness_id = harnesses.id
              ORDER BY position
            )
          )
        )
        FROM harnesses
        WHERE organization_id = :organization_id
        ORDER BY id
        """,
        bound,
    )
    yield from (line for (line,) in harnesses)
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
          'created_at', sessions.created_at,
          'updated_at', sessions.updated_at
        )
        FROM sessions
        LEFT JOIN harnesses ON harnesses.id = sessions.harness_id
        JOIN agents ON agents.id = sessions.agent_id
        WHERE sessions.organization_id = :organization_id
        ORDER BY sessions.id
        """,
        bound | {"base_harness": BASE_HARNESS},
    )
    yield from (line for (line,) in sessions)
