"""Records → rows, all or nothing: what `everruns import` does inside its transaction."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, cast

from marshmallow import ValidationError

from everruns import schemas, spans
from everruns.auth import Organization
from everruns.reader import Found
from everruns.schemas import AgentRecord, CapabilityReference, SessionRecord, faults, kind, shown
from everruns.values import is_id, now, same_id

MAX_FAULTS = 20
BATCH = 500  # sessions stored at once
MAX_REMEMBERED_AGENTS = 10_000

FIND_SESSIONS = """
SELECT lower(replace(public_id, '-', ''))
FROM sessions
WHERE organization_id = :organization_id
  AND lower(replace(public_id, '-', '')) IN (SELECT value FROM json_each(:same_ids))
"""

INSERT_SESSION = """
INSERT INTO sessions
  (id, organization_id, agent_id, public_id, title, tags, model_id, status, created_at, updated_at)
VALUES
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_AGENT_CAPABILITY = """
INSERT INTO agent_capabilities (agent_id, position, capability_id, config)
VALUES (?, ?, ?, ?)
"""

INSERT_SESSION_CAPABILITY = """
INSERT INTO session_capabilities (session_id, position, capability_id, config)
VALUES (?, ?, ?, ?)
"""

Outcome = Literal["new", "changed", "unchanged"]


