"""Records → rows, all or nothing: what `everruns import` does inside its transaction."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from marshmallow import ValidationError

from everruns import schemas, spans
from everruns.auth import Organization
from everruns.owners import AGENTS, HARNESSES, Outcome, Owners
from everruns.reader import Found
from everruns.schemas import OwnerRecord, SessionRecord, faults, kind, shown
from everruns.values import is_id, now, same_id

MAX_FAULTS = 20
BATCH = 500  # sessions stored at once, fewer when their texts have so many characters together:
BATCH_CHARACTERS = 16 * 1024 * 1024

FIND_SESSIONS = """
SELECT lower(replace(public_id, '-', ''))
FROM sessions
WHERE organization_id = :organization_id
  AND lower(replace(public_id, '-', '')) IN (SELECT value FROM json_each(:same_ids))
"""

INSERT_SESSION = """
INSERT INTO sessions
  (id, organization_id, harness_id, agent_id, public_id, title, tags, model_id, status, created_at, updated_at)
VALUES
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

INSERT_SESSION_CAPABILITY = """
INSERT INTO session_capabilities (session_id, position, capability_id, config)
VALUES (?, ?, ?, ?)
"""


class _Named(NamedTuple):
    """The rows of the harness and the agent that a session names; no harness for the base one."""

    harness_id: int | None
    agent_id: int


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
        self.harnesses = Owners(connection, organization.id, HARNESSES)
        self.agents = Owners(connection, organization.id, AGENTS)
        self.gathered: dict[str, tuple[_Named, SessionRecord]] = {}
        self.gathered_characters = 0
        (self.last_id,) = connection.execute("SELECT coalesce(MAX(id), 0) FROM sessions").fetchone()
        # An import that adds much to the organization counts once at its end, which costs less than each time.
        self.many = max(1000, spans.count_all(connection, spans.Scope(organization.id, spans.ALL_AGENTS)) // 10)
        self.suspended: list[str] | None = None

    def run(self, found: Iterable[Found]) -> Counter[tuple[str, Outcome]]:
        """Store all that was found; returns how many of each ("harness", "agent" or "session", outcome) there were."""
        for item in found:
            if item.record is None:
                self.faults.append(f"{item.where}: {item.fault}")
            else:
                self._take(item.where, item.record)
            if len(self.faults) >= MAX_FAULTS:
                break
        else:
            self.faults += self.harnesses.missing(MAX_FAULTS) + self.agents.missing(MAX_FAULTS)
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
                self.counts["agent", self.agents.store(schemas.agent(record))] += 1
            elif record_id.startswith("harness_"):
                self.counts["harness", self._store_harness(schemas.harness(record))] += 1
            else:
                what = "must begin with harness_, agent_ or session_, which tells what the object is"
                raise ValidationError({"id": [f"{what}, not {shown(record_id)}"]})
        except ValidationError as error:
            self.faults += (f"{where}: {fault}" for fault in faults(error))
            for owners in (self.harnesses, self.agents):
                if isinstance(record_id, str) and is_id(record_id, owners.kind.name):
                    owners.refuse(record_id)

    def _store_harness(self, harness: OwnerRecord) -> Outcome:
        return "unchanged" if schemas.is_base_harness(harness.id) else self.harnesses.store(harness)

    def _gather(self, where: str, session: SessionRecord) -> None:
        """Keep a session until there are enough to be stored at once; the same one again comes after the first."""
        key = same_id(session.id)
        if key in self.gathered or len(self.gathered) == BATCH:
            self._store_sessions()
        self.gathered[key] = self._named(where, session), session
        self.gathered_characters += len(session.title or "") + len(session.tags) + len(session.model_id or "")
        self.gathered_characters += sum(len(ref) + len(config or "") for ref, config in session.capabilities)
        if self.gathered_characters > BATCH_CHARACTERS:
            self._store_sessions()

    def _named(self, where: str, session: SessionRecord) -> _Named:
        harness_id = None if session.harness_id is None else self.harnesses.id_of(session.harness_id, where)
        return _Named(harness_id, self.agents.id_of(session.agent_id, where))

    def _store_sessions(self) -> None:
        rows: list[tuple[object, ...]] = []
        capabilities: list[tuple[object, ...]] = []
        bound = {"organization_id": self.organization.id, "same_ids": schemas.as_json(list(self.gathered))}
        stored = {key for (key,) in self.connection.execute(FIND_SESSIONS, bound)}
        for key, (named, session) in self.gathered.items():
            if key in stored:
                self.counts["session", self._update_session(key, named, session)] += 1
                continue
            self.last_id += 1
            created_at = session.created_at or self.now
            rows.append(
                (
                    self.last_id,
                    self.organization.id,
                    *named,
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
        self.gathered_characters = 0

    def _update_session(self, key: str, named: _Named, session: SessionRecord) -> Outcome:
        stored = self.connection.execute(
            """
            SELECT id, public_id, harness_id, agent_id, title, tags, model_id, status, created_at, updated_at, (
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
        session_id, old_created_at = stored[0], stored[8]
        created_at = session.created_at or old_created_at
        row = {
            "public_id": session.id,
            **named._asdict(),
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
                harness_id = :harness_id,
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
        rows = ((session_id, position, *capability) for position, capability in enumerate(session.capabilities))
        self.connection.executemany(INSERT_SESSION_CAPABILITY, rows)
        return "changed"
