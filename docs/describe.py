"""Writes the description of the API from the code: docs/openapi.json (OpenAPI 3.1) and docs/llms.txt.

`make describe` runs it. Arguments come from the schemas that validate them, errors from the classes that raise them.
What is answered is written in docs/answers.py, and here as examples; the tests compare both with the running service.
"""

import json
from pathlib import Path
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

import everruns
from docs import answers, llms
from everruns import errors, schemas
from everruns.values import BASE_HARNESS, id_pattern

VERSION = "3.1.0"
FOLDER = Path(__file__).parent

Json = dict[str, Any]

ABOUT = """\
Which sessions does my organization have? Newest first, exactly counted, a page at a time.

A part of the Everruns API, served from one SQLite file. Every operation answers `HEAD` as it answers `GET`, without the
body; another method gets `405` with `Allow`, another path `404`. Every error has the same envelope; go by its `code`,
its `message` may change. Answers may gain keys: ignore those that you do not know."""

KEY = """\
`Authorization: Bearer evr_…`, the scheme in any letter case. `ApiKey evr_…` and the bare key are accepted too: the
official SDKs send the bare key. A key belongs to one organization, and only its sessions are read."""

AGENT_ID = schemas.OF_AGENT["example"]
ORGANIZATION_ID = "org_00000000000000000000000000000001"
REQUEST_ID = "0a6d3f5c9b1e4f0e8d7c6b5a49382716"
ETAG = 'W/"5d41402abc4b2a76b9719d911017c592"'
LINK = (
    '<?offset=0&limit=20>; rel="first", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=20&limit=20>; rel="next", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=140&limit=20>; rel="last"'
)
SESSION = {
    "id": "session_f735efe608d180113e940bb452d31e1b",
    "organization_id": ORGANIZATION_ID,
    "harness_id": BASE_HARNESS,
    "agent_id": AGENT_ID,
    "title": "Why is checkout slow?",
    "tags": ["debugging", "urgent"],
    "model_id": "model_01933b5a000070008000000000000201",
    "capabilities": [{"ref": "memory", "config": {"scope": "session"}}, {"ref": "openui"}],
    "status": "idle",
    "features": ["file_system", "openui", "schedules"],
    "created_at": "2026-02-27T19:01:17.685982Z",
    "updated_at": "2026-02-27T20:00:46.685982Z",
}
ACTIVITY = {
    "data": [{"day": "2026-02-26", "sessions": 3}, {"day": "2026-02-27", "sessions": 0}],
    "total": 3,
    "days": 2,
    "until": "2026-02-27",
}


# --- how it is asked for ---------------------------------------------------------------------------------------


def _rule(_: Any, field: fields.Field[Any], **kwargs: Any) -> Json:
    """What the fields of `everruns.schemas` take, in the words of JSON Schema."""
    if isinstance(field, schemas.WholeNumber):
        return {"type": "integer", "minimum": field.least, "maximum": field.most}
    if isinstance(field, schemas.AgentId):
        return {"type": "string", "pattern": f"^{id_pattern('agent')}$"}
    if isinstance(field, schemas.Bound):
        return {"type": "string", "format": "date-time"}
    if isinstance(field, schemas.Day):
        return {"type": "string", "format": "date", "pattern": "^(000[2-9]|00[1-9]|0[1-9]|[1-9])[0-9-]+$"}  # year 2 on
    return {}


def _arguments(converter: OpenAPIConverter, schema: type[Schema]) -> list[Json]:
    """The query parameters that `schema` takes."""
    parameters = []
    for name, field in schema().fields.items():
        rule = converter.field2property(field)
        if rule["default"] is None:
            del rule["default"]  # it may be left out, but not be null
        parameter = {
            "in": "query",
            "name": name,
            "description": rule.pop("description"),
            "example": rule.pop("example"),
        }
        parameters.append({**parameter, "required": field.required, "schema": rule})
    return parameters


PARAMETERS: Json = {
    "X-Org-Id": {
        "description": "The organization that is meant; it must be the key's. Dashes and letter case do not matter.",
        "schema": {"type": "string", "pattern": f"^{id_pattern('org')}$"},
        "example": ORGANIZATION_ID,
    },
    "X-Request-Id": {
        "description": "Comes back on the answer and stands in the log, when it is 1 to 128 of `A-Za-z0-9._-`; "
        "in the place of any other, and of none, the service makes one.",
        "schema": {"type": "string"},
        "example": REQUEST_ID,
    },
    "If-None-Match": {
        "description": "The `ETag` of an earlier answer, or a list of such, or `*`: if it stands for what would be "
        "answered now, the answer is `304`.",
        "schema": {"type": "string"},
        "example": ETAG,
    },
}


