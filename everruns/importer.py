"""Records → rows, all or nothing: what `everruns import` does inside its transaction."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, cast

from marshmallow import ValidationError

from everruns.auth import Organization
from everruns.reader import Found
from everruns.schemas import AgentSchema, SessionSchema, faults, kind, shown
from everruns.values import is_id, now, same_id

MAX_FAULTS = 20

SESSION_COLUMNS = (
    "public_id",
    "agent_id",
    "title",
    "tags",
    "model_id",
    "status",
    "created_at",
    "updated_at",
)

INSERT_AGENT_CAPABILITY = """
INSERT INTO agent_capabilities (agent_id, position, capability_id, config)
VALUES (?, ?, ?, ?)
"""

INSERT_SESSION_CAPABILITY = """
INSERT INTO session_capabilities (session_id, position, capability_id, config)
VALUES (?, ?, ?, ?)
"""

Outcome = Literal["new", "changed", "unchanged"]
Capabilities = list[tuple[str, str | None]]

_agent = AgentSchema()
_session = SessionSchema()


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
        self.refused_agents: set[int] = set()
        # Agents that a session named before they came, and what to say should they never come.
        connection.execute("CREATE TEMPORARY TABLE awaited (agent_id INTEGER PRIMARY KEY, fault TEXT)")

    def run(self, found: Iterable[Found]) -> Counter[tuple[str, Outcome]]:
        """Store all that was found; returns how many of each ("agent" or "session", outcome) there were."""
        counts: Counter[tuple[str, Outcome]] = Counter()
        for item in found:
            if item.record is None:
                self.faults.append(f"{item.where}: {item.fault}")
            else:
                self._take(item.where, item.record, counts)
            if len(self.faults) >= MAX_FAULTS:
                break
        else:
            self.faults += self._missing_agents()
        if self.faults:
            raise ImportRefused(self.faults[:MAX_FAULTS])
        return counts

    def _take(self, where: str, record: dict[str, Any], counts: Counter[tuple[str, Outcome]]) -> None:
        try:
            record_id = record.get("id")
            if not isinstance(record_id, str):
                what = f"must be a string, not {kind(record_id)}" if "id" in record else "is missing"
                raise ValidationError({"id": [what]})
            if record_id.startswith("agent_"):
                counts["agent", self._store_agent(_agent.load(record))] += 1
            elif record_id.startswith("session_"):
                counts["session", self._store_session(where, _session.load(record))] += 1
            else:
                what = f"must begin with agent_ or session_, which tells what the object is, not {shown(record_id)}"
                raise ValidationError({"id": [what]})
        except ValidationError as error:
            self.faults += (f"{where}: {fault}" for fault in faults(error))
            if isinstance(record_id, str) and is_id(record_id, "agent"):
                self.refused_agents.add(self._agent_id(record_id) or self._insert_agent(record_id, None))

    def _store_agent(self, agent: dict[str, Any]) -> Outcome:
        capabilities: Capabilities = agent["capabilities"] or []
        agent_id = self._agent_id(agent["id"])
        if agent_id is None:
            self._insert_capabilities(
                INSERT_AGENT_CAPABILITY, self._insert_agent(agent["id"], agent["name"]), capabilities
            )
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
        if stored == (agent["id"], agent["name"], _as_stored(capabilities)) and not awaited:
            return "unchanged"
        self.connection.execute(
            """
            UPDATE agents
            SET public_id = :public_id,
                name = :name
            WHERE id = :id
            """,
            {"public_id": agent["id"], "name": agent["name"], "id": agent_id},
        )
        self.connection.execute("DELETE FROM agent_capabilities WHERE agent_id = :id", {"id": agent_id})
        self._insert_capabilities(INSERT_AGENT_CAPABILITY, agent_id, capabilities)
        return "new" if awaited else "changed"

    def _store_session(self, where: str, session: dict[str, Any]) -> Outcome:
        capabilities: Capabilities = session["capabilities"] or []
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
            {"organization_id": self.organization.id, "same_id": same_id(session["id"])},
        ).fetchone()
        row = self._session_row(where, session, stored[7] if stored else self.now)
        if stored is None:
            inserted = self.connection.execute(
                """
                INSERT INTO sessions
                  (organization_id, agent_id, public_id, title, tags, model_id, status, created_at, updated_at)
                VALUES
                  (:organization_id, :agent_id, :public_id, :title, :tags, :model_id, :status, :created_at, :updated_at)
                """,
                row,
            )
            self._insert_capabilities(INSERT_SESSION_CAPABILITY, cast(int, inserted.lastrowid), capabilities)
            return "new"
        session_id = stored[0]
        if stored[1:] == (*(row[column] for column in SESSION_COLUMNS), _as_stored(capabilities)):
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
        self._insert_capabilities(INSERT_SESSION_CAPABILITY, session_id, capabilities)
        return "changed"

    def _session_row(self, where: str, session: dict[str, Any], default_created_at: str) -> dict[str, object]:
        agent_id = self._agent_id(session["agent_id"])
        if agent_id is None:
            agent_id = self._insert_agent(session["agent_id"], None)
            fault = f"{where}: agent_id: {session['agent_id']} is neither in this import nor in the organization"
            self.connection.execute(
                "INSERT INTO awaited (agent_id, fault) VALUES (?, ?)", [agent_id, f"{fault}; import it too"]
            )
        created_at = session["created_at"] or default_created_at
        return {
            "organization_id": self.organization.id,
            "agent_id": agent_id,
            "public_id": session["id"],
            "title": session["title"],
            "tags": json.dumps(session["tags"] or [], ensure_ascii=False, separators=(",", ":")),
            "model_id": session["model_id"],
            "status": session["status"],
            "created_at": created_at,
            "updated_at": session["updated_at"] or created_at,
        }

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

    def _insert_capabilities(self, sql: str, owner_id: int, capabilities: Capabilities) -> None:
        rows = ((owner_id, position, *capability) for position, capability in enumerate(capabilities))
        self.connection.executemany(sql, rows)

    def _missing_agents(self) -> list[str]:
        rows = self.connection.execute("SELECT agent_id, fault FROM awaited ORDER BY agent_id LIMIT 40")
        return [fault for agent_id, fault in rows if agent_id not in self.refused_agents]


def _as_stored(capabilities: Capabilities) -> str:
    """The capabilities as SQLite's `json_group_array(json_array(capability_id, config))` gives them."""
    return json.dumps(capabilities, ensure_ascii=False, separators=(",", ":"))
