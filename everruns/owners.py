"""Harnesses and agents → rows: both own capabilities that their sessions have, and are imported alike."""

import sqlite3
from typing import Literal, NamedTuple, cast

from everruns import schemas
from everruns.schemas import CapabilityReference, OwnerRecord
from everruns.values import same_id

MAX_REMEMBERED = 10_000

Outcome = Literal["new", "changed", "unchanged"]


class Kind(NamedTuple):
    """What tells harnesses from agents: the word for one, and the SQL."""

    name: str
    find: str
    insert: str
    stored: str
    update: str
    clear: str
    insert_capability: str


HARNESSES = Kind(
    "harness",
    find="""
    SELECT id
    FROM harnesses
    WHERE organization_id = :organization_id
      AND lower(replace(public_id, '-', '')) = :same_id
    """,
    insert="""
    INSERT INTO harnesses (organization_id, public_id, name)
    VALUES (:organization_id, :public_id, :name)
    """,
    stored="""
    SELECT public_id, name, (
      SELECT json_group_array(json_array(capability_id, config))
      FROM harness_capabilities
      WHERE harness_id = harnesses.id
    )
    FROM harnesses
    WHERE id = :id
    """,
    update="""
    UPDATE harnesses
    SET public_id = :public_id,
        name = :name
    WHERE id = :id
    """,
    clear="""
    DELETE FROM harness_capabilities
    WHERE harness_id = :id
    """,
    insert_capability="""
    INSERT INTO harness_capabilities (harness_id, position, capability_id, config)
    VALUES (?, ?, ?, ?)
    """,
)

AGENTS = Kind(
    "agent",
    find="""
    SELECT id
    FROM agents
    WHERE organization_id = :organization_id
      AND lower(replace(public_id, '-', '')) = :same_id
    """,
    insert="""
    INSERT INTO agents (organization_id, public_id, name)
    VALUES (:organization_id, :public_id, :name)
    """,
    stored="""
    SELECT public_id, name, (
      SELECT json_group_array(json_array(capability_id, config))
      FROM agent_capabilities
      WHERE agent_id = agents.id
    )
    FROM agents
    WHERE id = :id
    """,
    update="""
    UPDATE agents
    SET public_id = :public_id,
        name = :name
    WHERE id = :id
    """,
    clear="""
    DELETE FROM agent_capabilities
    WHERE agent_id = :id
    """,
    insert_capability="""
    INSERT INTO agent_capabilities (agent_id, position, capability_id, config)
    VALUES (?, ?, ?, ?)
    """,
)


class Owners:
    """The harnesses, or the agents, of an organization during an import, inside its transaction.

    A session may name one that comes later in the same import: it is stored without a name, and awaited.
    """

    def __init__(self, connection: sqlite3.Connection, organization_id: int, kind: Kind) -> None:
        self.connection = connection
        self.organization_id = organization_id
        self.kind = kind
        self.refused: set[int] = set()
        self.ids: dict[str, int] = {}
        # Those that were named before they came, and what to say should they never come.
        connection.execute(
            """
            CREATE TEMPORARY TABLE IF NOT EXISTS awaited (
              kind  TEXT,
              id    INTEGER,
              fault TEXT,
              UNIQUE (kind, id)
            )
            """
        )

    def store(self, record: OwnerRecord) -> Outcome:
        """Store what was imported; tells whether it was new, or changed what was there."""
        owner_id = self._find(record.id)
        if owner_id is None:
            owner_id = self._insert(record.id, record.name)
            self._insert_capabilities(owner_id, record.capabilities)
            return "new"
        awaited = self._no_longer_awaited(owner_id)
        stored = self.connection.execute(self.kind.stored, {"id": owner_id}).fetchone()
        if stored == (record.id, record.name, schemas.as_json(record.capabilities)) and not awaited:
            return "unchanged"
        self.connection.execute(self.kind.update, {"public_id": record.id, "name": record.name, "id": owner_id})
        self.connection.execute(self.kind.clear, {"id": owner_id})
        self._insert_capabilities(owner_id, record.capabilities)
        return "new" if awaited else "changed"

    def refuse(self, public_id: str) -> None:
        """Note that the import has this one, with a fault of its own: it is not missing too."""
        if not schemas.is_base_harness(public_id):  # which is never missing
            self.refused.add(self._find(public_id) or self._insert(public_id, None))

    def id_of(self, public_id: str, where: str) -> int:
        """The row id of the one that the session at `where` names."""
        key = same_id(public_id)
        if (owner_id := self.ids.get(key)) is not None:
            return owner_id
        owner_id = self._find(public_id)
        if owner_id is None:
            owner_id = self._insert(public_id, None)
            name = self.kind.name
            fault = f"{where}: {name}_id: {public_id} is neither in this import nor in the organization; import it too"
            self.connection.execute(
                """
                INSERT INTO awaited (kind, id, fault)
                VALUES (?, ?, ?)
                """,
                [name, owner_id, fault],
            )
        if len(self.ids) == MAX_REMEMBERED:
            self.ids.clear()
        self.ids[key] = owner_id
        return owner_id

    def missing(self, most: int) -> list[str]:
        """A fault for each that is still awaited, `most` at most."""
        rows = self.connection.execute(
            """
            SELECT id, fault
            FROM awaited
            WHERE kind = ?
            ORDER BY id
            LIMIT ?
            """,
            [self.kind.name, most + len(self.refused)],
        )
        return [fault for owner_id, fault in rows if owner_id not in self.refused][:most]

    def _no_longer_awaited(self, owner_id: int) -> bool:
        deleted = self.connection.execute(
            """
            DELETE FROM awaited
            WHERE kind = ?
              AND id = ?
            """,
            [self.kind.name, owner_id],
        )
        return deleted.rowcount == 1

    def _find(self, public_id: str) -> int | None:
        bound = {"organization_id": self.organization_id, "same_id": same_id(public_id)}
        row = self.connection.execute(self.kind.find, bound).fetchone()
        return row[0] if row else None

    def _insert(self, public_id: str, name: str | None) -> int:
        bound = {"organization_id": self.organization_id, "public_id": public_id, "name": name}
        return cast(int, self.connection.execute(self.kind.insert, bound).lastrowid)

    def _insert_capabilities(self, owner_id: int, capabilities: list[CapabilityReference]) -> None:
        rows = ((owner_id, position, *capability) for position, capability in enumerate(capabilities))
        self.connection.executemany(self.kind.insert_capability, rows)
