"""Finding, rendering, listing, saving and archiving rows with a public id: sessions, agents and harnesses."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from everruns.ids import BASE_HARNESS, canonical_id
from everruns.records import ListQuery, Organization, Outcome, Page, Record
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

ONE = """
WHERE {table}.organization_id = :organization_id
  AND {table}.canonical_id = :canonical_id
"""

ALL = """
WHERE {table}.organization_id = :organization_id
  AND {table}.id <> 0
ORDER BY {table}.id
"""

# `casefold` is registered by `db.connect`; SQLite's lower() changes ASCII only.
BY_NAME = """
WHERE {table}.organization_id = :organization_id
  AND ({table}.status = 'active' OR :include_archived)
  AND (
    :search IS NULL
    OR instr(casefold(CAST({table}.name AS BLOB)), :search)
    OR instr(casefold(CAST({table}.display_name AS BLOB)), :search)
    OR instr(casefold(CAST({table}.description AS BLOB)), :search)
  )
ORDER BY casefold(CAST({table}.name AS BLOB)), {table}.id
"""

LAST_ID = """
SELECT coalesce(MAX(id), 0)
FROM {table}
"""

as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# Of all tables.
DEFAULTS = {"public_id": None, "tags": "[]", "capabilities": "[]", "created_at": None, "updated_at": None}


class Table:
    """A table, the statement that renders its rows as JSON, and defaults of the columns that a record may give.

    A row with the id 0 is built in and not stored.
    """

    def __init__(self, name: str, select: str, defaults: dict[str, Any]) -> None:
        defaults = DEFAULTS | defaults
        names = {"table": name, "columns": ", ".join(defaults), "values": ", ".join(f":{name}" for name in defaults)}
        self.select_one = select + ONE.format(**names)
        self.select_all = select + ALL.format(**names)
        self.select_by_name = select + BY_NAME.format(**names)
        self.find = FIND.format(**names)
        self.insert = INSERT.format(**names)
        self.update = UPDATE.format(**names)
        self.last_id = LAST_ID.format(**names)
        self.defaults = defaults


def rendering_values(organization: Organization) -> dict[str, Any]:
    """Return the bound values of the rendering statements."""
    return {
        "organization_id": organization.id,
        "organization": organization.public_id,
        "base_harness": BASE_HARNESS,
        "with_session_counts": False,
    }


def find(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> dict[str, Any] | None:
    """Return the stored columns of the row with this public id, and its internal `id`; or None."""
    values = {"organization_id": organization_id, "canonical_id": canonical_id(public_id)}
    row = connection.execute(table.find, values).fetchone()
    return dict(zip(("id", *table.defaults), row, strict=True)) if row else None


def find_id(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> int | None:
    """Return the internal id of the row with this public id, or None."""
    row = find(connection, table, organization_id, public_id)
    return row["id"] if row else None


def render(connection: sqlite3.Connection, table: Table, organization: Organization, public_id: str) -> str | None:
    """Return the row with this public id as JSON, or None."""
    values = {**rendering_values(organization), "canonical_id": canonical_id(public_id)}
    row = connection.execute(table.select_one, values).fetchone()
    return row[0] if row else None


def render_all(connection: sqlite3.Connection, table: Table, organization: Organization) -> Iterator[str]:
    """Yield each row of the organization as JSON, in the order of storing."""
    return (row[0] for row in connection.execute(table.select_all, rendering_values(organization)))


def list_by_name(connection: sqlite3.Connection, table: Table, organization: Organization, query: ListQuery) -> Page:
    """Return the page of agents or harnesses that `query` asks for, by name. There are few: all are read."""
    values = {
        **rendering_values(organization),
        "search": query.search and query.search.casefold(),
        "include_archived": query.include_archived,
        "with_session_counts": query.include == "session_counts",
    }
    rows = [row for (row,) in connection.execute(table.select_by_name, values)]
    return Page(",".join(rows[query.offset : query.offset + query.limit]), len(rows))


def next_id(connection: sqlite3.Connection, table: Table) -> int:
    """Return the lowest internal id after all that exist."""
    return int(connection.execute(table.last_id).fetchone()[0]) + 1


def save(
    connection: sqlite3.Connection,
    table: Table,
    organization_id: int,
    record: Record,
    stored: Record | None = None,
    *,
    merge: bool = False,
    new_id: int | None = None,
) -> Outcome:
    """Insert `record`, or update the row that `find` returned as `stored` in the same write transaction.

    `record` maps columns to values; `tags` and `capabilities` are lists. Columns that are absent get their defaults,
    with `merge` they keep their stored values; `created_at` and `updated_at` always stay unless given. `archived_at` is
    set if and only if the status is `archived`. A new row gets the internal id `new_id` if given.
    Returns what was done.
    """
    record = record | {key: as_json(record[key]) for key in ("tags", "capabilities") if key in record}
    kept = stored or {}
    values = {**kept, **record} if merge and kept else {**kept, **table.defaults, **record}
    values["created_at"] = record.get("created_at") or kept.get("created_at") or now()
    values["updated_at"] = record.get("updated_at") or kept.get("updated_at") or values["created_at"]
    if "archived_at" in table.defaults:
        is_archived = values["status"] == "archived"
        values["archived_at"] = (values["archived_at"] or values["updated_at"]) if is_archived else None
    if stored is None:
        connection.execute(table.insert, {**values, "id": new_id, "organization_id": organization_id})
        return "new"
    values["public_id"] = stored["public_id"]  # shown as it was first stored
    if values == stored:
        return "unchanged"
    connection.execute(table.update, values)
    return "changed"
