"""JSON Schemas of what the API takes and returns.

What it takes follows the Marshmallow schemas that validate it. What it returns is built by SQL, so it is written here.
"""

from typing import Any

from marshmallow import Schema, fields

from everruns.api.errors import REQUEST_ID
from everruns.ids import id_pattern
from everruns.schemas.fields import (
    Array,
    CapabilityReference,
    Choice,
    Day,
    Flag,
    PublicId,
    Text,
    Timestamp,
    WholeNumber,
)
from everruns.schemas.resources import AGENT_STATUSES, CATALOG_STATUSES, NULL_IS_ABSENT, SESSION_STATUSES
from everruns.timestamps import STORED_TIMESTAMP
from everruns.transfer.resources import AGENT, COMPUTED_KEYS, HARNESS, SESSION, Resource

Json = dict[str, Any]

# Null, false, `[]` and `{}`, which are ignored under a key that is not kept; client generators cannot read an enum.
EMPTY: Json = {
    "not": {
        "anyOf": [
            {"const": True},
            {"type": ["number", "string"]},
            {"type": "array", "minItems": 1},
            {"type": "object", "minProperties": 1},
        ]
    }
}
FROM_YEAR_2 = "^(000[2-9]|00[1-9]|0[1-9]|[1-9])[0-9-]+$"


def ref(name: str, section: str = "schemas") -> Json:
    """Return the reference to a component of the document."""
    return {"$ref": f"#/components/{section}/{name}"}


# --- what comes in ---


def rule(field: fields.Field[Any]) -> Json:
    """Return the JSON Schema of a field of `everruns.schemas`, without null."""
    if isinstance(field, Array):
        return {"type": "array", "items": rule(field.inner)}
    if isinstance(field, CapabilityReference):
        return {"anyOf": [ref("CapabilityRefBody"), {"type": "string", "minLength": 1}]}
    if isinstance(field, WholeNumber):
        return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
    if isinstance(field, Flag):
        return {"type": "boolean"}
    if isinstance(field, Day):
        return {"type": "string", "format": "date", "pattern": FROM_YEAR_2}
    if isinstance(field, PublicId):
        return {"type": "string", "pattern": f"^{id_pattern(field.prefix)}$"}
    if isinstance(field, Choice):
        return {"type": "string", "enum": list(field.choices)}
    if isinstance(field, Timestamp):
        return {"type": "string", "format": "date-time"}
    assert isinstance(field, Text), field
    length: Json = {"minLength": field.minimum} if field.minimum else {}
    if field.maximum is not None:
        length["maxLength"] = field.maximum
    return {"type": "string", **length}


def body(resource: Resource, returned: Json, all_keys: bool) -> Json:
    """Return the schema of the body of POST and PUT, with `all_keys`, or of PATCH.

    `returned` is the schema of what is returned: it has the descriptions and the order of the keys.
    """
    fields_by_key = {field.data_key or name: field for name, field in resource.schema.fields.items()}
    properties = {
        key: _property(fields_by_key[key], shape["description"], resource if all_keys else None)
        for key, shape in returned["properties"].items()
        if key in fields_by_key
    }
    required = [key for key in properties if all_keys and fields_by_key[key].required and key != "id"]
    return {
        "type": "object",
        "description": f"A {resource.name} to store." if all_keys else f"The keys of a {resource.name} to change.",
        "properties": properties,
        **({"required": required} if required else {}),
        "patternProperties": {f"^({'|'.join(sorted(COMPUTED_KEYS))})$": {}},  # ignored
        "additionalProperties": EMPTY,
    }


def _property(field: fields.Field[Any], description: str, defaults_of: Resource | None) -> Json:
    schema = {**rule(field), "description": description}
    default = defaults_of and defaults_of.table.defaults.get(str(field.name))
    if isinstance(default, str) and not isinstance(field, Array):
        schema["default"] = default
    return _nullable(schema) if field.allow_none or (field.data_key or field.name) in NULL_IS_ABSENT else schema


