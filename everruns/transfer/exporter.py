"""Rows → records: everything of an organization, as lines that an import takes."""

import sqlite3
from collections.abc import Iterator
from itertools import chain

from everruns.records import Organization
from everruns.store import agents, harnesses, sessions


def export(connection: sqlite3.Connection, organization: Organization) -> Iterator[str]:
    """Yield a JSON object per line, without line ends: harnesses, agents, sessions, each in the order of storing."""
    return chain(
        harnesses.export(connection, organization),
        agents.export(connection, organization),
        sessions.export(connection, organization),
    )
