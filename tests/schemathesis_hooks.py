"""The one rule of the API that OpenAPI has no words for, so that schemathesis does not take it for a fault."""

from typing import Any

import schemathesis

from everruns.values import parse_instant


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any]) -> bool:
    """Whether `created_before` is not before `created_after`: that it is refused is tested in test_walk.py."""
    try:
        return parse_instant(query["created_after"]) <= parse_instant(query["created_before"])
    except (KeyError, TypeError, ValueError):
        return True
