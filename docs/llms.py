"""llms.txt (llmstxt.org), told from the OpenAPI description: what a language model needs to call the API right."""

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ADVICE = {
    "400": "read `fields`, correct those arguments, ask again",
    "401": "ask the user for a key; do not retry",
    "403": "leave `X-Org-Id` out",
    "404": "use a path from above",
    "405": "use GET",
    "414": "shorten the arguments",
    "429": "wait for `Retry-After` seconds, ask again",
    "431": "send fewer or shorter headers",
    "500": "do not retry; tell the user the `request_id`",
    "503": "wait for `Retry-After` seconds, ask again; the same for `unavailable`",
}

TEXT = """\
# {title}

> {summary} A read-only HTTP API with JSON answers: newest session first, exact totals.

Paths are relative to the address of this file. Only GET and HEAD are possible.

## Key

Send `Authorization: Bearer KEY` to every path under `/v1/`. The key begins with `evr_`, and belongs to one
organization: you see its sessions, and no others.

## Operations

{operations}
All arguments are optional. One that is unknown, empty or given twice is refused.

## Example

    GET /v1/sessions?limit=1
    Authorization: Bearer evr_…

    {example}

    GET /v1/sessions/activity?days={activity[days]}&until={activity[until]}

    {activity_json}

`total` counts all sessions that match, not those of the page. Statuses: {statuses}.

## Pages

For more, follow the `Link` header: ask for the reference of `rel="next"`, resolved against the URL that you asked,
until there is none. So you see each session exactly once, even while new ones are created. Only to count, ask with
`limit=1` and read `total`.

## Asking again

Send an answer's `ETag` back as `If-None-Match`. `304`, without a body, means that nothing has changed.

## Errors

Always `{{"error": {{"code": …, "message": …, "fields": {{argument: [faults]}}, "request_id": …}}}}`, with `fields` only
where arguments were refused. `message` says what was wrong and what would be right.

{errors}
## More

- [OpenAPI 3.1 description](api-doc/openapi.json): everything, for programs
"""


def text(description: Json) -> str:
    """The whole file, from the OpenAPI description."""
    page, activity = (
        description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
        for path in ("/v1/sessions", "/v1/sessions/activity")
    )
    session = description["components"]["schemas"]["Session"]
    return TEXT.format(
        title=description["info"]["title"],
        summary=description["info"]["summary"],
        operations="".join(_operations(description)),
        example=json.dumps({**page, "limit": 1}, ensure_ascii=False),
        activity=activity,
        activity_json=json.dumps(activity),
        statuses=", ".join(session["properties"]["status"]["enum"]),
        errors="".join(_errors(description)),
    )


def _operations(description: Json) -> Iterator[str]:
    told: dict[str, str] = {}
    for path, methods in description["paths"].items():
        operation = methods["get"]
        yield f"- `GET {path}`: {operation['summary']}\n"
        for parameter in operation["parameters"]:
            if parameter.get("in") == "query":
                name = parameter["name"]
                words = f"{parameter['description']} {_rule(parameter)}"
                yield f"  - `{name}`: {'the same' if told.get(name) == words else words}\n"
                told[name] = words


def _rule(parameter: Json) -> str:
    """The type, the range, the default or an example: `(integer, 1 to 100, default 20)`."""
    schema = parameter["schema"]
    words = [schema.get("format", schema["type"])]
    if "minimum" in schema:
        words.append(f"{schema['minimum']} to {schema['maximum']}")
    words.append(f"default {schema['default']}" if "default" in schema else f"such as `{parameter['example']}`")
    return f"({', '.join(words)})"


def _errors(description: Json) -> Iterator[str]:
    for status, response in description["components"]["responses"].items():
        code = response["content"]["application/json"]["example"]["error"]["code"]
        yield f"- {status} `{code}`: {ADVICE[status]}\n"
