"""Imports that are recognized whole: each brings its own agent and sessions, and may change those of an earlier one."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from everruns.values import instant

BEGIN = datetime.fromisoformat("2026-01-01T00:00:00Z")

OBSERVE = """
SELECT
  agents.public_id, sessions.title, COUNT(DISTINCT sessions.id), COUNT(session_capabilities.session_id), config
FROM agents
LEFT JOIN sessions ON sessions.agent_id = agents.id
LEFT JOIN session_capabilities ON session_capabilities.session_id = sessions.id
GROUP BY agents.id, sessions.title, config
"""

DELETE_SESSIONS = "DELETE FROM sessions WHERE agent_id = (SELECT id FROM agents WHERE public_id = :agent)"
DELETE_AGENT = "DELETE FROM agents WHERE public_id = :agent"

Facts = frozenset[tuple[Any, ...]]


class Question(NamedTuple):
    """What is asked for: the sessions of the import `number`, or all with None."""

    number: int | None
    offset: int
    limit: int

    @property
    def url(self) -> str:
        agent = f"agent_id=agent_{self.number}&" if self.number is not None else ""
        return f"/v1/sessions?{agent}offset={self.offset}&limit={self.limit}"


class Batch(NamedTuple):
    """What an import brought: so many sessions, all with this title, which whoever changes them replaces."""

    number: int
    sessions: int
    title: str

    def session(self, index: int) -> dict[str, Any]:
        """A session, as it is imported and as it is answered."""
        return {
            "id": f"session_{self.number}x{index}",
            "agent_id": f"agent_{self.number}",
            "title": self.title,
            "created_at": instant(BEGIN + timedelta(seconds=self.number, microseconds=index // 3)),
            "capabilities": [{"ref": "openui", "config": {"title": self.title}}],
        }

    def records(self) -> list[dict[str, Any]]:
        """The agent and the sessions."""
        agent = {"id": f"agent_{self.number}", "name": f"import {self.number}", "capabilities": ["skills"]}
        return [agent, *(self.session(index) for index in range(self.sessions))]


class State(NamedTuple):
    """What is stored: batches, oldest first."""

    batches: tuple[Batch, ...] = ()

    def sessions(self) -> int:
        """How many sessions there are."""
        return sum(batch.sessions for batch in self.batches)

    def with_import(self, number: int, sessions: int, changed: Batch | None = None) -> "State":
        """What is stored after the import `number`, which changes all sessions of an earlier batch too."""
        kept = tuple(
            batch._replace(title=f"changed by {number}") if batch == changed else batch for batch in self.batches
        )
        return State((*kept, Batch(number, sessions, f"import {number}")))

    def facts(self) -> Facts:
        """The state, as `observe` finds it."""
        return frozenset(
            (f"agent_{number}", title, sessions, sessions, json.dumps({"title": title}, separators=(",", ":")))
            for number, sessions, title in self.batches
        )

    def page(self, question: Question) -> tuple[int, list[dict[str, Any]]]:
        """The total and the sessions that must be answered."""
        asked = [batch for batch in reversed(self.batches) if question.number in (None, batch.number)]
        data: list[dict[str, Any]] = []
        skip = question.offset
        for batch in asked:
            first = batch.sessions - 1 - skip
            last = max(-1, first - question.limit + len(data))
            data += (batch.session(index) for index in range(first, last, -1))
            skip = max(0, skip - batch.sessions)
        return sum(batch.sessions for batch in asked), data


def write_import(path: Path, before: State, after: State, sessions_first: bool) -> None:
    """Write the file whose import leads from `before` to `after`, as NDJSON."""
    records = [record for batch in after.batches if batch not in before.batches for record in batch.records()]
    if sessions_first:
        records.sort(key=lambda record: "agent_id" not in record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def observe(path: Path) -> Facts:
    """What the database holds, all organizations together."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        return frozenset(connection.execute(OBSERVE).fetchall())


def delete(path: Path, batches: tuple[Batch, ...]) -> None:
    """Delete batches by plain SQL, in one transaction."""
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for batch in batches:
            connection.execute(DELETE_SESSIONS, {"agent": f"agent_{batch.number}"})
            connection.execute(DELETE_AGENT, {"agent": f"agent_{batch.number}"})
