"""The one rule of the API that OpenAPI cannot say, for schemathesis, which would call it a valid request refused."""

from typing import Any

import schemathesis

from everruns.values import parse_instant


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any]) -> bool:
    """Whether `created_before` is not before `created_after`; tests/test_walk.py shows that this is refused."""
    try:
        return parse_instant(query["created_after"]) <= parse_instant(query["created_before"])
    except (KeyError, TypeError, ValueError):
        return True