def query(schema: Schema) -> dict[str, Json]:
    """Return the JSON Schema of each query argument."""
    rules = {}
    for name, field in schema.fields.items():
        absent = field.load_default in (None, ()) or callable(field.load_default)
        rules[field.data_key or name] = rule(field) if absent else {**rule(field), "default": field.load_default}
    return rules


# --- what goes out ---


def _object(description: str, properties: Json, optional: tuple[str, ...] = ()) -> Json:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


def _text(description: str, **rules: object) -> Json:
    return {"type": "string", **rules, "description": description}


def _id(prefix: str, description: str) -> Json:
    return _text(description, pattern=f"^{id_pattern(prefix)}$")


def _timestamp(description: str) -> Json:
    return _text(description, format="date-time", pattern=f"^{STORED_TIMESTAMP.pattern}$")


def _integer(minimum: int, description: str) -> Json:
    return {"type": "integer", "minimum": minimum, "description": description}


def _array(items: Json, description: str) -> Json:
    return {"type": "array", "items": items, "description": description}


def _nullable(schema: Json) -> Json:
    schema = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        schema |= {"title": "Status", "enum": [*schema["enum"], None]}  # generators name classes by the title
    return schema


def _page(item: str, plural: str, order: str) -> Json:
    return _object(
        f"A page of {plural}.",
        {
            "data": _array(ref(item), order),
            "total": _integer(0, "The number of matches on all pages, from the same snapshot as `data`."),
            "offset": _integer(0, "The `offset` of the request."),
            "limit": _integer(1, "The `limit` of the request."),
        },
    )


_ORGANIZATION_ID = _id("org", "The organization of the API key.")
_TAGS = _array({"type": "string"}, "The tags, in the given order.")
_CAPABILITIES = _array(ref("CapabilityRef"), "Its own capabilities, in the given order.")
_TIMES = {
    "created_at": _timestamp("The time of creation, in UTC."),
    "updated_at": _timestamp("The time of the last update, in UTC."),
}

_SESSION = _object(
    "A session. Every key is always present.",
    {
        "id": _id("session", "The id, as first stored."),
        "organization_id": _ORGANIZATION_ID,
        "harness_id": _id("harness", "The harness; the base harness unless another was given."),
        "agent_id": _nullable(_id("agent", "The agent; null for a session without an agent.")),
        "title": _nullable(_text("The title.")),
        "tags": _TAGS,
        "model_id": _nullable(_text("The model, if the session overrides that of its agent.")),
        "capabilities": _CAPABILITIES,
        "status": _text("The current status.", enum=list(SESSION_STATUSES)),
        "features": {
            **_array(
                {"type": "string"},
                "The features of the available capabilities of the session, its agent and its harness, and of all "
                "their dependencies. Computed at read time, sorted.",
            ),
            "uniqueItems": True,
        },
        **_TIMES,
    },
)

# The keys that agents and harnesses share; a harness has no `harness_id`, an agent no `is_built_in`.
_SHARED = {
    "organization_id": _ORGANIZATION_ID,
    "harness_id": _id("harness", "The harness; the base harness unless another was given."),
    "name": _text("The name, by which lists are ordered.", minLength=1, maxLength=200),
    "display_name": _nullable(_text("A name for people.")),
    "description": _nullable(_text("The purpose.")),
    "system_prompt": _text("The system prompt."),
    "default_model_id": _nullable(_text("The model of sessions that name none.")),
    "tags": _TAGS,
    "capabilities": _CAPABILITIES,
    "status": _text("Whether it is archived.", enum=list(AGENT_STATUSES)),
    "is_built_in": {"type": "boolean", "description": "True for the base harness, which cannot be changed."},
    "archived_at": _nullable(_timestamp("The time of archiving.")),
    **_TIMES,
}
_AGENT = _object(
    "An agent. Every key is always present, `session_counts` only if asked for.",
    {
        "id": _id("agent", "The id, as first stored."),
        **{key: shape for key, shape in _SHARED.items() if key != "is_built_in"},
        "session_counts": ref("SessionCounts"),
    },
    optional=("session_counts",),
)
_HARNESS = _object(
    "A harness. Every key is always present.",
    {
        "id": _id("harness", "The id, as first stored."),
        **{key: shape for key, shape in _SHARED.items() if key != "harness_id"},
    },
)

