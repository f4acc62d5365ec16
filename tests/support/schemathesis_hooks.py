"""A hook of schemathesis, for the one rule of the API that OpenAPI cannot express."""

from typing import Any

import schemathesis

from everruns.timestamps import parse_timestamp


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any]) -> bool:
    """Return whether `created_before` is not before `created_after`."""
    try:
        return parse_timestamp(query["created_after"]) <= parse_timestamp(query["created_before"])
    except (KeyError, TypeError, ValueError):
        return True
