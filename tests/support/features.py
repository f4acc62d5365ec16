"""The features of capabilities, computed in Python."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from everruns.store.catalog import BUILT_IN

BUILT_IN_CATALOG: dict[str, Any] = {entry["id"]: entry for entry in json.loads(BUILT_IN.read_text("utf-8"))}


def expected_features(refs: Iterable[str], catalog: Mapping[str, Any] = BUILT_IN_CATALOG) -> list[str]:
    """Return the features of these capabilities and of all that they depend on, by a depth-first walk."""
    features: set[str] = set()
    visited: set[str] = set()

    def visit(ref: str) -> None:
        entry = catalog.get(ref)
        if ref in visited or entry is None or entry["status"] != "available":
            return
        visited.add(ref)
        features.update(entry["features"])
        for dependency in entry["dependencies"]:
            visit(dependency)

    for ref in refs:
        visit(ref)
    return sorted(features)
