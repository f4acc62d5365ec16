"""Saving a record in a table whose rows have a public id within an organization: sessions, agents and harnesses."""

import json
import sqlite3
from typing import Any, NamedTuple

from everruns.ids import BASE_HARNESS, canonical_id
from everruns.records import Organization, Outcome, Record
from everruns.timestamps import now

FIND = """
SELECT id, {columns}
FROM {table}
WHERE organization_id = :organization_id
  AND canonical_id = :canonical_id
"""

INSERT = """
INSERT INTO {table} (id, organization_id, {columns})
VALUES (:id, :organization_id, {values})
"""

UPDATE = """
UPDATE {table}
SET ({columns}) = ({values})
WHERE id = :id
"""

LAST_ID = """
SELECT coalesce(MAX(id), 0)
FROM {table}
"""

as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Table:
    """A table. `defaults` has the columns that a record may give, with their values where it does not."""

    def __init__(self, name: str, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        names = {"table": name, "columns": ", ".join(defaults), "values": ", ".join(f":{name}" for name in defaults)}
        self.find, self.insert, self.update, self.last_id = (
            sql.format(**names) for sql in (FIND, INSERT, UPDATE, LAST_ID)
        )


class Saved(NamedTuple):
    """The internal id of the row, and what saving did."""

    id: int
    outcome: Outcome


def rendering_values(organization: Organization) -> dict[str, Any]:
    """Return the values that the statements bind which render rows of `organization` as JSON."""
    return {
        "organization_id": organization.id,
        "organization": organization.public_id,
        "base_harness": BASE_HARNESS,
    }


def find_id(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> int | None:
    """Return the internal id of the row with this public id, or None."""
    row = _find(connection, table, organization_id, public_id)
    return row[0] if row else None


def next_id(connection: sqlite3.Connection, table: Table) -> int:
    """Return the lowest internal id after all that exist."""
    return int(connection.execute(table.last_id).fetchone()[0]) + 1


def save(
    connection: sqlite3.Connection,
    table: Table,
    organization_id: int,
    record: Record,
    *,
    merge: bool = False,
    skip_older: bool = False,
    new_id: int | None = None,
) -> Saved:
    """Insert `record`, or update the row with its public id, inside a write transaction.

    `record` maps columns to values; `tags` and `capabilities` are lists. Columns that are absent get their defaults,
    with `merge` they keep their stored values; `created_at` always stays unless given. With `skip_older`, a record
    whose `updated_at` is before the stored one changes nothing. A new row gets the internal id `new_id` if given.
    """
    record = record | {key: as_json(record[key]) for key in ("tags", "capabilities") if key in record}
    row = _find(connection, table, organization_id, record["public_id"])
    stored = dict(zip(table.defaults, row[1:], strict=True)) if row else {}
    values = {**table.defaults, **(stored if merge else {}), **record}
    values["created_at"] = record.get("created_at") or stored.get("created_at") or now()
    values["updated_at"] = values["updated_at"] or values["created_at"]
    if row is None:
        cursor = connection.execute(table.insert, {**values, "id": new_id, "organization_id": organization_id})
        return Saved(cursor.lastrowid or 0, "new")
    if skip_older and record.get("updated_at", stored["updated_at"]) < stored["updated_at"]:
        return Saved(row[0], "older")
    if values == stored:
        return Saved(row[0], "unchanged")
    connection.execute(table.update, {**values, "id": row[0]})
    return Saved(row[0], "changed")


def _find(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> tuple[Any, ...] | None:
    values = {"organization_id": organization_id, "canonical_id": canonical_id(public_id)}
    row: tuple[Any, ...] | None = connection.execute(table.find, values).fetchone()
    return row
