"""The capability catalog: the built-in one, and replacing what the database holds by another."""

import json
import sqlite3
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from everruns.schemas import CapabilitySchema, escaped, faults, kind

BUILT_IN = Path(__file__).with_name("catalog.json")


class CatalogRefused(Exception):
    """The catalog cannot be loaded; the message has a line for each fault."""


def read(path: Path) -> list[dict[str, Any]]:
    """The capabilities of the catalog file at `path`, validated.

    Raises `CatalogRefused` for a file that is no catalog, an entry that is wrong, an id that comes twice, and
    dependencies that form a cycle.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
        json.dumps(entries, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no character
    except OSError as error:
        raise CatalogRefused(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CatalogRefused(f"{path}: is no JSON: {error}") from None
    if not isinstance(entries, list):
        raise CatalogRefused(f"{path}: must hold an array of capabilities, not {kind(entries)}")
    if wrong := [
        f"{path}: [{n}]: must be an object, not {kind(e)}" for n, e in enumerate(entries) if type(e) is not dict
    ]:
        raise CatalogRefused("\n".join(wrong))
    try:
        capabilities: list[dict[str, Any]] = CapabilitySchema(many=True).load(entries)
    except ValidationError as error:
        raise CatalogRefused("\n".join(f"{path}: {fault}" for fault in faults(error))) from None
    ids = [capability["id"] for capability in capabilities]
    if twice := sorted({capability_id for capability_id in ids if ids.count(capability_id) > 1}):
        raise CatalogRefused(f"{path}: each id must come once; more than once: {', '.join(map(escaped, twice))}")
    try:
        TopologicalSorter({entry["id"]: entry["dependencies"] or [] for entry in capabilities}).prepare()
    except CycleError as error:
        cycle = " needs ".join(map(escaped, reversed(error.args[1])))
        raise CatalogRefused(f"{path}: dependencies must not form a cycle: {cycle}") from None
    return capabilities


def replace(connection: sqlite3.Connection, capabilities: list[dict[str, Any]]) -> None:
    """Replace the whole catalog by `capabilities`, as `read` gives them."""
    connection.execute("DELETE FROM capability_features")
    connection.execute("DELETE FROM capability_dependencies")
    connection.execute("DELETE FROM capabilities")
    connection.executemany(
        """
        INSERT INTO capabilities (id, name, category, status)
        VALUES (:id, :name, :category, :status)
        """,
        capabilities,
    )
    connection.executemany(
        """
        INSERT OR IGNORE INTO capability_dependencies (capability_id, dependency_id)
        VALUES (?, ?)
        """,
        _pairs(capabilities, "dependencies"),
    )
    connection.executemany(
        """
        INSERT OR IGNORE INTO capability_features (capability_id, feature)
        VALUES (?, ?)
        """,
        _pairs(capabilities, "features"),
    )


def _pairs(capabilities: list[dict[str, Any]], key: str) -> Iterator[tuple[str, str]]:
    return ((capability["id"], value) for capability in capabilities for value in capability[key] or [])
