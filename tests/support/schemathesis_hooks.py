"""Hooks of schemathesis, for the rules of the API that OpenAPI cannot express."""

from typing import Any

import schemathesis

from everruns.ids import BASE_HARNESS, is_id
from everruns.timestamps import parse_timestamp
from tools import examples

# A database of the tests has these.
REFERENCES = {"agent_id": ("agent", examples.AGENT_ID), "harness_id": ("harness", examples.HARNESS_ID)}
# Times that begin so may be outside of the years 1 to 9999 in UTC.
TIMESTAMPS = ("created_at", "updated_at", "archived_at")
EDGES = ("0001-01-01T", "9999-12-31T")
# What a body may only repeat, by method.
REPEATED = {"PUT": ("id",), "PATCH": ("id", "created_at")}


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """Return whether the times are not at an edge, and `created_before` is not before `created_after`."""
    after, before = (str((query or {}).get(name)) for name in ("created_after", "created_before"))
    if after.startswith(EDGES) or before.startswith(EDGES):
        return False
    try:
        return parse_timestamp(after) <= parse_timestamp(before)
    except ValueError:
        return True


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Refer to agents and harnesses that exist, and leave out valid keys that this request may not have."""
    if case.method != "GET" and case.path_parameters.get("harness_id") == BASE_HARNESS:
        case.path_parameters["harness_id"] = examples.HARNESS_ID
    if not isinstance(case.body, dict):
        return
    for key in REPEATED.get(case.method, ()):
        if _is_valid(key, case.body.get(key)):
            del case.body[key]
    for key in TIMESTAMPS:
        if str(case.body.get(key)).startswith(EDGES):
            del case.body[key]
    if case.body.get("id") == BASE_HARNESS:
        del case.body["id"]
    for key, (prefix, public_id) in REFERENCES.items():
        value = case.body.get(key)
        if isinstance(value, str) and is_id(value, prefix):
            case.body[key] = public_id


def _is_valid(key: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if key == "id":
        return any(is_id(value, prefix) for prefix in ("session", "agent", "harness"))
    try:
        parse_timestamp(value)
    except ValueError:
        return False
    return True
