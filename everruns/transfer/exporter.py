"""Rows → records: everything of an organization, as lines that an import takes."""

import sqlite3
from collections.abc import Iterator

from everruns.records import Organization
from everruns.store import agents, harnesses, sessions, tables


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """Yield a JSON object per line, without line ends: harnesses, agents, sessions, each in the order of storing."""
    for table in (harnesses.TABLE, agents.TABLE, sessions.TABLE):
        yield from tables.render_all(connection, table, organization)