# --- what comes with every answer ------------------------------------------------------------------------------


def _header(description: str, schema: Json, example: object = None) -> Json:
    header = {"description": description, "required": True, "schema": schema}
    return header if example is None else {**header, "example": example}


HEADERS: Json = {
    "X-Request-Id": _header(
        "The id of the request: yours, or a new one.",
        {"type": "string", "pattern": f"^{errors.REQUEST_ID.pattern}$"},
        REQUEST_ID,
    ),
    "ETag": _header("Stands for exactly this answer; send it back as `If-None-Match`.", {"type": "string"}, ETAG),
    "Link": _header(
        "Where other pages are (RFC 8288): `first` and `last`, and `prev` and `next` where there are such. References "
        "of the query alone, to be resolved against the URL that was asked. Follow `next` and you see each session "
        "exactly once, however many are created meanwhile.",
        {"type": "string"},
        LINK,
    ),
    "Cache-Control": _header("How the answer may be kept.", {"type": "string"}),
    "Vary": _header("Keys see different answers.", {"type": "string"}, "Authorization"),
    "WWW-Authenticate": _header("How to authenticate.", {"type": "string"}, "Bearer"),
    "Allow": _header("The methods that are possible here.", {"type": "string"}, "GET, HEAD"),
    "Retry-After": _header(
        "In how many seconds to try again.", {"type": "integer", "minimum": 1}, errors.RETRY_AFTER_SECONDS
    ),
}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refused(load: Any, *arguments: Any) -> errors.InvalidRequest:
    """What `load` raises."""
    try:
        load(*arguments)
    except errors.InvalidRequest as error:
        return error
    raise AssertionError(f"{load} takes {arguments}")


# Each error: when it happens, and a true example. 414 and 431 come from the server that runs the program, 429 from the
# proxy in front of it (deploy/gunicorn.conf.py, deploy/nginx.conf).
_ERRORS: list[tuple[str, errors.ApiError]] = [
    (
        "Arguments, or the request itself, are malformed; all faults are told together.",
        _refused(schemas.sessions_query, b"limit=0"),
    ),
    ("No key, or one that is unknown, expired or revoked; these are not told apart.", errors.Unauthorized()),
    ("`X-Org-Id` is not the organization of the key.", errors.OrganizationMismatch()),
    ("There is nothing at this path.", errors.NotFound("/v1/session")),
    ("Only GET and HEAD are possible.", errors.MethodNotAllowed("POST", ["GET", "HEAD"])),
    (
        "The request line is longer than 8,190 bytes.",
        errors.ApiError(414, "uri_too_long", "Request Line is too large (10038 > 8190)"),
    ),
    (
        "Behind nginx with `deploy/nginx.conf`: the key, or the address, asks too often.",
        errors.ApiError(
            429,
            "too_many_requests",
            "too many requests; wait a second, and send If-None-Match to make each cheaper",
            headers={"Retry-After": "1"},
        ),
    ),
    (
        "A header is longer than 8,190 bytes, or there are more than 100.",
        errors.ApiError(
            431, "request_header_fields_too_large", "a header is longer than 8190 bytes, or there are more than 100"
        ),
    ),
    ("A fault of the service; it is logged under the `request_id`.", errors.InternalError()),
    (
        "The database is missing, locked, damaged or of another version; or, told by nginx as `unavailable`, "
        "the service has too much to do.",
        errors.Unavailable(),
    ),
]
ERRORS = {str(error.status): (description, error) for description, error in _ERRORS}
OF_ANY_REQUEST = ("414", "429", "431", "500")
OF_A_KEY = ("400", "401", "403", "503")


def _content(schema: type[Schema], example: Json) -> Json:
    return {"application/json": {"schema": schema, "example": example}}


def _error(description: str, error: errors.ApiError) -> Json:
    headers = _headers("X-Request-Id", "Cache-Control", *error.headers)
    content = _content(answers.ErrorSchema, error.envelope(REQUEST_ID))
    return {"description": description, "headers": headers, "content": content}


def _responses(description: str, content: Json, headers: tuple[str, ...], *statuses: str) -> Json:
    """The responses of an operation by status: the answer, 304 where it has an ETag, and the errors."""
    headers = ("X-Request-Id", "Cache-Control", *headers)
    responses: Json = {"200": {"description": description, "headers": _headers(*headers), "content": content}}
    if "ETag" in headers:
        kept = _headers(*(name for name in headers if name != "Link"))
        responses["304"] = {
            "description": "Nothing has changed: `If-None-Match` stands for the answer.",
            "headers": kept,
        }
    return responses | {status: status for status in sorted((*statuses, *OF_ANY_REQUEST))}


