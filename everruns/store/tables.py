"""Saving a record in a table whose rows have a public id within an organization: sessions, agents and harnesses."""

import json
import sqlite3
from typing import Any, NamedTuple

from everruns.ids import canonical_id
from everruns.records import Outcome, Record
from everruns.timestamps import now

as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Table(NamedTuple):
    """The statements of a table, and the values of a new row's columns where the record does not give them.

    `find` selects `id` and then the columns of `defaults`, in that order, for an `organization_id` and `canonical_id`.
    """

    last_id: str
    find: str
    insert: str
    update: str
    defaults: dict[str, Any]


class Saved(NamedTuple):
    """The internal id of the row, and what saving did."""

    id: int
    outcome: Outcome


def find(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> int | None:
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

    `record` maps column names to values; `tags` and `capabilities` are lists. Keys that are absent get their defaults,
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
        values |= {"id": new_id, "organization_id": organization_id}
        return Saved(connection.execute(table.insert, values).lastrowid or 0, "new")
    if skip_older and record.get("updated_at", stored["updated_at"]) < stored["updated_at"]:
        return Saved(row[0], "older")
    if values == stored:
        return Saved(row[0], "unchanged")
    connection.execute(table.update, values | {"id": row[0]})
    return Saved(row[0], "changed")


def _find(connection: sqlite3.Connection, table: Table, organization_id: int, public_id: str) -> tuple[Any, ...] | None:
    values = {"organization_id": organization_id, "canonical_id": canonical_id(public_id)}
    row: tuple[Any, ...] | None = connection.execute(table.find, values).fetchone()
    return row
