"""The resources that are written: sessions, agents and harnesses."""

import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

from marshmallow import Schema, ValidationError

from everruns.ids import BASE_HARNESS, canonical_id
from everruns.records import Organization, Record
from everruns.schemas.fields import REFERENCE_KEYS, escape, is_empty, known_keys
from everruns.schemas.resources import AgentSchema, HarnessSchema, SessionSchema
from everruns.store import agents, harnesses, sessions, tables


class Resource(NamedTuple):
    """A resource: its name and plural, how a record is validated, where it is stored, and what it refers to."""

    name: str
    plural: str
    schema: Schema
    table: tables.Table
    references: tuple[str, ...]


SESSION = Resource("session", "sessions", SessionSchema(), sessions.TABLE, ("harness", "agent"))
AGENT = Resource("agent", "agents", AgentSchema(), agents.TABLE, ("harness",))
HARNESS = Resource("harness", "harnesses", HarnessSchema(), harnesses.TABLE, ())
RESOURCES = {resource.name: resource for resource in (SESSION, AGENT, HARNESS)}

# The service computes these itself, so that they may come back in what a client sends.
COMPUTED_KEYS = {"organization_id", "features", "is_built_in", "session_counts"}
MAX_UNKNOWN_KEYS = 20  # that a response or a summary names
_KNOWN_KEYS = {name: dict.fromkeys(known_keys(resource.schema)) for name, resource in RESOURCES.items()}


def unknown_keys(resource: Resource, record: Record) -> Iterator[tuple[str, str, Collection[str]]]:
    """Yield each key that is not kept, unless it is empty or computed: the path before it, the key, and the known ones.

    The path is empty, or like `capabilities[2].`.
    """
    known: Collection[str] = _KNOWN_KEYS[resource.name]
    for key, value in record.items():
        if key not in known and key not in COMPUTED_KEYS and not is_empty(value):
            yield "", key, known
    references = record.get("capabilities")
    for index, reference in enumerate(references if isinstance(references, list) else ()):
        for key, value in reference.items() if isinstance(reference, dict) else ():
            if key not in REFERENCE_KEYS and not is_empty(value):
                yield f"capabilities[{index}].", key, REFERENCE_KEYS


def resolve_references(
    connection: sqlite3.Connection, organization: Organization, resource: Resource, record: Record
) -> Record:
    """Return `record` with the internal ids of the harness and agent that it names; raises `ValidationError`."""
    errors: dict[str, list[str]] = {}
    resolved = dict(record)
    for name in resource.references:
        key = f"{name}_id"
        public_id = record.get(key)
        if public_id is not None:
            row_id = None
            if canonical_id(public_id) != BASE_HARNESS:
                row_id = tables.find_id(connection, RESOURCES[name].table, organization.id, public_id)
                if row_id is None:
                    errors[key] = [f"must be of an existing {name}; got '{escape(public_id)}'"]
            resolved[key] = row_id
    if errors:
        raise ValidationError(errors)
    return resolved