_CAPABILITY_REF = _object(
    "A capability of a session, an agent or a harness.",
    {
        "ref": _text("The id of the capability, in the catalog or not.", minLength=1),
        "config": {"type": "object", "description": "Its configuration; absent if none was given."},
    },
    optional=("config",),
)

SCHEMAS: dict[str, Json] = {
    "Session": _SESSION,
    "SessionBody": body(SESSION, _SESSION, all_keys=True),
    "SessionChanges": body(SESSION, _SESSION, all_keys=False),
    "SessionsPage": _page(
        "Session",
        "sessions",
        "By `created_at`, newest first; equal timestamps by order of storing, newest first.",
    ),
    "SessionCounts": _object(
        "Numbers of sessions by status.",
        {
            "total": _integer(0, "All sessions."),
            **{status: _integer(0, f"Sessions with the status `{status}`.") for status in SESSION_STATUSES},
        },
    ),
    "Activity": _object(
        "Sessions per day.",
        {
            "data": _array(ref("Day"), "One entry for each day, oldest first."),
            "total": _integer(0, "The number of sessions created on these days."),
            "days": _integer(1, "The `days` of the request."),
            "until": _text("The last day.", format="date"),
        },
    ),
    "Day": _object(
        "A day of activity.",
        {
            "day": _text("The day, in UTC.", format="date"),
            "sessions": _integer(0, "The number of sessions created on this day."),
        },
    ),
    "Agent": _AGENT,
    "AgentBody": body(AGENT, _AGENT, all_keys=True),
    "AgentChanges": body(AGENT, _AGENT, all_keys=False),
    "AgentsPage": _page("Agent", "agents", "By name, in any letter case."),
    "Harness": _HARNESS,
    "HarnessBody": body(HARNESS, _HARNESS, all_keys=True),
    "HarnessChanges": body(HARNESS, _HARNESS, all_keys=False),
    "HarnessesPage": _page("Harness", "harnesses", "By name, in any letter case."),
    "CapabilityRef": _CAPABILITY_REF,
    "CapabilityRefBody": {
        **_CAPABILITY_REF,
        "properties": {**_CAPABILITY_REF["properties"], "config": _nullable(_CAPABILITY_REF["properties"]["config"])},
        "additionalProperties": EMPTY,
    },
    "Capability": _object(
        "A capability of the catalog.",
        {
            "id": _text("The id.", minLength=1),
            "name": _text("The name."),
            "description": _text("The purpose; can be empty."),
            "category": _nullable(_text("The category.")),
            "status": _text("Only available capabilities provide features.", enum=list(CATALOG_STATUSES)),
            "dependencies": _array({"type": "string"}, "The capabilities that come with it."),
            "features": _array({"type": "string"}, "The features of the capability itself."),
        },
    ),
    "CapabilitiesPage": _page("Capability", "capabilities", "By id."),
    "Organization": _object(
        "The organization of the API key.",
        {"id": _id("org", "The id."), "name": _text("The name.")},
    ),
    "Health": _object(
        "The state of the service.",
        {
            "status": _text("The database is readable and has the expected version.", enum=["ok"]),
            "version": _text("The version of the service."),
            "replica_lag_seconds": {
                "type": ["number", "null"],
                "minimum": 0,
                "description": "Only on a replica: the age of its data, or null if unknown.",
            },
        },
        optional=("replica_lag_seconds",),
    ),
    "Error": _object("The body of every error response.", {"error": ref("ErrorDetail")}),
    "ErrorDetail": _object(
        "The error.",
        {
            "code": _text("The kind of error, for programs."),
            "message": _text("The error and how to fix it, for people; the wording may change."),
            "fields": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "description": "The errors of each invalid argument or key of the body; present only if there are any.",
            },
            "request_id": _text("The value of `X-Request-Id`.", pattern=f"^{REQUEST_ID.pattern}$"),
        },
        optional=("fields",),
    ),
}
