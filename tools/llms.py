"""The text of everruns/api/llms.txt (llmstxt.org), from the OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ADVICE = {
    "400": "read `fields`, fix those arguments or keys, retry",
    "401": "ask the user for a key; do not retry",
    "403": "omit `X-Org-Id`; for `read_only_key`, ask the user for another key",
    "404": "check the path and the id",
    "405": "use a method listed above",
    "409": "the session exists: use PUT or PATCH",
    "413": "shorten the body",
    "414": "shorten the arguments",
    "415": "send `Content-Type: application/json`",
    "429": "wait `Retry-After` seconds, retry",
    "431": "send fewer or shorter headers",
    "500": "do not retry; give the user the `request_id`",
    "503": "wait `Retry-After` seconds, retry; for `read_only_replica`, write to the primary",
}

TEXT = """\
# {title}

> {summary} JSON in, JSON out.

Paths are relative to the directory of this file.

## Key

Send `Authorization: Bearer KEY` with every path under `/v1/`. A key begins with `evr_` and belongs to one organization;
it gives access to that organization only. A read-only key can only read.

## Operations

{operations}
All arguments are optional. An unknown, empty or repeated argument is refused.

## Bodies

`Content-Type: application/json`, one object of at most 1 MiB. PUT replaces everything, `created_at` only if given;
PATCH changes only the keys it has, and null empties a key. Unknown keys are refused.

{bodies}
`id`: made by the service unless given. Times: ISO 8601 with a zone. A capability is an id or
`{{"ref": id, "config": object}}`. Sessions need no agent; an agent or harness that is named must exist.

## Examples

{examples}`total` counts all matches, not those of the page. `agent_id` can be null.

## Pages

Follow `rel="next"` of the `Link` header, resolved against the URL of the request, until there is none. This visits each
session exactly once, even while new sessions are created. To count sessions, use `/v1/sessions/stats`.

## Caching

Send the `ETag` of a response back as `If-None-Match`. `304`, without a body, means that the content has not changed.

## Errors

Always `{{"error": {{"code": …, "message": …, "fields": {{name: [errors]}}, "request_id": …}}}}`. `fields` is present
only if arguments or keys are invalid. `message` says what is wrong and what would be valid.

{errors}
## More

- [OpenAPI 3.1 document](api-doc/openapi.json): the complete description
"""


def text(openapi: Json) -> str:
    """Return the whole file."""
    return TEXT.format(
        title=openapi["info"]["title"],
        summary=openapi["info"]["summary"],
        operations="".join(_operation_lines(openapi)),
        bodies="".join(_body_lines(openapi)),
        examples="".join(_examples(openapi)),
        errors="".join(_error_lines(openapi)),
    )


def _operation_lines(openapi: Json) -> Iterator[str]:
    written: dict[str, str] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"- `{method.upper()} {path}`: {operation['summary']}\n"
            for parameter in operation["parameters"]:
                if parameter.get("in") == "query":
                    name = parameter["name"]
                    line = f"{parameter['description']} {_rule(parameter)}"
                    yield f"  - `{name}`: {'as above' if written.get(name) == line else line}\n"
                    written[name] = line


def _rule(parameter: Json) -> str:
    """Return the type, range, default or example: `(integer, 1 to 100, default 20)`."""
    schema = parameter["schema"]
    parts = ["one of " + ", ".join(schema["enum"]) if "enum" in schema else schema.get("format", schema["type"])]
    if "minimum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    if "default" in schema:
        parts.append(f"default {json.dumps(schema['default'])}")
    elif "enum" not in schema and schema["type"] != "array":
        parts.append(f"such as `{parameter['example']}`")
    return f"({', '.join(parts)})"


def _body_lines(openapi: Json) -> Iterator[str]:
    for name, schema in openapi["components"]["schemas"].items():
        if name in ("SessionBody", "AgentBody", "HarnessBody"):
            required = schema.get("required", [])
            keys = (f"`{key}`{' (required)' if key in required else ''}" for key in schema["properties"])
            yield f"- {name.removesuffix('Body')}: {', '.join(keys)}\n"


def _examples(openapi: Json) -> Iterator[str]:
    """Yield a few requests with their body or response."""
    paths = openapi["paths"]
    for method, path, arguments in (
        ("get", "/v1/sessions", ""),
        ("post", "/v1/agents", ""),
        ("post", "/v1/sessions", ""),
        ("patch", "/v1/sessions/{session_id}", ""),
        ("get", "/v1/sessions/stats", ""),
        ("get", "/v1/sessions/activity", "?days=2&until=2026-02-27"),
    ):
        operation = paths[path][method]
        described = operation.get("requestBody") or operation["responses"]["200"]
        example = json.dumps(described["content"]["application/json"]["example"], ensure_ascii=False)
        yield f"    {method.upper()} {path}{arguments}\n\n    {example}\n\n"


def _error_lines(openapi: Json) -> Iterator[str]:
    for status, response in openapi["components"]["responses"].items():
        codes = ", ".join(f"`{code}`" for code in response["content"]["application/json"]["examples"])
        yield f"- {status} {codes}: {ADVICE[status]}\n"
