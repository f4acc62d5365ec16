"""The text of everruns/web/llms.txt (llmstxt.org), from the OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ADVICE = {
    "400": "read `fields`, fix those arguments, retry",
    "401": "ask the user for a key; do not retry",
    "403": "omit `X-Org-Id`",
    "404": "use a path listed above",
    "405": "use GET",
    "414": "shorten the arguments",
    "429": "wait `Retry-After` seconds, retry",
    "431": "send fewer or shorter headers",
    "500": "do not retry; give the user the `request_id`",
    "503": "wait `Retry-After` seconds, retry; the same for `unavailable`",
}

TEXT = """\
# {title}

> {summary} A read-only HTTP API with JSON responses.

Paths are relative to the directory of this file. Only GET and HEAD are allowed.

## Key

Send `Authorization: Bearer KEY` with every path under `/v1/`. A key begins with `evr_` and belongs to one organization;
it gives access to the sessions of that organization only.

## Operations

{operations}
All arguments are optional. An unknown, empty or repeated argument is refused.

## Example

    GET /v1/sessions?limit=1
    Authorization: Bearer evr_…

    {example}

    GET /v1/sessions/activity?days={activity[days]}&until={activity[until]}

    {activity_json}

`total` counts all matching sessions, not those of the page. `agent_id` can be null. Statuses: {statuses}.

## Pages

Follow `rel="next"` of the `Link` header, resolved against the URL of the request, until there is none. This visits each
session exactly once, even while new sessions are created. To count sessions, send `limit=1` and read `total`.

## Caching

Send the `ETag` of a response back as `If-None-Match`. `304`, without a body, means that the content has not changed.

## Errors

Always `{{"error": {{"code": …, "message": …, "fields": {{argument: [errors]}}, "request_id": …}}}}`. `fields` is
present only if arguments are invalid. `message` says what is wrong and what would be valid.

{errors}
## More

- [OpenAPI 3.1 document](api-doc/openapi.json): the complete description
"""


def text(openapi: Json) -> str:
    """Return the whole file."""
    page, activity = (
        openapi["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
        for path in ("/v1/sessions", "/v1/sessions/activity")
    )
    session = openapi["components"]["schemas"]["Session"]
    return TEXT.format(
        title=openapi["info"]["title"],
        summary=openapi["info"]["summary"],
        operations="".join(_operation_lines(openapi)),
        example=json.dumps({**page, "limit": 1}, ensure_ascii=False),
        activity=activity,
        activity_json=json.dumps(activity),
        statuses=", ".join(session["properties"]["status"]["enum"]),
        errors="".join(_error_lines(openapi)),
    )


def _operation_lines(openapi: Json) -> Iterator[str]:
    written: dict[str, str] = {}
    for path, methods in openapi["paths"].items():
        operation = methods["get"]
        yield f"- `GET {path}`: {operation['summary']}\n"
        for parameter in operation["parameters"]:
            if parameter.get("in") == "query":
                name = parameter["name"]
                line = f"{parameter['description']} {_rule(parameter)}"
                yield f"  - `{name}`: {'as above' if written.get(name) == line else line}\n"
                written[name] = line


def _rule(parameter: Json) -> str:
    """Return the type, range, default or example: `(integer, 1 to 100, default 20)`."""
    schema = parameter["schema"]
    parts = [schema.get("format", schema["type"])]
    if "minimum" in schema:
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    parts.append(f"default {schema['default']}" if "default" in schema else f"such as `{parameter['example']}`")
    return f"({', '.join(parts)})"


def _error_lines(openapi: Json) -> Iterator[str]:
    for status, response in openapi["components"]["responses"].items():
        code = response["content"]["application/json"]["example"]["error"]["code"]
        yield f"- {status} `{code}`: {ADVICE[status]}\n"
