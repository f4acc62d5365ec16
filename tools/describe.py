"""Write everruns/api/openapi.json (OpenAPI 3.1) and everruns/api/llms.txt. Run by `make describe`.

Query arguments and bodies come from the schemas that validate them, most errors from the classes that are raised. Tests
compare both files with the running service.
"""

import json
import re
from pathlib import Path

import everruns
from everruns.ids import id_pattern
from tools import examples, llms
from tools.operations import Operation, operations
from tools.responses import ERRORS, HEADERS, error_responses
from tools.schemas import SCHEMAS, Json, query, ref

API = Path(everruns.__file__).parent / "api"

ABOUT = """\
A part of the Everruns API, served from one SQLite file.

Every GET operation also accepts `HEAD`. Other methods get `405` with `Allow`, other paths `404`. All errors have the
same shape: rely on `code`, since the wording of `message` may change. Ignore keys that you do not know, since later
versions may add some.

Bodies are JSON (`application/json`, UTF-8, not compressed) of at most 1 MiB, with each key once. Texts must not
contain the character U+0000. A write that got a `2xx` survives a crash."""

KEY = """\
`Authorization: Bearer evr_…`, the scheme in any letter case. `ApiKey evr_…` and the bare key are accepted too: the
official SDKs send the bare key. A key belongs to one organization and gives access to that organization only. A
read-only key can only read."""

TAGS = {
    "sessions": "Sessions of the API key's organization.",
    "agents": "Agents, which sessions belong to.",
    "harnesses": "Harnesses, in which agents and sessions run.",
    "capabilities": "The catalog of capabilities, which decides the features of sessions.",
    "organization": "The organization of the API key.",
    "service": "The service itself. No API key is needed.",
}

# The description and an example of each argument; `TAG.NAME` where the meaning depends on the path.
ARGUMENTS: dict[str, tuple[str, object]] = {
    "agent_id": (
        "Only sessions of this agent; an agent that does not exist gives an empty result. Dashes and letter case do "
        "not matter.",
        examples.AGENT_ID,
    ),
    "status": ("Only sessions with this status.", "idle"),
    "tag": ("Only sessions with this tag, exactly; given several times: with all of them.", ["debugging", "urgent"]),
    "search": ("Only those whose name, display name or description contains this text, in any letter case.", "support"),
    "sessions.search": (
        "Only sessions whose title contains this text, in any letter case, or whose id is this text.",
        "checkout",
    ),
    "capabilities.search": (
        "Only those whose id, name or description contains this text, in any letter case.",
        "memory",
    ),
    "created_after": (
        "Only sessions created at this time or later. ISO 8601 with a zone; write + as %2B.",
        "2026-02-01T00:00:00Z",
    ),
    "created_before": (
        "Only sessions created before this time, which must not be before created_after.",
        "2026-03-01T00:00:00Z",
    ),
    "offset": ("How many to skip.", 20),
    "limit": ("How many to return at most.", 10),
    "days": ("How many days to return.", 7),
    "until": ("The last day, in UTC; today unless given.", "2026-02-27"),
    "include": ("Adds `session_counts` to each agent.", "session_counts"),
    "include_archived": ("Includes those that are archived.", True),
}

PATH_PARAMETERS = {
    "session_id": ("session", examples.SESSION_ID),
    "agent_id": ("agent", examples.AGENT_ID),
    "harness_id": ("harness", examples.HARNESS_ID),
    "capability_id": ("", examples.CAPABILITY["id"]),
}

HEADER_PARAMETERS: Json = {
    "X-Org-Id": {
        "description": "The id of the key's organization, as a check. Dashes and letter case are ignored.",
        "schema": {"type": "string", "pattern": f"^{id_pattern('org')}$"},
        "example": examples.ORGANIZATION_ID,
    },
    "X-Request-Id": {
        "description": "An id for the response and the log: 1 to 128 of `A-Za-z0-9._-`. Replaced by a new one if "
        "invalid or absent.",
        "schema": {"type": "string"},
        "example": examples.REQUEST_ID,
    },
    "If-None-Match": {
        "description": "The `ETag` of an earlier response, a list of such, or `*`. If one matches, the response is "
        "`304`.",
        "schema": {"type": "string"},
        "example": examples.ETAG,
    },
}


def _path_parameter(name: str) -> Json:
    prefix, example = PATH_PARAMETERS[name]
    schema = {"type": "string", "pattern": f"^{id_pattern(prefix)}$"} if prefix else {"type": "string", "minLength": 1}
    return {"in": "path", "name": name, "required": True, "schema": schema, "example": example}


def _query_parameter(name: str, schema: Json, tag: str) -> Json:
    description, example = ARGUMENTS.get(f"{tag}.{name}") or ARGUMENTS[name]
    return {"in": "query", "name": name, "description": description, "example": example, "schema": schema}


def _parameters(operation: Operation, tag: str) -> list[Json]:
    arguments = query(operation.query()) if operation.query else {}
    headers = ["X-Org-Id"] if "401" in operation.errors else []
    headers += ["X-Request-Id", *(["If-None-Match"] if "304" in operation.returns else [])]
    return [
        *(_path_parameter(name) for name in re.findall(r"{(\w+)}", operation.path)),
        *(_query_parameter(name, schema, tag) for name, schema in arguments.items()),
        *(ref(name, "parameters") for name in headers),
    ]


def _describe(operation: Operation) -> Json:
    named = re.fullmatch(r"/v1/(\w+).*", operation.path)
    tag = named[1] if named else "service"
    described: Json = {
        "operationId": operation.id,
        "tags": [tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation, tag),
        "responses": {**operation.returns, **error_responses(operation.errors)},
    }
    if operation.body:
        name, example = operation.body
        content = {"application/json": {"schema": ref(name), "example": example}}
        described["requestBody"] = {"required": True, "content": content}
    if "401" not in operation.errors:
        described["security"] = []
    return described


def openapi() -> Json:
    """Return the OpenAPI 3.1 document."""
    paths: Json = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Everruns Sessions",
            "version": everruns.__version__,
            "summary": "The agent sessions of an organization: list, search, count, create, change, delete.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "../"}],  # relative to /api-doc/openapi.json, so that it holds under any prefix
        "security": [{"key": []}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": ERRORS,
            "parameters": {name: {"in": "header", "name": name, **about} for name, about in HEADER_PARAMETERS.items()},
            "headers": HEADERS,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "evr_…", "description": KEY}
            },
        },
    }


def documents() -> dict[str, str]:
    """Return the text of each file by its name in everruns/api/."""
    description = openapi()
    return {
        "openapi.json": json.dumps(description, indent=2, ensure_ascii=False) + "\n",
        "llms.txt": llms.text(description),
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (API / name).write_text(text, "utf-8")