# --- the whole -------------------------------------------------------------------------------------------------


def _list_sessions(converter: OpenAPIConverter) -> Json:
    example = {"data": [SESSION], "total": 150, "offset": 0, "limit": 20}
    return {
        "operationId": "list_sessions",
        "tags": ["sessions"],
        "summary": "List sessions",
        "description": "A page of the sessions, newest first, with the exact number of all that match. An argument "
        "that is unknown, given twice or empty is refused. An offset past the end gives no data, and the true total.",
        "parameters": [
            *_arguments(converter, schemas.SessionsQuerySchema),
            "X-Org-Id",
            "X-Request-Id",
            "If-None-Match",
        ],
        "responses": _responses(
            "The page.", _content(answers.SessionsPageSchema, example), ("ETag", "Link", "Vary"), *OF_A_KEY
        ),
    }


def _list_activity(converter: OpenAPIConverter) -> Json:
    return {
        "operationId": "list_activity",
        "tags": ["sessions"],
        "summary": "Count the sessions of each day",
        "description": "How many sessions were created on each of some days, in UTC, oldest first. An argument that is "
        "unknown, given twice or empty is refused.",
        "parameters": [
            *_arguments(converter, schemas.ActivityQuerySchema),
            "X-Org-Id",
            "X-Request-Id",
            "If-None-Match",
        ],
        "responses": _responses("The days.", _content(answers.ActivitySchema, ACTIVITY), ("ETag", "Vary"), *OF_A_KEY),
    }


def _get_health() -> Json:
    example = {"status": "ok", "version": everruns.__version__}
    return {
        "operationId": "get_health",
        "tags": ["service"],
        "summary": "Whether the service can answer",
        "security": [],
        "parameters": ["X-Request-Id"],
        "responses": _responses("It can.", _content(answers.HealthSchema, example), (), "503"),
    }


def _get_document(operation_id: str, summary: str, content_type: str, schema: Json) -> Json:
    return {
        "operationId": operation_id,
        "tags": ["service"],
        "summary": summary,
        "security": [],
        "parameters": ["X-Request-Id", "If-None-Match"],
        "responses": _responses(summary, {content_type: {"schema": schema}}, ("ETag",)),
    }


def _schema_name(schema: type[Schema] | Schema) -> str:
    of = schema if isinstance(schema, type) else type(schema)
    return of.__name__.removesuffix("Schema")


def openapi() -> Json:
    """The description as OpenAPI 3.1."""
    plugin = MarshmallowPlugin(_schema_name)
    spec = APISpec(
        title="Everruns Sessions",
        version=everruns.__version__,
        openapi_version=VERSION,
        plugins=[plugin],
        info={
            "summary": "Which sessions does my organization have?",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        servers=[{"url": "/"}],
        security=[{"key": []}],
        tags=[
            {"name": "sessions", "description": "The sessions of the organization whose key is sent."},
            {"name": "service", "description": "The service itself; no key is needed."},
        ],
    )
    converter = cast(OpenAPIConverter, plugin.converter)  # there since the plugin is part of a specification
    converter.add_attribute_function(_rule)  # type: ignore[no-untyped-call]
    spec.components.security_scheme(
        "key", {"type": "http", "scheme": "bearer", "bearerFormat": "evr_…", "description": KEY}
    )
    for name, parameter in PARAMETERS.items():
        spec.components.parameter(name, "header", parameter)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for status, (description, error) in ERRORS.items():
        spec.components.response(status, _error(description, error))
    openapi_json = _get_document("get_openapi", "This description.", "application/json", {"type": "object"})
    llms_txt = _get_document(
        "get_llms_txt", "The same for language models.", "text/plain; charset=utf-8", {"type": "string"}
    )
    spec.path("/v1/sessions", operations={"get": _list_sessions(converter)})
    spec.path("/v1/sessions/activity", operations={"get": _list_activity(converter)})
    spec.path("/health", operations={"get": _get_health()})
    spec.path("/api-doc/openapi.json", operations={"get": openapi_json})
    spec.path("/llms.txt", operations={"get": llms_txt})
    return {"openapi": VERSION, **spec.to_dict()}


def documents() -> dict[str, str]:
    """Each file that is written, and its text."""
    description = openapi()
    return {
        "openapi.json": json.dumps(description, indent=2, ensure_ascii=False) + "\n",
        "llms.txt": llms.text(description),
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