class ImportRefused(Exception):
    """Nothing may be stored; `faults` has up to 20 lines, each with file, line or index, key, and what is right."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Import:
    """One import into one organization, inside the caller's write transaction.

        with db.transaction() as connection:
            counts = Import(connection, organization).run(found)

    `run` raises `ImportRefused` when anything was wrong: the caller's transaction must then be rolled back.
    """

    def __init__(self, connection: sqlite3.Connection, organization: Organization) -> None:
        self.connection = connection
        self.organization = organization
        self.now = now()
        self.faults: list[str] = []
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self.refused_agents: set[int] = set()
        self.agent_ids: dict[str, int] = {}
        self.gathered: dict[str, tuple[int, SessionRecord]] = {}
        (self.last_id,) = connection.execute("SELECT coalesce(MAX(id), 0) FROM sessions").fetchone()
        # An import that adds much to the organization counts once at its end, which costs less than each time.
        self.many = max(1000, spans.count_all(connection, spans.Scope(organization.id, spans.ALL_AGENTS)) // 10)
        self.suspended: list[str] | None = None
        # Agents that a session named before they came, and what to say should they never come.
        connection.execute("CREATE TEMPORARY TABLE awaited (agent_id INTEGER PRIMARY KEY, fault TEXT)")

    def run(self, found: Iterable[Found]) -> Counter[tuple[str, Outcome]]:
        """Store all that was found; returns how many of each ("agent" or "session", outcome) there were."""
        for item in found:
            if item.record is None:
                self.faults.append(f"{item.where}: {item.fault}")
            else:
                self._take(item.where, item.record)
            if len(self.faults) >= MAX_FAULTS:
                break
        else:
            self.faults += self._missing_agents()
        if self.faults:
            raise ImportRefused(self.faults[:MAX_FAULTS])
        self._store_sessions()
        if self.suspended is not None:
            spans.resume(self.connection, self.suspended, self.organization.id)
        return self.counts

    def _take(self, where: str, record: dict[str, Any]) -> None:
        try:
            record_id = record.get("id")
            if not isinstance(record_id, str):
                what = f"must be a string, not {kind(record_id)}" if "id" in record else "is missing"
                raise ValidationError({"id": [what]})
            if record_id.startswith("session_"):
                self._gather(where, schemas.session(record))
            elif record_id.startswith("agent_"):
                self.counts["agent", self._store_agent(schemas.agent(record))] += 1
            else:
                what = f"must begin with agent_ or session_, which tells what the object is, not {shown(record_id)}"
                raise ValidationError({"id": [what]})
        except ValidationError as error:
            self.faults += (f"{where}: {fault}" for fault in faults(error))
            if isinstance(record_id, str) and is_id(record_id, "agent"):
                self.refused_agents.add(self._agent_id(record_id) or self._insert_agent(record_id, None))

    def _gather(self, where: str, session: SessionRecord) -> None:
        """Keep a session until there are enough to be stored at once; the same one again comes after the first."""
        key = same_id(session.id)
        if key in self.gathered or len(self.gathered) == BATCH:
            self._store_sessions()
        self.gathered[key] = self._agent_of(where, session), session

    def _store_sessions(self) -> None:
        rows: list[tuple[object, ...]] = []
        capabilities: list[tuple[object, ...]] = []
        bound = {"organization_id": self.organization.id, "same_ids": schemas.as_json(list(self.gathered))}
        stored = {key for (key,) in self.connection.execute(FIND_SESSIONS, bound)}
        for key, (agent_id, session) in self.gathered.items():
            if key in stored:
                self.counts["session", self._update_session(key, agent_id, session)] += 1
                continue
            self.last_id += 1
            created_at = session.created_at or self.now
            rows.append(
                (
                    self.last_id,
                    self.organization.id,
                    agent_id,
                    session.id,
                    session.title,
                    session.tags,
                    session.model_id,
                    session.status,
                    created_at,
                    session.updated_at or created_at,
                )
            )
            for position, capability in enumerate(session.capabilities):
                capabilities.append((self.last_id, position, *capability))
        self.counts["session", "new"] += len(rows)
        if self.suspended is None and self.counts["session", "new"] > self.many:
            self.suspended = spans.suspend(self.connection)
        self.connection.executemany(INSERT_SESSION, rows)
        self.connection.executemany(INSERT_SESSION_CAPABILITY, capabilities)
        self.gathered.clear()

    def _update_session(self, key: str, agent_id: int, session: SessionRecord) -> Outcome:
        stored = self.connection.execute(
            """
            SELECT id, public_id, agent_id, title, tags, model_id, status, created_at, updated_at, (
              SELECT json_group_array(json_array(capability_id, config))
              FROM session_capabilities
              WHERE session_id = sessions.id
            )
            FROM sessions
            WHERE organization_id = :organization_id
              AND lower(replace(public_id, '-', '')) = :same_id
            """,
            {"organization_id": self.organization.id, "same_id": key},
        ).fetchone()
        session_id, old_created_at = stored[0], stored[7]
        created_at = session.created_at or old_created_at
        row = {
            "public_id": session.id,
            "agent_id": agent_id,
            "title": session.title,
            "tags": session.tags,
            "model_id": session.model_id,
            "status": session.status,
            "created_at": created_at,
            "updated_at": session.updated_at or created_at,
        }
        if stored[1:] == (*row.values(), schemas.as_json(session.capabilities)):
            return "unchanged"
        self.connection.execute(
            """
            UPDATE sessions
            SET public_id = :public_id,
                agent_id = :agent_id,
                title = :title,
                tags = :tags,
                model_id = :model_id,
                status = :status,
                created_at = :created_at,
                updated_at = :updated_at
            WHERE id = :id
            """,
            {**row, "id": session_id},
        )
        self.connection.execute("DELETE FROM session_capabilities WHERE session_id = :id", {"id": session_id})
        self._insert_capabilities(INSERT_SESSION_CAPABILITY, session_id, session.capabilities)
        return "changed"

    def _store_agent(self, agent: AgentRecord) -> Outcome:
        agent_id = self._agent_id(agent.id)
        if agent_id is None:
            agent_id = self._insert_agent(agent.id, agent.name)
            self._insert_capabilities(INSERT_AGENT_CAPABILITY, agent_id, agent.capabilities)
            return "new"
        awaited = self.connection.execute("DELETE FROM awaited WHERE agent_id = ?", [agent_id]).rowcount == 1
        stored = self.connection.execute(
            """
            SELECT public_id, name, (
              SELECT json_group_array(json_array(capability_id, config))
              FROM agent_capabilities
              WHERE agent_id = agents.id
            )
            FROM agents
            WHERE id = :id
            """,
            {"id": agent_id},
        ).fetchone()
        if stored == (agent.id, agent.name, schemas.as_json(agent.capabilities)) and not awaited:
            return "unchanged"
        self.connection.execute(
            """
            UPDATE agents
            SET public_id = :public_id,
                name = :name
            WHERE id = :id
            """,
            {"public_id": agent.id, "name": agent.name, "id": agent_id},
        )
        self.connection.execute("DELETE FROM agent_capabilities WHERE agent_id = :id", {"id": agent_id})
        self._insert_capabilities(INSERT_AGENT_CAPABILITY, agent_id, agent.capabilities)
        return "new" if awaited else "changed"

    def _agent_of(self, where: str, session: SessionRecord) -> int:
        """The agent of `session`; one that is not there yet is stored without a name, and awaited."""
        key = same_id(session.agent_id)
        if (agent_id := self.agent_ids.get(key)) is not None:
            return agent_id
        agent_id = self._agent_id(session.agent_id)
        if agent_id is None:
            agent_id = self._insert_agent(session.agent_id, None)
            fault = f"{where}: agent_id: {session.agent_id} is neither in this import nor in the organization"
            self.connection.execute(
                "INSERT INTO awaited (agent_id, fault) VALUES (?, ?)", [agent_id, f"{fault}; import it too"]
            )
        if len(self.agent_ids) == MAX_REMEMBERED_AGENTS:
            self.agent_ids.clear()
        self.agent_ids[key] = agent_id
        return agent_id

    def _agent_id(self, public_id: str) -> int | None:
        row = self.connection.execute(
            """
            SELECT id
            FROM agents
            WHERE organization_id = :organization_id
              AND lower(replace(public_id, '-', '')) = :same_id
            """,
            {"organization_id": self.organization.id, "same_id": same_id(public_id)},
        ).fetchone()
        return row[0] if row else None

    def _insert_agent(self, public_id: str, name: str | None) -> int:
        inserted = self.connection.execute(
            """
            INSERT INTO agents (organization_id, public_id, name)
            VALUES (:organization_id, :public_id, :name)
            """,
            {"organization_id": self.organization.id, "public_id": public_id, "name": name},
        )
        return cast(int, inserted.lastrowid)

    def _insert_capabilities(self, sql: str, owner_id: int, capabilities: list[CapabilityReference]) -> None:
        rows = ((owner_id, position, *capability) for position, capability in enumerate(capabilities))
        self.connection.executemany(sql, rows)

    def _missing_agents(self) -> list[str]:
        rows = self.connection.execute("SELECT agent_id, fault FROM awaited ORDER BY agent_id LIMIT 40")
        return [fault for agent_id, fault in rows if agent_id not in self.refused_agents]
