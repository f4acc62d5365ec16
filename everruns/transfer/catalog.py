"""Reading a capability catalog from a file."""

import json
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from marshmallow import ValidationError

from everruns.records import Record
from everruns.schemas.fields import escape, flatten, json_type
from everruns.schemas.resources import CapabilitySchema


class CatalogRefused(Exception):
    """The catalog cannot be loaded; the message has a line for each error."""


def read(path: Path) -> list[Record]:
    """Return the validated capabilities of the catalog file at `path`.

    Raises `CatalogRefused` for a file that is not a catalog, an invalid entry, a duplicate id, and dependencies that
    form a cycle.
    """
    try:
        entries = json.loads(path.read_text("utf-8"))
        json.dumps(entries, ensure_ascii=False).encode("utf-8")  # fails for half of a surrogate pair
    except OSError as error:
        raise CatalogRefused(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CatalogRefused(f"{path} must be valid JSON: {error}") from None
    if not isinstance(entries, list):
        raise CatalogRefused(f"{path} must be an array of capabilities; got {json_type(entries)}")
    errors = [
        f"{path}: [{index}] must be an object; got {json_type(entry)}"
        for index, entry in enumerate(entries)
        if not isinstance(entry, dict)
    ]
    if errors:
        raise CatalogRefused("\n".join(errors))
    try:
        capabilities: list[Record] = CapabilitySchema(many=True).load(entries)
    except ValidationError as error:
        raise CatalogRefused("\n".join(f"{path}: {line}" for line in flatten(error.messages_dict))) from None
    ids = Counter(capability["id"] for capability in capabilities)
    if duplicates := sorted(escape(capability_id) for capability_id, count in ids.items() if count > 1):
        raise CatalogRefused(f"{path}: each id must be unique; got more than once: {', '.join(duplicates)}")
    try:
        TopologicalSorter({entry["id"]: entry.get("dependencies", []) for entry in capabilities}).prepare()
    except CycleError as error:
        cycle = " depends on ".join(map(escape, reversed(error.args[1])))
        raise CatalogRefused(f"{path}: dependencies must not form a cycle: {cycle}") from None
    return capabilities
